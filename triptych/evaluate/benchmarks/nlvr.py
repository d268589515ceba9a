"""NLVR: is this human-written statement true of these three drawn boxes? Dev: 989 pairs, 55% true; chance 0.5.

Source: Suhr et al. 2017, "A Corpus of Natural Language for Visual Reasoning", github.com/lil-lab/nlvr. The path is
that of the format ``nlvr``, with its options: ``nlvr_dev#directories=4-5``. Each statement is asked of each of its
pictures, in one of the six published orders of the boxes: an accuracy over pairs. A statement stands with up to four
pictures, so pairs of one statement are no independent questions: ``facts["story"]`` is the statement, and intervals
are clustered by it. ``together["consistency"]`` is the published second number: sets that are right on every pair. A
set is a statement with its pictures, the first number of an identifier ``SET-PAIR``; some words stand in several sets
(249 statements by their words, 267 sets).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from triptych.core.records import Example
from triptych.data.format import Refused, read_source
from triptych.evaluate.benchmark import Benchmark, chance_of, fact
from triptych.evaluate.reading import scorers


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield one question a pair, as a choice between true and false."""
    for row in read_source(f"nlvr:{path}"):
        yield row if isinstance(row, Refused) else _asked(row)


def _asked(row: Example) -> Example:
    identifier = fact(row, "identifier").split("-")[0]
    return replace(row, facts={**row.facts, "choice": True, "set": identifier})


BENCHMARK = Benchmark(
    questions=questions,
    score=scorers.correct,
    chance=chance_of,
    together={"consistency": "set"},
    cite="Suhr, Lewis, Yeh, Artzi 2017 (ACL), CC-BY-4.0",
    about="human-written statements about three drawn boxes, true or false",
    items=989,
    task_count=1,
    images="3",
    guess=0.5,
    source="github: lil-lab/nlvr, nlvr/dev",
    licence="CC-BY-4.0",
)
