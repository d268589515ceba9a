"""MuirBench: 2,600 multiple-choice questions of 12 tasks over 11,264 images, each beside a twin that has no answer.

Source: Wang et al. 2024 (arXiv:2406.09411), MUIRBENCH/MUIRBENCH: Parquet with {idx, task, image_relation, image_type,
question, options, answer, image_list, counterpart_idx}. The prompt is that of the authors' ``preprocess.py``; an image
stands at its ``<image>`` mark in question or options, and a row whose marks and images differ in number is refused.
The authors' parser, MMMU's, guesses at random where it finds no letter; ours counts such replies as unanswered. The
published number is theirs, with what a guess is worth.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example
from triptych.data.disk.marks import MARK
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.metrics.mmmu import letter_score
from triptych.evaluate.question.question_rows import (
    Source,
    choice,
    fact_of,
    letter_at,
    lettered,
    marked,
    read_questions,
)
from triptych.evaluate.reading import scorers

FILES = ("data/test-*.parquet", "test-*.parquet", "test.json", "test.jsonl")
PROMPT = (
    "Question: {question}\nChoices:\n{choices}\n"
    "Hint: Please provide the correct option letter, such as A, B, C, D, directly.\nAnswer:"
)


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield one question a row."""
    return read_questions(path, _build, files=FILES)


def published(question: Example, reply: str) -> float:
    """Return whether the authors' parser reads the right letter; an option that is a picture is its mark there."""
    options = [option or MARK for option in scorers.options_of(question)]
    return letter_score(options, reply, right=scorers.reference_of(question))


def _build(source: Source) -> Iterator[Example]:
    name, options = source.name("idx"), source.texts("options")
    asked = PROMPT.format(question=source.text("question"), choices="\n".join(lettered(options)))
    twins = sorted([name, fact_of(source.row, "counterpart_idx") or name])
    yield choice(
        source,
        marked(asked, source.images("image_list")),
        name=name,
        options=[option.replace(MARK, "").strip() for option in options],
        right=letter_at(source.text("answer"), len(options)),
        kind=source.text("task"),
        question=source.text("question"),
        relation=fact_of(source.row, "image_relation"),
        scenario="images",
        story=" and ".join(twins),
    )


BENCHMARK = Benchmark(
    questions=questions,
    score=scorers.correct,
    published=published,
    chance=chance_of,
    together={"with and without an answer": "story"},
    cite="Wang, Fu, Huang et al. 2024 (arXiv:2406.09411)",
    about="12 multi-image tasks as choices, each question with an unanswerable twin",
    items=2600,
    task_count=12,
    images="2 and more (mean 4.3)",
    source="hub: MUIRBENCH/MUIRBENCH, test",
    licence="CC-BY-4.0",
)
