"""number_images: each image's number said beside it, "Image 1:" or "(image 1: <image>)", so that words can refer to it.

Not needed where a family's template numbers images itself (Mantis's do).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Literal

from pydantic import Field

from triptych.core.config import Settings
from triptych.core.records import Example, ImageRef, Part, Text, Turn
from triptych.data.text.labels import labelled, unclear_labels
from triptych.data.text.layout import images_before
from triptych.data.transform import Transform, add_words, tidy


class NumberImages(Settings):
    """How images are numbered. No randomness; an image that the words label already gets no second label."""

    before: str = "Image {k}: "
    """Said before each image; {k} is its number."""
    after: str = "\n"
    """Said after each image."""
    start: int = Field(default=1, ge=0)
    """Number of the first image."""
    alone: bool = False
    """Number the only image of a conversation too."""
    count: Literal["conversation", "prompt"] = "conversation"
    """Where numbers start again: in each demonstration and in the conversation itself, or nowhere in the prompt; and
    nowhere where ``in_context`` made the words count so."""


def number_images(example: Example, settings: NumberImages, random: Random) -> Sequence[Example]:
    """Return the example with its images numbered."""
    del random
    *offsets, own = images_before(example)
    shown = []
    number = settings.start
    for demonstration, before in zip(example.demonstrations, offsets, strict=True):
        shown.append(_numbered(demonstration, number, before, settings))
        number += _count(demonstration) if settings.count == "prompt" or own else 0
    return [replace(_numbered(example, number, own, settings), demonstrations=tuple(shown))]


def _count(example: Example) -> int:
    return sum(isinstance(part, ImageRef) for turn in example.turns for part in turn.parts)


def _numbered(example: Example, number: int, before: int, settings: NumberImages) -> Example:
    """Return the example with its images numbered from ``number``; its words count ``before`` others before them."""
    count = _count(example)
    if count == 0 or (count == 1 and not settings.alone):
        return example
    turns: list[Turn] = []
    place = before + 1
    for turn in example.turns:
        said = tidy(turn.parts)
        named = labelled(said, place, count=before + count) | unclear_labels(said, place, count=before + count).keys()
        parts: list[Part] = []
        for part in said:
            if isinstance(part, Text):
                add_words(parts, part.text)
                continue
            if not isinstance(part, ImageRef):
                parts.append(part)
                continue
            if place in named:
                parts.append(part)
            else:
                add_words(parts, settings.before.replace("{k}", str(number)))
                parts += [part, Text(settings.after.replace("{k}", str(number)))]
            number, place = number + 1, place + 1
        turns.append(replace(turn, parts=tidy(parts)))
    return replace(example, turns=tuple(turns))


TRANSFORM = Transform(
    settings=NumberImages,
    about="each image's number said beside it",
    each=number_images,
    samples=({}, {"before": "(image {k}: ", "after": ")", "alone": True, "count": "prompt"}),
)
