"""A sha256 that weights are added to: two models have the same one only where every number is the same.

Not what else a digest is of (settings, templates), which whoever asks adds before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def add_weights(digest: hashlib._Hash, weights: Mapping[str, Tensor]) -> None:
    """Add names, types, shapes and bytes of weights to a digest, sorted by name.

    Args:
        digest: of what was added before; changed in place.
        weights: by name, on any device.
    """
    for name, weight in sorted(weights.items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        numbers: Any = weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        digest.update(numbers)
