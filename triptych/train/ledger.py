"""ledger.jsonl: what became of every row of a stage, with reasons. Used + shrunk + shortened + refused = all.

Not a log: a row stands there once, however often its epoch comes or its run is killed. A row that is refused, shrunk or
shortened has a record of its own; each source ends with its sum. While a stage with many rows goes on, records are
added as rows are met; the sums follow at the end of each epoch, over the rows met so far.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triptych.core.errors import DataError, RunError
from triptych.core.files import append_json_line, flush, read_json_lines, write_atomically
from triptych.core.log import counted, say
from triptych.core.records import Json
from triptych.data.format import Refused
from triptych.data.plan.corpora import Corpora
from triptych.data.plan.measures import REFUSED, STATES, UNKNOWN
from triptych.data.plan.mixture import Numbers
from triptych.data.plan.reader import Read
from triptych.data.template import Encoded
from triptych.train.recipe import VALIDATION, Stage

LEDGER = "ledger.jsonl"
PLANNED, READ = "measured", "read"
"""When a row was found to be bad: before its step was planned, or when its pixels were read."""
TOLD = 3
"""Rows refused while a stage goes on that are named on the terminal; the others are in the file."""


Record = Mapping[str, Json]


def read_ledger(path: Path, stage: str) -> list[dict[str, Json]]:
    """Return a stage's records of the ledger."""
    return [record for record in read_json_lines(path) if record.get("stage") == stage] if path.exists() else []


def by_source(records: Iterable[Record]) -> Iterator[tuple[int, Record]]:
    """Yield a stage's records with the number of their source in the stage, each of which ends with its sum."""
    ended = 0
    for record in records:
        entry = record.get("entry")  # of one that is added while the stage goes on, behind the sums
        yield entry if isinstance(entry, int) else ended, record
        ended += "all" in record


def write_ledger(path: Path, stage: str, *, records: Iterable[Mapping[str, Json]]) -> None:
    """Put a stage's records into the ledger in place of those it has there: a resumed run reads its data again."""
    others = [record for record in read_json_lines(path) if record.get("stage") != stage] if path.exists() else []
    lines = (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in [*others, *records])
    write_atomically(path, "".join(lines))


def raise_bad(stage: Stage, refused: Refused) -> None:
    """Raise DataError where the stage wants to hear of a bad row instead of going on without it."""
    if stage.on_bad == "raise":
        name = stage.name.partition(VALIDATION)[0]
        leave = f"Or go on without such rows: stages.{name}.on_bad: refuse; a run that has begun may change it."
        raise DataError(f"{refused.message} {leave}")


def refusal_record(stage: str, source: str, *, row: Refused) -> dict[str, Json]:
    """Return the record of a refused row."""
    return {"stage": stage, "source": source, "where": row.where, "reason": row.reason, "message": row.message}


def act_record(stage: str, source: str, *, row: Encoded, read: Read) -> dict[str, Json]:
    """Return the record of what the budget did to a row."""
    where = f"{row.origin} (id {row.id!r})"
    return {"stage": stage, "source": source, "where": where, "id": row.id, "act": read.act, "message": read.message}


def sum_record(stage: str, source: str, *, counts: Mapping[str, int]) -> dict[str, Json]:
    """Return the sum of a source: how many rows were used as they are, shrunk, shortened and refused."""
    parts: dict[str, Json] = {name: counts.get(name, 0) for name in STATES[1:]}
    return {"stage": stage, "source": source, "all": sum(counts.values()), **parts}


def count_reasons(refused: Iterable[Refused]) -> dict[str, int]:
    """Return how often each reason stands there, the most frequent first."""
    return dict(Counter(row.reason for row in refused).most_common())


