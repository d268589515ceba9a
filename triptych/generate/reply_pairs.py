"""Question-answer pairs in a language model's reply: as JSON, however it is laid out, or as labelled lines.

Not about what becomes of them (``stages/parse``). JSON is tried first; then lines that begin with words for question
and answer in the paper's eight languages, with or without numbers, bullets and bold marks. Invariant: a pair is whole
or torn; a torn one is returned as such and never completed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

from triptych.core.records import Json
from triptych.generate import options
from triptych.generate.loose_json import TornObject, TornText, values_in
from triptych.infer.responder import writable

QUESTION_KEYS = ("question", "q", "instruction", "human", "user", "prompt", "query", "input")
ANSWER_KEYS = ("answer", "a", "response", "assistant", "gpt", "output", "reply")
_SAID_KEYS = {"role": "content", "from": "value"}
"""How messages say who speaks, and what."""
_QUESTION_WORDS = "questions?|instruction|human|user|q|问题|提问|问|質問|問|pregunta|frage|nutzer|질문|문|السؤال|سؤال|س"
_ANSWER_WORDS = (
    "answers?|response|assistant|gpt|a|答案|回答|答|答え|respuesta|antwort|réponse|reponse|답변|대답|답|"
    "الإجابة|إجابة|الاجابة|اجابة|الجواب|جواب|ج"
)
_LABEL = re.compile(
    rf"^[\s>*_#\-•‣(（\[]*(?:\d+\s*[.)、）:\]]\s*)?[*_\s]*(?:(?P<question>{_QUESTION_WORDS})|(?P<answer>{_ANSWER_WORDS}))"
    r"\s*[#№]?\s*\d*[*_\s)）\]]*[:：][*_\s]*(?P<said>.*)$",
    re.IGNORECASE,
)
_RULE = re.compile(r"^\s*([-*_=]{3,}|#+\s.*|`{3,}\w*)\s*$")
_GROUP = re.compile(r"^[\s#*_]*(?:conversation|dialog(?:ue)?)\s*[#№]?\s*\d+\s*[*_:：.)]*\s*$", re.IGNORECASE)
_NUMBERED = re.compile(r"^[\s#*_]*(?:(?:pair|round|q\s*&\s*a|qa)\s*[#№]?\s*)?\d+\s*[*_:：.)]+\s*$", re.IGNORECASE)
"""A line that only numbers the pair that follows it."""
_CHATTER = re.compile(r"^(i hope|let me know|feel free|please let me|is there anything|if you (need|want|have))", re.I)


@dataclass(frozen=True, slots=True)
class Pair:
    """One question and its answer, as the reply said them."""

    question: str
    answer: str
    group: int = 0
    """Number of the conversation in the reply that it belongs to."""
    extra: Mapping[str, Json] = field(default_factory=dict)
    """What else was said of it, or of its conversation."""
    options: tuple[str, ...] = ()
    """What there is to choose from, where that is not in the question's words but beside it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in a reply."""

    pairs: tuple[Pair, ...] = ()
    torn: tuple[Pair, ...] = ()
    """Pairs of which a part is missing: the reply ends in them, or they never had it."""


def read_pairs(reply: str, *, cut: bool = False) -> Found:
    """Return the pairs of a reply, in order.

    Args:
        reply: the model's words.
        cut: the model had to stop before it was done, so an answer in lines that ends with the reply is torn.
    """
    reply = writable(reply)
    found = _in_json(reply)
    return found if found.pairs or found.torn else _in_lines(reply, cut=cut)


def _in_json(reply: str) -> Found:
    search = _Search()
    for value in values_in(reply):
        search.look(value, {})
    return Found(tuple(search.pairs), tuple(search.torn))


