"""SQLite as an index of files that can make it anew: what it loses is caught up with, and what it failed at ends it.

Not what it holds (``replies.py``). A disk that takes no more is the system's error here, as everywhere else, and no
damage. Invariant: once a statement has failed so, no later one is run. SQLite then has taken back all since the last
commit, and a later statement would be kept without it.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

_ROOM_BYTES = 1 << 16
"""What is tried to be written, to find out why SQLite could not."""


class Index(sqlite3.Connection):
    """An open index. Its state, beside SQLite's: whether the disk has failed it."""

    path: Path
    failed: bool = False

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run one statement. Raises OSError: the disk takes no more, or fails, now or before."""
        if self.failed:
            raise OSError(errno.EIO, "an earlier line could not be written", str(self.path))
        try:
            return super().execute(sql, parameters)
        except sqlite3.OperationalError as error:
            kind = error.sqlite_errorcode & 0xFF
            if kind not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise
            self.failed = True
            number = errno.ENOSPC if kind == sqlite3.SQLITE_FULL else _refused_with(self.path)
            raise OSError(number, os.strerror(number), str(self.path)) from error


def open_index(path: Path) -> Index:
    """Open an index, or make it; any thread may use it, and says itself where a transaction begins.

    Raises:
        sqlite3.DatabaseError: it cannot be opened.
    """
    index = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Index)
    index.path = path
    return index


def _refused_with(path: Path) -> int:
    """Return the system's number of what keeps a file from growing: SQLite tells a quota as a disk that is broken."""
    largest = max((each.stat().st_size for each in path.parent.glob(f"{path.name}*")), default=0)
    try:
        with TemporaryFile(dir=path.parent) as file:
            os.posix_fallocate(file.fileno(), largest, _ROOM_BYTES)
    except OSError as error:
        return error.errno or errno.EIO
    return errno.EIO