class RunningLedger:
    """The ledger of a stage whose rows are met as it goes on. State: which rows were met, and what became of them."""

    def __init__(
        self,
        run: Path,
        stage: Stage,
        corpora: Corpora,
        *,
        why: Callable[[int], Refused | None],
        anew: bool,
        known: Path | None = None,
    ) -> None:
        """Go on with the run's ledger, or begin the stage's part anew.

        Args:
            run: the folder that it is written to.
            stage: its name, and what to do with a bad row.
            corpora: its sources.
            why: reads a row that cannot be used and says why; None: it can.
            anew: forget what stands there of the stage.
            known: folder of the run, whose ledger is gone on with; None: ``run``.
        """
        self._path = run / LEDGER
        self._stage = stage
        self._corpora = corpora
        self._why = why
        self._states = np.zeros(len(corpora), dtype=np.uint8)
        self._refused = 0
        """Rows that were said to be refused when they were counted last."""
        if anew and self._path.exists():
            write_ledger(self._path, stage.name, records=[])
        self._written = {
            corpora.starts[int(str(record["entry"]))] + int(str(record["row"])): record
            for record in read_ledger((known or run) / LEDGER, stage.name)
            if "row" in record
        }

    @property
    def refused(self) -> Iterable[int]:
        """The numbers of the rows whose refusal is written down, before any step of their window is planned."""
        return (row for row, record in self._written.items() if "reason" in record)

    def flush(self) -> None:
        """Wait until what was written so far is on the disk."""
        if self._path.exists():
            flush(self._path)

    def watch(self, rows: Numbers, states: NDArray[np.uint8]) -> None:
        """Take note of a window of the plan: count its rows, and write down those that cannot be used.

        Args:
            rows: of the window.
            states: what the plan takes each of them for.

        Raises:
            DataError: there is one, under ``on_bad: raise``.
            RunError: a row could be used when the run began and cannot now, or the other way round.
        """
        rows, first = np.unique(rows, return_index=True)
        states = states[first]
        new = self._states[rows] == UNKNOWN
        rows, states = rows[new], states[new]
        for row in rows[states == REFUSED].tolist():
            if row not in self._written:
                refused = self._why(row)
                if refused is None:
                    raise RunError(_changed(self._corpora, row))
                self.refuse(row, refused)
        for row in self._written.keys() & set(rows[states != REFUSED].tolist()):
            if self._written[row].get("when") == PLANNED:
                raise RunError(_changed(self._corpora, row))
        self._states[rows] = states

    def refuse(self, row: int, refused: Refused, *, when: str = PLANNED) -> None:
        """Write down that a row is not used.

        Args:
            row: its number.
            refused: why.
            when: found when it was measured, or only when its pixels were read.

        Raises:
            DataError: under ``on_bad: raise``.
        """
        raise_bad(self._stage, refused)
        said = sum("reason" in record for record in self._written.values()) if len(self._written) < 1000 else TOLD
        if (
            self._write(row, {**refusal_record(self._stage.name, self._source(row), row=refused), "when": when})
            and said < TOLD
        ):
            say(f"{self._stage.name}: row refused: {refused.message}")
            if said + 1 == TOLD:
                say(f"{self._stage.name}: further refused rows are only written to {self._path}")

    def act(self, row: int, read: Read) -> None:
        """Write down what the budget did to a row."""
        if read.act and isinstance(read.row, Encoded) and row not in self._written:
            self._write(row, act_record(self._stage.name, self._source(row), row=read.row, read=read))

    def settle(self) -> None:
        """Put the records in the order of the rows, and write the sums of the rows met so far."""
        states = self._states.copy()
        states[[row for row, record in self._written.items() if "reason" in record]] = REFUSED
        records: list[dict[str, Json]] = []
        for corpus, (start, stop) in zip(self._corpora.sources, pairwise(self._corpora.starts), strict=True):
            records += [record for row, record in sorted(self._written.items()) if start <= row < stop]
            counts = np.bincount(states[start:stop], minlength=len(STATES)).tolist()[1:]
            records.append(
                sum_record(self._stage.name, corpus.source, counts=dict(zip(STATES[1:], counts, strict=True)))
            )
        write_ledger(self._path, self._stage.name, records=records)
        self._tell(int(np.count_nonzero(states)))

    def _tell(self, met: int) -> None:
        """Say how many rows were refused so far, where there are more than when it was said last."""
        reasons = Counter(str(record["reason"]) for record in self._written.values() if "reason" in record)
        if reasons.total() > self._refused:
            self._refused = reasons.total()
            why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
            say(
                f"{self._stage.name}: {counted(self._refused, 'row')} of {met:,} met so far refused ({why}); "
                f"see {self._path}"
            )

    def _write(self, row: int, record: dict[str, Json]) -> bool:
        """Add a record, unless the row is refused already; a refusal takes the place of what else was said."""
        if "reason" in self._written.get(row, {}):
            return False
        entry, number = self._corpora.place(row)
        self._written[row] = {**record, "entry": entry, "row": number}
        append_json_line(self._path, self._written[row])
        return True

    def _source(self, row: int) -> str:
        return self._corpora.sources[self._corpora.place(row)[0]].source


def _changed(corpora: Corpora, row: int) -> str:
    entry, number = corpora.place(row)
    return (
        f"{corpora.sources[entry].source}: row {number} can be used now and could not when the run began, or the other"
        " way round. Put the data back as they were, or use another name for the run."
    )
