"""patches: one large picture as a row of images: a small copy of all of it, and its tiles, row by row.

Through boxes and sizes: no pixels are copied. Source of the grids and of how one is chosen: LLaVA-NeXT's anyres, and
arXiv:2407.07895 section 3, where the tiles of a picture are the multi-patch kind of interleaved data. Unlike there,
what is empty beside a picture is no part of a tile; ``published: true`` keeps the rest of its ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Literal

from pydantic import Field, model_validator

from triptych.core.config import Settings
from triptych.core.records import Example, ImageRef, Json, Part, Text, images_of, parts_of, replace_parts
from triptych.data.media.images import measure
from triptych.data.media.tiles import LLAVA_GRIDS, Grid, Size, Tile, all_grids, choose_grid, cut_evenly, cut_fitted
from triptych.data.text.references import may_name
from triptych.data.transform import Transform, noted, tidy


class Patches(Settings):
    """How a picture is cut into tiles. No randomness."""

    tile_px: int = Field(default=384, ge=1)
    """Side of a tile, in pixels."""
    grids: tuple[Grid, ...] = LLAVA_GRIDS
    """Grids to choose from, each [columns, rows]; of equally good ones the first is taken."""
    up_to: int | None = Field(default=None, ge=1, le=32)
    """Instead of ``grids``: all grids of up to so many columns and rows; 6 as in LLaVA-OneVision."""
    cut: Literal["fitted", "even"] = "fitted"
    """fitted: the picture keeps its shape, tiles at its edge may be smaller; even: equal parts, scaled to squares."""
    small: Literal["first", "last", "none"] = "first"
    """Where the small copy of the whole picture stands."""
    images: Literal["single", "all"] = "single"
    """Whether only the one image of a conversation that has one is cut, as published, or every image."""
    before: str = ""
    """Words before each tile; {row} and {column} count from 1."""
    after: str = ""
    """Words after each tile."""
    published: bool = False
    """Cut pictures that fit a tile too, and squash the small copy to a square, as LLaVA-NeXT does."""

    @model_validator(mode="after")
    def _check_grids(self) -> Patches:
        if not self.grids or any(side < 1 for grid in self.grids for side in grid):
            raise ValueError("grids is a list of [columns, rows], each at least 1")
        return self


def cut_patches(example: Example, settings: Patches, random: Random) -> Sequence[Example]:
    """Return the example with its large pictures cut; the note has each picture's grid. Raises ImageError."""
    del random
    count = len(images_of(example))
    if not count or (count > 1 and settings.images == "single"):
        return [example]
    cut: list[Json] = []

    def patched(part: Part) -> Sequence[Part]:
        if not isinstance(part, ImageRef) or part.resize is not None:
            return [part]
        size = measure(part).size or (1, 1)
        if not settings.published and max(size) <= settings.tile_px:
            return [part]
        grids = settings.grids if settings.up_to is None else all_grids(settings.up_to)
        grid = choose_grid(size, grids, tile_px=settings.tile_px)
        if grid == (1, 1) and not settings.published:
            return [part]
        cut.append({"size": [*size], "grid": [*grid]})
        return _pieces(part, size, grid, settings)

    made = replace_parts(example, patched)
    if not cut:
        return [example]
    said = [part.text for part in parts_of(example) if isinstance(part, Text)]
    if any(may_name(text, count=count) for text in said):
        return [noted(example, "patches", left="its words name images by number, which would be others")]
    turns = tuple(replace(turn, parts=tidy(turn.parts)) for turn in made.turns)
    return [noted(replace(made, turns=turns), "patches", cut=cut)]


def _pieces(image: ImageRef, size: Size, grid: Grid, settings: Patches) -> list[Part]:
    divide = cut_fitted if settings.cut == "fitted" else cut_evenly
    tiles: list[Part] = []
    for tile in divide(size, grid, tile_px=settings.tile_px):
        around = [_filled(text, tile) for text in (settings.before, settings.after)]
        tiles += [Text(around[0])] if around[0] else []
        tiles.append(_tile(image, tile))
        tiles += [Text(around[1])] if around[1] else []
    small: list[Part] = [_small(image, size, settings)]
    return {"first": [*small, *tiles], "last": [*tiles, *small], "none": tiles}[settings.small]


def _tile(image: ImageRef, tile: Tile) -> ImageRef:
    left, top = image.box[:2] if image.box else (0, 0)
    x0, y0, x1, y1 = tile.box
    box = (left + x0, top + y0, left + x1, top + y1)
    return ImageRef(image.source, size=tile.resize, box=box, resize=tile.resize)


def _small(image: ImageRef, size: Size, settings: Patches) -> ImageRef:
    scale = settings.tile_px / max(size)
    resize = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    resize = (settings.tile_px, settings.tile_px) if settings.published else resize
    return ImageRef(image.source, size=resize, box=image.box, resize=resize)


def _filled(text: str, tile: Tile) -> str:
    return text.replace("{row}", str(tile.row + 1)).replace("{column}", str(tile.column + 1))


TRANSFORM = Transform(
    settings=Patches,
    about="a large picture as a small copy and its tiles",
    each=cut_patches,
    looks=lambda settings: True,
    keeps=frozenset(("words",)),
    samples=(
        {"tile_px": 16},
        {"tile_px": 8, "images": "all", "cut": "even", "published": True, "before": "({row},{column})"},
    ),
)
