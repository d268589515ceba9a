"""How long every row is in tokens, measured once and remembered in a memory-mapped file that processes share.

Not the tokens themselves: a row is read again when it is learnt. The file is known by the source, its content and the
way to tokens, so another template, tokenizer or budget is another file; it is 19 bytes a row, a hole where nobody has
looked. Whoever comes back knows the plan of all steps so far without opening a data file.

What else a length follows from, the code and the pictures, is no part of the name: a run that goes on keeps the lengths
that its steps were planned with, and ``step_loader`` stops it where they are no longer true. A new run forgets them
where the code is another, or where a step was stopped so; an older run on the same data then goes on with the new ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from triptych.core.files import cache_folder, part_file, write_atomically
from triptych.data.format import Refused, split_source
from triptych.data.plan.code_digest import code_digest
from triptych.data.plan.corpora import Corpora
from triptych.data.plan.corpus import Corpus
from triptych.data.plan.mixture import Numbers
from triptych.data.plan.reader import Read, Reader

UNKNOWN, USED, SHRUNK, SHORTENED, REFUSED = range(5)
"""State of a row: not measured yet; used as it is; used with smaller images; without its early turns; not used."""
STATES = ("unknown", "used", "shrunk", "shortened", "refused")
RECORD = np.dtype(
    [("tokens", "<u4"), ("images", "<u2"), ("image_tokens", "<u4"), ("image_squares", "<u8"), ("state", "u1")]
)
"""What is kept of a row: its tokens, number of images, their tokens, the sum of the squares of these, state."""
CODE = ".code"
"""Ending of the file beside a file of lengths that says which code began it."""
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


class CachedMeasures:
    """Measures that are taken when first asked for and cached in files. State: the memory-mapped files."""

    def __init__(self, reader: Reader, *, folder: Path | None = None) -> None:
        """Open the files, or begin them.

        Args:
            reader: reads and renders a row.
            folder: where the files are; None: in the cache folder.
        """
        self._reader = reader
        folder = cache_folder() / "lengths" if folder is None else folder
        self._paths = [folder / _name(corpus, reader.digest) for corpus in reader.corpora.sources]
        self._files = self._open()

    def measure(self, rows: Numbers) -> Records:
        """Return the record of each row; rows that nobody has measured are read and rendered."""
        found = self.look(rows)
        missing = np.unique(rows[found["state"] == UNKNOWN])
        if len(missing):
            measured = records_of(self._reader.read_many(missing.tolist()))
            for row, record in zip(missing.tolist(), measured, strict=True):
                source, inside = self._reader.corpora.place(row)
                self._files[source][inside] = record
            again = found["state"] == UNKNOWN
            found[again] = measured[np.searchsorted(missing, rows[again])]
        return found

    def look(self, rows: Numbers) -> Records:
        """Return the cached record of each row, ``UNKNOWN`` where there is none; no row is read."""
        found = np.zeros(len(rows), dtype=RECORD)
        starts = np.array(self._reader.corpora.starts)
        sources = np.searchsorted(starts, rows, side="right") - 1
        for source, file in enumerate(self._files):
            here = np.flatnonzero(sources == source)
            found[here] = file[rows[here] - starts[source]]
        return found

    def forget_refused(self) -> None:
        """Forget what a new run should not take from another: refused rows, as somebody may have mended them; and all
        rows of a source where other code measured them, or some were found to have other lengths since."""
        self._files = self._open(new=True)
        for file in self._files:
            file[np.flatnonzero(file["state"] == REFUSED)] = np.zeros((), dtype=RECORD)

    def _open(self, *, new: bool = False) -> list[Records]:
        found = []
        for path, corpus in zip(self._paths, self._reader.corpora.sources, strict=True):
            code = code_digest(corpus.plugins)
            if new and _is_outdated(path, corpus, code):
                path.unlink(missing_ok=True)  # who has it open keeps it
            found.append(_opened(path, len(corpus), code=code))
        return found


def doubt_lengths(corpora: Corpora, rows: Iterable[int]) -> None:
    """Note that rows have other lengths than were measured, so that a new run measures their sources anew."""
    for source in sorted({corpora.place(row)[0] for row in rows}):
        write_atomically(_doubts(cache_folder() / "lengths", corpora.sources[source]), "")


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


def _name(corpus: Corpus, *reading: str) -> str:
    # The path counts: two data sets of the same text may have other images beside them.
    path = split_source(corpus.source)[1].absolute()
    return hashlib.sha256(repr((corpus.digest, str(path), *reading)).encode()).hexdigest()[:32] + ".lengths"


def _doubts(folder: Path, corpus: Corpus) -> Path:
    """Return the file whose time tells when lengths of a source were last found to be others, in whatever tokens."""
    return (folder / _name(corpus)).with_suffix(".doubt")


def _is_outdated(path: Path, corpus: Corpus, code: str) -> bool:
    """Return whether lengths were measured by other code, or before some were found to be others."""
    known, doubts = path.with_suffix(CODE), _doubts(path.parent, corpus)
    if not known.exists() or known.read_text(encoding="utf-8") != code:
        return True
    return doubts.exists() and doubts.stat().st_mtime_ns >= known.stat().st_mtime_ns


def _opened(path: Path, rows: int, *, code: str) -> Records:
    """Return the file as an array that writes through; it is begun as one hole, so it costs nothing at first."""
    if not rows:
        return np.zeros(0, dtype=RECORD)
    wanted = rows * RECORD.itemsize
    if not path.exists() or path.stat().st_size != wanted:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = part_file(path)
        with part.open("wb") as file:
            file.truncate(wanted)
        part.replace(path)
        write_atomically(path.with_suffix(CODE), code)
    return np.memmap(path, dtype=RECORD, mode="r+", shape=(rows,))
