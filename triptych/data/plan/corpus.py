"""The rows of a source, at random: how many there are, and any one of them, without the others in memory.

Not the order in which they are learnt (``step_plan``). A JSON list or JSON Lines is scanned once for the places of its
rows; a stream (Parquet, tar, steps that need many rows) is kept in memory while it is short, else spooled once. What
is found is kept in the cache folder by the file's path, size and time of change, and memory-mapped: 24 bytes a row,
which several processes share. Invariant: row i is the i-th of ``read_source``, with the source's transforms applied.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triptych.core.errors import DataError
from triptych.core.files import cache_folder, hidden_folder, sha256_of
from triptych.core.records import Example
from triptych.data.disk.json_rows import read_row_at, row_places
from triptych.data.disk.rows import chooser, nothing_chosen, rows_of
from triptych.data.disk.spool import decode_row, encode_row, write_spool
from triptych.data.format import Refused, options_of, random_rows, read_source, split_source
from triptych.data.transform import TransformPlan, apply, is_lazy

IN_MEMORY_ROWS = 20_000
"""A stream that is no longer than this is not spooled."""
IN_MEMORY_BYTES = 8 << 20
"""A file that is no larger is scanned anew each time, which is fast enough."""
VERSION = 1
"""Version of what is kept in the cache folder; it is part of the names there, so old files are not read."""

Places = NDArray[np.int64]
"""[rows, 3]: number for messages, offset and length in bytes."""


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
    ) -> None:
        """See ``open_corpus``."""
        self.source = source
        self.digest = digest
        """Digest of all that decides the rows, except where the file lies: equal digests mean equal rows."""
        self._steps = tuple(steps)
        self._seed = seed
        self._fetch = fetch
        self._rows = rows

    def __len__(self) -> int:
        """Return the number of rows, good and bad."""
        return self._rows

    def row(self, number: int) -> Example | Refused:
        """Return row ``number``, from 0, transformed. Its images have not been looked at."""
        return self._fetch(number)

    def __reduce__(self) -> tuple[object, ...]:
        """Let another process open it anew."""
        return _reopened, (self.source, self._steps, self._seed, self.digest)


def open_corpus(source: str, *, steps: Sequence[TransformPlan] = (), seed: int = 0) -> Corpus:
    """Return the rows of a source.

    Args:
        source: ``FORMAT:PATH#key=value``.
        steps: applied to its rows.
        seed: of the steps.

    Raises:
        ConfigError, NotFoundError, DataError: as ``data.format.read_source``.
    """
    kind = source.partition(":")[0], sorted(options_of(source).items())
    how = [*kind, json.dumps([step.as_json() for step in steps], sort_keys=True), seed if steps else 0]
    found = random_rows(source) if is_lazy(steps) else None
    if found is None:
        return _streamed(source, steps, seed, how)
    places, content = _indexed(found.path)
    if found.where is not None:
        places = _chosen(found.path, places, found.where)
    places = places[found.start : found.stop]
    path, read = found.path, found.read

    def fetch(number: int) -> Example | Refused:
        at, offset, length = (int(each) for each in places[number])
        row = read(read_row_at(path, offset, length=length, number=at))
        return next(apply(steps, [row], seed=seed)) if steps else row

    digest = _digest(*how, content)
    return Corpus(source, steps=steps, seed=seed, digest=digest, fetch=fetch, rows=len(places))


def _streamed(source: str, steps: Sequence[TransformPlan], seed: int, how: Sequence[object]) -> Corpus:
    """Return the corpus of rows that come only one after another."""
    path = split_source(source)[1]
    home = path if path.is_dir() else path.parent
    shelf = cache_folder() / "corpus" / f"rows-{_digest(str(path.absolute()), *how, *_stamps(path))[:32]}"

    def stream() -> Iterator[Example | Refused]:
        return apply(steps, read_source(source), seed=seed)

    if not shelf.is_dir():
        rows = stream()
        first = list(islice(rows, IN_MEMORY_ROWS + 1))
        if len(first) <= IN_MEMORY_ROWS:
            digest = _digest(*how, _content(map(encode_row, first), home))
            return Corpus(source, steps=steps, seed=seed, digest=digest, fetch=first.__getitem__, rows=len(first))
        _keep(shelf, partial(_spool, chain(first, rows), home=home, how=how))
    places, digest = _kept(shelf)

    def fetch(number: int) -> Example | Refused:
        at, offset, length = (int(each) for each in places[number])
        return decode_row(read_row_at(shelf / "rows.jsonl", offset, length=length, number=at))

    return Corpus(source, steps=steps, seed=seed, digest=digest, fetch=fetch, rows=len(places))


def _indexed(path: Path) -> tuple[Places, str]:
    """Return where the rows of a file are, and the sha256 of its content."""
    state = path.stat()
    if state.st_size <= IN_MEMORY_BYTES:
        return _as_places(row_places(path)), sha256_of(path)
    key = _digest(str(path.absolute()), state.st_size, state.st_mtime_ns)
    shelf = cache_folder() / "corpus" / f"places-{key[:32]}"
    if not shelf.is_dir():
        content = sha256_of(path)
        _keep(shelf, lambda _: (_as_places(row_places(path)), content))
        if path.stat().st_mtime_ns != state.st_mtime_ns:
            shutil.rmtree(shelf, ignore_errors=True)
            raise DataError(f"{path}: it was written to while it was read. Start again when it is whole.")
    return _kept(shelf)


def _chosen(path: Path, places: Places, where: str) -> Places:
    """Return the places of those rows that ``where`` chooses; of a large file, they are looked for once."""

    def look() -> Places:
        keep = chooser(where)
        kept = places[np.fromiter(map(keep, rows_of(path)), dtype=np.bool_, count=len(places))]
        if not len(kept):
            raise nothing_chosen(path, where)
        return kept

    state = path.stat()
    if state.st_size <= IN_MEMORY_BYTES:
        return look()
    key = _digest(str(path.absolute()), state.st_size, state.st_mtime_ns, where)
    shelf = cache_folder() / "corpus" / f"places-{key[:32]}"
    if not shelf.is_dir():
        _keep(shelf, lambda _: (look(), ""))
    return _kept(shelf)[0]


def _as_places(found: Iterable[tuple[int, int, int]]) -> Places:
    return np.fromiter(chain.from_iterable(found), dtype=np.int64).reshape(-1, 3)


def _spool(rows: Iterable[Example | Refused], folder: Path, *, home: Path, how: Sequence[object]) -> tuple[Places, str]:
    """Write rows into a folder; return where they are, and what tells them from others."""
    places = write_spool(rows, folder / "rows.jsonl")
    with (folder / "rows.jsonl").open("rb") as file:
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


def _keep(shelf: Path, make: Callable[[Path], tuple[Places, str]]) -> None:
    """Put places and a digest on a shelf of the cache folder, whole or not at all; who comes second finds it there."""
    shelf.parent.mkdir(parents=True, exist_ok=True)
    folder = hidden_folder(shelf)
    try:
        places, digest = make(folder)
        np.save(folder / "places.npy", places)
        (folder / "digest").write_text(digest, encoding="ascii")
        try:
            folder.rename(shelf)
        except OSError:
            if not shelf.is_dir():
                raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _kept(shelf: Path) -> tuple[Places, str]:
    return np.load(shelf / "places.npy", mmap_mode="r"), (shelf / "digest").read_text(encoding="ascii")


def _stamps(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield name, size and time of change of the files that a stream may be read from.

    For a folder all in it; for a file itself and its neighbours of the same kind, as some layouts are several files.
    """
    home = path if path.is_dir() else path.parent
    for file in sorted(home.rglob("*") if path.is_dir() else home.glob(f"*{path.suffix}")):
        if file.is_file():
            state = file.stat()
            yield str(file.relative_to(home)), state.st_size, state.st_mtime_ns


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr((VERSION, *parts)).encode("utf-8", "surrogateescape")).hexdigest()


def _reopened(source: str, steps: Sequence[TransformPlan], seed: int, digest: str) -> Corpus:
    corpus = open_corpus(source, steps=steps, seed=seed)
    if corpus.digest != digest:
        raise DataError(f"{source}: it changed while it was used. Start again.")
    return corpus
