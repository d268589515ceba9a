"""How long every row is in tokens, measured once and remembered in a memory-mapped file that processes share.

Not the tokens themselves: a row is read again when it is learnt. The file is known by the source, its content and the
way to tokens, so another template, tokenizer or budget is another file; it is 19 bytes a row, a hole where nobody has
looked. Whoever comes back knows the plan of all steps so far without opening a data file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from triptych.core.files import cache_folder, part_file
from triptych.data.format import Refused, split_source
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
        sources = reader.corpora.sources
        self._files = [_opened(folder / _name(corpus, reader.digest), len(corpus)) for corpus in sources]

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
        """Forget the refused rows, so that they are measured again: somebody may have mended them."""
        for file in self._files:
            file[np.flatnonzero(file["state"] == REFUSED)] = np.zeros((), dtype=RECORD)


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


def _name(corpus: Corpus, reading: str) -> str:
    # The path counts: two data sets of the same text may have other images beside them.
    path = split_source(corpus.source)[1].absolute()
    return hashlib.sha256(repr((corpus.digest, str(path), reading)).encode()).hexdigest()[:32] + ".lengths"


def _opened(path: Path, rows: int) -> Records:
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
    return np.memmap(path, dtype=RECORD, mode="r+", shape=(rows,))
