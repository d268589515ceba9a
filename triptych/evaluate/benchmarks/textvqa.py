"""TextVQA: questions about text in a photograph, ten answers each. Validation: 5,000 questions; VQA accuracy.

Source: Singh et al. 2019 (arXiv:1904.08920), the layout of lmms-lab/textvqa. The prompt is that of LLaVA-1.5 and of
lmms-eval, without the words that a text reader found: the picture, the question with its first letter as the only
capital, and a line that asks for a word or a phrase. Words are compared as the test's own server does (``evalai``).
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
    """Return VQA accuracy."""
    return accuracy(answers_of(question), reply, rules="evalai")


def _build(source: Source) -> Iterator[Example]:
    answers = answers_in(source)
    yield short_answer(
        source,
        f"{source.text('question').capitalize()}{ASKS}",
        name=source.name("question_id"),
        reply=best_of(answers, rules="evalai"),
        answers=answers,
        kind="text in the picture",
        story=fact_of(source.row, "image_id"),
    )


BENCHMARK = Benchmark(
    questions=questions,
    score=score,
    chance=chance_of,
    cite="Singh et al. 2019 (CVPR, arXiv:1904.08920), CC-BY-4.0",
    about="questions about text in photographs, in a word or a phrase",
    answered=says_something,
    label=same_words,
    images="1",
    items=5000,
    source="hub: lmms-lab/textvqa, validation",
    licence="CC-BY-4.0",
    metric="vqa",
    max_tokens=16,
)
