"""Positions along time, height and width: words count on, an image's tokens stand at their rows and columns.

Source: Qwen2-VL (arXiv:2409.12191, section 2.1): an image begins where the words before it ended, and the words after
it go on behind the larger of its sides. Each conversation of a pack begins at 0, as if it stood alone.

Shapes: B rows, T tokens a row, K tokens of an image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from triptych.data.batch import PADDING, Batch


def grid_positions(batch: Batch, grids: Sequence[tuple[int, int]]) -> Tensor:
    """Return positions [3, B, T], int64: of time, height and width; in padding those of ``batch``.

    Args:
        batch: of conversations; a slot holds rows x columns tokens, row by row.
        grids: (rows, columns) of ``batch.images``.
    """
    positions_3BT = batch.positions_BT[None].repeat(3, 1, 1)
    for row, segments_T in enumerate(batch.segments_BT):
        slots = [slot for slot in batch.slots if slot.row == row]
        for segment in segments_T.unique().tolist():
            if segment == PADDING:
                continue
            places = (segments_T == segment).nonzero()[:, 0]
            at, end = int(places[0]), int(places[-1]) + 1
            # Added to a place in the row: below 0 by what stands before the conversation, and by what images save.
            ahead = -at
            for slot in slots:
                if not at <= slot.start < end:
                    continue
                positions_3BT[:, row, at : slot.start] = torch.arange(at, slot.start) + ahead
                high, wide = grids[slot.image]
                places_3K = torch.cartesian_prod(torch.zeros(1).long(), torch.arange(high), torch.arange(wide)).T
                positions_3BT[:, row, slot.start : slot.stop] = places_3K + slot.start + ahead
                ahead += max(high, wide) - high * wide
                at = slot.stop
            positions_3BT[:, row, at:end] = torch.arange(at, end) + ahead
    return positions_3BT
