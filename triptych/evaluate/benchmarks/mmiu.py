"""MMIU: 52 multi-image tasks of 7 kinds of relation between images, about 11.7 thousand multiple-choice questions.

Source: Meng et al. 2024 (arXiv:2408.02718), FanqingM/MMIU-Benchmark: ``all.parquet`` or ``all.json`` with {task,
visual_input_component, source, options ("A: ...\\nB: ..."), question, context, input_image_path, output}, pictures in a
folder or zip for each relation. As in the authors' code: all images in front, then question and context (or context and
question, by task), then the request; a row without an answer is refused; the total is the mean over tasks. They have
GPT-4o mini read replies that are no lone letter; our rules do that here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from string import ascii_uppercase

from triptych.core.records import Example, Text
from triptych.data.disk.rows import bad
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question.question_rows import Source, choice, letter_at, read_questions
from triptych.evaluate.reading import scorers

FILES = ("all.parquet", "all.json", "*.parquet")
QUESTION_FIRST = frozenset(
    {
        "person_reid",
        "multiple_image_captioning",
        "spot_the_similarity",
        "face_retrieval",
        "sketch2image_retrieval",
        "handwritten_retrieval",
        "spot_the_diff",
        "image2image_retrieval",
        "vehicle_retrieval",
        "text2image_retrieval",
        "general_action_recognition",
        "video_captioning",
        "next_img_prediction",
        "temporal_ordering",
        "meme_vedio_understanding",
        "action_quality_assessment",
        "temporal_localization",
        "mevis",
        "ravens_progressive_matrices",
        "threed_indoor_recognition",
        "point_tracking",
        "threed_cad_recognition",
        "single_object_tracking",
    }
)
"""Tasks whose question stands before the context; in the others it stands behind."""
REQUEST = "Please answer the option directly like A,B,C,D..."


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield one question a row."""
    return read_questions(path, _build, files=FILES)


def _build(source: Source) -> Iterator[Example]:
    task, asked, context = source.text("task"), source.text("question"), source.text("context")
    options = _options(source.text("options"))
    first, second = (asked, context) if task in QUESTION_FIRST else (context, asked)
    names, images = source.texts("input_image_path"), source.images("input_image_path")
    yield choice(
        source,
        [*images, Text(f"{first}\n{second}\n{REQUEST}")],
        name=source.numbered(task),
        options=options,
        right=letter_at(source.text("output"), len(options)),
        kind=task,
        question=asked,
        scenario="images",
        relation=names[0].removeprefix("./").partition("/")[0] if names else "",
    )


def _options(text: str) -> list[str]:
    """Return the options of ``A: ...\\nB: ...``; letters must follow each other from A."""
    parts = re.split(r"(?:^|\n)([A-Z]): ?", text)
    letters, options = parts[1::2], parts[2::2]
    if parts[0].strip() or letters != list(ascii_uppercase[: len(letters)]):
        raise bad(f"options are {text[:60]!r}, not lines of A: ..., B: ... in order. Mend the row or leave it out.")
    return [option.strip() for option in options]


BENCHMARK = Benchmark(
    questions=questions,
    score=scorers.correct,
    chance=chance_of,
    cite="Meng, Wang, Li et al. 2024 (arXiv:2408.02718)",
    about="52 multi-image tasks of 7 relations as choices; mean over tasks",
    task_count=52,
    images="2 and more (77 thousand in all)",
    guess=0.274,
    source="hub: FanqingM/MMIU-Benchmark, test",
    aggregate="macro",
)
