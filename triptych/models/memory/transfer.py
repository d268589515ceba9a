"""Copies from the host's memory to the device on which a model computes, without waiting until they are done.

A GPU works through what it was told while the host goes on: prepares images, lays out the next pack. A plain ``.to``
ends that, as it waits for all that was told before. Not the way back: who asks a GPU for a number waits.
"""

from __future__ import annotations

import torch
from torch import Tensor


def send(values: Tensor, device: torch.device, *, dtype: torch.dtype | None = None) -> Tensor:
    """Return the values on a device, in ``dtype`` where one is given: what ``.to`` returns.

    Args:
        values: of the host; what is on a device already is brought to this one.
        device: where they are needed.
        dtype: None: their own.
    """
    dtype = values.dtype if dtype is None else dtype
    if device.type != "cuda" or values.device.type != "cpu":
        return values.to(device, dtype)
    # Only memory that is never moved to disk is copied beside the host's own work.
    return values.to(dtype).pin_memory().to(device, non_blocking=True)
