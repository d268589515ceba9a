"""Where chance comes from in training: every number is drawn from (recipe's seed, stage, step), never from a clock.

Not a saved state: because each step seeds anew, a run that goes on after a crash draws what it would have drawn.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, cast

import numpy as np
import torch


def derive_seed(seed: int, *place: str | int) -> int:
    """Return a seed for one place in a run, e.g. ``derive_seed(0, "tune", 17)``; 0 <= seed < 2**32."""
    text = "/".join(map(str, (seed, *place)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def seed_everything(seed: int) -> None:
    """Seed torch (all devices), Python and numpy. Libraries draw from these; our own code is handed its seed."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


class Filling(Protocol):
    """What torch's stubs do not tell of ``torch.utils.deterministic``."""

    fill_uninitialized_memory: bool


@contextmanager
def deterministic() -> Iterator[None]:
    """Let torch add up in one order while the block runs: same input, same bits, on the same machine.

    Without it, the gradient of an image that is used twice is summed by threads in any order. Operations that have no
    such order warn (some on GPUs).
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by cuBLAS when it starts
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    filling = cast(Filling, torch.utils.deterministic)
    fill = filling.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Else every fresh tensor is filled with NaN first, to find code that reads it too early: our tests do that better.
    filling.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        filling.fill_uninitialized_memory = fill
