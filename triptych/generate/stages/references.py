"""references: every image that the words of a conversation mean must be there: no "image 5" of three.

Not about whether the right one is meant (``swap``, ``verify``). Words that may mean an image by its place and are no
reference of a known form ("the left image") are kept or refused as ``doubts`` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Literal

from triptych.core.records import Text
from triptych.data.text.references import find_doubt, find_references, is_within
from triptych.generate.item import Item, Refusal
from triptych.generate.kit.checking import noted
from triptych.generate.question import question_of
from triptych.generate.stage import Made, Stage, StageSettings


class References(StageSettings):
    """What becomes of what is unclear."""

    doubts: Literal["keep", "refuse"] = "keep"
    """What becomes of items with words that may mean an image by its place: "the left image", "the former"."""
    named: bool = False
    """Whether a question must name an image, or say "images"."""


def each(item: Item, settings: References, random: Random) -> Sequence[Made]:
    """Return the item, or its refusal."""
    if item.example is None:
        return [item]
    count = 0
    means: set[int] = set()
    for turn in item.example.turns:
        count += sum(not isinstance(part, Text) for part in turn.parts)
        words = "\n".join(part.text for part in turn.parts if isinstance(part, Text))
        references = find_references(words, count=count)
        within = [each for each in references if each.form != "last" and is_within(words, each)]
        if settings.doubts == "refuse" and within:
            said = words[within[0].start : within[0].stop + 30]
            return [Refusal(item, "unclear reference", f"{said!r} may be a picture within an image.")]
        found = {number for each in references if each not in within for number in each.numbers}
        means |= found
        if wrong := sorted(number for number in found if not 1 <= number <= count):
            return [Refusal(item, "no such image", f"it speaks of image {wrong[0]} of {count}: {words[-200:]!r}")]
        if settings.doubts == "refuse" and (doubt := find_doubt(words, count=count)):
            return [Refusal(item, "unclear reference", f"{doubt!r} may mean an image by its place.")]
    question = question_of(item)
    if question is not None and (wrong := [number for number in question.needs if not 1 <= number <= count]):
        return [Refusal(item, "no such image", f"it says that it needs image {wrong[0]} of {count}.")]
    text = question.text if question is not None else ""
    if (
        settings.named
        and question is not None
        and "image" not in text.lower()
        and not find_references(text, count=count)
    ):
        return [Refusal(item, "names no image", f"it does not say that it is about images: {text!r}")]
    return [noted(item, "references", means=[*sorted(means)], of=count)]


STAGE = Stage(
    settings=References,
    about="refuse conversations that speak of an image that is not there",
    each=each,
    samples=({}, {"doubts": "refuse", "named": True}),
)
