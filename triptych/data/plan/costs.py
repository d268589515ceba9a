"""What an image costs: how many positions of the language model it takes, exactly, as a function of its size alone.

Not a model and not a processor: no pixel is looked at and nothing is imported from transformers. Each scheme is one
small value of settings that computes what the published image processor would give; ``cost_config`` reads it from a
model's JSON. Three numbers, so that nothing is counted twice: ``tokens`` are the image's features, the positions that
hold the image token; ``span`` adds the marks that the family writes between them (line ends, row and column marks);
``ends`` is what it writes before the first and after the last, which a template says.

Sources: the image processors and processors of transformers 5 (their PIL classes), which ``tests/data/test_costs.py``
runs over a grid of sizes. Floats are rounded where they round, in their order: a token more or less is a crash.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor, sqrt
from typing import ClassVar

from triptych.core.errors import DataError
from triptych.data.media.images import Size

UPPER_PX = 4096
"""Longest side that Idefics3 makes of any picture."""
THINNEST = 200
"""Most times that Qwen-VL takes one side of a picture longer than the other."""


class CostError(DataError):
    """A size that the family's processor refuses; the message says why. Who knows the file adds its name."""


class Cost(ABC):
    """What images cost a model. Values; all sizes are (width, height) in pixels, both > 0."""

    __slots__ = ()
    shrinks: ClassVar[bool] = True
    """Whether a smaller picture of the same shape may cost less."""

    @property
    def ends(self) -> int:
        """Tokens that the published processor writes before an image's first feature and after its last."""
        return 0

    @abstractmethod
    def tokens(self, size: Size) -> int:
        """Return the image's features, > 0: positions that hold the image token. Raises CostError."""

    def span(self, size: Size) -> int:
        """Return the positions from the first feature to the last: ``tokens`` and the marks between them."""
        return self.tokens(size)

    def resized(self, size: Size, max_tokens: int, *, least_side: int = 1) -> Size | None:
        """Return the largest size of this shape whose span is within ``max_tokens``; None: there is none.

        It is never larger than ``size``, and its shorter side is at least ``least_side`` pixels, or as it was. Largest:
        one pixel more of the longer side costs too much. (Costs may fall here and there as a picture grows.)

        Raises:
            CostError: the family refuses ``size``.
        """
        if self.span(size) <= max_tokens:
            return size
        low, high = least_longer(size, least_side), max(size)
        if not self.shrinks or low == high or not self._fits(scaled(size, low), max_tokens):
            return None
        while high - low > 1:  # ``low`` fits, ``high`` does not.
            middle = (low + high) // 2
            low, high = (middle, high) if self._fits(scaled(size, middle), max_tokens) else (low, middle)
        return scaled(size, low)

    def among(self, count: int) -> Cost:
        """Return what images cost in a conversation that has ``count`` of them; for most families the same."""
        return self

    def _fits(self, size: Size, max_tokens: int) -> bool:
        try:
            return self.span(size) <= max_tokens
        except CostError:
            return False


@dataclass(frozen=True, slots=True)
class Fixed(Cost):
    """Every picture costs the same: CLIP and SigLIP towers of LLaVA (576, 728, 729), the resampler of Idefics2."""

    shrinks: ClassVar[bool] = False
    features: int
    marks: int = 0
    """Between the features, where a picture is cut in parts."""
    ends: int = 0

    def tokens(self, size: Size) -> int:
        """Return the same for every size."""
        return self.features

    def span(self, size: Size) -> int:
        """Return the same for every size."""
        return self.features + self.marks


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
    """Features of the view of the whole."""
    most_tiles: int | None = None
    """More features than so many tiles have are brought down to it. None: never."""
    digits: int | None = 7
    """Decimals to which the unpadded side is rounded before it is cut off. None: not, as LLaVA's own code has it."""
    among_others: int | None = None
    """What an image costs where the conversation has several (LLaVA-OneVision: a view, a new line). None: as alone."""

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
    ends: int = 3

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
        """Return the features with a mark and a place for each tile, and the line ends."""
        rows, columns = self.tiles(size)
        marks = 2 * rows * columns + rows + self.blank_line - 1 if rows else 0
        return self.tokens(size) + marks


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches(Cost):
    """Patches of the picture as it is, no larger than a limit, and a new line after each row: Fuyu."""

    patch_px: int = 30
    limit: Size = (1920, 1080)
    ends: int = 1

    def shape(self, size: Size) -> tuple[int, int]:
        """Return (rows, columns)."""
        (width, height), (most_wide, most_high) = size, self.limit
        if width > most_wide or height > most_high:
            scale = min(most_high / height, most_wide / width)
            width, height = int(width * scale), int(height * scale)
        if not (width and height):
            raise CostError(f"nothing is left of {size[0]}x{size[1]} pixels within {most_wide}x{most_high}")
        patch = self.patch_px
        return min(ceil(height / patch), most_high // patch), min(ceil(width / patch), most_wide // patch)

    def tokens(self, size: Size) -> int:
        """Return the patches."""
        rows, columns = self.shape(size)
        return rows * columns

    def span(self, size: Size) -> int:
        """Return the patches, and the new lines between the rows."""
        rows, columns = self.shape(size)
        return rows * columns + rows - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged(Cost):
    """Patches merged in squares, as many as the picture's pixels ask for between two limits: Qwen2-VL, 2.5-VL, 3-VL."""

    patch_px: int = 14
    merge: int = 2
    """Patches along the side of a square."""
    least_pixels: int = 56 * 56
    most_pixels: int = 28 * 28 * 1280
    ends: int = 2

    def target(self, size: Size) -> Size:
        """Return the size in pixels that the picture is brought to (``smart_resize``). Raises CostError."""
        width, height = size
        if max(size) / min(size) > THINNEST:
            raise CostError(f"one side of {width}x{height} pixels is more than {THINNEST} times the other")
        step = self.patch_px * self.merge
        high, wide = round(height / step) * step, round(width / step) * step
        if high * wide > self.most_pixels:
            times = sqrt((height * width) / self.most_pixels)
            high, wide = (max(step, floor(side / times / step) * step) for side in (height, width))
        elif high * wide < self.least_pixels:
            times = sqrt(self.least_pixels / (height * width))
            high, wide = (ceil(side * times / step) * step for side in (height, width))
        return wide, high

    def tokens(self, size: Size) -> int:
        """Return the squares."""
        wide, high = self.target(size)
        step = self.patch_px * self.merge
        return (wide // step) * (high // step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles(Cost):
    """The grid of tiles whose shape is nearest to the picture's, and the whole beside them: InternVL."""

    tile: Size = (448, 448)
    tile_tokens: int = 256
    least: int = 1
    most: int = 12
    """Tiles, without the whole. 1: the whole alone."""
    ends: int = 2

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


def scaled(size: Size, longer: int) -> Size:
    """Return the size of the same shape with this longer side, to the nearest pixel, at least 1."""
    width, height = size
    if width >= height:
        return longer, max(1, (2 * height * longer + width) // (2 * width))
    return max(1, (2 * width * longer + height) // (2 * height)), longer


def least_longer(size: Size, least_side: int) -> int:
    """Return the least longer side whose shorter one is ``least_side``; its own where that is shorter already."""
    shorter, longer = min(size), max(size)
    return longer if shorter <= least_side else max(1, -(-longer * (2 * least_side - 1) // (2 * shorter)))


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
