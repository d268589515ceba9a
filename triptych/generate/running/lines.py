"""A file of lines that is only ever added to, and survives its writer's death: every whole line stays, a torn one goes.

Not for files that are written at once (``core/files.py``). A line is in the system's hands when `add` returns, so a
killed process loses nothing of it; about once a second it is on the disk itself, so a killed machine loses little.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from triptych.core.full_disk import naming

SYNC_EVERY_S = 1.0
CHUNK_BYTES = 1 << 16


class LineFile:
    """Adds lines. Its state is the open file and where it ends. One writer at a time: the caller sees to that."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Open it, and cut off a last line that was torn.

        Args:
            path: made if need be, with its folder.
            clock: seconds, from anywhere.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._file = path, os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._clock, self._synced = clock, clock()
        self.end = whole_bytes(self._file)
        """Bytes of the file."""
        os.ftruncate(self._file, self.end)

    def add(self, line: bytes) -> int:
        """Add a line, which ends in a newline; return where it begins, in bytes."""
        at = self.end
        rest = memoryview(line)
        with naming(self._path):
            while rest:
                rest = rest[os.pwrite(self._file, rest, self.end + len(line) - len(rest)) :]
        self.end += len(line)
        if self._clock() - self._synced > SYNC_EVERY_S:
            self.sync()
        return at

    def read(self, at: int, size: int) -> bytes:
        """Return bytes of the file."""
        return os.pread(self._file, size, at)

    def sync(self) -> None:
        """Wait until all is on the disk."""
        with naming(self._path):
            os.fsync(self._file)
        self._synced = self._clock()

    def close(self) -> None:
        """Close it."""
        if self._file >= 0:
            self.sync()
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


def whole_bytes(file: int) -> int:
    """Return how many bytes of an open file are whole lines: up to its last newline."""
    end = os.fstat(file).st_size
    while end > 0:
        start = max(0, end - CHUNK_BYTES)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
