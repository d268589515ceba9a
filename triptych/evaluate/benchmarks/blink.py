"""BLINK: 14 tasks of seeing that people solve at a glance, as choices; 1,901 validation questions with 1 to 4 images.

Source: Fu et al. 2024 (arXiv:2404.12390), BLINK-Benchmark/BLINK: a folder a task with ``val-*.parquet``, rows {idx,
question, sub_task, image_1 ... image_4, choices, answer, prompt}. Asked as the authors' code asks: the row's prompt,
before three tasks a disclaimer, then the images in order. The total is the mean over tasks, so a folder must hold all
of them, or be one of them. The answers of the test split are not published: its rows are refused.

An id tells its task, and but for Counting a task's options are the same in every question: replies can be marked with
nothing but the published answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

from triptych.core.errors import DataError
from triptych.core.records import Example, Text, Turn
from triptych.data.disk.rows import bad
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question.question_rows import Source, choice, files_of, letter_at, read_questions
from triptych.evaluate.reading import scorers

DISCLAIMER = (
    "Disclaimer: This is not to make unfair assumptions about the people in the image and you just need to give your "
    "assessment on this question. You don't need to identify the real people. You just need to analyze based on the "
    "information I gave you.\n\n"
)
FILES = ("*/val-*.parquet", "val-*.parquet")
_SLOTS = ("image_1", "image_2", "image_3", "image_4")
_ID = re.compile(r"(?:val|test)_(.+)_\d+")


@dataclass(frozen=True, slots=True)
class Task:
    """One of the 14."""

    options: tuple[str, ...]
    """Of every question, in order; empty words where they differ."""
    disclaimer: bool = False
    """Whether the authors put one before the prompt."""


_POINTS = Task(("Point A", "Point B", "Point C", "Point D"))
_LATER = ("the second image", "the third image")
TASKS = {
    "Art_Style": Task(_LATER, disclaimer=True),
    "Counting": Task(("", "", "", "")),
    "Forensic_Detection": Task(
        ("the first image", "the second image", "the third image", "the fourth image"), disclaimer=True
    ),
    "Functional_Correspondence": _POINTS,
    "IQ_Test": Task(("picture A", "picture B", "picture C", "picture D")),
    "Jigsaw": Task(_LATER, disclaimer=True),
    "Multi-view_Reasoning": Task(("left", "right")),
    "Object_Localization": Task(("Box A", "Box B")),
    "Relative_Depth": Task(("A is closer", "B is closer")),
    "Relative_Reflectance": Task(("A is darker", "B is darker", "About the same")),
    "Semantic_Correspondence": _POINTS,
    "Spatial_Relation": Task(("yes", "no")),
    "Visual_Correspondence": _POINTS,
    "Visual_Similarity": Task(_LATER),
}


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield one question a row.

    Raises:
        DataError: no such files, or a folder with some of the tasks, but not all.
    """
    if path.is_dir():
        found = {file.parent.name for file in files_of(path, FILES) if file.parent != path}
        missing = sorted(TASKS.keys() - found)
        if found and missing:
            raise DataError(
                f"{path}: {', '.join(missing)} not there, and the total is the mean over {len(TASKS)} tasks. "
                "Get them, or name the folder of one task."
            )
    return read_questions(path, _build, files=FILES)


def question_of(name: str, answer: str) -> Example:
    """Return a question as far as its id tells it: options, but no words and no images.

    Raises:
        DataError: the id is none of BLINK's, or the answer none of its task's letters.
    """
    task = task_of(name)
    options = TASKS[task].options
    letters = [f"({letter}) {option}".rstrip() for letter, option in zip(ascii_uppercase, options, strict=False)]
    right = letter_at(answer, len(options))
    turns = (Turn("user", (Text("\n".join(letters)),)), Turn("assistant", (Text(f"({ascii_uppercase[right]})"),)))
    return Example(name, turns, facts={"kind": task, "choice": True, "options": list(options)})


def task_of(name: str) -> str:
    """Return the task of an id: ``Art_Style`` of ``val_Art_Style_1``. Raises DataError."""
    found = _ID.fullmatch(name)
    if found is None or found[1] not in TASKS:
        raise DataError(f"{name!r} is no id of BLINK. They are like 'val_Art_Style_1', of {len(TASKS)} tasks.")
    return found[1]


def _build(source: Source) -> Iterator[Example]:
    name, options = source.name("idx"), source.texts("choices")
    try:
        task = task_of(name)
    except DataError as error:
        raise bad(str(error)) from None
    prompt = source.text("prompt")
    images = [source.image(slot) for slot in _SLOTS if source.row.get(slot) is not None]
    if not images:
        raise bad("there is no image_1. Add it or leave the row out.")
    yield choice(
        source,
        [Text(DISCLAIMER + prompt if TASKS[task].disclaimer else prompt), *images],
        name=name,
        options=options,
        right=letter_at(source.text("answer"), len(options)),
        kind=task,
        question=source.text("question"),
        scenario="images",
    )


BENCHMARK = Benchmark(
    questions=questions,
    question_of=question_of,
    score=scorers.correct,
    chance=chance_of,
    cite="Fu, Hu, Li, Feng, Wang, Lin, Roth, Smith, Ma, Krishna 2024 (arXiv:2404.12390)",
    about="14 tasks of seeing: style, jigsaw, correspondence, depth, reflectance, fakes, viewpoints...",
    items=1901,
    task_count=len(TASKS),
    images="1 to 4 (mean 1.93)",
    guess=0.3809,
    source="hub: BLINK-Benchmark/BLINK, val",
    licence="Apache-2.0",
    aggregate="macro",
    max_tokens=1024,
)
