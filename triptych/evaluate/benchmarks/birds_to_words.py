"""Birds-to-Words: how do these two birds differ? 337 multiple-choice questions that Mantis had made of the test split.

Source: Forbes et al. 2019 (EMNLP) wrote the descriptions; the questions are of Mantis (arXiv:2405.01483), whose
``data/birds-to-words/prepare.py`` makes ``test.json``: {id, question_type, question, images, options, answer,
data_source, category}. A language model wrote the questions and options from the description, so the file of one
preparation is not that of another. Images stand in front.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question import mantis_asking
from triptych.evaluate.question.question_rows import Source, read_questions

FILES = ("birds-to-words/test-*.parquet", "test-*.parquet", "test.json", "test.jsonl")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield one question a row."""
    return read_questions(path, _build, files=FILES)


def _build(source: Source) -> Iterator[Example]:
    yield mantis_asking.row_question(source, kind="difference", scenario="images")


BENCHMARK = Benchmark(
    questions=questions,
    score=mantis_asking.score,
    answered=mantis_asking.answered,
    published=mantis_asking.published,
    chance=chance_of,
    cite="Forbes, Kaeser-Chen, Sharma, Belongie 2019 (EMNLP); questions of Mantis (Jiang et al. 2024)",
    about="differences of two photographed birds, as choices",
    items=337,
    task_count=1,
    images="2",
    source="test.json of TIGER-AI-Lab/Mantis, data/birds-to-words/prepare.py",
)
