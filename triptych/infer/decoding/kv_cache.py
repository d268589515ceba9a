"""A batch's keys and values with room for its replies: each new token is written behind the others, nothing is copied.

transformers' own cache is copied whole for every token. Not the rows of a running engine, which come and go
(``slots``).

Shapes: B rows, A heads, C columns, L new tokens of a row, D size of a head.
"""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer


def holds_all(layer: object) -> TypeGuard[DynamicLayer]:
    """Tell whether a layer of a cache is keys and values of every position, or of those that a window holds."""
    return type(layer) in (DynamicLayer, DynamicSlidingWindowLayer)


class PreallocatedLayer(DynamicLayer):
    """A layer's keys and values. State: buffers that are wider than what is in them."""

    def __init__(self, keys_BACD: Tensor, values_BACD: Tensor, *, room: int, dtype: torch.dtype) -> None:
        """Take over what a prompt left.

        Args:
            keys_BACD: of the prompts.
            values_BACD: of the prompts.
            room: columns to come; more are taken when they are needed.
            dtype: what keys and values are kept in.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.dtype, self.device, self.is_initialized = dtype, keys_BACD.device, True
        self._room = room
        self._buffers = [self._wider(each, dtype) for each in (keys_BACD, values_BACD)]
        self._show(keys_BACD.shape[-2])

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: object, **_more: object
    ) -> tuple[Tensor, Tensor]:
        """Write new keys_BALD and values_BALD behind the others; return all."""
        assert self.keys is not None
        start = self.keys.shape[-2]
        stop = start + key_states.shape[-2]
        if stop > self._buffers[0].shape[-2]:
            self._room = max(self._room, key_states.shape[-2])
            self._buffers = [self._wider(each[:, :, :start], each.dtype) for each in self._buffers]
        for buffer_BACD, new_BALD in zip(self._buffers, (key_states, value_states), strict=True):
            buffer_BACD[:, :, start:stop] = new_BALD
        return self._show(stop)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows, in this order."""
        assert self.keys is not None
        columns = self.keys.shape[-2]
        self._buffers = [each[indices] for each in self._buffers]
        self._show(columns)

    def _show(self, columns: int) -> tuple[Tensor, Tensor]:
        self.keys, self.values = (each[:, :, :columns] for each in self._buffers)
        return self.keys, self.values

    def _wider(self, old_BACD: Tensor, dtype: torch.dtype) -> Tensor:
        rows, heads, columns, size = old_BACD.shape
        wider_BACD = torch.empty(rows, heads, columns + self._room, size, dtype=dtype, device=old_BACD.device)
        wider_BACD[:, :, :columns] = old_BACD
        return wider_BACD


def preallocate(cache: Cache, room: int, *, precision: torch.dtype) -> Cache:
    """Give a cache's layers room for a reply, in place, where they hold keys and values of every position; return it.

    Args:
        cache: of prompts.
        room: tokens of the longest reply. A layer with a window that does not hold prompt and reply stays as it is.
        precision: what matrices are multiplied in: nothing is kept in more bits.
    """
    for number, layer in enumerate(cache.layers):
        if not holds_all(layer):
            continue
        keys, values = layer.keys, layer.values
        if keys is None or values is None or keys.dim() != 4 or values.dim() != 4:
            continue
        if isinstance(layer, DynamicSlidingWindowLayer) and layer.cumulative_length + room >= layer.sliding_window:
            continue
        kind = min(keys.dtype, precision, key=lambda each: each.itemsize)
        cache.layers[number] = PreallocatedLayer(keys, values, room=room, dtype=kind)
    return cache
