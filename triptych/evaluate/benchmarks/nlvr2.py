"""NLVR2: is this human-written statement true of these two photographs? test-public: 6,967 pairs; chance 0.5.

Source: Suhr et al. 2019 (arXiv:1811.00491); rows and prompt as Mantis asks them (arXiv:2405.01483), TIGER-Lab/NLVR2:
{id, question_type, question, images, options, answer, data_source, category}, Parquet in ``nlvr2/`` or JSON.
``together["consistency"]`` is the published second number: statements that are right on every pair they stand with,
which the question's words tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question import mantis_asking
from triptych.evaluate.question.question_rows import Source, read_questions

FILES = ("nlvr2/test-*.parquet", "test-*.parquet", "test.json", "test.jsonl")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield one question a row."""
    return read_questions(path, _build, files=FILES)


def _build(source: Source) -> Iterator[Example]:
    yield mantis_asking.row_question(source, kind="true_or_false", scenario="images", story=source.text("question"))


BENCHMARK = Benchmark(
    questions=questions,
    score=mantis_asking.score,
    answered=mantis_asking.answered,
    published=mantis_asking.published,
    chance=chance_of,
    together={"consistency": "question"},
    cite="Suhr, Zhou, Zhang, Zhang, Bai, Artzi 2019 (ACL); prompt of Mantis (Jiang et al. 2024)",
    about="human-written statements about two photographs, true or false",
    items=6967,
    task_count=1,
    images="2",
    guess=0.5,
    source="hub: TIGER-Lab/NLVR2, nlvr2, test",
    licence="annotations CC-BY-4.0; the photographs are not licensed",
)
