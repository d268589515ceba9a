"""swap: exchanging two images must change the answer where the question says so, and leave it where it says that.

Not for questions that say nothing of it: they pass. Asked as it stands, with the images of its ``pair`` exchanged, and
without any, several times; most replies decide. A checker that does not answer the question as it stands, or says the
same without images, proves nothing: such items pass as unproven, unless ``unsure`` says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Literal

from triptych.core.records import Answer
from triptych.generate.item import Item, Refusal
from triptych.generate.kit.checking import (
    Asked,
    CheckSettings,
    asking,
    no_reply,
    noted,
    show_all,
    show_exchanged,
    show_none,
)
from triptych.generate.kit.verdicts import is_right
from triptych.generate.question import exchanges_of, question_of
from triptych.generate.stage import Made, Request, Stage
from triptych.infer.responder import Failed


class Swap(CheckSettings):
    """How the question is asked, and what becomes of an item that fails."""

    askings: int = 3
    unsure: Literal["keep", "refuse"] = "keep"
    """What becomes of an item whose question the checker does not answer as it stands, or answers without images."""


def ask(item: Item, settings: Swap, random: Random) -> Sequence[Request]:
    """Return the question as it stands, with two images exchanged, and without any."""
    return [each.request for three in _asked(item, settings) for each in three]


def take(item: Item, settings: Swap, replies: Sequence[Answer | Failed]) -> Sequence[Made]:
    """Return the item, or its refusal when the answer does not do what the question says."""
    question = question_of(item)
    asked = _asked(item, settings)
    if question is None or not asked:
        return [item]
    if refused := no_reply(item, replies):
        return [refused]
    ways = [list(zip(way, replies[number::3], strict=True)) for number, way in enumerate(zip(*asked, strict=True))]
    said = [[(one, reply) for one, reply in way if isinstance(reply, Answer)] for way in ways]
    if not all(said):
        return [Refusal(item, "no reply", "it could not be checked: one way of asking brought no reply.")]
    shares = [sum(is_right(reply.text, one.question) for one, reply in way) / len(way) for way in said]
    before, after, without = shares
    expected = [_gives(question.swapped, one, reply) for one, reply in said[1]]
    told = {"right": before, "stays": after, "expected": sum(expected) / len(expected), "without": without}
    found = noted(item, "swap", says=question.swap, of=len(asked), **told)
    if before <= 0.5 or without == 1:
        refuse = settings.unsure == "refuse"
        how = "answered without images" if before > 0.5 else "not answered as it stands"
        return [Refusal(found, how, f"it proves nothing: {question.text!r}") if refuse else found]
    if question.swap == "changes" and after > 0.5:
        return [Refusal(found, "same answer with images exchanged", f"images {question.pair}: {question.text!r}")]
    if question.swap == "stays" and after < 0.5:
        return [Refusal(found, "another answer with images exchanged", f"images {question.pair}: {question.text!r}")]
    return [found]


def _gives(answer: str, asked: Asked, reply: Answer) -> bool:
    options = asked.question.options
    known = bool(answer) and (not options or answer in options)
    return known and is_right(reply.text, replace(asked.question, answer=answer))


def _asked(item: Item, settings: Swap) -> list[tuple[Asked, ...]]:
    """Return for each turn: as it stands, with two images exchanged, with none."""
    question, exchanges = question_of(item), exchanges_of(item)
    if question is None or question.pair is None or question.swap == "unknown" or not exchanges:
        return []
    exchange, pair = exchanges[-1], question.pair
    ways = (("as it is", show_all(item, settings)), ("exchanged", show_exchanged(item, settings, pair=pair)))
    return [
        (
            *(asking(exchange, show, name=f"{name} {turn}", settings=settings, rotate=turn) for name, show in ways),
            asking(exchange, show_none, name=f"without {turn}", settings=settings, rotate=turn, unseen=True),
        )
        for turn in range(settings.askings)
    ]


STAGE = Stage(
    settings=Swap,
    about="refuse questions whose answer does not do what they say when images are exchanged",
    ask=ask,
    take=take,
    samples=({}, {"unsure": "refuse", "sees": False, "askings": 2}),
)
