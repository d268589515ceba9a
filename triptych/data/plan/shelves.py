"""Shelves of the cache folder: where rows are, and the rows of a stream; put there whole, held while they are used.

Not what is on them (``corpus``). A shelf is a folder; a process that takes something from it holds a lock there until
it ends. Whoever puts something new there sweeps: what nobody has opened for long and nobody holds goes, as after each
update of the code there are new shelves. All of it can be made again. Where a file system has no locks nothing goes.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triptych.core.errors import DataError
from triptych.core.files import cache_folder, flush, hidden_folder
from triptych.core.log import say
from triptych.core.machine import GIB, MIB, disk_room

ROWS, PLACES, DIGEST = "rows.jsonl", "places.npy", "digest"
"""Files on a shelf: the rows of a stream, where they are, what tells them from others."""
DIGEST_LETTERS = 64

UNUSED_DAYS, SHORT_DAYS = 30, 1
"""Days after which what nobody has opened goes; on a disk that is nearly full."""
SPARED_SHARE = 0.05
SPARED_BYTES = 20 * GIB
"""A disk is nearly full when this share of it is left, or so many bytes, whichever is less."""

DIGITS = "[0-9a-f]{32}"
"""What stands in the names of what is kept, as a regular expression."""
SHELVES = (f"(rows|places)-{DIGITS}", rf"media-{DIGITS}\.json", r"\.rows\.[0-9a-f]{8}\.part")
"""Names in the folder of shelves: shelves, lists of pictures that rows were made by, shelves in the making."""
TOUCH_S = 3600
"""Seconds after which what is held is marked as used again."""

Places = NDArray[np.int64]
"""[rows, 3]: number for messages, offset and length in bytes."""

_held: dict[Path, int] = {}
"""The descriptor of each file that this process holds, with the shelf that it lies on."""
_touched = [time.monotonic()]
"""When what is held was marked as used."""


def shelf_folder() -> Path:
    """Return the folder of shelves; it need not be there."""
    return cache_folder() / "corpus"


def keep(shelf: Callable[[], Path], make: Callable[[Path], tuple[Places, str]]) -> tuple[Path, tuple[Places, str]]:
    """Put places and a digest on a shelf, whole or not at all; return it, and what is there.

    Args:
        shelf: its path; asked when all is made. Who comes second finds it there; one that is damaged is replaced.
        make: (folder) -> places and a digest; what it writes into the folder is kept too.

    Raises:
        DataError: it cannot be put there.
    """
    parent = shelf_folder()
    parent.mkdir(exist_ok=True)
    folder = hidden_folder(parent / "rows")
    try:
        places, digest = make(folder)
        np.save(folder / PLACES, places)
        (folder / DIGEST).write_text(digest, encoding="ascii")
        # A machine that loses its power may else have the name and not what is in it.
        for path in (*folder.iterdir(), folder):
            flush(path)
        place = shelf()
        if kept(place) is None:
            shutil.rmtree(place, ignore_errors=True)
        try:
            folder.rename(place)
        except OSError:
            if not place.is_dir():
                raise
        flush(parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found = kept(place)
    if found is None:
        raise DataError(f"{place}: damaged, and cannot be replaced. Delete this folder and start again.")
    sweep(parent, *SHELVES)
    return place, found


def kept(shelf: Path) -> tuple[Places, str] | None:
    """Return what is on a shelf, which this process then holds; None: nothing, or not all of what was put there."""
    try:
        hold(shelf / DIGEST)
        places = np.load(shelf / PLACES, mmap_mode="r")
        digest = (shelf / DIGEST).read_text(encoding="ascii")
        rows_bytes = (shelf / ROWS).stat().st_size if shelf.name.startswith("rows-") else None
    except (OSError, ValueError, EOFError):
        return None
    if places.dtype != np.int64 or places.ndim != 2 or places.shape[1] != 3 or len(digest) != DIGEST_LETTERS:
        return None
    # Each line ends in a newline, which no place counts.
    if rows_bytes is not None and (not len(places) or rows_bytes != places[-1, 1] + places[-1, 2] + 1):
        return None
    return places, digest


def hold(path: Path) -> None:
    """Hold a file, and the shelf that it lies on, as long as this process lives, so that nobody sweeps it away.

    Raises:
        OSError: it is not there.
    """
    mark_used(path)
    held = _held.get(path)
    if held is not None:
        if os.path.samestat(os.fstat(held), path.stat()):
            return
        os.close(_held.pop(path))  # of a file that was replaced
    _held[path] = os.open(path, os.O_RDONLY)
    with suppress(OSError):  # a file system without locks, on which nothing is swept
        fcntl.flock(_held[path], fcntl.LOCK_SH)


def keep_used() -> None:
    """Mark all that is held as used, once an hour: elsewhere its lock, or that it was read, may not be seen."""
    if time.monotonic() - _touched[0] > TOUCH_S:
        _touched[0] = time.monotonic()
        for path in list(_held):
            mark_used(path)


def mark_used(path: Path) -> None:
    """Note that a file was used now, where that can be noted."""
    with suppress(OSError):
        os.utime(path)


def sweep(folder: Path, *names: str) -> None:
    """Delete what has one of these names and nobody has used for long, nor holds; say so in a line.

    Args:
        folder: whose entries they are.
        names: regular expressions of whole names; a person may have put others there.
    """
    total, free = disk_room(folder)
    days = SHORT_DAYS if free < min(int(total * SPARED_SHARE), SPARED_BYTES) else UNUSED_DAYS
    latest = time.time() - days * 24 * 3600
    there = [path for path in folder.glob("*") if any(re.fullmatch(name, path.name) for name in names)]
    gone = freed = 0
    for path in there:
        with suppress(OSError):  # another process was quicker, or it is not ours to delete
            used, size_bytes = _used_s(path), _bytes(path)
            if used < latest and _deleted(path):
                gone, freed = gone + 1, freed + size_bytes
    if gone:
        unused = f"deleted what nobody has used for {days} day{'s' * (days > 1)}"
        say(f"{folder}: {unused}: {gone} of {len(there)}, {freed / MIB:,.1f} MiB")


def _deleted(path: Path) -> bool:
    """Delete a file or folder that nobody holds; return whether it is gone."""
    held = path / DIGEST if path.is_dir() else path
    if not held.exists():  # in the making, when its writer was killed; or half deleted
        shutil.rmtree(path)
        return True
    with _alone(held) as alone:
        if alone and held == path:
            path.unlink()
        elif alone:  # its name is free at once for who makes it anew
            shutil.rmtree(path.rename(path.with_name(f".rows.{secrets.token_hex(4)}.part")))
        return alone


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Yield whether nobody holds a file; nobody else takes it while the block runs."""
    with path.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # somebody holds it, or the file system has no locks
            yield False
            return
        yield True


def _used_s(path: Path) -> float:
    """Return when something of a file or folder was last written, or read, as far as the file system notes that."""
    inside = [each.stat() for each in (path.iterdir() if path.is_dir() else [path])]
    return max([path.stat().st_mtime, *(max(state.st_mtime, state.st_atime) for state in inside)])


def _bytes(path: Path) -> int:
    return sum(each.stat().st_blocks * 512 for each in (path.iterdir() if path.is_dir() else [path]))
