"""POPE: is there a THING in the image? Random, popular and adversarial things, half of them there. 9,000; accuracy.

Source: Li et al. 2023 (arXiv:2305.10355), the layout of lmms-lab/POPE. The prompt is that of LLaVA-1.5 and of
lmms-eval. The authors' code takes a reply whose first sentence holds "no" or "not" for no and any other, an empty one
too, for yes: that number is told as the published one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example, Text
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question.question_rows import Source, choice, fact_of, option_at, read_questions
from triptych.evaluate.question.short_answers import ASKS
from triptych.evaluate.reading import scorers

FILES = ("data/test-*.parquet", "test-*.parquet", "test.jsonl")
OPTIONS = ("Yes", "No")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of the test split."""
    return read_questions(path, _build, files=FILES)


def published(question: Example, reply: str) -> float:
    """Return whether the authors' code reads the right one of yes and no."""
    said = set(reply.partition(".")[0].replace(",", "").split(" "))
    return float((OPTIONS[1] if said & {"No", "no", "not"} else OPTIONS[0]) == scorers.reference_of(question))


def _build(source: Source) -> Iterator[Example]:
    question, kind = source.text("question").strip(), fact_of(source.row, "category")
    right = option_at(source.text("answer").strip().title(), OPTIONS)
    yield choice(
        source,
        [source.image("image"), Text(f"{question}{ASKS}")],
        name=f"{kind}/{source.name('question_id')}".removeprefix("/"),
        options=OPTIONS,
        right=right,
        reply=OPTIONS[right],
        question=question,
        kind=kind,
        story=fact_of(source.row, "image_source"),
    )


BENCHMARK = Benchmark(
    questions=questions,
    score=scorers.correct,
    chance=chance_of,
    cite="Li et al. 2023 (EMNLP, arXiv:2305.10355)",
    about="whether things are in a photograph: random, popular and adversarial ones",
    images="1",
    guess=0.5,
    items=9000,
    source="hub: lmms-lab/POPE, test",
    max_tokens=16,
    published=published,
)
