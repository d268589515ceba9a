"""Which tiles a large picture is cut into: a grid chosen by its shape, and each tile as a box of the picture.

No pixels are touched: a tile is a box and a size to scale it to. The choice of the grid is the published one of
LLaVA-NeXT (``select_best_resolution``; its "anyres"): the most pixels kept, then the least left empty, the first of
equals. Invariant: the tiles cover the picture once, up to the rounding of a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from triptych.core.records import Box

Size = tuple[int, int]
"""(width, height) in pixels."""
Grid = tuple[int, int]
"""(columns, rows)."""

LLAVA_GRIDS: tuple[Grid, ...] = ((1, 2), (2, 1), (2, 2), (3, 1), (1, 3))
"""The grids of LLaVA-NeXT and LLaVA-NeXT-Interleave, in their order, which decides between equals."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: a part of the picture and what it is scaled to."""

    column: int
    row: int
    box: Box
    resize: Size


def all_grids(most: int) -> tuple[Grid, ...]:
    """Return every grid of up to ``most`` columns and rows in LLaVA-OneVision's order; its ``anyres_max`` has 6."""
    return tuple((columns, rows) for columns in range(1, most + 1) for rows in range(1, most + 1))


def choose_grid(size: Size, grids: Sequence[Grid], *, tile_px: int) -> Grid:
    """Return the grid that keeps most of a picture's pixels, then leaves least empty; the first of equals.

    Args:
        size: of the picture.
        grids: at least one, in the order in which equals are preferred.
        tile_px: side of a tile.
    """
    width, height = size
    best: tuple[int, int] | None = None
    chosen = grids[0]
    for columns, rows in grids:
        across, down = columns * tile_px, rows * tile_px
        scale = min(across / width, down / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        worth = (kept, kept - across * down)
        if best is None or worth > best:
            best, chosen = worth, (columns, rows)
    return chosen


def fitted_size(size: Size, grid: Grid, *, tile_px: int) -> Size:
    """Return what the picture is scaled to, its shape kept, to fit the grid: the tighter side fills it."""
    (width, height), across, down = size, grid[0] * tile_px, grid[1] * tile_px
    if across / width < down / height:
        return across, min(ceil(height * (across / width)), down)
    return min(ceil(width * (down / height)), across), down


def cut_fitted(size: Size, grid: Grid, *, tile_px: int) -> tuple[Tile, ...]:
    """Return the tiles of the picture scaled to fit the grid and laid in its middle, row by row.

    What is empty beside the picture is no part of a tile: tiles at its edge are smaller, one that holds nothing is
    left out.
    """
    (width, height), (wide, high) = size, fitted_size(size, grid, tile_px=tile_px)
    left, top = (grid[0] * tile_px - wide) // 2, (grid[1] * tile_px - high) // 2
    columns = _spans(grid[0], tile_px, left, wide, width)
    rows = _spans(grid[1], tile_px, top, high, height)
    return tuple(
        Tile(column, row, (x0, y0, x1, y1), (across, down))
        for row, y0, y1, down in rows
        for column, x0, x1, across in columns
    )


def cut_evenly(size: Size, grid: Grid, *, tile_px: int) -> tuple[Tile, ...]:
    """Return tiles of equal parts of the picture, row by row, each scaled to a full square."""
    width, height = size
    columns, rows = min(grid[0], width), min(grid[1], height)
    return tuple(
        Tile(
            column,
            row,
            (
                width * column // columns,
                height * row // rows,
                width * (column + 1) // columns,
                height * (row + 1) // rows,
            ),
            (tile_px, tile_px),
        )
        for row in range(rows)
        for column in range(columns)
    )


def _spans(count: int, tile_px: int, start: int, scaled: int, whole: int) -> list[tuple[int, int, int, int]]:
    """Return (place, from, to, scaled length) of each tile along one side that holds some of the picture."""
    spans = []
    for place in range(count):
        low, high = max(place * tile_px, start) - start, min((place + 1) * tile_px, start + scaled) - start
        if high > low:
            first, last = round(low * whole / scaled), round(high * whole / scaled)
            if last > first:
                spans.append((place, first, last, high - low))
    return spans
