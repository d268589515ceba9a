"""Tiles of an image as the language model reads them: one map, its padding cut off, a new line after each row.

Not what they cost (``AnyRes`` in ``data/plan/costs.py``, whose grid and shapes are used here) and not how images are
cut: that is the family's image processor. Sources: LLaVA-NeXT's ``spatial_unpad`` and LLaVA-OneVision's
``anyres_max_N`` (arXiv:2408.03326), as ``pack_image_features`` of transformers has them.

Shapes: S tiles of an image, row by row; P feature positions of a tile; H hidden size; Y rows and X columns of the map;
K tokens; N maps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from triptych.data.media.images import Size
from triptych.data.plan.costs_tiled import AnyRes

TILES_AT_ONCE = 32
"""Tiles that a tower sees at once: an image may have 37, a chunk of images thousands."""


def by_tiles(see: Callable[[Tensor], Tensor], images: Sequence[Tensor]) -> list[Tensor]:
    """Return ``see`` of every image's tiles, so many at once; both with an axis of tiles in front."""
    together = torch.cat(list(images))
    seen = torch.cat([see(tiles) for tiles in together.split(TILES_AT_ONCE)])
    return list(seen.split([len(tiles) for tiles in images]))


def tiles_of(cost: AnyRes, size: Size) -> int:
    """Return how many tiles an image is cut into, without the view of the whole."""
    wide, high = cost.grid(size)
    return (wide // cost.tile_px) * (high // cost.tile_px)


def lay_out(tiles_SPH: Tensor, size: Size, *, cost: AnyRes, newline_H: Tensor) -> Tensor:
    """Return the tokens_KH of an image's tiles, without the view of the whole.

    Args:
        tiles_SPH: projected, as many as ``tiles_of``.
        size: of the image.
        cost: of the model.
        newline_H: stands after each row.
    """
    side = cost.tile_patches
    wide, high = (length // cost.tile_px for length in cost.grid(size))
    map_YXH = tiles_SPH.reshape(high, wide, side, side, -1).permute(0, 2, 1, 3, 4).flatten(0, 1).flatten(1, 2)
    rows, columns = cost.unpadded(size)
    top, left = (map_YXH.shape[0] - rows) // 2, (map_YXH.shape[1] - columns) // 2
    map_YXH = map_YXH[top : top + rows, left : left + columns]
    if (shape := cost.shape(size)) != (rows, columns):
        map_YXH = resized(map_YXH[None], shape)[0]
    return with_row_ends(map_YXH, newline_H)


def with_row_ends(map_YXH: Tensor, newline_H: Tensor) -> Tensor:
    """Return the map's tokens_KH, row by row, a new line after each."""
    ends_Y1H = newline_H.to(map_YXH).expand(map_YXH.shape[0], 1, -1)
    return torch.cat([map_YXH, ends_Y1H], dim=1).flatten(0, 1)


POOLS = ("bilinear", "average", "max")
"""Ways to halve a frame's rows and columns: LLaVA-NeXT's ``mm_spatial_pool_mode``."""
NEWLINES = ("one_token", "no_token", "frame", "grid")
"""Where a video has new lines: at its end, nowhere, behind each frame, behind each row: ``mm_newline_position``."""


def pooled_side(side: int, way: str) -> int:
    """Return how many rows and columns a frame of so many has when it is pooled: only ``bilinear`` rounds up."""
    return (side + 1) // 2 if way == "bilinear" else side // 2


def pooled(frame_PH: Tensor, side: int, *, way: str) -> Tensor:
    """Return a frame's map_YXH with half its rows and columns.

    Args:
        frame_PH: its features, row by row.
        side: how many rows and columns they are.
        way: of ``POOLS``.
    """
    map_YXH = frame_PH.unflatten(0, (side, side))
    if way == "bilinear":
        half = pooled_side(side, way)
        return resized(map_YXH[None], (half, half))[0]
    pool = nn.functional.avg_pool2d if way == "average" else nn.functional.max_pool2d
    return pool(map_YXH.permute(2, 0, 1), 2).permute(1, 2, 0)


def resized(maps_NYXH: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return maps with other numbers of (rows, columns), bilinear."""
    return nn.functional.interpolate(maps_NYXH.permute(0, 3, 1, 2), shape, mode="bilinear").permute(0, 2, 3, 1)
