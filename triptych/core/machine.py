"""What of the machine this process may use: its cores, and the room on its disks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

MIB = 1 << 20
GIB = 1 << 30
"""Bytes of a GiB, in which memory and disks are told."""
SPARE_BYTES = 64 << 20
"""Bytes that are left free on a disk by what checks it before it writes."""


def cores() -> int:
    """Return how many cores this process may compute on, at least 1: a scheduler may have given it a few of many."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores_each() -> int:
    """Return how many of them are this process's, at least 1, where torchrun started several on this machine."""
    return max(1, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def disk_room(folder: Path) -> tuple[int, int]:
    """Return (all, free) bytes of the disk that a folder, which need not be there yet, is or would be on."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    disk = shutil.disk_usage(there)
    return disk.total, disk.free


def short_of(needed_bytes: int, free_bytes: int) -> str:
    """Return how a disk is short of room, in words: ``3 MiB are needed and 64 MiB to spare, 66 MiB are free``."""
    needed, spare, free = map(_size, (needed_bytes, SPARE_BYTES, free_bytes))
    return f"{needed} are needed and {spare} to spare, {free} are free"


def _size(size_bytes: int) -> str:
    if size_bytes >= GIB:
        return f"{size_bytes / GIB:,.1f} GiB"
    return f"{size_bytes / MIB:,.0f} MiB" if size_bytes >= MIB else f"{size_bytes / 1024:,.0f} KiB"
