"""NLVR2: is this human-written statement true of these two photographs? test-public: 6,967 pairs; chance 0.5.

Source: Suhr et al. 2019 (arXiv:1811.00491); rows and prompt as Mantis asks them (arXiv:2405.01483), TIGER-Lab/NLVR2:
{id, question_type, question, images, options, answer, data_source, category}, Parquet in ``nlvr2/`` or JSON.
``together["consistency"]`` is the published second number: statements that are right on every pair of their set. The
set is told by an id in the authors' form ``SPLIT-SET-PAIR-SENTENCE``; where ids have another form it is all pairs with
the same words, and words that were written of several sets then count once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from triptych.core.records import Example
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of, fact
from triptych.evaluate.question import mantis_asking
from triptych.evaluate.question.question_rows import Source, read_questions

FILES = ("nlvr2/test-*.parquet", "test-*.parquet", "test.json", "test.jsonl")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield one question a row."""
    return read_questions(path, _build, files=FILES)


def _build(source: Source) -> Iterator[Example]:
    made = mantis_asking.row_question(source, kind="true_or_false", scenario="images", story=source.text("question"))
    yield replace(made, facts={**made.facts, "set": statement_of(made.id) or fact(made, "question")})


def statement_of(identifier: str) -> str:
    """Return what the pairs of one sentence share, which is the identifier without its pair; empty: it is in another
    form than NLVR2's evaluation code reads.

    >>> statement_of("test1-17-3-1")
    'test1-17-1'
    """
    parts = identifier.split("-")
    numbered = len(parts) == 4 and all(part.isdecimal() for part in parts[1:])
    return "-".join((*parts[:2], parts[3])) if numbered else ""


BENCHMARK = Benchmark(
    questions=questions,
    score=mantis_asking.score,
    answered=mantis_asking.answered,
    published=mantis_asking.published,
    chance=chance_of,
    together={"consistency": "set"},
    cite="Suhr, Zhou, Zhang, Zhang, Bai, Artzi 2019 (ACL); prompt of Mantis (Jiang et al. 2024)",
    about="human-written statements about two photographs, true or false",
    items=6967,
    task_count=1,
    images="2",
    guess=0.5,
    source="hub: TIGER-Lab/NLVR2, nlvr2, test",
    licence="annotations CC-BY-4.0; the photographs are not licensed",
)
