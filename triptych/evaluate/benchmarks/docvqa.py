"""DocVQA: questions about scanned pages, answered by words on them. Validation: 5,349 questions; ANLS.

Source: Mathew et al. 2021 (arXiv:2007.00398), the layout of lmms-lab/DocVQA, configuration DocVQA. The prompt is that
of lmms-eval. Answers of the test split are secret, so only validation can be scored.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.metrics.anls import anls
from triptych.evaluate.question.question_rows import Source, fact_of, read_questions
from triptych.evaluate.question.short_answers import (
    ASKS,
    answers_in,
    answers_of,
    same_words,
    says_something,
    short_answer,
)

FILES = ("DocVQA/validation-*.parquet", "data/validation-*.parquet", "validation-*.parquet", "validation.jsonl")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of the validation split."""
    return read_questions(path, _build, files=FILES)


def score(question: Example, reply: str) -> float:
    """Return ANLS with the threshold one half."""
    return anls(answers_of(question), reply)


def _build(source: Source) -> Iterator[Example]:
    answers, types = answers_in(source), source.row.get("question_types")
    yield short_answer(
        source,
        f"{source.text('question')}{ASKS}",
        name=source.name("questionId"),
        reply=answers[0],
        answers=answers,
        kind=types[0] if isinstance(types, list) and types and isinstance(types[0], str) else "",
        story=fact_of(source.row, "docId"),
    )


BENCHMARK = Benchmark(
    questions=questions,
    score=score,
    chance=chance_of,
    cite="Mathew, Karatzas, Jawahar 2021 (WACV, arXiv:2007.00398)",
    about="questions about scanned pages of documents",
    answered=says_something,
    label=same_words,
    images="1",
    items=5349,
    source="hub: lmms-lab/DocVQA, configuration DocVQA, validation",
    metric="anls",
    max_tokens=32,
)
