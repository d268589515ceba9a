"""A judge: any Responder that marks replies where no rule can, each verdict kept in a file and never asked for twice.

Not the rules (``scorers``). A benchmark says what its judge is asked and how a verdict is read; who judges is the
user's choice and is told with the result. A verdict that cannot be read is counted and gives no score: it is never
taken for a wrong answer, and is asked for again on the next start. A judge's thinking is no part of its verdict
(``reading_of``). Which of two replies a judge prefers is read here too (``read_preference``); ``saved/arena`` asks.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

from triptych.core.errors import ConfigError, RunError
from triptych.core.files import append_json_line, read_json_lines
from triptych.core.log import progress
from triptych.core.records import Example, Json, text_of
from triptych.core.thinking import spoken
from triptych.evaluate.reading.answers import Keys
from triptych.infer.responder import Failed, Responder

VERDICTS = "verdicts.jsonl"
"""Beside ``answers.jsonl``: a line a verdict, with the words that the judge was asked, and what it said. The judge's
fingerprint and most tokens are missing in lines of an older version."""
_SAID = r"(?P<said>A|B|tie|both|neither|equal)\b"
_MARKED = re.compile(
    rf"\[\[\s*(?:(?:reply\s+)?{_SAID}(?:\s+(?:is\s+better|wins))?|(?P<left>[AB])\s*(?P<than>[<=>]+)\s*(?!(?P=left))[AB])"
    r"\s*[.!]?\s*\]\]",
    re.IGNORECASE,
)
"""A verdict in double brackets and nothing beside it, also as ``[[A>>B]]``; "[[A or B]]" is none."""
_CHOSEN = (
    r"(?:(?:the|my)\s+)?(?:(?:final|overall)\s+(?:answer|verdict|choice)|verdict|winner|choice"
    r"|better\s+(?:reply|answer|response|one))\s*(?:is\b|:)"
)
_LEAD = rf"\W*(?:(?:{_CHOSEN}|(?:the\s+)?answer\s*(?:is\b|:))\W*)?(?:reply\s+)?"
_FIRST = re.compile(rf"{_LEAD}{_SAID}(?=[^\w?]*(?:$|\n)|[.,:;)\]])", re.IGNORECASE)
_ALONE = re.compile(rf"{_LEAD}{_SAID}[^\w?:]*", re.IGNORECASE)
"""A line that is a verdict and nothing else; "Reply A:" is a label."""
_SENTENCE_ENDS = re.compile(r"(?<=[.!?;])\s|\n")
_OPENS = (
    r"so|thus|hence|therefore|then|overall|clearly|finally|consequently|but|and|yet|however|still|no\s+doubt|all\s+in\s+all"
    r"|in\s+(?:my\s+(?:opinion|view)|summary|conclusion|short|this\s+case|total|the\s+end)"
    r"|(?:i|we)(?:'d|\s+would)?\s+(?:say|think|believe|find|feel|judge|conclude)(?:\s+that)?"
    r"|it\s+(?:is\s+clear|seems|appears|follows)(?:\s+that)?|(?:there\s+is\s+no|without\s+a)\s+doubt(?:\s+that)?"
)
"""What may stand before a clause and takes nothing back: not "I doubt that", "if" and their like."""
_BETTER = (
    r"(?:is\s+(?:(?:the|clearly|much|far|slightly|somewhat|marginally|definitely|a\s+(?:bit|little))\s+){0,2}better|wins)\b"
    r"(?!(?:\s+than\s+(?:(?i:reply)\s+)?[AB])?\s+(?:(?:written|worded|phrased|only|or|if|unless)\b"
    r"|(?:in|at|on|for)\b[^\n]{0,120}?\b(?:but|though|although|however|yet|while|whereas)\b))"
)
"""Not in one thing only, as "better in style, but"."""
_NEITHER = (
    r"(?i:neither)(?:\s+(?:of\s+)?(?:(?:the|these|two|both)\s+){0,3}(?:one|reply|replies|answers?|responses?|them))?"
    rf"(?:\s+(?:(?i:reply)\s+)?[AB]\s+nor\s+(?:(?i:reply)\s+)?[AB])?\s+{_BETTER}"
)
_SAYS = re.compile(
    r"(?:^|(?<=[:,]\s)|(?<=\s)(?=(?:but|and|so|yet|hence|thus|therefore)\b))[^\w\n]{0,4}"
    rf"(?:(?i:{_OPENS})\W{{1,3}}){{0,4}}(?:(?:(?i:reply)\s+)?(?P<better>[AB])\s+{_BETTER}"
    rf"|(?i:{_CHOSEN}\W{{0,4}}|(?:i|we)(?:'d|\s+would)?\s+(?:prefer|choose|pick)\s+)(?:(?i:reply)\s+)?"
    r"(?:(?P<chosen>[AB])|(?i:(?:a\s+)?tie))(?=\W*$|[.,:;)\]]|\s+(?:because|since|over)\b)"
    r"|(?i:(?:it|this)(?:'s|\s+is)\s+a\s+tie|they(?:'re|\s+are)\s+tied)\b"
    rf"|(?P<even>{_NEITHER}|(?i:both|they)(?:\s+(?:replies|answers|responses|of\s+them))?\s+are\s+equally\s+good\b))"
)
"""A clause that begins with who is better; what is said of it before that ("I don't think that") makes it none."""
_SUPPOSES = re.compile(r"\W*(?:if|unless|whether|when|were|at\s+first|some|one|it\s+depends)\b", re.IGNORECASE)
_ASKS = re.compile(r"[^.!?;:,\n]*\?(?:\s|\Z)")
_IN_ONE_THING = re.compile(
    r"(?:\s+than\s+(?:(?i:reply)\s+)?[AB])?\s+(?:in|at|on|for)\b"
    r"(?!\s+(?:every|all|both|most|general|my|these|the\s+whole|(?:this|the)\s+(?:case|instance|question|task|user))\b)"
)
_HOLDS_AGAINST = re.compile(
    r"\W*(?:but|however|yet|still|nevertheless|nonetheless|that\s+said|although)\b"
    r"(?!\W+(?:both|neither|the\s+(?:difference|gap|margin))\b)",
    re.IGNORECASE,
)
"""How a sentence begins that makes a preference in one thing none, as "but" does within one sentence."""
_YET = re.compile(r"\b(?:but|though|although|however|yet|still|except|prefer)\b", re.IGNORECASE)
_LINE_ENDS = re.compile(r"[^\w\n]*(?:\n|\Z)")
_ITEM = {letter: re.compile(rf"(?<![\w'])(?i:{letter})\s*[.:)]") for letter in "ab"}
"""A reply's letter as a label: "B: right colour"."""
_ON_A_LINE = {letter: re.compile(rf"(?im)^[^\w\n]*(?:reply\s+)?{letter}[^\w\n]*$") for letter in "ab"}
_REPLY = "(?:one|reply|answer|response|assistant|is|wins)"
_MENTION = {
    "a": re.compile(  # no article
        r"(?<![\w'])A(?=\W*$|\s*[^\w\s]|\s+(?:\w+s|and|or|but|can|could|did|had|would|will|than)\b)"
        rf"|(?i:\breply\s+a\b|\b(?:first|former)\s+{_REPLY}\b)"
    ),
    "b": re.compile(rf"(?<![\w'])B\b|(?i:\breply\s+b\b|\b(?:second|latter)\s+{_REPLY}\b)"),
}
_GOES_ON = ("9", " 99", " of 99")
"""How a number or word that was cut might have gone on."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Judge:
    """What a benchmark's judge is asked, and what its words mean."""

    ask: Callable[[Example, str], Example]
    """(question with its reference, reply) -> what the judge is asked: an Example that ends in a user turn. Its id is
    set by the caller."""
    read: Callable[[Example, str], Mapping[str, float] | None]
    """(question with its reference, verdict) -> measures from 0 to 1 by name, one of them ``score``; None: the verdict
    cannot be read."""
    published: str
    """The model that judged in the published numbers; another judge gives other numbers."""
    max_tokens: int = 256
    """Most tokens of a verdict, unless the user says otherwise."""
    together: str = ""
    """The fact that questions share whose replies are judged together: ``ask`` finds the others' as
    ``facts["others"]``, a list of ``{"question", "reply"}``. Empty: each reply is judged alone."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge said of one reply."""

    measures: Mapping[str, float]
    """From 0 to 1, by name; empty where there is no verdict that can be read."""
    reason: str = ""
    """Why there is none."""


