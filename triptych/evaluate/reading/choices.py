"""Which option of a multiple-choice question does a reply choose? Deterministic rules; no model, never a guess.

Not the score (``scorers``), not how an option is found in words (``mentions``). Marked thinking and politeness are left
out, and a reply is read as a careful person reads it, in this order:

1. *marked*: a mark for programs holds it: ``<answer>B</answer>``, ``\\boxed{B}``, ``{"answer": "B"}``; the last one;
2. *whole*: it is an option and nothing else: a letter, an option's words, or both;
3. *statement*: "the answer is B", "Answer: B", "I would choose B", "答案是B"; the last one;
4. *conclusion*: one option stands alone on a line, or a sentence concludes with one: "Therefore, the second image is
   ..."; the last one;
5. *beginning*: it begins with an option: "(B) no, because", "Yes, it is";
6. *declined*: it says that it cannot tell, and speaks for no option afterwards;
7. *only one*: one option is spoken for in all of it;
8. *claim*: it opens with a sentence for exactly one option, or else the first sentence that weighs ("more", "best") is
   for one.

What a sentence denies or compares with ("not A", "rather than A", "than A", "unlike A, ...") is not spoken for, and a
listing that goes through the options one by one speaks for none. A letter that no option has ("(C) cannot be told" of
two) chooses none of them. Otherwise no option is chosen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from triptych.core import thinking
from triptych.evaluate.reading.denied import blanked
from triptych.evaluate.reading.literals import with_own_stars
from triptych.evaluate.reading.mentions import BEYOND, SEVERAL, Reader, reader_of
from triptych.evaluate.reading.phrases import (
    ASKS_OR_HEDGES,
    CLAUSE_ENDS,
    COMPARES,
    CONCLUDES,
    CONSEQUENCE,
    COURTESY,
    DECLINES,
    DESCRIPTION,
    FOLLOWS,
    MARKS,
    NEXT_TURN,
    OTHERWISE,
    RETRACTS,
    SO,
    STRONGLY,
    SUPPOSES,
    TOKENS,
)
from triptych.evaluate.reading.signs import straight, with_minus
from triptych.evaluate.reading.statements import stated_in

NO_RULE = "none"
_ENDS = re.compile(r"(?<=[.!?])\s+(?=[\"'(\[A-Z])|(?<=[。!?])(?=[^\s\"')\]])|\n+")
_RULE = 30
_RULED = re.compile(rf"\W{{{2 * _RULE},}}")
"""Marks without a word among them, as a model repeats them without end: so many say what all of them say."""
_MARKDOWN = re.compile(
    r"(?!(?<=\S )\*(?= \S))(?:(?<![^\W_])[*_`$]+|[*_`$]+(?![^\W_]))"
    r"|^\s*(?:[#>]*#(?!\s*(?:or\b|and\b|[/&,]))|>+(?!\s*(?:-?\.?\d|or\b)))\s",
    re.MULTILINE,
)
"""Marks of Markdown and of formulas; the star of "a * b" is none."""
_NUMBERED = re.compile(r"^[ \t]*1[.)]\s(?:.*\n)+?[ \t]*2[.)]\s", re.MULTILINE)
"""A numbered list: its numbers count lines."""
_ITEMS = re.compile(r"\"([^\"]*)\"|'([^']*)'|([^\s\[\],\"']+)")
"""What a JSON list holds."""
_LONE_MARK = re.compile(r"\W*(?:[A-Za-z]|\d{1,2})\.")


@dataclass(frozen=True, slots=True)
class Choice:
    """What a reply chooses."""

    option: int | None
    """Position among the options; None: none of them, or no telling which."""
    rule: str
    """Which rule decided, or ``none``."""
    sure: bool = True
    """False where several options are spoken for: worth a person's look."""


def choose(options: Sequence[str], reply: str, *, letters: bool = True) -> Choice:
    """Return which option the reply chooses.

    Args:
        options: their words, in order; empty words where they are not known: then only letters tell.
        reply: as the model gave it.
        letters: whether the question showed letters; where it did not, ``A`` is no answer.
    """
    return _choose(tuple(options), reply, letters)


@lru_cache(maxsize=1 << 15)
def _choose(options: tuple[str, ...], reply: str, letters: bool) -> Choice:
    """Choose; a reply is looked at more than once while it is marked, and a long one takes milliseconds."""
    reader = reader_of(options, letters)
    text = clean(with_own_stars(reply, options))
    if (marked := _marked(text, reader)) is not None:
        return marked
    text = _without_marks(text)
    if not re.search(r"\S", text):
        return Choice(None, NO_RULE)
    if (whole := reader.whole(text)) is not None:
        return _choice(whole, "whole")
    if (after := _after_retraction(text, options, letters)) is not None:
        return after
    sentences = sentences_of(text)
    if (stated := _statement(sentences, reader)) is not None:
        return stated
    return _argued(text, sentences, reader)


