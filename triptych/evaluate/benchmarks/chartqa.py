"""ChartQA: questions about charts, answered by a number or a word. Test: 1,250 by people, 1,250 made; relaxed accuracy.

Source: Masry et al. 2022 (arXiv:2203.10244), the layout of lmms-lab/ChartQA: {type, question, answer, image}. The
prompt is that of lmms-eval. A number may be 5% off, words must be the same (``metrics/relaxed``); the reply is taken
whole, as published.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example
from triptych.data.disk.rows import bad
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.metrics.relaxed import relaxed
from triptych.evaluate.question.question_rows import Source, read_questions
from triptych.evaluate.question.short_answers import same_words, says_something, short_answer
from triptych.evaluate.reading.scorers import reference_of

FILES = ("data/test-*.parquet", "test-*.parquet", "test.jsonl")
ASKS = "\nAnswer the question with a single word."
KINDS = {"human_test": "human", "augmented_test": "augmented"}
"""The row's type -> the half that papers print apart."""


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of the test split."""
    return read_questions(path, _build, files=FILES)


def score(question: Example, reply: str) -> float:
    """Return whether the number is near enough, or the words are the same."""
    return relaxed(reference_of(question), reply)


def _build(source: Source) -> Iterator[Example]:
    kind = source.text("type")
    if kind not in KINDS:
        raise bad(f"type is {kind!r}. Known are {' and '.join(KINDS)}.")
    answer = source.text("answer")
    yield short_answer(
        source,
        f"{source.text('question')}{ASKS}",
        name=source.numbered(KINDS[kind]),
        reply=answer,
        answers=[answer],
        kind=KINDS[kind],
    )


BENCHMARK = Benchmark(
    questions=questions,
    score=score,
    chance=chance_of,
    cite="Masry, Long, Tan, Joty, Hoque 2022 (Findings of ACL, arXiv:2203.10244)",
    about="questions about charts, a number or a word",
    answered=says_something,
    label=same_words,
    images="1",
    task_count=2,
    items=2500,
    source="hub: lmms-lab/ChartQA, test",
    licence="GPL-3.0",
    metric="relaxed",
    max_tokens=16,
)
