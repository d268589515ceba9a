"""MMBench: perception and reasoning in 20 abilities, two to four options. English dev; accuracy and circular accuracy.

Source: Liu et al. 2023 (arXiv:2307.06281), the layout of lmms-lab/MMBench, configuration en. The prompt is that of
lmms-eval: hint, question, "There are several options:", the options, and a line that asks for the letter. The file
holds each question with its options in every circular order: ``circular`` is the share of questions that are right in
all of their orders, the number that the authors print. They let GPT match replies to options where a rule finds none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example, Text
from triptych.data.disk.rows import bad, words_or_number
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question.question_rows import Source, choice, is_missing, letter_at, lettered, read_questions
from triptych.evaluate.reading import scorers

FILES = ("en/dev-*.parquet", "data/dev-*.parquet", "dev-*.parquet", "dev.jsonl")
SEVERAL = "There are several options:"
ASKS = "\n\nAnswer with the option's letter from the given choices directly."
_ORDERS = 1_000_000
"""Indices of a question's orders differ by this."""


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of the dev split."""
    return read_questions(path, _build, files=FILES)


def _build(source: Source) -> Iterator[Example]:
    question, index = source.text("question"), source.row.get("index")
    if not isinstance(index, int) or isinstance(index, bool):
        raise bad(f"the index is {index!r}, not a whole number. Mend the row or leave it out.")
    options = [option for letter in "ABCDE" if (option := _text(source, letter))]
    hint = _text(source, "hint")
    head = f"{hint} {question} {SEVERAL}" if hint else f"{question} {SEVERAL}"
    yield choice(
        source,
        [source.image("image"), Text("\n".join([head, *lettered(options, "{letter}. {option}")]) + ASKS)],
        name=str(index),
        options=options,
        right=letter_at(source.text("answer"), len(options)),
        question=question,
        kind=_text(source, "category"),
        scenario=_text(source, "L2-category"),
        story=str(index % _ORDERS),
    )


def _text(source: Source, key: str) -> str:
    """Return a text or number of the row as text; empty where there is none: the layout writes "nan" for that."""
    value = source.row.get(key)
    return "" if is_missing(value) or value == "nan" else words_or_number(value, repr(key))


BENCHMARK = Benchmark(
    questions=questions,
    score=scorers.correct,
    chance=chance_of,
    cite="Liu et al. 2023 (ECCV 2024, arXiv:2307.06281)",
    about="20 abilities of perception and reasoning, options in every circular order",
    images="1",
    task_count=20,
    source="hub: lmms-lab/MMBench, configuration en, dev",
    max_tokens=32,
    together={"circular": "story"},
)
