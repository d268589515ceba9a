"""What of the machine this process may use."""

from __future__ import annotations

import os


def cores() -> int:
    """Return how many cores this process may compute on, at least 1: a scheduler may have given it a few of many."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores_each() -> int:
    """Return how many of them are this process's, at least 1, where torchrun started several on this machine."""
    return max(1, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
