"""How much of a disk the features of images may take, in a folder that all runs share.

Not the features (``features.py``). Where the limit is reached the files that were used longest ago go, of whatever
model; never those that this process wrote or read. What then has no room is not kept. Nor does the last of a disk go
to what can be made again.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from triptych.core.log import say
from triptych.core.machine import GIB, disk_room

SPARED_SHARE = 0.05
SPARED_BYTES = 20 * GIB
"""What is left of a disk: this share of it, or so many bytes, whichever is less."""

WHATEVER_IS_FREE = sys.maxsize
"""Bytes of a folder that only its disk limits."""


def room_on(folder: Path) -> int:
    """Return how many bytes the disk of a folder, which need not be there yet, has for what can be made again."""
    total, free = disk_room(folder)
    return max(0, free - min(int(total * SPARED_SHARE), SPARED_BYTES))


class Limit:
    """Most bytes of a folder. Its state: what the folder holds, by the last look, and what this process uses of it."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most = most_bytes
        self._bytes: int | None = None
        self._used: set[Path] = set()
        self._told = False

    def use(self, files: set[Path]) -> None:
        """Mark files as used now: they stay while this process uses them, and go after those used longer ago."""
        for path in files - self._used:
            with suppress(OSError):
                os.utime(path)
        self._used |= files

    def admits(self, path: Path, file_bytes: int) -> bool:
        """Return whether a file of so many bytes may be written; where the folder is full, others go for it."""
        if self._bytes is None or self._bytes + file_bytes > self._most:
            self._bytes = self._after_making_room(file_bytes)
        if self._bytes + file_bytes > self._most or file_bytes > room_on(self._folder):
            self._tell()
            return False
        self._bytes += file_bytes
        self._used.add(path)
        return True

    def _after_making_room(self, file_bytes: int) -> int:
        """Delete what was used longest ago, as far as needed; return what the folder holds."""
        there = [(path.stat(), path) for path in self._folder.glob("*/*.safetensors")]
        total = sum(stat.st_size for stat, _ in there)
        for stat, path in sorted(there, key=lambda each: each[0].st_mtime_ns):
            if total + file_bytes <= self._most:
                break
            if path not in self._used:
                path.unlink(missing_ok=True)
                total -= stat.st_size
        return total

    def _tell(self) -> None:
        if self._told:
            return
        full = f"holds what it may ({self._most / GIB:.3g} GiB)"
        why = full if room_on(self._folder) else "is on a disk that is nearly full"
        say(f"{self._folder} {why}: features of more images are not kept, they are computed each time")
        self._told = True
