"""single_image: a question that one image alone answers needs no others: it is told to need that one, or refused.

Not for questions that say themselves that they need one image ("What is in image 2?"). Each image is shown alone, with
the others left out, several times with options moved on; it is enough where nobody guesses so well (``kit/checking``;
as many tests as images), and where the responder is not always right when it is shown no image at all. What one image
settles by chance of its content ("Is there a dog in every image?" of one
without a dog) counts too; hence relabel by default.
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
    GuessCheckSettings,
    asking,
    images_in,
    is_habit,
    is_known,
    no_reply,
    noted,
    rights,
    show_only,
)
from triptych.generate.question import Exchange, Question, exchanges_of, question_of, rewritten
from triptych.generate.stage import Made, Request, Stage
from triptych.infer.responder import Failed


class SingleImage(GuessCheckSettings):
    """How the question is asked, and what becomes of an item that fails."""

    then: Literal["relabel", "refuse"] = "relabel"
    """relabel: the item stays, and says that it needs that image alone; refuse: it goes."""
    sure: float = 0.1


def ask(item: Item, settings: SingleImage, random: Random) -> Sequence[Request]:
    """Return every question with each image alone, and with none."""
    return [each.request for _, _, each in _asked(item, settings)]


def take(item: Item, settings: SingleImage, replies: Sequence[Answer | Failed]) -> Sequence[Made]:
    """Return the item with the images that are enough, or its refusal."""
    if refused := no_reply(item, replies):
        return [refused]
    asked = _asked(item, settings)
    right = rights([each for _, _, each in asked], replies)
    by_image: dict[tuple[int, int], list[bool | None]] = {}
    questions: dict[int, Question] = {}
    for (at, number, one), said in zip(asked, right, strict=True):
        by_image.setdefault((at, number), []).append(said)
        questions[at] = one.question
    blind = {at for (at, number), said in by_image.items() if not number and is_habit(said)}
    images = {at: sum(other == at for other, _ in by_image) - 1 for at in questions}
    enough = [
        (at, number)
        for (at, number), said in by_image.items()
        if number and at not in blind and is_known(said, questions[at], settings=settings, tests=images[at])
    ]
    found = noted(item, "single_image", enough=[number for _, number in enough], of=sum(images.values()))
    alone = {at for at, _ in enough}
    exchanges = exchanges_of(item)
    if not alone or len(alone) / len(exchanges) <= settings.most:
        return [found]
    number = max(enough, key=lambda key: sum(said is True for said in by_image[key]))[1]
    if settings.then == "refuse":
        text = exchanges[enough[0][0]].question.text
        return [Refusal(found, "one image is enough", f"image {number} alone answers it: {text!r}")]
    question = question_of(item)
    return [found if question is None else rewritten(found, replace(question, needs=(number,)))]


def _asked(item: Item, settings: SingleImage) -> list[tuple[int, int, Asked]]:
    """Return (exchange, image, asking) of each asking; image 0 is none."""
    asked = []
    for at, exchange in enumerate(exchanges_of(item)):
        for number in range(images_in(exchange) + 1) if _claims_several(exchange) else ():
            show, name = show_only(item, settings, number=number), f"{at}-image {number}" if number else f"{at}-none"
            for turn in range(settings.askings):
                one = asking(exchange, show, name=f"{name}-{turn}", settings=settings, rotate=turn, unseen=number == 0)
                asked.append((at, number, one))
    return asked


def _claims_several(exchange: Exchange) -> bool:
    return images_in(exchange) > 1 and len(exchange.question.needs) != 1


STAGE = Stage(
    settings=SingleImage,
    about="find questions that one image alone answers, and say so or refuse them",
    ask=ask,
    take=take,
    samples=({}, {"then": "refuse", "askings": 1, "sees": False}),
)
