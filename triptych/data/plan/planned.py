"""The lengths that the steps of a run were planned with: the run's own, so that it goes on with them and no others.

Not how rows are measured (``measures``), whose files all runs share: those are begun anew after an update of the code,
and where pictures changed. A row is taken from there when its window is planned, and stays here as it was taken; one
that is refused there is looked at again first, as its picture may have been away for a while. 19 bytes a row. What a
plan follows from besides has a digest, and a run goes on only with the same.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from triptych.core.files import append_json_line, flush, part_file, read_json_lines, write_atomically
from triptych.core.full_disk import naming
from triptych.core.log import say
from triptych.data.plan.corpus import Corpus
from triptych.data.plan.measures import (
    LENGTHS,
    CachedMeasures,
    LengthFiles,
    Records,
    completed,
    is_whole,
    path_of_before,
)
from triptych.data.plan.mixture import Numbers

BEGUN = ".planned"
"""File of a run that names the stages that began with lengths of their own; it stays where those are lost."""


class PlannedMeasures:
    """Measures that stay what they were when the run asked for them first. State: its files."""

    def __init__(self, measures: CachedMeasures, run: Path, *, stage: str, anew: bool) -> None:
        """Open the files of a stage, or begin them; a line tells where the steps so far had others, or may have.

        Args:
            measures: where a row's length is taken from when it is asked for first.
            run: the run's folder.
            stage: whose steps are planned.
            anew: whether the stage begins now: what the folder holds of it is forgotten. Otherwise its data are those
                that it began with.

        Raises:
            OSError: the disk has no room for them.
        """
        self._measures = measures
        self._stage = stage
        self._folder = run / LENGTHS / stage
        corpora = measures.reader.corpora
        paths = [self._folder / name for name in self._names()]
        if anew:
            shutil.rmtree(self._folder, ignore_errors=True)
            if not _has_begun(run, stage):
                append_json_line(run / BEGUN, {"stage": stage})
        self._folder.mkdir(parents=True, exist_ok=True)
        if not anew:
            before = not _has_begun(run, stage)
            for path, corpus in zip(paths, corpora.sources, strict=True):
                if len(corpus) and not is_whole(path, len(corpus)):
                    self._find(path, corpus, before=before)
        self._files = LengthFiles(paths, corpora)
        flush(self._folder)
        flush(self._folder.parent)

    def measure(self, rows: Numbers) -> Records:
        """Return the record of each row, as it was when it was asked for first."""
        return completed(rows, self._files, measure=self._measures.measure_bad_anew)

    def forget_refused(self, *, but: Iterable[int]) -> None:
        """Forget what no step was planned on: refused rows, but for those whose refusal was written down."""
        self._files.forget_refused(but=but)

    def look(self, rows: Numbers) -> Records:
        """Return the record of each row that was asked for before, ``UNKNOWN`` of the others."""
        return self._files.look(rows)

    def flush(self) -> None:
        """Wait until what was planned so far is on the disk, so that it outlives a power cut."""
        self._files.flush()

    def _names(self) -> Iterator[str]:
        """Yield the file's name of each source: its place in the stage, what it holds and how it becomes tokens."""
        reader = self._measures.reader
        for number, corpus in enumerate(reader.corpora.sources):
            told = hashlib.sha256(repr((corpus.digest, reader.digest)).encode()).hexdigest()
            yield f"{number}-{told[:16]}.lengths"

    def _find(self, path: Path, corpus: Corpus, *, before: bool) -> None:
        """Take a source's lengths over from where all runs shared them, if it began so; say what became of them."""
        shared = path_of_before(corpus, self._measures.reader)
        if before and is_whole(shared, len(corpus)):
            _copy(shared, path)
            say(
                f"{self._stage}: begun by an earlier version, it goes on with the lengths of {corpus.source} that all"
                f" runs shared then ({shared}); from now on they are its own, in {path}"
            )
        else:
            say(
                f"{self._stage}: the lengths of {corpus.source} that its steps were planned with are gone from"
                f" {self._folder}. They are measured again; where the code or the pictures changed since, its further"
                " steps may be others"
            )


def forget_lengths(run: Path, stage: str) -> None:
    """Delete the lengths of a stage that is done, and their folder with those of the last."""
    shutil.rmtree(run / LENGTHS / stage, ignore_errors=True)
    with suppress(OSError):  # there is none, or other stages have theirs in it
        (run / LENGTHS).rmdir()
    if not (run / BEGUN).exists():
        return
    if others := [json.dumps(line) + "\n" for line in read_json_lines(run / BEGUN) if line.get("stage") != stage]:
        write_atomically(run / BEGUN, "".join(others))
    else:
        (run / BEGUN).unlink()


def _has_begun(run: Path, stage: str) -> bool:
    """Return whether a stage began with lengths of its own; an earlier version has written nothing down."""
    path = run / BEGUN
    return path.exists() and any(line.get("stage") == stage for line in read_json_lines(path))


def _copy(source: Path, path: Path) -> None:
    """Copy a file so that it is there as a whole or not at all."""
    part = part_file(path)
    try:
        with naming(path), source.open("rb") as there, part.open("wb") as file:
            shutil.copyfileobj(there, file)
        flush(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