def _after_retraction(text: str, options: tuple[str, ...], letters: bool) -> Choice | None:
    """Return what is chosen after the last "wait" or "no,", where that chooses; never sure."""
    found = [match for match in RETRACTS.finditer(text) if re.search(r"\w", text[: match.start()])]
    if not found:
        return None
    after = _choose(options, text[found[-1].end() :], letters)
    return None if after.option is None else _choice(after.option, after.rule, sure=False)


def clean(reply: str) -> str:
    """Return the reply in plain characters, without thinking, politeness, Markdown and the marks of formulas.

    "> 5" stays as it is: more than 5, and no quotation.
    """
    text = re.sub(r"\n\s*\n", "\n\n", re.sub(r"[^\S\n]+", " ", straight(reply)))
    text = _RULED.sub(lambda found: found[0][:_RULE] + "\n" * ("\n" in found[0]), text)
    text = NEXT_TURN.sub("", DESCRIPTION.sub(" ", thinking.spoken(text) or ""))
    text = re.sub(r"\\(?:text|textbf|mathrm|mathbf|mathit|rm|bf)\s*\{([^{}]*)\}", r"\1", text)
    text = _MARKDOWN.sub("", text).strip()
    text = with_minus(text)
    if _NUMBERED.search(text):
        text = re.sub(r"(?m)^[ \t]*\d+[.)]\s+", "", text)
    while (polite := COURTESY.sub(" ", text).strip()) not in (text, ""):
        text = polite
    return text


def spoken(reply: str) -> str:
    """Return what a free reply says in plain characters: the last mark for programs, or all but the thinking."""
    text = clean(reply)
    marked = [next((group for group in match.groups() if group is not None), "") for match in MARKS.finditer(text)]
    return next((content for content in reversed(marked) if re.search(r"\w", content)), _without_marks(text)).strip()


def sentences_of(text: str) -> list[str]:
    """Return sentences and lines that say anything; a letter with a full stop at a line's start begins its sentence."""
    found: list[str] = []
    for line in text.split("\n"):
        parts = [part.strip() for part in _ENDS.split(line) if re.search(r"[^\W_]", part)]
        if len(parts) > 1 and _LONE_MARK.fullmatch(parts[0]):
            parts[:2] = [f"{parts[0]} {parts[1]}"]
        found += parts
    return found


def _choice(option: int, rule: str, *, sure: bool = True) -> Choice:
    if option == SEVERAL:
        return Choice(None, rule, sure=False)
    return Choice(None if option == BEYOND else option, rule, sure)


def _marked(text: str, reader: Reader) -> Choice | None:
    """Return what the last mark for programs says, where it says an option."""
    found = []
    for match in MARKS.finditer(text):
        content = next((group for group in match.groups() if group is not None), "").strip()
        option = _said_in(content, reader)
        if match["items"] and reader.whole(content.strip("[]")) is None:
            each = {_said_in("".join(item), reader) for item in _ITEMS.findall(content)}
            option = None if each == {None} else SEVERAL if len(each) > 1 else each.pop()
        found.append(option)
    if not found or found[-1] is None:
        return None
    return _choice(found[-1], "marked", sure=len(set(found)) == 1)


def _said_in(content: str, reader: Reader) -> int | None:
    whole = reader.whole(content)
    return reader.stated(content) if whole is None else whole


def _without_marks(text: str) -> str:
    text = re.sub(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}", r"\1", text)
    return TOKENS.sub(" ", text).strip()


def _statement(sentences: Sequence[str], reader: Reader) -> Choice | None:
    """Return the last plain statement of an answer; nothing where there is none that names an option."""
    said = stated_in(sentences, reader)
    return None if said is None else _choice(said.option, "statement", sure=said.sure)


@dataclass(frozen=True, slots=True)
class _Argument:
    """A reply of sentences, read."""

    sentences: Sequence[str]
    spoken: Sequence[set[int]]
    """Of each sentence, the options that it speaks for; a listing speaks for none."""
    alone: Sequence[int | None]
    """Of each sentence, the option that it is, with nothing beside it; an item of a listing is none."""
    declines: Sequence[int]
    """Sentences that do not answer."""
    opens_listing: bool


def _argued(text: str, sentences: Sequence[str], reader: Reader) -> Choice:
    """Return what a reply of sentences chooses that states no answer outright."""
    listed = reader.listing(sentences)
    spoken, declines = [], []
    for at, said in enumerate(sentences):
        other_case = OTHERWISE.match(said) and any(map(SUPPOSES.search, sentences[:at]))
        asks = said.endswith("?") and len(sentences) > 1
        spoken.append(set() if at in listed or asks or other_case else reader.spoken_for(said))
        found = list(DECLINES.finditer(reader.without_mentions(said)))
        if found and len(after := _yet_says(said, found[-1].end(), reader)) == 1:
            spoken[at] = after
        elif found:
            declines.append(at)
    alone = [reader.whole(said) for said in sentences]
    if _repeats_options([(sentences[at], alone[at]) for at in listed]):
        alone = [None if at in listed else option for at, option in enumerate(alone)]
    argument = _Argument(sentences, spoken, alone, declines, opens_listing=0 in listed)
    if (affirmed := reader.affirmed_item(sentences)) is not None and not argument.declines:
        return _choice(affirmed, "conclusion")
    begun = _conclusion(argument) or _beginning(argument, text, reader)
    return begun or _consequence(argument, reader) or _rest(argument)