class _Search:
    """Walks through JSON values. State: the pairs so far, and the number of the conversation."""

    def __init__(self) -> None:
        self.pairs: list[Pair] = []
        self.torn: list[Pair] = []
        self._group = 0

    def look(self, value: Json, around: Mapping[str, Json]) -> None:
        """Take the pairs in a value; ``around`` is what the objects around it say."""
        if isinstance(value, list):
            before = len(self.pairs)
            if messages := list(_messages(value)):
                self._take_messages(messages, around)
            else:
                for each in value:
                    self.look(each, around)
            # A list of pairs is one conversation; a list of lists of pairs has counted itself already.
            if len(self.pairs) > before and any(isinstance(each, dict) and _has_pair(each) for each in value):
                self._group += 1
        elif isinstance(value, dict):
            if _has_pair(value) or (isinstance(value, TornObject) and _text_of(value, QUESTION_KEYS) is not None):
                self._take(value, around)
                return
            said = {key: each for key, each in value.items() if _is_plain(each) or options.is_key(key)}
            found = len(self.pairs) + len(self.torn)
            for each in value.values():
                self.look(each, {**around, **said})
            halves = [keys for keys in (QUESTION_KEYS, ANSWER_KEYS) if _text_of(value, keys[:1]) is not None]
            if halves and found == len(self.pairs) + len(self.torn):
                self._take(value, around)

    def _take(self, value: Mapping[str, Json], around: Mapping[str, Json]) -> None:
        question, answer = _text_of(value, QUESTION_KEYS), _text_of(value, ANSWER_KEYS)
        used = {_key_of(value, QUESTION_KEYS), _key_of(value, ANSWER_KEYS)}
        rest = {key: each for key, each in value.items() if key not in used}
        extra = {**around, **{key: each for key, each in rest.items() if _is_plain(each)}}
        given = options.options_of({**around, **rest})
        pair = Pair((question or "").strip(), (answer or "").strip(), self._group, extra, given or ())
        torn = isinstance(question, TornText) or isinstance(answer, TornText) or given is None
        (self.torn if torn or not (pair.question and pair.answer) else self.pairs).append(pair)

    def _take_messages(self, messages: Sequence[tuple[str, str]], around: Mapping[str, Json]) -> None:
        asked = ""
        for role, said in messages:
            if role in ("user", "human"):
                if asked:
                    self.torn.append(Pair(asked, "", self._group, around))
                asked = said
            elif asked:
                torn = isinstance(said, TornText) or not said.strip()
                (self.torn if torn else self.pairs).append(Pair(asked.strip(), said.strip(), self._group, around))
                asked = ""
        if asked:
            self.torn.append(Pair(asked.strip(), "", self._group, around))
        self._group += 1


def _messages(value: list[Json]) -> Iterator[tuple[str, str]]:
    for each in value:
        if isinstance(each, dict):
            for role, said in _SAID_KEYS.items():
                speaker, words = each.get(role), each.get(said)
                if speaker in ("user", "human", "assistant", "gpt") and isinstance(words, str):
                    yield str(speaker), words


def _has_pair(value: Mapping[str, Json]) -> bool:
    return _text_of(value, QUESTION_KEYS) is not None and _text_of(value, ANSWER_KEYS) is not None


def _text_of(value: Mapping[str, Json], keys: Sequence[str]) -> str | None:
    key = _key_of(value, keys)
    said = None if key is None else value[key]
    return said if said is None or isinstance(said, str) else str(said)


def _key_of(value: Mapping[str, Json], keys: Sequence[str]) -> str | None:
    """Return the key that says it: the first of ``keys``, since beside ``answer`` an ``A`` is an option."""
    spoken = {
        key.lower().strip(): key
        for key, said in value.items()
        if isinstance(said, str) or (isinstance(said, int | float) and not isinstance(said, bool) and isfinite(said))
    }
    return next((spoken[key] for key in keys if key in spoken), None)


def _is_plain(value: Json) -> bool:
    if isinstance(value, TornText):
        return False
    return isinstance(value, str | int | float) or (
        isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)
    )


def _in_lines(reply: str, *, cut: bool) -> Found:
    said: list[tuple[str, list[str], int]] = []
    group = 0
    for line in reply.splitlines():
        if found := _LABEL.match(line):
            said.append(("question" if found["question"] else "answer", [found["said"]], group))
        elif _GROUP.match(line):
            group += bool(said)
        elif said and not (_RULE.match(line) or (said[-1][0] == "answer" and _NUMBERED.match(line))):
            said[-1][1].append(line)
    pairs: list[Pair] = []
    torn: list[Pair] = []
    kinds = [kind for kind, _, _ in said]
    for at, (kind, lines, of) in enumerate(said):
        last = at == len(said) - 1
        words = _joined(_without_chatter(lines) if last else lines)
        if kind == "question":
            if last or kinds[at + 1] == "question":
                torn.append(Pair(_joined(lines), "", of))
        elif not at or kinds[at - 1] == "answer":
            if not at:
                torn.append(Pair("", words, of))
        else:
            # Of two answers nobody knows which is meant: the first may be an option, ``A: a dog``.
            two = not last and kinds[at + 1] == "answer"
            pair = Pair(_joined(said[at - 1][1]), words, of)
            (torn if two or (cut and last) or not (pair.question and pair.answer) else pairs).append(pair)
    return Found(tuple(pairs), tuple(torn))


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(line.rstrip() for line in lines).strip().strip("*").strip()


def _without_chatter(lines: Sequence[str]) -> Sequence[str]:
    paragraphs = "\n".join(lines).split("\n\n")
    while len(paragraphs) > 1 and _CHATTER.match(paragraphs[-1].strip()):
        paragraphs.pop()
    return "\n\n".join(paragraphs).split("\n")
