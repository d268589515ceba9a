"""Mantis-Eval: 217 questions of five skills that need several images; multiple choice and short answers.

Source: Jiang et al. 2024 (arXiv:2405.01483), TIGER-Lab/Mantis-Eval: Parquet in ``mantis_eval/`` or JSON with {id,
question_type, question, images, options, answer, data_source, category}. Prompts are those of the authors' evaluation
code. One number is printed: the accuracy over all questions; at 217 of them its 95% interval is 13 points wide.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question import mantis_asking
from triptych.evaluate.question.question_rows import Source, fact_of, read_questions

FILES = ("mantis_eval/test-*.parquet", "test-*.parquet", "test.json", "test.jsonl")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield one question a row."""
    return read_questions(path, _build, files=FILES)


def _build(source: Source) -> Iterator[Example]:
    facts = {"kind": source.text("question_type"), "category": fact_of(source.row, "category")}
    yield mantis_asking.row_question(source, scenario="images", **facts)


BENCHMARK = Benchmark(
    questions=questions,
    score=mantis_asking.score,
    answered=mantis_asking.answered,
    published=mantis_asking.published,
    chance=chance_of,
    cite="Jiang, He, Zeng, Wei, Ku, Liu, Chen 2024 (arXiv:2405.01483)",
    about="questions that need several images: choices and short answers",
    items=217,
    images="2 to 5 (mean 2.49)",
    source="hub: TIGER-Lab/Mantis-Eval, mantis_eval, test",
    licence="Apache-2.0",
    tasks="category",
    max_tokens=512,
)
