"""The size index: how large pictures are, read from their headers in parallel and remembered until a file changes.

Not about pixels (``images``), nor what a size costs (``costs``). An entry's key is a 128-bit hash of the locator and
its file's length and time of change, so a file that changes is simply another entry; only sizes are remembered: what
could not be read is tried again the next time. On disk it is a folder of sorted tables that never change, each written
whole and looked up through the memory map: millions of entries cost no memory, and whoever is killed, or writes at the
same time, leaves nothing torn and nothing wrong. A table that cannot be read is measured again.
"""

from __future__ import annotations

import io
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from hashlib import blake2b, sha256
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triptych.core.errors import RunError
from triptych.core.files import cache_folder, write_atomically
from triptych.core.machine import cores
from triptych.data.media.images import ImageError, Size, whole_size
from triptych.data.media.locate import container_of, stamp_of

Known = Size | ImageError
"""(width, height) of the whole upright picture, or why it cannot be used."""
Words = NDArray[np.uint64]

WINDOW = 1 << 16
"""Sources that are looked up, measured and written at a time."""
CHUNK = 256
"""Sources that a process is given at a time."""
FEW = 4 * CHUNK
"""Up to so many headers are read in this process: starting others would take longer."""
_TABLE = "sizes-1-{}.npy"
"""The number counts up when sizes are read in another way, so that old tables are not believed."""
_KEY_BYTES = 16


class SizeIndex:
    """Sizes of pictures by locator. State: the tables that are mapped. One folder may serve many processes at once."""

    def __init__(self, folder: Path, *, processes: int | None = None) -> None:
        """Make an index that lives in ``folder``, which need not exist.

        Args:
            folder: for its tables; can be deleted at any time.
            processes: that read headers, > 0; None: one for each core.
        """
        self._folder = folder
        self._processes = processes or cores()
        self._tables: dict[str, Words] = {}

    def sizes(self, sources: Sequence[str], *, advance: Callable[[int], None] | None = None) -> list[Known]:
        """Return the size of each source, or the reason why it has none, in order.

        Args:
            sources: locators (``data/media/locate.py``); those that come again are looked at once a window.
            advance: told how many more are done.

        Raises:
            RunError: a process that reads headers died; the message names the files it was at.
        """
        return list(self.stream(sources, advance=advance))

    def stream(self, sources: Iterable[str], *, advance: Callable[[int], None] | None = None) -> Iterator[Known]:
        """Yield what ``sizes`` returns, holding a window of sources at a time. Raises as ``sizes``."""
        waiting = iter(sources)
        while window := list(islice(waiting, WINDOW)):
            known = self._window(list(dict.fromkeys(window)))
            if advance is not None:
                advance(len(window))
            yield from (known[source] for source in window)

    def _window(self, sources: list[str]) -> dict[str, Known]:
        """Return what is known of different sources, once the headers of the new ones were read."""
        self._map_tables()
        keys = _keys(sources)
        packed = self._look_up(keys).tolist()
        known: dict[str, Known] = {
            source: (both >> 32, both & 0xFFFFFFFF) for source, both in zip(sources, packed, strict=True) if both
        }
        rows = [row for row, both in enumerate(packed) if not both]
        if rows:
            measured = list(self._measure([sources[row] for row in rows]))
            known.update(zip((sources[row] for row in rows), measured, strict=True))
            self._write(keys[rows], measured)
        return known

    def _measure(self, sources: list[str]) -> Iterator[Known]:
        """Yield the size of each source, read from its header."""
        # A worker of a data loader may start no processes of its own.
        if self._processes == 1 or len(sources) <= FEW or multiprocessing.current_process().daemon:
            yield from _measure_all(sources)
            return
        chunks = [sources[start : start + CHUNK] for start in range(0, len(sources), CHUNK)]
        # Forked, where that can be: to import all anew would take longer than a window does. They only read headers.
        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("fork" if "fork" in methods else None)
        with ProcessPoolExecutor(min(self._processes, len(chunks)), mp_context=context) as pool:
            done = pool.map(_measure_all, chunks)
            for chunk in chunks:
                try:
                    yield from next(done)
                except BrokenProcessPool:
                    raise RunError(
                        f"a process that reads image headers died between {chunk[0]} and {chunk[-1]} or soon after."
                        " Look whether memory ran out; leave out the file that does it."
                    ) from None

    def _look_up(self, keys: Words) -> Words:
        """Return width << 32 | height for each key of 2 words; 0 where it is not known."""
        found = np.zeros(len(keys), dtype=np.uint64)
        rest = np.flatnonzero(keys.any(axis=1))
        for first, second, packed in self._tables.values():
            ask = keys[rest]
            at = np.minimum(np.searchsorted(first, ask[:, 0]), len(first) - 1)
            hit = (first[at] == ask[:, 0]) & (second[at] == ask[:, 1])
            found[rest[hit]] = packed[at[hit]]
            rest = rest[~hit]
        return found

    def _map_tables(self) -> None:
        """Map the tables that are there now, and let go of those that are not."""
        tables: dict[str, Words] = {}
        for path in sorted(self._folder.glob(_TABLE.format("*"))):
            table = self._tables.get(path.name)
            table = _mapped(path) if table is None else table
            if table is not None:
                tables[path.name] = table
        self._tables = tables  # At once: another thread may be looking something up.

    def _write(self, keys: Words, measured: Sequence[Known]) -> None:
        """Keep the sizes as one more table, together with those that are not much larger: there are never many."""
        packed = [size[0] << 32 | size[1] if isinstance(size, tuple) else 0 for size in measured]
        table = np.column_stack([keys, np.array(packed, dtype=np.uint64)]).T
        table = table[:, keys.any(axis=1) & (table[2] > 0)]
        if not table.shape[1]:
            return
        merged: list[str] = []
        for name, other in sorted(self._tables.items(), key=lambda item: item[1].shape[1]):
            if other.shape[1] > 2 * table.shape[1]:
                break
            table = np.concatenate([table, other], axis=1)
            merged.append(name)
        saved = self._save(table)
        # Who has mapped them keeps them; who comes later finds all in the new one.
        for name in merged:
            if name != saved:
                (self._folder / name).unlink(missing_ok=True)

    def _save(self, table: Words) -> str:
        """Write a table and return its name: two processes that measure the same files write the same one."""
        table = table[:, np.lexsort((table[1], table[0]))]
        again = (table[:2, 1:] == table[:2, :-1]).all(axis=0)
        content = io.BytesIO()
        np.save(content, table[:, ~np.append(again, False)])
        written = content.getvalue()
        name = _TABLE.format(sha256(written).hexdigest()[:32])
        write_atomically(self._folder / name, written)
        return name