def _repeats_options(listing: Sequence[tuple[str, int | None]]) -> bool:
    """Tell whether a listing is the question's own: two of its items or more are an option and nothing else.

    Letters alone ("A", "B") repeat no options. A listing that ends in "(B)" after what it says of A concludes so.
    """
    named = [option for said, option in listing if option is not None and len(re.findall(r"\w+", said)) > 1]
    return len(set(named)) > 1


def _yet_says(sentence: str, start: int, reader: Reader) -> set[int]:
    """Return what a sentence that declines speaks for in its last clause: "I cannot tell, but I would say B"."""
    signs = ((each.start, each.stop) for each in reader.mentions(sentence) if each.as_written)
    ends = list(CLAUSE_ENDS.finditer(blanked(sentence, signs), start))
    return reader.spoken_for(sentence[ends[-1].start() :]) if ends else set()


def _conclusion(argument: _Argument) -> Choice | None:
    """Return what the last conclusion chooses, or that it gives up."""
    sentences, spoken = argument.sentences, argument.spoken
    alone = {option for option in argument.alone if option is not None}
    if len(alone) == 1 and any(option is not None for option in argument.alone[1:]):
        return _choice(min(alone), "conclusion")
    concluded = [
        at
        for at in range(len(sentences))
        if spoken[at] and (CONCLUDES.search(_with_lead(sentences, at)) or FOLLOWS.match(sentences[at]))
    ]
    strong = [at for at in concluded if STRONGLY.search(_with_lead(sentences, at))]
    gives_up = max((at for at in argument.declines if FOLLOWS.match(sentences[at]) and not spoken[at]), default=-1)
    for at in reversed(strong or concluded):
        if at < gives_up or (at in argument.declines and len(spoken[at]) != 1):
            return Choice(None, "declined")
        if len(spoken[at]) == 1:
            sure = len(set().union(*(spoken[each] for each in concluded))) == 1
            return _choice(min(spoken[at]), "conclusion", sure=sure)
    return None


def _beginning(argument: _Argument, text: str, reader: Reader) -> Choice | None:
    """Return the option with which a reply begins, where that is an answer and no item of a list."""
    alone = {option for option in argument.alone if option is not None}
    if argument.opens_listing or len(alone) > 1:
        return None
    begins = reader.beginning(text)
    if begins is None or (begins == SEVERAL and SO.search(argument.sentences[0]) and len(argument.spoken[0]) == 1):
        return None
    return _choice(begins, "beginning", sure=not any(found - {begins} for found in argument.spoken))


def _consequence(argument: _Argument, reader: Reader) -> Choice | None:
    """Return what comes of the one thing that is supposed, where a reply says no more: "If it rains, it is wet"."""
    supposing = [said for said in argument.sentences if SUPPOSES.search(said)]
    if len(supposing) != 1 or any(argument.spoken) or argument.declines:
        return None
    if any(OTHERWISE.match(said) or FOLLOWS.match(said) for said in argument.sentences):
        return None
    condition = CONSEQUENCE.match(supposing[0])
    if condition is None or ASKS_OR_HEDGES.search(reader.without_mentions(supposing[0])):
        return None
    spoken = reader.spoken_for(supposing[0][condition.end() :])
    return _choice(min(spoken), "only one", sure=False) if len(spoken) == 1 else None


def _rest(argument: _Argument) -> Choice:
    """Return what a reply chooses that neither concludes nor begins with an option."""
    first = argument.declines[-1] + 1 if argument.declines else 0
    after = range(first, len(argument.sentences))
    spoken = set().union(*(argument.spoken[at] for at in after))
    if argument.declines and not spoken:
        return Choice(None, "declined")
    if len(spoken) == 1:
        return _choice(min(spoken), "only one", sure=not argument.declines)
    for at in after:
        if len(argument.spoken[at]) == 1 and (at == 0 or COMPARES.search(argument.sentences[at])):
            return _choice(min(argument.spoken[at]), "claim", sure=False)
    return Choice(None, NO_RULE, sure=not spoken)


def _with_lead(sentences: Sequence[str], at: int) -> str:
    """Return a sentence, with the one before it where that ends in a colon."""
    lead = sentences[at - 1] if at and sentences[at - 1].endswith(":") else ""
    return f"{lead} {sentences[at]}"
