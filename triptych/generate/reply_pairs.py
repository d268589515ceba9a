"""Question-answer pairs in a language model's reply: as JSON, however it is laid out, or as labelled lines.

Not about what becomes of them (``stages/parse``), nor how lines are read (``reply_lines``). JSON is tried first; then
lines that begin with words for question and answer. Invariant: a pair is whole or torn; a torn one is returned as such
and never completed. Two numbers that differ, or two answers, make no pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

from triptych.core.records import Json
from triptych.generate import options
from triptych.generate.loose_json import TornObject, TornText, values_in
from triptych.generate.reply_lines import said_in
from triptych.infer.responder import writable

QUESTION_KEYS = ("question", "q", "instruction", "human", "user", "prompt", "query", "input")
ANSWER_KEYS = (
    *("answer", "a", "correct_answer", "correct_option", "response", "assistant", "gpt", "output", "reply"),
    "correct",
)
"""In order of trust. Where there is a ``b`` beside it, ``a`` is an option."""
_SAID_KEYS = {"role": "content", "from": "value"}
"""How messages say who speaks, and what."""


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
    in_json: bool = False
    """Whether they stood in JSON, which nobody need lay out anew."""


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
    return Found(tuple(search.pairs), tuple(search.torn), in_json=True)


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
            inside = {**around, **said}
            found = len(self.pairs) + len(self.torn)
            for each in value.values():
                self.look(each, inside)
            if _is_half(value) and found == len(self.pairs) + len(self.torn):
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


def record_of(value: Mapping[str, Json]) -> dict[str, Json] | None:
    """Return an object with its question and answer under these two names, and its other keys in small letters.

    What is torn stays torn, and a missing half is missing. None: it has neither.
    """
    keys = {"question": _key_of(value, QUESTION_KEYS), "answer": _key_of(value, ANSWER_KEYS)}
    record = {key.casefold().strip(): said for key, said in value.items() if key not in keys.values()}
    if None in keys.values() and not (_is_half(value) or record.keys() & keys.keys()):
        return None
    found = {name: value[key] for name, key in keys.items() if key is not None}
    return (TornObject if isinstance(value, TornObject) else dict)({**record, **found})


def _messages(value: list[Json]) -> Iterator[tuple[str, str]]:
    for each in value:
        if isinstance(each, dict):
            for role, said in _SAID_KEYS.items():
                speaker, words = each.get(role), each.get(said)
                if speaker in ("user", "human", "assistant", "gpt") and isinstance(words, str):
                    yield str(speaker), words


def _has_pair(value: Mapping[str, Json]) -> bool:
    return _text_of(value, QUESTION_KEYS) is not None and _text_of(value, ANSWER_KEYS) is not None


def _is_half(value: Mapping[str, Json]) -> bool:
    """Return whether it is half of a pair: a question or an answer under its own name, or a question with options."""
    if any(_text_of(value, keys[:1]) is not None for keys in (QUESTION_KEYS, ANSWER_KEYS)):
        return True
    return _text_of(value, QUESTION_KEYS) is not None and options.options_of(value) != ()


def _text_of(value: Mapping[str, Json], keys: Sequence[str]) -> str | None:
    key = _key_of(value, keys)
    said = None if key is None else value[key]
    return said if said is None or isinstance(said, str) else str(said)


def _key_of(value: Mapping[str, Json], keys: Sequence[str]) -> str | None:
    """Return the key that says it: the first of ``keys``, of which ``a`` is none where there is a ``b``."""
    spoken = {
        key.lower().strip(): key
        for key, said in value.items()
        if isinstance(said, str) or (isinstance(said, int | float) and not isinstance(said, bool) and isfinite(said))
    }
    lettered = "b" in spoken
    return next((spoken[key] for key in keys if key in spoken and not (lettered and key == "a")), None)


def _is_plain(value: Json) -> bool:
    if isinstance(value, TornText):
        return False
    return isinstance(value, str | int | float) or (
        isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)
    )


def _in_lines(reply: str, *, cut: bool) -> Found:
    said = said_in(reply)
    pairs: list[Pair] = []
    torn: list[Pair] = []
    for at, each in enumerate(said):
        before, after = said[at - 1] if at else None, said[at + 1] if at + 1 < len(said) else None
        if each.is_question:
            if after is None or after.is_question:
                torn.append(Pair(each.text, "", each.group))
        elif before is None or not before.is_question:
            # The second of two answers is in their torn pair.
            if at < 2 or not said[at - 2].is_question:
                torn.append(Pair("", each.text, each.group))
        elif after is not None and not after.is_question:
            # Nobody knows which is meant: the first may be an option, ``A: a dog``.
            torn.append(Pair(before.text, f"{each.text}\n{after.text}", each.group))
        else:
            pair = Pair(before.text, each.text, each.group)
            unlike = None not in (before.number, each.number) and before.number != each.number
            broken = unlike or each.is_option or (cut and after is None)
            (torn if broken or not (pair.question and pair.answer) else pairs).append(pair)
    return Found(tuple(pairs), tuple(torn))
