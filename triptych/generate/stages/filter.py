"""filter: words that no training row should hold: refusals, talk of the annotation, copies, loops, wrong lengths.

Not about truth (``verify``) nor about images. Each rule has a reason of its own, and refusals are counted by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from random import Random

from pydantic import Field, field_validator

from triptych.data.text.wording import runs_of, words_in
from triptych.generate.item import Item, Refusal
from triptych.generate.kit.verdicts import overlap
from triptych.generate.question import Question, exchanges_of
from triptych.generate.stage import Made, Stage, StageSettings

_DECLINES = re.compile(
    r"\bas an? (?:\w+[ -])?(?:based )?(?:ai|artificial intelligence|(?:large )?language model)\b"
    r"|(?:^|[.!?]\s+)(?:(?:i am|i'm|my)\s+)?(?:sorry|apologies)\b[^.!?]{0,60}"
    r"\b(?:cannot|can't|can not|unable|not able)\b"
    r"|^\W*i(?: am|'m) (?:unable|not able)\b"
    r"|\bi (?:cannot|can't|can not|do not have|don't have|am unable to|am not able to)\b[^.]{0,40}"
    r"\b(?:see|view|look|access|images?|pictures?|help|assist|determine|answer|information)\b"
    r"|\b(?:no|without) (?:\w+ )?(?:access to|seeing) (?:the |any |these |those )?(?:images?|pictures?|photos?|visual)"
    r"|\bplease (?:provide|upload|share|attach)\b[^.]{0,30}"
    r"\b(?:images?|pictures?|photos?|details|context|information)\b"
    r"|\bno (?:images?|pictures?|photos?) (?:was|were|are|is|have been|has been) "
    r"(?:provided|given|attached|uploaded|shown)"
    r"|\bnot enough information\b|^\W*(?:n/a|tbd|todo|unknown)\W*$",
    re.IGNORECASE,
)
"""Tried on answers alone: people may well ask about somebody who cannot see a dog."""
_LEAKS = re.compile(
    r"\b(?:according to|based on|judging by|as (?:stated|mentioned|described|given) in|from|in|per) the "
    r"(?:given |provided |above |image )?(?:captions?|annotations?|bounding box(?:es)?|metadata)\b(?!{0})"
    r"|\b(?:according to|based on|judging by|as (?:stated|mentioned|described|given) in) the "
    r"(?:descriptions?|notes?|coordinates)\b(?!{0})"
    r"|\bthe (?:given|provided|above|accompanying) (?:descriptions?|notes?|text|information|coordinates|data)\b"
    r"|\bthe (?:text|information) (?:given|provided)\b"
    r"|\bthe (?:captions?|descriptions?|annotations?|notes?|metadata) (?:(?:of|for|to) (?:the )?\w+(?: \d+)? )?"
    r"(?:says?|states?|mentions?|describes?|indicates?|tells?|lists?)\b"
    r"|\bbounding box(?:es)?\b|\bscene graph\b|\[\s*0?\.\d+\s*,".replace(
        "{0}", r"\s+(?:on|in|under|underneath|below|above|beside|beneath|at|printed|written|shown|next)\b"
    ),
    re.IGNORECASE,
)
"""What is written in an image may be asked about: "according to the caption under the photograph"."""
_UNFILLED = re.compile(
    r"\{[a-z_]+\}|\[(?:insert|your|name|object|answer|question)[^\]]*\]|<(?:image|video|question|answer)\d*>|^\W*$",
    re.IGNORECASE,
)
_TORN = re.compile(r"(?:\.\.\.|…)$")
"""Tried on answers alone: a question may leave its end to be filled in."""


class Filter(StageSettings):
    """Limits of lengths, and which rules hold."""

    question_words: tuple[int, int] = (2, 200)
    """Fewest and most words of a question without its options."""
    answer_words: tuple[int, int] = (1, 400)
    declines: bool = True
    """Refuse "As an AI ..." and "I cannot see the images"."""
    leaks: bool = True
    """Refuse words about captions, notes, boxes, coordinates."""
    copies: float = Field(default=0.8, gt=0.0, le=1.0)
    """Least share of words (F1) that an answer of five words or more has in common with its question to be a copy, if
    it begins as that does: "Image 1 has more dogs than image 2" answers which has more, and is none."""
    loops: float = Field(default=0.5, gt=0.0, le=1.0)
    """Largest share of runs of three words that repeat an earlier one, in a text of 12 words or more."""

    @field_validator("question_words", "answer_words")
    @classmethod
    def _check_words(cls, limits: tuple[int, int]) -> tuple[int, int]:
        if not 0 <= limits[0] <= limits[1]:
            raise ValueError("it is [fewest, most] with 0 <= fewest <= most")
        return limits


def each(item: Item, settings: Filter, random: Random) -> Sequence[Made]:
    """Return the item, or its refusal for the first rule that it breaks."""
    for exchange in exchanges_of(item):
        for reason, words in _faults(exchange.question, settings):
            return [Refusal(item, reason, words[:300])]
    return [item]


def _faults(question: Question, settings: Filter) -> Iterator[tuple[str, str]]:
    """Yield (reason, the words at fault)."""
    asked, said = words_in(question.text), words_in(question.answer)
    for name, words, limits in (
        ("question", asked, settings.question_words),
        ("answer", said, settings.answer_words),
    ):
        if len(words) < limits[0]:
            yield f"{name} too short", f"{len(words)} words: {' '.join(words)!r}"
        if len(words) > limits[1]:
            yield f"{name} too long", f"{len(words)} words: {' '.join(words[:20])!r}..."
    patterns = (("declines", _DECLINES),) * settings.declines + (("unfilled", _TORN),)
    for reason, pattern in patterns:
        if match := pattern.search(question.answer.strip().replace("’", "'")):
            yield reason, f"{match.group()!r} in {question.answer!r}"
    for text in (question.text, question.answer):
        if settings.leaks and (match := _LEAKS.search(text)):
            yield "speaks of the annotation", f"{match.group()!r} in {text!r}"
        if match := _UNFILLED.search(text.strip()):
            yield "unfilled", f"{match.group()!r} in {text!r}"
        if _loops(words_in(text), settings.loops):
            yield "repeats itself", f"{text!r}"
    if len(said) >= 5 and asked[:1] == said[:1] and overlap(question.text, question.answer) >= settings.copies:
        yield "answer copies the question", f"{question.answer!r}"
    yield from _option_faults(question)


def _option_faults(question: Question) -> Iterator[tuple[str, str]]:
    if question.options and question.answer not in question.options:
        yield "answer is no option", f"{question.answer!r} is none of {list(question.options)}"
    if len(set(map(str.casefold, question.options))) < len(question.options):
        yield "options repeat", f"{list(question.options)}"


def _loops(words: list[str], most: float) -> bool:
    runs = runs_of(words, length=3)
    return len(words) >= 12 and 1 - len(set(runs)) / len(runs) > most


STAGE = Stage(
    settings=Filter,
    about="refuse refusals, talk of captions and boxes, copies, loops, wrong lengths",
    each=each,
    samples=({}, {"question_words": [1, 30], "leaks": False}),
)