def needs_judge(question: Example, reply: str) -> float:
    """Stand where a benchmark's rule would: there is none. Raises ConfigError."""
    where = question.origin or question.id
    raise ConfigError(f"{where}: no rule marks the reply {reply[:40]!r}. Name a judge with --judge.")


def judge_replies(
    judge: Judge, replies: Sequence[tuple[Example, str]], *, responder: Responder, folder: Path
) -> dict[str, Verdict]:
    """Ask for the verdicts that ``folder`` does not hold yet; return all of them by the question's id.

    Args:
        judge: what to ask.
        replies: (question with its reference, reply), with distinct ids.
        responder: who judges.
        folder: where ``verdicts.jsonl`` is kept.

    Raises:
        RunError: the responder broke its contract.
    """
    keys = Keys(responder.name, responder.fingerprint, judge.max_tokens)
    prompts = prompts_of(judge, replies)
    key_of = {name: keys.of(prompt) for name, prompt in prompts.items()}
    questions = {question.id: question for question, _ in replies}
    path = folder / VERDICTS
    said: defaultdict[str, list[Mapping[str, Json]]] = defaultdict(list)
    for record in read_json_lines(path) if path.exists() else ():
        said[str(record["key"])].append(record)

    def verdict(name: str) -> Verdict:
        if name not in prompts:
            return Verdict({}, "the question that is judged with it has no reply")
        found = Verdict({}, f"{responder.name} gave no verdict on {name!r}. Evaluate with --judge again.")
        for record in said[key_of[name]]:  # the last that can be read counts
            last = _verdict(judge, questions[name], record)
            found = last if last.measures or not found.measures else found
        return found

    missing = [prompt for name, prompt in prompts.items() if not verdict(name).measures]
    if missing:
        for record in _ask(missing, responder, key_of=key_of, max_tokens=judge.max_tokens):
            append_json_line(path, record)
            said[str(record["key"])].append(record)
    return {name: verdict(name) for name in questions}


