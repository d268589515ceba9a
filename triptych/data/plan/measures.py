"""How long every row is in tokens, measured once and remembered in a memory-mapped file that processes share.

Not the tokens themselves: a row is read again when it is learnt. The file is known by the source, its content, the way
to tokens and the code, so another template, tokenizer or budget is another file, and so it is after an update, or once
lengths were found to be others, as pictures changed; it is 19 bytes a row, zeros where nobody has looked. Whoever
comes back knows the plan of all steps so far without opening a data file. All of its room is taken when it is begun, as
a write to the mapped memory of a hole, on a full disk, would kill the process without a word.

What the steps of a run were planned with stays beside the run (``planned``): it goes on with that, whatever else
measures the same rows meanwhile, and ``step_loader`` stops it where a length is no longer true.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from triptych.core.files import cache_folder, part_file, write_atomically
from triptych.core.full_disk import naming
from triptych.data.format import Refused, split_source
from triptych.data.plan.code_digest import code_digest
from triptych.data.plan.corpora import Corpora
from triptych.data.plan.corpus import Corpus
from triptych.data.plan.mixture import Numbers
from triptych.data.plan.reader import Read, Reader
from triptych.data.plan.shelves import DIGITS, mark_used, sweep

UNKNOWN, USED, SHRUNK, SHORTENED, REFUSED = range(5)
"""State of a row: not measured yet; used as it is; used with smaller images; without its early turns; not used."""
STATES = ("unknown", "used", "shrunk", "shortened", "refused")
RECORD = np.dtype(
    [("tokens", "<u4"), ("images", "<u2"), ("image_tokens", "<u4"), ("image_squares", "<u8"), ("state", "u1")]
)
"""What is kept of a row: its tokens, number of images, their tokens, the sum of the squares of these, state."""
LENGTHS = "lengths"
"""Folder of the files in the cache folder, and in a run's."""
VERSION = 2
"""Stands in the names of the files in the cache folder; those of the first are as runs before shared them."""
NO_RESERVE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
"""What asking for room fails with on a file system that gives none beforehand."""
Records = NDArray[Any]
"""Array of RECORD."""


class Measures(Protocol):
    """What ``StepPlan`` asks for the lengths of rows."""

    def measure(self, rows: Numbers) -> Records:
        """Return the record of each row."""


class KnownMeasures:
    """Measures that are all known beforehand, e.g. because every row is in memory."""

    def __init__(self, records: Records) -> None:
        """Take the record of each row."""
        self.records = records

    def measure(self, rows: Numbers) -> Records:
        """Return the record of each row."""
        return self.records[rows]


class LengthFiles:
    """Records of the rows of several sources under one numbering, a file for each. State: the memory-mapped files."""

    def __init__(self, paths: Sequence[Path], corpora: Corpora) -> None:
        """Open the file of each source, or begin it."""
        self._starts = np.array(corpora.starts)
        self._files = [_opened(path, len(corpus)) for path, corpus in zip(paths, corpora.sources, strict=True)]

    def look(self, rows: Numbers) -> Records:
        """Return the record of each row, ``UNKNOWN`` where there is none."""
        found = np.zeros(len(rows), dtype=RECORD)
        for file, here, inside in self._places(rows):
            found[here] = file[inside]
        return found

    def keep(self, rows: Numbers, records: Records) -> None:
        """Write down the record of each row."""
        for file, here, inside in self._places(rows):
            file[inside] = records[here]

    def forget_refused(self, *, but: Iterable[int] = ()) -> None:
        """Forget the records of refused rows, but for these."""
        kept = np.fromiter(but, dtype=np.int64)
        for file, start in zip(self._files, self._starts, strict=False):
            refused = np.flatnonzero(file["state"] == REFUSED)
            file[np.setdiff1d(refused, kept - start)] = np.zeros((), dtype=RECORD)

    def flush(self) -> None:
        """Wait until the records are on the disk."""
        for file in self._files:
            if isinstance(file, np.memmap):
                file.flush()

    def _places(self, rows: Numbers) -> Iterator[tuple[Records, Numbers, Numbers]]:
        """Yield of each file which of the rows are in it, and where they are."""
        sources = np.searchsorted(self._starts, rows, side="right") - 1
        for source, file in enumerate(self._files):
            here = np.flatnonzero(sources == source)
            yield file, here, rows[here] - self._starts[source]


