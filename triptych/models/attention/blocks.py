"""Blocks of tokens that see each other in both directions: the tokens of an image, in models that attend so (Gemma 3).

Words stay causal, and see an image before them as ever. A layer with a window lets nobody look further back than it,
in a block either, and within a block as far ahead as the block goes: as transformers has it. No block reaches beyond
its conversation.

Only a conversation that has an image needs a mask, of its length squared in bytes, made once for all layers, and a
second one for those with a window where it is longer: of a pack of 8,192 tokens 128 MiB at most, mostly far less.

Shapes: B rows, T tokens a row, L tokens of a conversation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from triptych.models.attention.segments import Segment
from triptych.models.memory.transfer import send

NO_BLOCK = -1
"""Number of a token that is a word."""


def blocks_of(marks_BT: Tensor, segments_BT: Tensor) -> Tensor:
    """Return the number of each token's block, int64: marked tokens of a conversation with none else between them.

    Args:
        marks_BT: bool, which tokens are those of images.
        segments_BT: number of each token's conversation.
    """
    behind = marks_BT[:, :-1] & (segments_BT[:, :-1] == segments_BT[:, 1:])
    begins_BT = marks_BT & ~pad(behind, (1, 0))
    return torch.where(marks_BT, begins_BT.long().cumsum(dim=-1) - 1, NO_BLOCK)


def same_block(blocks_BT: Tensor) -> Tensor:
    """Return who is in whose block, bool [B, T, T]; words are in none."""
    return (blocks_BT[:, :, None] == blocks_BT[:, None, :]) & (blocks_BT != NO_BLOCK)[:, :, None]


def block_masks(
    segments: Sequence[Segment], blocks_BT: Tensor, *, windows: Sequence[int | None], device: torch.device
) -> Mapping[int | None, tuple[Tensor | None, ...]]:
    """Return for each window, and for none, who may look at whom in each conversation; None: all before it.

    Args:
        segments: the conversations.
        blocks_BT: from ``blocks_of``.
        windows: of the layers; None: of those that see all.
        device: where the masks, bool [L, L], are wanted.
    """
    masks: dict[int | None, list[Tensor | None]] = {window: [] for window in windows}
    for row, start, stop in segments:
        length, blocks_1L = stop - start, blocks_BT[row : row + 1, start:stop]
        has_blocks = bool((blocks_1L != NO_BLOCK).any())
        too_short = {window for window in masks if window is not None and length > window}
        seen_LL = _seen(send(blocks_1L, device)) if has_blocks or too_short else None
        for window, found in masks.items():
            if window is not None and seen_LL is not None and window in too_short:
                found.append(seen_LL & near_mask(length, window, device=device))
            else:
                found.append(seen_LL if has_blocks else None)
    return {window: tuple(found) for window, found in masks.items()}


def _seen(blocks_1L: Tensor) -> Tensor:
    """Return who may look at whom where there is no window, bool [L, L]: at all before it, and at its own block.

    Made where it is wanted: a square of 4,096 tokens takes a CPU core 0.07 s.
    """
    at_L = torch.arange(blocks_1L.shape[1], device=blocks_1L.device)
    return same_block(blocks_1L)[0].logical_or_(at_L[:, None] >= at_L)


def near_mask(length: int, window: int, *, device: torch.device | None = None) -> Tensor:
    """Return who is not too far before whom, bool [T, T]: each itself, ``window - 1`` before it, and all behind it."""
    at_T = torch.arange(length, device=device)
    return at_T > at_T[:, None] - window