def prompts_of(judge: Judge, replies: Sequence[tuple[Example, str]]) -> dict[str, Example]:
    """Return what the judge is asked of each reply, by the question's id; none where it needs others that lack."""
    return {
        question.id: replace(judge.ask(question, reply), id=question.id)
        for question, reply in _with_others(replies, judge.together)
    }


def words_of(prompt: Example) -> str:
    """Return the words that the judge is asked in, as ``verdicts.jsonl`` holds them."""
    return "".join(text_of(turn) for turn in prompt.turns)


def _verdict(judge: Judge, question: Example, record: Mapping[str, Json]) -> Verdict:
    """Return what a line of ``verdicts.jsonl`` says; lines of an older version are taken for whole."""
    if "failed" in record:
        return Verdict({}, str(record["failed"]))
    words, cut = str(record["reply"]), record.get("cut") is True
    measures = reading_of(partial(judge.read, question), words, cut=cut)
    if measures is not None:
        return Verdict(measures)
    why = " as it was cut (raise judge.max_tokens)" if cut else ""
    return Verdict({}, f"the verdict cannot be read{why}: {words[:80]!r}")


def _with_others(replies: Sequence[tuple[Example, str]], together: str) -> Iterator[tuple[Example, str]]:
    """Yield questions with the replies that they are judged with as a fact; those that lack one are left out."""
    groups: defaultdict[str, list[tuple[Example, str]]] = defaultdict(list)
    for question, reply in replies:
        groups[str(question.facts.get(together, ""))].append((question, reply))
    for question, reply in replies:
        if not (group := question.facts.get(together)):
            yield question, reply
            continue
        others: list[Json] = [
            {"question": other.facts.get("question"), "reply": said}
            for other, said in groups[str(group)]
            if other.id != question.id
        ]
        if others:
            yield replace(question, facts={**question.facts, "others": others}), reply


def _ask(
    prompts: Sequence[Example], responder: Responder, *, key_of: Mapping[str, str], max_tokens: int
) -> Iterator[dict[str, Json]]:
    open_ones = {prompt.id: prompt for prompt in prompts}
    with progress("judge", len(prompts)) as advance:
        for said in responder.answer(prompts, max_tokens=max_tokens):
            prompt = open_ones.pop(said.id, None)
            if prompt is None:
                raise RunError(f"{responder.name} judged {said.id!r}, which was not asked, or not again.")
            record: dict[str, Json] = {"key": key_of[said.id], "id": said.id, "judge": responder.name}
            record |= {"fingerprint": responder.fingerprint, "max_tokens": max_tokens, "asked": words_of(prompt)}
            if isinstance(said, Failed):
                yield {**record, "failed": said.reason}
            else:
                record |= {"reply": said.text, "tokens_in": said.tokens_in, "tokens_out": said.tokens_out}
                yield record | ({"cut": True} if said.cut else {})
            advance(1)