class CachedMeasures:
    """Measures that are taken when first asked for and cached in files. State: the files."""

    def __init__(self, reader: Reader, *, folder: Path | None = None) -> None:
        """Open the files, or begin them.

        Args:
            reader: reads and renders a row.
            folder: where the files are; None: in the cache folder.
        """
        self.reader = reader
        folder = cache_folder() / LENGTHS if folder is None else folder
        paths = [_path(folder, reader, number) for number in range(len(reader.corpora.sources))]
        begun = not all(path.exists() for path in paths)
        self._files = LengthFiles(paths, reader.corpora)
        for path in paths:
            mark_used(path)
        if begun:
            sweep(folder, rf"{VERSION}-{DIGITS}\.lengths")  # who has one open keeps it

    def measure(self, rows: Numbers) -> Records:
        """Return the record of each row; rows that nobody has measured are read and rendered."""

        def read(missing: Numbers) -> Records:
            return records_of(self.reader.read_many(missing.tolist()))

        return completed(rows, self._files, measure=read)

    def measure_bad_anew(self, rows: Numbers) -> Records:
        """Return ``measure`` of rows for the first time in a run: it looks itself at those that somebody refused."""
        bad = rows[self._files.look(rows)["state"] == REFUSED]
        self._files.keep(bad, np.zeros(len(bad), dtype=RECORD))
        return self.measure(rows)

    def look(self, rows: Numbers) -> Records:
        """Return the cached record of each row, ``UNKNOWN`` where there is none; no row is read."""
        return self._files.look(rows)

    def forget_refused(self) -> None:
        """Forget what a new run should not take from another: refused rows, as somebody may have mended them."""
        self._files.forget_refused()


def completed(rows: Numbers, files: LengthFiles, *, measure: Callable[[Numbers], Records]) -> Records:
    """Return the record of each row; those that the files have not are measured, and kept there."""
    found = files.look(rows)
    unknown = found["state"] == UNKNOWN
    if len(missing := np.unique(rows[unknown])):
        measured = measure(missing)
        files.keep(missing, measured)
        found[unknown] = measured[np.searchsorted(missing, rows[unknown])]
    return found


def doubt_lengths(corpora: Corpora, rows: Iterable[int]) -> None:
    """Note that rows have other lengths than were measured, so that who comes next measures their sources anew."""
    for source in sorted({corpora.place(row)[0] for row in rows}):
        write_atomically(_doubts(cache_folder() / LENGTHS, corpora.sources[source]), "")


def records_of(reads: Sequence[Read]) -> Records:
    """Return the records of rows that were read."""
    records = np.zeros(len(reads), dtype=RECORD)
    for record, read in zip(records, reads, strict=True):
        if isinstance(read.row, Refused):
            record["state"] = REFUSED
            continue
        spans = [slot.stop - slot.start for slot in read.row.slots]
        record["tokens"] = len(read.row.ids)
        record["images"] = min(len(spans), np.iinfo(np.uint16).max)
        record["image_tokens"] = sum(spans)
        record["image_squares"] = sum(span * span for span in spans)
        record["state"] = STATES.index(read.act) if read.act else USED
    return records


def path_of_before(corpus: Corpus, reader: Reader) -> Path:
    """Return the file that all runs shared before each had lengths of its own; nothing is written there any more."""
    return cache_folder() / LENGTHS / _name(corpus, reader.digest)


def _path(folder: Path, reader: Reader, source: int) -> Path:
    """Return the file of a source, as this code measures it, since lengths were last found to be others."""
    corpus = reader.corpora.sources[source]
    doubts = _doubts(folder, corpus)
    doubted = doubts.stat().st_mtime_ns if doubts.exists() else 0
    return folder / f"{VERSION}-{_name(corpus, reader.digest_of(source), code_digest(corpus.plugins), str(doubted))}"


def _name(corpus: Corpus, *reading: str) -> str:
    # The path counts: two data sets of the same text may have other images beside them.
    path = split_source(corpus.source)[1].absolute()
    return hashlib.sha256(repr((corpus.digest, str(path), *reading)).encode()).hexdigest()[:32] + ".lengths"


def _doubts(folder: Path, corpus: Corpus) -> Path:
    """Return the file whose time tells when lengths of a source were last found to be others, in whatever tokens."""
    return (folder / _name(corpus)).with_suffix(".doubt")


def is_whole(path: Path, rows: int) -> bool:
    """Return whether a file of lengths is there and has room for so many rows."""
    return path.is_file() and path.stat().st_size == rows * RECORD.itemsize


def _opened(path: Path, rows: int) -> Records:
    """Return the file as an array that writes through; it is begun as zeros. Raises OSError: there is no room."""
    if not rows:
        return np.zeros(0, dtype=RECORD)
    if not is_whole(path, rows):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = part_file(path)
        try:
            with naming(path), part.open("wb") as file:
                _reserve(file.fileno(), rows * RECORD.itemsize)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return np.memmap(path, dtype=RECORD, mode="r+", shape=(rows,))


def _reserve(file: int, size_bytes: int) -> None:
    """Take the room of a new file, which reads as zeros; where the system cannot do that, it becomes one hole."""
    try:
        if hasattr(os, "posix_fallocate"):  # not on a Mac
            os.posix_fallocate(file, 0, size_bytes)
    except OSError as error:
        if error.errno not in NO_RESERVE:
            raise
    os.ftruncate(file, size_bytes)
