"""VQA v2: open questions about photographs of COCO, ten answers each. Validation: 214,354 questions; VQA accuracy.

Source: Goyal et al. 2017 (arXiv:1612.00837), the layout of lmms-lab/VQAv2. The prompt is that of LLaVA-1.5 and of
lmms-eval. The score brings words into the official form always; the official code leaves them as they stand where all
ten agree, so that "Yes" is wrong there: that number is told as the published one. Answers of the test splits are
secret, so only validation can be scored.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.metrics.vqa import accuracy, best_of
from triptych.evaluate.question.question_rows import Source, fact_of, read_questions
from triptych.evaluate.question.short_answers import (
    ASKS,
    answers_in,
    answers_of,
    same_words,
    says_something,
    short_answer,
)

FILES = ("data/validation-*.parquet", "validation-*.parquet", "validation.jsonl")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of the validation split."""
    return read_questions(path, _build, files=FILES)


def score(question: Example, reply: str) -> float:
    """Return VQA accuracy, words always in the official form."""
    return accuracy(answers_of(question), reply, rules="always")


def published(question: Example, reply: str) -> float:
    """Return VQA accuracy as the official code counts it."""
    return accuracy(answers_of(question), reply, rules="official")


def _build(source: Source) -> Iterator[Example]:
    answers = answers_in(source)
    yield short_answer(
        source,
        f"{source.text('question')}{ASKS}",
        name=source.name("question_id"),
        reply=best_of(answers, rules="official"),
        answers=answers,
        kind=fact_of(source.row, "answer_type"),
        story=fact_of(source.row, "image_id"),
    )


BENCHMARK = Benchmark(
    questions=questions,
    score=score,
    chance=chance_of,
    cite="Goyal et al. 2017 (CVPR, arXiv:1612.00837), CC-BY-4.0",
    about="open questions about photographs, ten annotators each",
    answered=says_something,
    label=same_words,
    images="1",
    items=214354,
    source="hub: lmms-lab/VQAv2, validation",
    licence="CC-BY-4.0",
    metric="vqa",
    max_tokens=16,
    published=published,
)
