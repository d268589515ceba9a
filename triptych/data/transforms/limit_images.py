"""limit_images: rows with more images than a limit are refused, or keep some of their images at even distances.

Source: ``max_num_images`` of Mantis's data configurations refuses. An image is only left out where nothing depends on
it: from a run of images without words between them (frames), in a conversation that names none by number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Literal

from pydantic import Field

from triptych.core.config import Settings
from triptych.core.records import Example, ImageRef, Json, Turn, images_of, text_of
from triptych.data.format import RowError
from triptych.data.media.video import pick_linspace
from triptych.data.text.layout import images_before
from triptych.data.text.loose import find_hidden
from triptych.data.text.references import find_doubt, find_references
from triptych.data.transform import Transform, noted


class LimitImages(Settings):
    """How many images a row may have, those of its demonstrations included. No randomness."""

    most: int = Field(ge=1)
    """Most images that a row may have."""
    fewest: int = Field(default=0, ge=0)
    """Rows with fewer images are refused."""
    on_more: Literal["refuse", "sample"] = "refuse"
    """What becomes of a row with more: refused; or its longest run keeps as many as fit, first and last among them."""


def limit_images(example: Example, settings: LimitImages, random: Random) -> Sequence[Example]:
    """Return the example, with fewer images where it has too many. Raises RowError."""
    del random
    count = len(images_of(example))
    if count < settings.fewest:
        raise RowError("too few images", f"{count} images, and at least {settings.fewest} are asked for.")
    if count <= settings.most:
        return [example]
    if settings.on_more == "refuse":
        raise RowError("too many images", f"{count} images, and at most {settings.most} are asked for.")
    return [_sampled(example, count, settings.most)]


def _sampled(example: Example, count: int, most: int) -> Example:
    for turn in example.turns:
        words = text_of(turn)
        named = [words[it.start : it.stop] for it in find_references(words, count=count)]
        if named or (found := find_doubt(words, count=count)):
            said = named[0] if named else found
            raise RowError("too many images", f"{count} images, and the words {said!r} name one: none can be left out.")
    own = images_before(example)[-1] + sum(isinstance(part, ImageRef) for turn in example.turns for part in turn.parts)
    if said := find_hidden(example.turns, count=own):
        raise RowError("too many images", f"{count} images, and the words {said!r} may mean one: none can be left out.")
    index, start, length = _longest_run(example.turns)
    room = most - (count - length)
    if room < 1:
        raise RowError(
            "too many images", f"{count} images, of which {length} stand together: {most} are not to be had."
        )
    kept = [0] if room == 1 else pick_linspace(length, room)
    turn = example.turns[index]
    parts = (*turn.parts[:start], *(turn.parts[start + at] for at in kept), *turn.parts[start + length :])
    turns = (*example.turns[:index], replace(turn, parts=parts), *example.turns[index + 1 :])
    places: list[Json] = [at + 1 for at in kept]
    return noted(replace(example, turns=turns), "limit_images", of=length, kept=places)


def _longest_run(turns: Sequence[Turn]) -> tuple[int, int, int]:
    """Return (turn, first part, length) of the longest row of images without words between them."""
    best = (0, 0, 0)
    for index, turn in enumerate(turns):
        start = 0
        for place, part in enumerate(turn.parts):
            if not isinstance(part, ImageRef):
                start = place + 1
            elif place + 1 - start > best[2]:
                best = (index, start, place + 1 - start)
    return best


TRANSFORM = Transform(
    settings=LimitImages,
    about="at most so many images: refuse the row, or keep some",
    each=limit_images,
    keeps=frozenset(("words",)),
    samples=({"most": 2}, {"most": 2, "on_more": "sample"}),
)
