"""Names and where they stand: a table on disk, made once for a file and kept in the cache folder (SQLite).

Not about what a name means. A data set of millions of ids costs no memory, and the second start no reading. A table
belongs to one state of its files (path, size, time of change): when they change, it is made again.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from triptych.core.errors import ConfigError, DataError
from triptych.core.files import cache_folder, part_file

Place = tuple[int, int, int]
"""Where a name stands, as whoever makes the table counts it."""

_SCHEMA = """
CREATE TABLE files (stamp TEXT);
CREATE TABLE names (name TEXT, a INTEGER, b INTEGER, c INTEGER);
CREATE TABLE kept (name TEXT PRIMARY KEY, path TEXT) WITHOUT ROWID;
"""
_WAIT_S = 60.0
"""How long one process waits for another that writes."""


@dataclass(frozen=True, slots=True)
class NameTable:
    """A finished table. Opened for each use, so that forked workers share nothing."""

    path: Path
    """Path of the SQLite file."""

    def find(self, names: Iterable[str]) -> dict[str, list[Place]]:
        """Return where each of the names stands, in the order of the file; names that are nowhere are left out."""
        found: dict[str, list[Place]] = {}
        with closing(_connected(self.path)) as base:
            for name in dict.fromkeys(names):
                if rows := base.execute("SELECT a, b, c FROM names WHERE name = ? ORDER BY rowid", (name,)).fetchall():
                    found[name] = rows
        return found

    def entries(self) -> Iterator[tuple[str, Place]]:
        """Yield every name and its place, in the order in which they were made."""
        with closing(_connected(self.path)) as base:
            for name, *place in base.execute("SELECT name, a, b, c FROM names ORDER BY rowid"):
                yield name, (place[0], place[1], place[2])

    def kept(self, names: Iterable[str]) -> dict[str, str]:
        """Return the paths that ``keep`` noted for these names, where there are any."""
        found: dict[str, str] = {}
        with closing(_connected(self.path)) as base:
            for name in names:
                for (path,) in base.execute("SELECT path FROM kept WHERE name = ?", (name,)):
                    found[name] = path
        return found

    def keep(self, paths: Iterable[tuple[str, str]]) -> None:
        """Note for each name a path to what it stands for."""
        with closing(_connected(self.path)) as base, base:
            base.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?)", paths)


def table_of(files: Sequence[Path], made: Iterable[tuple[str, Place]], *, kind: str) -> NameTable:
    """Return the table of these files as they are now, from the cache folder or made.

    Args:
        files: what the names stand in.
        made: (name, place) pairs, drawn only when there is no table yet. It is not held in memory.
        kind: what sort of names: two tables of one file are told apart by it.

    Raises:
        DataError: a file cannot be looked at; or as ``made`` raises.
        ConfigError: the cache folder cannot be written.
    """
    whole = [file.resolve() for file in files]
    key = hashlib.sha256("\0".join([kind, *map(str, whole)]).encode("utf-8", "surrogateescape")).hexdigest()
    stamp = json.dumps([_stamp(file) for file in whole])
    path = cache_folder() / "names" / f"{key[:32]}.sqlite"
    if _stamp_in(path) != stamp:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = part_file(path)
        try:
            _make(part, stamp, made)
            part.replace(path)
        except sqlite3.Error as error:
            raise ConfigError(f"{path}: cannot be written ({error}). Is there room in the cache folder?") from None
        finally:
            part.unlink(missing_ok=True)
    return NameTable(path)


def _make(path: Path, stamp: str, made: Iterable[tuple[str, Place]]) -> None:
    with closing(sqlite3.connect(path)) as base:
        # It takes its name when it is whole, so a journal would guard nothing.
        base.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_SCHEMA}")
        with base:
            rows = ((name.encode("utf-8", "surrogatepass").decode("utf-8", "replace"), *place) for name, place in made)
            base.executemany("INSERT INTO names VALUES (?, ?, ?, ?)", rows)
            base.execute("CREATE INDEX by_name ON names (name)")
            base.execute("INSERT INTO files VALUES (?)", (stamp,))


def _stamp(file: Path) -> list[str | int]:
    try:
        state = file.stat()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}).") from None
    return [str(file), state.st_size, state.st_mtime_ns]


def _stamp_in(path: Path) -> str | None:
    """Return the stamp of the files that a table was made of; None where there is none, or a damaged one."""
    if not path.exists():
        return None
    try:
        with closing(_connected(path)) as base:
            rows = base.execute("SELECT stamp FROM files").fetchall()
    except sqlite3.DatabaseError:
        return None  # What another program left there; it is made again.
    return str(rows[0][0]) if rows else None


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_WAIT_S)
