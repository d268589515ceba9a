"""MagnifierBench's rows: small things in large pictures, each a question with four options in its own words.

Source: Li et al. 2023, OtterHD (arXiv:2311.04219), the layout of Otter-AI/MagnifierBench: {id, instruction, images,
answer}; ``instruction`` is "QUESTION? A. one, B. two, C. three, D. four". It is asked twice: with its options, and
freely, as the words up to the first question mark, where the right option's words are the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from triptych.core.records import Example, ImageRef
from triptych.data.disk.rows import bad
from triptych.data.format import Refused
from triptych.evaluate.question.question_rows import Build, Source, letter_at, read_questions

FILES = ("data/test-*.parquet", "test-*.parquet", "test.jsonl")
_OPTIONS = re.compile(r"A\. (.+?),\s*B\. (.+?),\s*C\. (.+?),\s*D\. (.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Item:
    """What a row says."""

    image: ImageRef
    instruction: str
    question: str
    options: tuple[str, ...]
    right: int


def read_items(path: Path, build: Build) -> Iterator[Example | Refused]:
    """Yield the questions of the test split. Raises DataError."""
    return read_questions(path, build, files=FILES)


def item_of(source: Source) -> Item:
    """Return what a row says. Raises RowError: it has not one picture, or not four options; ImageError."""
    images, instruction = source.images("images"), source.text("instruction")
    if len(images) != 1:
        raise bad(f"it has {len(images)} images, not one: the published code leaves such rows out, too.")
    question, mark, options = instruction.partition("?")
    found = _OPTIONS.search(options)
    if not mark or found is None:
        raise bad("its instruction is no 'QUESTION? A. one, B. two, C. three, D. four'. Mend the row or leave it out.")
    texts = tuple(option.strip().rstrip(".,?") for option in found.groups())
    return Item(images[0], instruction, f"{question.strip()}?", texts, letter_at(source.text("answer"), len(texts)))
