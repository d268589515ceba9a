"""views: the views of one scene as images with their names: cameras round a car, sides of a room, a sheet cut up.

A picture that holds several views side by side is cut into them, through boxes: no pixels are copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from pydantic import Field

from triptych.core.config import Settings
from triptych.core.records import Example, ImageRef, Part, Text, Turn, images_of, parts_of, replace_parts
from triptych.data.format import RowError
from triptych.data.media.images import measure
from triptych.data.text.references import may_name
from triptych.data.transform import Transform, add_words, noted, tidy


class Views(Settings):
    """How views are cut and named; in each demonstration too, with numbers of its own. No randomness."""

    split: tuple[int, int] | None = None
    """[columns, rows] of the views in one picture, row by row. None: each image is one view."""
    gap_px: int = Field(default=0, ge=0)
    """Pixels between two views of one picture."""
    names: tuple[str, ...] = ()
    """What the views are called, in order: as many as the conversation has. Empty: View 1, View 2, ..."""
    before: str = "{name}: "
    """Said before each view; empty: nothing."""
    after: str = "\n"
    """Said after each view."""


def show_views(example: Example, settings: Views, random: Random) -> Sequence[Example]:
    """Return the example with its views named. Raises RowError or ImageError."""
    del random
    count = len(images_of(example))
    if not count:
        return [example]
    split = settings.split
    if split is not None and split != (1, 1):
        said = [part.text for part in parts_of(example) if isinstance(part, Text)]
        if any(may_name(text, count=count) for text in said):
            return [noted(example, "views", left="its words name images by number, which would be others")]
        example = replace_parts(example, lambda part: _split(part, split, settings.gap_px))
    shown = tuple(_named(each, settings) if images_of(each) else each for each in example.demonstrations)
    made = replace(_named(replace(example, demonstrations=()), settings), demonstrations=shown)
    return [noted(made, "views", views=len(images_of(made)))]


def _split(part: Part, split: tuple[int, int], gap_px: int) -> Sequence[Part]:
    if not isinstance(part, ImageRef):
        return [part]
    if part.resize is not None:
        raise RowError("image already scaled", f"{part.source}: it is to be scaled before it is cut. Cut it first.")
    width, height = measure(part).size or (0, 0)
    left, top = part.box[:2] if part.box else (0, 0)
    columns, rows = split
    across = [
        ((width + gap_px) * at // columns, (width + gap_px) * (at + 1) // columns - gap_px) for at in range(columns)
    ]
    down = [((height + gap_px) * at // rows, (height + gap_px) * (at + 1) // rows - gap_px) for at in range(rows)]
    if any(stop <= start for start, stop in (*across, *down)):
        raise RowError("image too small", f"{part.source}: {width}x{height} cannot be cut into {columns}x{rows} views.")
    return [
        ImageRef(part.source, size=(x1 - x0, y1 - y0), box=(left + x0, top + y0, left + x1, top + y1))
        for y0, y1 in down
        for x0, x1 in across
    ]


def _named(example: Example, settings: Views) -> Example:
    count = len(images_of(example))
    if settings.names and len(settings.names) != count:
        raise RowError("views and names differ", f"{count} views, and {len(settings.names)} names are given.")
    number = 0
    turns: list[Turn] = []
    for turn in example.turns:
        parts: list[Part] = []
        for part in tidy(turn.parts):
            if isinstance(part, Text):
                add_words(parts, part.text)
            elif isinstance(part, ImageRef):
                name = settings.names[number] if settings.names else f"View {number + 1}"
                number += 1
                after = settings.after if settings.before else ""
                add_words(parts, settings.before.replace("{name}", name))
                parts += [part, Text(after)]
            else:
                parts.append(part)
        turns.append(replace(turn, parts=tidy(parts)))
    return replace(example, turns=tuple(turns))


TRANSFORM = Transform(
    settings=Views,
    about="views of a scene, cut from a sheet if need be, with names",
    each=show_views,
    looks=lambda settings: True,
    keeps=frozenset(("words",)),
    samples=({}, {"split": [2, 1], "before": "", "gap_px": 1}),
)
