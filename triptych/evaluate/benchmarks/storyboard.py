"""Storyboard: the drawn multi-image questions of ``triptych.starter``, in things and phrases of tuning and in new ones.

Four skills times four scenarios, free-form and multiple choice. The path is a folder with ``held_in.jsonl`` and
``held_out.jsonl``, or one such file, in the format ``messages``. A conversation of several turns is a question for
each reply that it has facts of: ``facts["turns"]``, or else the last one; what comes before is context.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.records import Example
from triptych.data.format import Refused, read_source
from triptych.evaluate.benchmark import Benchmark, chance_of, each_reply
from triptych.evaluate.reading import scorers

PARTS = ("held_in", "held_out")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of a file, or of both parts of a folder; ``facts["split"]`` is the file's name."""
    files = [path / f"{part}.jsonl" for part in PARTS] if path.is_dir() else [path]
    for file in files:
        if not file.is_file():
            raise DataError(f"{file}: no such file. A storyboard folder holds {' and '.join(PARTS)} as .jsonl.")
        for row in read_source(f"messages:{file}"):
            if isinstance(row, Refused):
                yield row
                continue
            labelled = replace(row, facts={"split": file.stem, **row.facts})
            yield from each_reply(labelled)


BENCHMARK = Benchmark(
    questions=questions,
    score=scorers.correct,
    chance=chance_of,
    cite="Drawn by Triptych with OpenMoji pictograms (CC-BY-SA-4.0)",
    about="drawn multi-image questions: 4 skills x 4 scenarios, held-in and held-out things and phrases",
    task_count=16,
    images="1 and more",
    source="triptych.starter draws it",
    licence="CC-BY-SA-4.0",
)
