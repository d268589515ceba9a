"""Frozen matrices kept in 16 bits where that loses nothing, and brought back: half the memory beside an adapter.

Not a precision of computing: a pass in bfloat16 (autocast) rounds each matrix to bfloat16 before it multiplies, so a
matrix that is kept so gives the same bits. Published weights nearly always fit: they were released in 16 bits. One that
would lose a bit stays as it is, as do embeddings, norms, what is shared with them, and whatever trains. Not 4 bits
(``quantise.py``).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

KINDS = (torch.bfloat16, torch.float16)
"""The 16-bit types, in the order in which they are tried."""


def downcast_frozen(network: nn.Module, module: nn.Module, *, exact: bool = True) -> int:
    """Keep the frozen linear layers of a part in 16 bits, in place; return the bytes that this saves.

    Args:
        network: all of the model, float32.
        module: a part of it.
        exact: only where nothing is lost; else all of them, in bfloat16, for a model that answers and is not saved.
    """
    taken = {
        id(weight)
        for each in network.modules()
        if not isinstance(each, nn.Linear)
        for weight in each.parameters(recurse=False)
    }
    saved = 0
    for weight in _matrices(module):
        if weight.dtype != torch.float32 or id(weight) in taken:
            continue
        small = _smaller(weight) if exact else weight.data.to(torch.bfloat16)
        if small is not None:
            saved += weight.nbytes - small.nbytes
            weight.data = small
    return saved


def upcast_frozen(network: nn.Module) -> None:
    """Bring what `downcast_frozen` made smaller back to float32, in place: the same values as before."""
    for weight in _matrices(network):
        if weight.dtype in KINDS:
            weight.data = weight.data.float()


def _matrices(module: nn.Module) -> Iterator[nn.Parameter]:
    """Yield weights and biases of the linear layers that are all frozen."""
    for each in module.modules():
        if type(each) is nn.Linear and not any(weight.requires_grad for weight in each.parameters()):
            yield from each.parameters()


def _smaller(weight: Tensor) -> Tensor | None:
    """Return the same values in 16 bits; None: they do not fit."""
    for kind in KINDS:
        small = weight.data.to(kind)
        if torch.equal(small.float(), weight.data):
            return small
    return None
