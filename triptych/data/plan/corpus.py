"""The rows of a source, at random: how many there are, and any one of them, without the others in memory.

Not the order in which they are learnt (``step_plan``). A JSON list or JSON Lines is scanned once for the places of its
rows; a stream (Parquet, tar, steps that need many rows) is kept in memory while it is short, else spooled once. What
is found is kept in the cache folder by the file's path, size and time of change, and memory-mapped: 24 bytes a row,
which several processes share. Invariant: row i is the i-th of ``read_source``, with the source's transforms applied.

What is kept of a stream is known by all that makes its rows: its files, those that transforms read, and the code. Its
digest is of the rows themselves, so a run goes on where other code, or a copy of the files, makes the same rows. That
of a file which is read at random is of its bytes: to make all rows of it for a digest would take as long as an epoch.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

import numpy as np

from triptych.core.errors import DataError
from triptych.core.files import sha256_of, write_atomically
from triptych.core.records import Example, Text, parts_of
from triptych.data.disk.json_rows import read_row_at, row_places
from triptych.data.disk.rows import chooser, nothing_chosen, rows_of
from triptych.data.disk.spool import decode_row, encode_row, write_spool
from triptych.data.format import Refused, RowError, options_of, random_rows, read_source, split_source
from triptych.data.media.locate import place_of
from triptych.data.plan.beginning import Beginning, Stamp, Watched, stamp_of, stamped, state_of
from triptych.data.plan.code_digest import code_digest
from triptych.data.plan.shelves import ROWS, Places, hold, keep, keep_used, kept, mark_used, shelf_folder
from triptych.data.transform import TransformPlan, apply, files_read, is_lazy, looks_at_media

IN_MEMORY_ROWS = 20_000
"""A stream that is no longer than this is not spooled."""
IN_MEMORY_BYTES = 8 << 20
"""A file that is no larger is scanned anew each time, which is fast enough."""
THREADS, CHUNK_FILES = 16, 256
"""That ask for the sizes and times of files, and how many each asks for at a time."""
CHANGED = "it changed while it was used, or the code that reads it did. Start again."
VERSION = 1
"""Version of what is kept in the cache folder; it is part of the names there, so old files are not read."""


class KeptRows(NamedTuple):
    """Where the rows of a stream are kept."""

    made_of: str
    """Tells all that they are made of from others, but for pictures that are looked at."""
    shelf: Path


class Corpus:
    """The rows of one source. State: where they are. Goes to another process as its name, not as its content."""

    def __init__(
        self,
        source: str,
        *,
        steps: Sequence[TransformPlan],
        seed: int,
        digest: str,
        fetch: Callable[[int], Example | Refused],
        rows: int,
        kept_rows: KeptRows | None = None,
        beginning: Beginning | None = None,
    ) -> None:
        """See ``open_corpus``."""
        self.source = source
        self.digest = digest
        """Digest of a stream's rows, or of the bytes that rows are read from and what is done to them, except where the
        file lies: equal digests mean equal rows, for the same code."""
        self.kept_rows = kept_rows
        """Of a stream, where its rows are kept; None: they are in memory, or read from the file itself."""
        self.beginning = beginning
        """Of rows that are read from the file itself, how it was when they were found."""
        self._steps = tuple(steps)
        self._seed = seed
        self._fetch = fetch
        self._rows = rows

    def __len__(self) -> int:
        """Return the number of rows, good and bad."""
        return self._rows

    @property
    def plugins(self) -> tuple[str, ...]:
        """The names of the format and the transforms that make its rows."""
        return self.source.partition(":")[0], *(step.kind for step in self._steps)

    def row(self, number: int) -> Example | Refused:
        """Return row ``number``, from 0, transformed. Its images have not been looked at."""
        return self._fetch(number)

    def __reduce__(self) -> tuple[object, ...]:
        """Let another process open it anew; the pictures that its rows were made by are not looked at again."""
        return _reopened, (self.source, self._steps, self._seed, self.digest, self.kept_rows, self.beginning)


def open_corpus(
    source: str,
    *,
    steps: Sequence[TransformPlan] = (),
    seed: int = 0,
    kept_rows: KeptRows | None = None,
    beginning: Beginning | None = None,
) -> Corpus:
    """Return the rows of a source.

    Args:
        source: ``FORMAT:PATH#key=value``.
        steps: applied to its rows.
        seed: of the steps.
        kept_rows: where another process of the same run has just put its rows, or found them: pictures that were looked
            at to make them are then not looked at again, to see whether they are as they were.
        beginning: how the file was in which another process of the same run found its rows: those behind are none.

    Raises:
        ConfigError, NotFoundError, DataError: as ``data.format.read_source``.
    """
    kind = source.partition(":")[0], sorted(options_of(source).items())
    how = [*kind, json.dumps([step.as_json() for step in steps], sort_keys=True), seed if steps else 0]
    found = random_rows(source) if is_lazy(steps) else None
    if found is None:
        return _streamed(source, steps, seed, how=how, known=kept_rows)
    path, read = found.path, found.read
    now = stamp = stamped(path)
    if beginning is not None and beginning.stamp != now:
        if not beginning.stands():
            raise DataError(f"{source}: {CHANGED}")
        stamp = beginning.stamp if kept(_shelf_of_places(beginning.stamp)) else now
    places, content = _indexed(path, stamp)
    if found.where is not None:
        places = _chosen(path, places, found.where, stamp)
    beginning = beginning or Beginning(stamp, content)
    places = (places if beginning.stamp == stamp else beginning.cut(places))[found.start : found.stop]
    watched = Watched(beginning)

    def fetch(number: int) -> Example | Refused:
        keep_used()
        at, offset, length = (int(each) for each in places[number])
        line = read_row_at(path, offset, length=length, number=at)
        if not watched.stands(stamped(path)):  # asked afterwards: what was read until then is as it was
            raise DataError(f"{source}: {CHANGED}")
        row = read(line)
        return next(apply(steps, [row], seed=seed)) if steps else row

    digest, rows = _digest(*how, beginning.content), len(places)
    return Corpus(source, steps=steps, seed=seed, digest=digest, fetch=fetch, rows=rows, beginning=beginning)


def _streamed(
    source: str, steps: Sequence[TransformPlan], seed: int, *, how: Sequence[object], known: KeptRows | None
) -> Corpus:
    """Return the corpus of rows that come only one after another."""
    path = split_source(source)[1]
    home = path if path.is_dir() else path.parent
    code = code_digest([source.partition(":")[0], *(step.kind for step in steps)])
    key = _digest(str(path.absolute()), *how, *_stamps(path), code, *map(stamped, files_read(steps)))[:32]
    folder = shelf_folder()
    listing = folder / f"media-{key}.json"
    if known is not None and known.made_of == key and (there := kept(known.shelf)) is not None:
        return _shelved(source, steps, seed, kept_rows=known, there=there, listing=listing)
    # Which pictures are looked at is known once the rows were read; whether they are as they were, at each start.
    looked = _Looked(listing) if looks_at_media(steps) else None

    def stream() -> Iterator[Example | Refused]:
        rows = read_source(source)
        return apply(steps, looked.note(rows) if looked else rows, seed=seed)

    def shelf() -> Path:
        return folder / f"rows-{_digest(key, looked.stamps())[:32] if looked else key}"

    place = shelf()
    there = kept(place)
    if there is None:
        rows = stream()
        first = list(islice(rows, IN_MEMORY_ROWS + 1))
        if len(first) <= IN_MEMORY_ROWS:
            digest = _digest(*how, _content(map(encode_row, first), home))
            return Corpus(source, steps=steps, seed=seed, digest=digest, fetch=first.__getitem__, rows=len(first))
        place, there = keep(shelf, partial(_spool, chain(first, rows), home=home, how=how))
        if looked:
            looked.save()
    return _shelved(source, steps, seed, kept_rows=KeptRows(key, place), there=there, listing=listing)


def _shelved(
    source: str,
    steps: Sequence[TransformPlan],
    seed: int,
    *,
    kept_rows: KeptRows,
    there: tuple[Places, str],
    listing: Path,
) -> Corpus:
    """Return the corpus of rows that are kept on a shelf, which is found again by the list of pictures, if any."""
    places, digest = there
    spool = kept_rows.shelf / ROWS
    with suppress(OSError):  # no picture was looked at
        hold(listing)

    def fetch(number: int) -> Example | Refused:
        keep_used()
        at, offset, length = (int(each) for each in places[number])
        row = read_row_at(spool, offset, length=length, number=at)
        if isinstance(row.value, RowError):
            raise DataError(
                f"{spool}: damaged at byte {offset}. Delete {spool.parent} and start again: it is made anew."
            )
        return decode_row(row)

    rows = len(places)
    return Corpus(source, steps=steps, seed=seed, digest=digest, fetch=fetch, rows=rows, kept_rows=kept_rows)


class _Looked:
    """The files of images and videos that are looked at to make rows. State: their stamps, before that was done."""

    def __init__(self, listing: Path) -> None:
        """Take the file that lists them, as far as somebody has made these rows before."""
        self._listing = listing
        mark_used(listing)
        try:
            known: list[str] = json.loads(listing.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = []
        self._stamps = dict(zip(known, map(stamp_of, known, _states(known)), strict=True))

    def note(self, rows: Iterable[Example | Refused]) -> Iterator[Example | Refused]:
        """Yield the rows, and remember what they show."""
        for row in rows:
            media = parts_of(row) if isinstance(row, Example) else ()
            sources = {part.source for part in media if not isinstance(part, Text) and part.source}
            for path in {place_of(source).container for source in sources}:
                if path not in self._stamps:
                    self._stamps[path] = stamped(Path(path))
            yield row

    def stamps(self) -> list[tuple[str, int, int]]:
        """Return path, size and time of change of each."""
        return sorted(self._stamps.values())

    def save(self) -> None:
        """Write the list."""
        write_atomically(self._listing, json.dumps(sorted(self._stamps)))


def _indexed(path: Path, stamp: Stamp) -> tuple[Places, str]:
    """Return where the rows of a file are, and the sha256 of its content."""
    if stamp[1] <= IN_MEMORY_BYTES:
        return _as_places(row_places(path)), sha256_of(path)

    def look(_: Path) -> tuple[Places, str]:
        found = _as_places(row_places(path)), sha256_of(path)
        if stamped(path) != stamp:
            raise DataError(f"{path}: it was written to while it was read. Start again when it is whole.")
        return found

    shelf = _shelf_of_places(stamp)
    return kept(shelf) or keep(lambda: shelf, look)[1]


def _chosen(path: Path, places: Places, where: str, stamp: Stamp) -> Places:
    """Return the places of those rows that ``where`` chooses; of a large file, they are looked for once."""

    def look() -> Places:
        chosen = places[np.fromiter(map(chooser(where), rows_of(path)), dtype=np.bool_, count=len(places))]
        if not len(chosen):
            raise nothing_chosen(path, where)
        return chosen

    if stamp[1] <= IN_MEMORY_BYTES:
        return look()
    shelf = _shelf_of_places(stamp, where)
    return (kept(shelf) or keep(lambda: shelf, lambda _: (look(), _digest(where)))[1])[0]


def _shelf_of_places(stamp: Stamp, *where: str) -> Path:
    return shelf_folder() / f"places-{_digest(stamp, *where, code_digest())[:32]}"


def _as_places(found: Iterable[tuple[int, int, int]]) -> Places:
    return np.fromiter(chain.from_iterable(found), dtype=np.int64).reshape(-1, 3)


def _spool(rows: Iterable[Example | Refused], folder: Path, *, home: Path, how: Sequence[object]) -> tuple[Places, str]:
    """Write rows into a folder; return where they are, and what tells them from others."""
    places = write_spool(rows, folder / ROWS)
    with (folder / ROWS).open("rb") as file:
        return places, _digest(*how, _content((line.rstrip(b"\n") for line in file), home))


def _content(lines: Iterable[bytes], home: Path) -> str:
    """Return a sha256 of rows as they are spooled; where the folder lies that they are read from does not count."""
    heres = {json.dumps(f"{folder}/")[1:-1].encode("ascii") for folder in (home.absolute(), home.resolve())}
    digest = hashlib.sha256()
    for line in lines:
        for here in sorted(heres, key=len, reverse=True):
            line = line.replace(here, b"")
        digest.update(line + b"\n")
    return digest.hexdigest()


def _stamps(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield name, size and time of change of the files that a stream may be read from.

    For a folder all in it; for a file itself and its neighbours of the same kind, as some layouts are several files.
    """
    home = path if path.is_dir() else path.parent
    files = sorted(home.rglob("*") if path.is_dir() else home.glob(f"*{path.suffix}"))
    for file, state in zip(files, _states(files), strict=True):
        if state is not None and S_ISREG(state.st_mode):
            yield str(file.relative_to(home)), state.st_size, state.st_mtime_ns


def _states(paths: Sequence[str | Path]) -> Iterator[os.stat_result | None]:
    """Yield what the disk says of each file; several are asked for at once, as a disk over a network takes its time."""
    chunks = [paths[start : start + CHUNK_FILES] for start in range(0, len(paths), CHUNK_FILES)]
    with ThreadPoolExecutor(THREADS) as pool:
        yield from chain.from_iterable(pool.map(lambda chunk: [state_of(path) for path in chunk], chunks))


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr((VERSION, *parts)).encode("utf-8", "surrogateescape")).hexdigest()


def _reopened(
    source: str,
    steps: Sequence[TransformPlan],
    seed: int,
    digest: str,
    kept_rows: KeptRows | None,
    beginning: Beginning | None,
) -> Corpus:
    corpus = open_corpus(source, steps=steps, seed=seed, kept_rows=kept_rows, beginning=beginning)
    if corpus.digest != digest:
        raise DataError(f"{source}: {CHANGED}")
    return corpus
