"""Which source each supervised token or target of a batch is of, and what of a loss falls on each source.

Told beside the loss of a step, never a part of it: nothing here has a gradient or changes a number of the step.

Shapes: N supervised tokens, or targets of a score head, in the order of the loss; K sources.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from triptych.data.batch import IGNORE, Batch


def sources_of(batch: Batch) -> Tensor:
    """Return the number of the source of each supervised token, or target, of a batch that knows its sources: int64 N.

    Those of tokens are in the order of ``loss.select_supervised``, those of targets conversation by conversation.
    """
    sources = torch.tensor(batch.sources, dtype=torch.int64)
    if batch.targets_NS.numel():
        return sources.repeat_interleave(batch.targets_NS.shape[1])
    rows_N, columns_N = (batch.labels_BT[:, 1:] != IGNORE).nonzero(as_tuple=True)
    conversations_B = batch.segments_BT.amax(dim=1) + 1
    first_B = conversations_B.cumsum(0) - conversations_B
    return sources[first_B[rows_N] + batch.segments_BT[rows_N, columns_N + 1]]


def count_by_source(batches: Iterable[Batch], sources: int) -> tuple[int, ...]:
    """Return how many supervised tokens or targets each source has.

    Args:
        batches: that know their sources.
        sources: how many there are; 0: nobody asks, and nothing is counted.
    """
    total_K = torch.zeros(sources, dtype=torch.int64)
    if sources:
        for batch in batches:
            total_K += torch.bincount(sources_of(batch), minlength=sources)
    return tuple(total_K.tolist())


def sum_by_source(losses_N: Tensor, sources_N: Tensor, *, sources: int) -> Tensor:
    """Return the sum of each source's losses, where they are: K.

    Not by ``bincount`` or ``index_add_``, whose order of sums a GPU does not keep.
    """
    numbers_K = torch.arange(sources, device=losses_N.device)
    return ((sources_N == numbers_K[:, None]) * losses_N).sum(dim=1)