def reading_of(read: Callable[[str], T | None], said: str, *, cut: bool = False) -> T | None:
    """Return what a judge says behind its thinking; None where that cannot be read.

    Args:
        read: (words) -> what they mean, or None.
        said: all that the judge said.
        cut: whether it ended at the most tokens. Then a verdict at the very end is none: "score: 0." may have been 0.9.
            One that ended its line is whole.
    """
    words = spoken(said)
    found = None if words is None else read(words)
    if not cut or words is None:
        return found
    ended = "\n" in words[len(words.rstrip()) :]
    if ended and words.count("[") == words.count("]"):
        return found
    return found if all(read(words + more) == found for more in _GOES_ON) else None


def read_preference(said: str) -> float | None:
    """Return what the first of two replies, A and B, won: 1, 0.5 for a tie, 0; None where the verdict cannot be read.

    A verdict in double brackets counts wherever it stands; else one that the words begin with or whose line is the
    last, which "Reply B is better" does not contradict; else clauses that begin with "Reply A is better" or another
    plain form of it. A letter that begins a sentence on both replies ("A: ... B: ...") is no verdict, unless a line is
    nothing else. Where neither is better it is a tie, unless one of them is said to be better after that.
    """
    lines = (" ".join(line.replace("*", "").split()) for line in (spoken(said) or "").replace("’", "'").splitlines())
    text = "\n".join(filter(None, lines))
    found = {_marked(match) for match in _MARKED.finditer(text)}
    if not found:
        found = _named(text)
        alone = [_ALONE.fullmatch(line) for line in text.splitlines()]
        if alone and alone[-1]:
            found |= {_who(line["said"]) for line in alone if line}
        if first := _FIRST.match(text):
            found = _with_first(_who(first["said"]), text[first.end() :], found - {"unsure"})
    return {"a": 1.0, "b": 0.0, "tie": 0.5, "unsure": None}[found.pop()] if len(found) == 1 else None


def _marked(match: re.Match[str]) -> str:
    """Return whom a verdict in brackets names: the letter, the larger one, or neither."""
    if match["said"] or "=" in match["than"]:
        return _who(match["said"])
    left = _who(match["left"])
    return left if ">" in match["than"] else "b" if left == "a" else "a"


def _who(said: str | None) -> str:
    letter = (said or "").casefold()
    return letter if letter in ("a", "b") else "tie"


def _named(text: str) -> set[str]:
    """Return who is said to be better; "tie" where neither is; "unsure" where something is held against that."""
    named: set[str] = set()
    in_one_thing: set[str] = set()
    yet = False
    sentences = [sentence for sentence in _SENTENCE_ENDS.split(text) if sentence]
    for sentence, following in zip_longest(sentences, sentences[1:], fillvalue=""):
        at = 0
        against = bool(_HOLDS_AGAINST.match(following))
        for match in _said_in(sentence):
            who = "even" if match["even"] else _who(match["better"] or match["chosen"])
            # what is held against it may be the other one's merit in one thing, which decides as little
            if (against or in_one_thing - {who, "even"}) and _IN_ONE_THING.match(sentence, match.end()):
                in_one_thing.add(who)
            elif who == "even":
                at, yet = match.end(), False
                named.add(who)
            else:  # "Neither is better in style, but B is better": B
                named = named - {"even"} | {who}
        yet = yet or ("even" in named and bool(_YET.search(sentence, at)))
    return {{True: "unsure", False: "tie"}[yet] if who == "even" else who for who in named}


def _said_in(sentence: str) -> list[re.Match[str]]:
    """Return the clauses of a sentence that say who is better, and neither suppose nor ask that."""
    if _SUPPOSES.match(sentence):
        return []
    return [match for match in _SAYS.finditer(sentence) if not _ASKS.match(sentence, match.end())]


def _with_first(first: str, rest: str, named: set[str]) -> set[str]:
    """Return who is preferred in words that begin with a verdict, or a label; ``named``: who is said to be better."""
    if first == "tie":
        return {first} | (named if len(named) == 1 else set())
    other = "b" if first == "a" else "a"
    if _LINE_ENDS.match(rest):
        return {first, *named, *(other for _ in _ON_A_LINE[other].finditer(rest))}
    if _ITEM[other].search(rest):
        return set(named)
    return set() if not named and _MENTION[other].search(rest) else {first, *named}
