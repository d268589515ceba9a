"""blind: a question that a responder answers rightly without the images teaches nothing about them, and is refused.

Not a proof of what everybody knows: only of what this responder knows. A guess is right by chance, so a question is
asked several times, and is refused only where nobody guesses so well (``kit/checking``). Source of the idea: the blind
baselines of MMStar (arXiv:2403.20330) and NaturalBench (arXiv:2410.14669).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from triptych.core.records import Answer
from triptych.generate.item import Item, Refusal
from triptych.generate.kit.checking import (
    Asked,
    GuessCheckSettings,
    asking,
    content_free,
    is_habit,
    is_known,
    no_reply,
    noted,
    rights,
    show_none,
)
from triptych.generate.question import Question, exchanges_of
from triptych.generate.stage import Made, Request, Stage
from triptych.infer.responder import Failed


class Blind(GuessCheckSettings):
    """How the question is asked without its images."""


def ask(item: Item, settings: Blind, random: Random) -> Sequence[Request]:
    """Return every question of the item without its images, several times."""
    return [each.request for each in _asked(item, settings)]


def take(item: Item, settings: Blind, replies: Sequence[Answer | Failed]) -> Sequence[Made]:
    """Return the item, or its refusal when too many of its questions were answered rightly every time."""
    if refused := no_reply(item, replies):
        return [refused]
    asked = _asked(item, settings)
    right = rights(asked, replies)
    rounds: dict[str, list[bool | None]] = {}
    questions: dict[str, Question] = {}
    for one, said in zip(asked, right, strict=True):
        name = one.request.name.rpartition("-")[0]
        rounds.setdefault(name, []).append(said)
        questions.setdefault(name, one.question)
    exchanges = exchanges_of(item)
    known = [at for at in range(len(exchanges)) if is_known(rounds[str(at)], questions[str(at)], settings=settings)]
    habits = [at for at in known if is_habit(rounds.get(f"{at} without words", ()))]
    found = noted(
        item, "blind", right=sum(each is True for each in right), of=len(right), known=len(known), habit=len(habits)
    )
    if exchanges and (len(known) - len(habits)) / len(exchanges) > settings.most:
        text = next(exchanges[at].question.text for at in known if at not in habits)
        return [Refusal(found, "answerable blind", f"answered rightly without images: {text!r}")]
    return [found]


def _asked(item: Item, settings: Blind) -> list[Asked]:
    """Return each question without its images, and without its own words, as often as is asked."""
    asked = []
    for at, exchange in enumerate(exchanges_of(item)):
        for name, each in ((f"{at}", exchange), (f"{at} without words", content_free(exchange))):
            if each is not None:
                asked += [
                    asking(each, show_none, name=f"{name}-{turn}", settings=settings, rotate=turn, unseen=True)
                    for turn in range(settings.askings)
                ]
    return asked


STAGE = Stage(
    settings=Blind,
    about="refuse questions that a responder answers rightly without the images",
    ask=ask,
    take=take,
    samples=({}, {"askings": 1, "most": 0.5}),
)
