"""InfographicVQA: questions about infographics, answered by words on them or a number. Validation: 2,801; ANLS.

Source: Mathew et al. 2022 (arXiv:2104.12756), the layout of lmms-lab/DocVQA, configuration InfographicVQA. Prompt and
score are DocVQA's. Answers of the test split are secret, so only validation can be scored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from triptych.core.records import Example
from triptych.data.format import Refused
from triptych.evaluate.benchmarks import docvqa
from triptych.evaluate.question.question_rows import Source, fact_of, read_questions
from triptych.evaluate.question.short_answers import ASKS, answers_in, short_answer

FILES = ("InfographicVQA/validation-*.parquet", "data/validation-*.parquet", "validation-*.parquet", "validation.jsonl")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of the validation split."""
    return read_questions(path, _build, files=FILES)


def _build(source: Source) -> Iterator[Example]:
    answers, types = answers_in(source), source.row.get("answer_type")
    yield short_answer(
        source,
        f"{source.text('question')}{ASKS}",
        name=source.name("questionId"),
        reply=answers[0],
        answers=answers,
        kind=types[0] if isinstance(types, list) and types and isinstance(types[0], str) else "unknown",
        story=fact_of(source.row, "image_url"),
    )


BENCHMARK = replace(
    docvqa.BENCHMARK,
    questions=questions,
    cite="Mathew et al. 2022 (WACV, arXiv:2104.12756)",
    about="questions about infographics",
    items=2801,
    source="hub: lmms-lab/DocVQA, configuration InfographicVQA, validation",
)
