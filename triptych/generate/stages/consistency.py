"""consistency: a responder that sees the images answers several times; the answer stays where enough replies give it.

Source of the idea: self-consistency (Wang et al., arXiv:2203.11171), here against an answer that is known. Not a proof
that the answer is right: a checker may be wrong the same way each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from pydantic import Field

from triptych.core.records import Answer
from triptych.generate.item import Item, Refusal
from triptych.generate.kit.checking import Asked, CheckSettings, asking, no_reply, noted, rights, show_all
from triptych.generate.question import exchanges_of
from triptych.generate.stage import Made, Request, Stage
from triptych.infer.responder import Failed


class Consistency(CheckSettings):
    """How often it is asked, and how many must agree."""

    agree: float = Field(default=0.6, gt=0.0, le=1.0)
    """Least share of the replies to a question that give its answer."""


def ask(item: Item, settings: Consistency, random: Random) -> Sequence[Request]:
    """Return every question with its images, several times."""
    return [each.request for each in _asked(item, settings)]


def take(item: Item, settings: Consistency, replies: Sequence[Answer | Failed]) -> Sequence[Made]:
    """Return the item, or its refusal when too few replies give the answer."""
    if refused := no_reply(item, replies):
        return [refused]
    right = rights(_asked(item, settings), replies)
    exchanges = exchanges_of(item)
    shares = []
    for at in range(len(exchanges)):
        said = [each for each in right[at * settings.askings : (at + 1) * settings.askings] if each is not None]
        shares.append(sum(said) / len(said) if said else 0.0)
    found = noted(item, "consistency", shares=[round(share, 4) for share in shares])
    doubtful = [at for at, share in enumerate(shares) if share < settings.agree]
    if doubtful and len(doubtful) / len(exchanges) > settings.most:
        question = exchanges[doubtful[0]].question
        text = f"{shares[doubtful[0]]:.0%} of the replies say {question.answer!r}: {question.text!r}"
        return [Refusal(found, "replies disagree", text)]
    return [found]


def _asked(item: Item, settings: Consistency) -> list[Asked]:
    return [
        asking(exchange, show_all(item, settings), name=f"{at}-{turn}", settings=settings, rotate=turn)
        for at, exchange in enumerate(exchanges_of(item))
        for turn in range(settings.askings)
    ]


STAGE = Stage(
    settings=Consistency,
    about="refuse questions whose answer a responder that sees the images does not give often enough",
    ask=ask,
    take=take,
    samples=({}, {"askings": 2, "agree": 1.0, "sees": False}),
)
