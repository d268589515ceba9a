"""What an image costs where it is cut into tiles: LLaVA-NeXT and OneVision, Idefics3 and SmolVLM, InternVL.

Not the contract nor the costs of whole pictures (``costs``); the same sources and the same care hold here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, sqrt
from typing import ClassVar

from triptych.data.media.images import Size
from triptych.data.plan.costs import AROUND, Cost, Fixed

UPPER_PX = 4096
"""Longest side that Idefics3 makes of any picture."""
WHOLE = "<global-img>"
"""Mark of the whole picture: Idefics3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyRes(Cost):
    """A view of the whole, and tiles of it with their padding cut off and a new line after each row of features.

    LLaVA-NeXT (``spatial_unpad``); with ``most_tiles``, LLaVA-OneVision's ``anyres_max_N``.
    """

    tile_px: int
    """Side of a tile, which the tower sees."""
    tile_patches: int
    """Features along a tile's side."""
    grids: tuple[Size, ...]
    """(width, height) in pixels to choose from, multiples of the tile. Of equals the first is taken."""
    view: int
    """Features of the view of the whole image."""
    most_tiles: int | None = None
    """More features than so many tiles have are brought down to it. None: never."""
    digits: int | None = 7
    """Decimals to which the unpadded side is rounded before it is cut off. None: not, as LLaVA's own code has it."""
    among_others: int | None = None
    """What an image costs where the conversation has several (LLaVA-OneVision: a view, a new line). None: as alone."""
    frame: int | None = None
    """Tokens of a video's frame: a view at half its rows and columns, rounded up. None: a frame is an image."""
    video_end: int = 0
    """Tokens that the last frame of a video has besides: one new line."""

    def grid(self, size: Size) -> Size:
        """Return the grid, in pixels, that keeps most of the picture and wastes least."""
        width, height = size
        best, most, least_waste = self.grids[0], 0, float("inf")
        for wide, high in self.grids:
            scale = min(wide / width, high / height)
            kept = min(int(width * scale) * int(height * scale), width * height)
            wasted = wide * high - kept
            if kept > most or (kept == most and wasted < least_waste):
                best, most, least_waste = (wide, high), kept, wasted
        return best

    def unpadded(self, size: Size) -> tuple[int, int]:
        """Return (rows, columns) of the tiles' features without the padding."""
        width, height = size
        wide, high = self.grid(size)
        columns, rows = wide // self.tile_px * self.tile_patches, high // self.tile_px * self.tile_patches
        if width / height > columns / rows:
            rows -= (rows - self._cut(height * (columns / width))) // 2 * 2
        else:
            columns -= (columns - self._cut(width * (rows / height))) // 2 * 2
        return rows, columns

    def shape(self, size: Size) -> tuple[int, int]:
        """Return (rows, columns) of the tiles' features as the language model gets them."""
        rows, columns = self.unpadded(size)
        if self.most_tiles is not None:
            times = sqrt(rows * columns / (self.most_tiles * self.tile_patches**2))
            if times > 1.1:
                return int(rows // times), int(columns // times)
        return rows, columns

    def tokens(self, size: Size) -> int:
        """Return the view's features, the tiles' and one new line a row, which is a feature too."""
        rows, columns = self.shape(size)
        return self.view + rows * columns + rows

    def among(self, count: int) -> Cost:
        """Return itself, or what one of several images costs."""
        return self if self.among_others is None or count == 1 else Fixed(self.among_others)

    def _cut(self, side: float) -> int:
        return int(side if self.digits is None else round(side, self.digits))


@dataclass(frozen=True, slots=True, kw_only=True)
class Split(Cost):
    """Rows and columns of tiles, each marked with its place, then the whole: Idefics3, SmolVLM.

    What stands before the first feature depends on the picture (a place, or that it is the whole), so it is within the
    span, and nothing is left for a template to write.
    Every picture is first brought to one longest side, so that its shape decides what it costs, and not its size.
    """

    shrinks: ClassVar[bool] = False
    longest_px: int
    tile_px: int
    tile_tokens: int
    split: bool = True
    """False: the whole alone."""
    blank_line: int = 1
    """Tokens that the tokenizer makes of two line ends."""

    def tiles(self, size: Size) -> tuple[int, int]:
        """Return (rows, columns); (0, 0) where it is not split."""
        if not self.split:
            return 0, 0
        wide, high = _within(*_even(*size, self.longest_px), UPPER_PX)
        tile, shape = self.tile_px, wide / high
        if wide >= high:
            wide = ceil(wide / tile) * tile
            high = ceil(int(wide / shape) / tile) * tile
        else:
            high = ceil(high / tile) * tile
            wide = ceil(int(high * shape) / tile) * tile
        return (high // tile, wide // tile) if high > tile or wide > tile else (0, 0)

    def tokens(self, size: Size) -> int:
        """Return the features of the tiles and of the whole."""
        rows, columns = self.tiles(size)
        return self.tile_tokens * (rows * columns + 1)

    def span(self, size: Size) -> int:
        """Return the features with a mark and a place for each tile and the whole, the line ends, and a last mark."""
        rows, columns = self.tiles(size)
        ends = rows + self.blank_line - 1 if rows else 0
        return self.tokens(size) + 2 * (rows * columns + 1) + ends + 1

    def pattern(self, size: Size) -> tuple[int | str, ...]:
        """Return the tiles row by row, each behind a mark and its place, a line end after each row; then the whole."""
        rows, columns = self.tiles(size)
        found: list[int | str] = []
        for row in range(rows):
            for column in range(columns):
                found += [AROUND, f"<row_{row + 1}_col_{column + 1}>", self.tile_tokens]
            found.append("\n" if row + 1 < rows else "\n\n")
        return (*found, AROUND, WHOLE, self.tile_tokens, AROUND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles(Cost):
    """The grid of tiles whose shape is nearest to the picture's, and the whole beside them: InternVL."""

    tile: Size = (448, 448)
    tile_tokens: int = 256
    least: int = 1
    most: int = 12
    """Tiles, without the whole. 1: the whole alone."""
    ends: int = 2
    between: tuple[str, ...] = ()
    """What stands between two frames of a video side by side, as a tokenizer has it."""
    between_tokens: int = 0
    """How many tokens that is."""

    @property
    def frame(self) -> int:
        """Tokens of a video's frame: those of one tile, which shows the whole of it."""
        return self.tile_tokens

    def framed(self, *, last: bool) -> Cost:
        """Return what a frame of a video costs, with what stands between it and the next."""
        if last or not self.between:
            return Fixed(self.frame)
        return Followed(self.frame, self.between, self.between_tokens)

    def grid(self, size: Size) -> tuple[int, int]:
        """Return (columns, rows)."""
        width, height = size
        best, nearest = (1, 1), float("inf")
        for columns, rows in _grids(self.least, self.most):
            away = abs(width / height - columns / rows)
            room = 0.5 * self.tile[1] * self.tile[0] * columns * rows
            if away < nearest or (away == nearest and width * height > room):
                best, nearest = (columns, rows), away
        return best

    def tokens(self, size: Size) -> int:
        """Return the features of all tiles and of the whole."""
        columns, rows = self.grid(size) if self.most > 1 else (1, 1)
        return self.tile_tokens * (columns * rows + 1 if columns * rows > 1 else 1)


@dataclass(frozen=True, slots=True)
class Followed(Cost):
    """A frame of a video that another one follows, with the marks between them."""

    shrinks: ClassVar[bool] = False
    features: int
    marks: tuple[str, ...]
    mark_tokens: int

    def tokens(self, size: Size) -> int:
        """Return the same for every size."""
        return self.features

    def span(self, size: Size) -> int:
        """Return the features and the marks behind them."""
        return self.features + self.mark_tokens

    def pattern(self, size: Size) -> tuple[int | str, ...]:
        """Return the features, then the marks."""
        return (self.features, *self.marks)


def _even(width: int, height: int, longest: int) -> Size:
    """Return the size with this longer side, the other cut to an even number of pixels above it."""
    shape = width / height
    if width >= height:
        width, height = longest, int(longest / shape)
        height += height % 2
    else:
        width, height = int(longest * shape), longest
        width += width % 2
    return max(width, 1), max(height, 1)


def _within(width: int, height: int, longest: int) -> Size:
    shape = width / height
    if width >= height and width > longest:
        width, height = longest, int(longest / shape)
    elif height > width and height > longest:
        width, height = int(longest * shape), longest
    return max(width, 1), max(height, 1)


@lru_cache(maxsize=16)
def _grids(least: int, most: int) -> tuple[tuple[int, int], ...]:
    """Return the grids of ``least`` to ``most`` tiles as (columns, rows), small ones first."""
    sides = range(1, most + 1)
    grids = [(columns, rows) for columns in sides for rows in sides if least <= columns * rows <= most]
    return tuple(sorted(grids, key=lambda grid: grid[0] * grid[1]))
