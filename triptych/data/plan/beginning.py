"""How a file was, and how it begins: whether rows that were found in it stand there, where others were added behind."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from triptych.data.plan.shelves import Places

CHUNK_BYTES = 1 << 20
AGAIN_BYTES = 1 << 20
"""What is looked at again for each row that is read, on average, of a file that keeps growing."""
Stamp = tuple[str, int, int]
"""Path, size and time of change of a file."""


class Beginning(NamedTuple):
    """A file as it was when a run began with it: what is added behind later is none of the run's."""

    stamp: Stamp
    content: str
    """Its sha256."""

    def stands(self) -> bool:
        """Return whether the file still begins so. Raises OSError: it cannot be read."""
        path, size, _ = self.stamp
        return sha256_of_first(Path(path), size) == self.content

    def cut(self, places: Places) -> Places:
        """Return those of the file's places that were there, as long as they were."""
        size = self.stamp[1]
        there = places[places[:, 1] < size]
        there[:, 2] = np.minimum(there[:, 2], size - there[:, 1])
        return there


class Watched:
    """A file that is in use. State: how it was when it was last looked at, and what was read since."""

    def __init__(self, beginning: Beginning) -> None:
        """Take how it has to begin."""
        self._beginning = beginning
        self._last = beginning.stamp
        self._credit = beginning.stamp[1]

    def stands(self, now: Stamp) -> bool:
        """Return whether the file begins as it did, asked at each row that is read of it.

        One that goes on growing is looked at again once as much has been read as that takes; any other change, at once.
        """
        size = self._beginning.stamp[1]
        self._credit = min(size, self._credit + AGAIN_BYTES)
        grown = now[1] > self._last[1]
        if now == self._last or (grown and self._credit < size):
            return True
        if not self._beginning.stands():
            return False
        self._last, self._credit = now, 0
        return True


def stamped(path: Path) -> Stamp:
    """Return path, size and time of change of a file; of one that is not there, zeros."""
    return stamp_of(path, state_of(path))


def stamp_of(path: str | Path, state: os.stat_result | None) -> Stamp:
    """Return the same of a file of which is known what the disk says."""
    size, changed = (0, 0) if state is None else (state.st_size, state.st_mtime_ns)
    name = str(path)
    return name if name.startswith("/") else str(Path(path).absolute()), size, changed


def state_of(path: str | Path) -> os.stat_result | None:
    """Return what the disk says of a file; None: it is not there."""
    try:
        return Path(path).stat()
    except (OSError, ValueError):
        return None


def sha256_of_first(path: Path, size: int) -> str:
    """Return the SHA-256 of a file's first bytes, so many or all it has, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(min(CHUNK_BYTES, size)):
            digest.update(chunk)
            size -= len(chunk)
    return digest.hexdigest()