def index_of(location: Path, *, processes: int | None = None) -> SizeIndex:
    """Return the index of a data file or folder: its own part of the cache folder, found by where the data lies.

    Raises:
        ConfigError: the cache folder cannot be made.
    """
    place = location.absolute()
    sha = sha256(os.fsencode(place)).hexdigest()[:16]
    return _opened(cache_folder() / "sizes" / f"{place.name[:64]}-{sha}", processes)


@lru_cache(maxsize=256)
def _opened(folder: Path, processes: int | None) -> SizeIndex:
    return SizeIndex(folder, processes=processes)  # Kept, so that its tables stay mapped.


def _measure_all(sources: list[str]) -> list[Known]:
    return [_measured(source) for source in sources]


def _measured(source: str) -> Known:
    try:
        return whole_size(source)
    except ImageError as error:
        return error


def _keys(sources: Sequence[str]) -> Words:
    """Return an array [sources, 2]: the two words of each key; zeros where the file is not there."""
    stamps: dict[str, tuple[int, int] | None] = {}
    digests = bytearray()
    for source in sources:
        stamp = _stamp(source, stamps)
        if stamp is None:
            digests += bytes(_KEY_BYTES)
        else:
            said = f"{stamp[0]} {stamp[1]} {source}".encode("utf-8", "surrogatepass")
            digests += blake2b(said, digest_size=_KEY_BYTES).digest()
    return np.frombuffer(bytes(digests), dtype="<u8").reshape(-1, 2)


def _stamp(source: str, containers: dict[str, tuple[int, int] | None]) -> tuple[int, int] | None:
    """Return (bytes, mtime in ns) of the file that holds a picture; archives are looked at once."""
    if "!" not in source:
        try:
            state = os.stat(source)  # noqa: PTH116 - a third of the time of a Path, and there are millions
        except (OSError, ValueError):
            return None
        return state.st_size, state.st_mtime_ns
    container = str(container_of(source))
    if container not in containers:
        try:
            containers[container] = stamp_of(source)[1:]
        except ImageError:
            containers[container] = None
    return containers[container]


def _mapped(path: Path) -> Words | None:
    """Return a table of 3 rows; None where it is gone, or is none."""
    try:
        table = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = isinstance(table, np.ndarray) and table.dtype == np.uint64 and table.ndim == 2 and len(table) == 3
    return table if whole and table.shape[1] else None
