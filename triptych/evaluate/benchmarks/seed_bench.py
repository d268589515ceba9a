"""SEED-Bench: nine abilities on images and three on videos, four options. 17,990 questions; accuracy.

Source: Li et al. 2023 (arXiv:2307.16125), the layout of lmms-lab/SEED-Bench, in which a video is a list of frames. The
prompt is that of LLaVA-1.5 and of lmms-eval, which read the first character of a reply as its letter: that number is
told as the published one. The authors themselves rank the options by their likelihood, which is another measure.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example, Text
from triptych.data.disk.rows import bad
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question.question_rows import Source, choice, fact_of, letter_at, lettered, read_questions
from triptych.evaluate.reading import scorers

FILES = ("data/test-*.parquet", "test-*.parquet", "test.jsonl")
ASKS = "\nAnswer with the option's letter from the given choices directly."
ABILITIES = (
    "Scene Understanding",
    "Instance Identity",
    "Instance Attributes",
    "Instance Location",
    "Instances Counting",
    "Spatial Relation",
    "Instance Interaction",
    "Visual Reasoning",
    "Text Understanding",
    "Action Recognition",
    "Action Prediction",
    "Procedure Understanding",
)
"""By ``question_type_id``, from 1; the last three are on videos."""


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of the test split."""
    return read_questions(path, _build, files=FILES)


def published(question: Example, reply: str) -> float:
    """Return whether the reply's first character is the letter, in either case."""
    return float(reply.strip()[:1].upper() == scorers.reference_of(question))


def _build(source: Source) -> Iterator[Example]:
    question, options = source.text("question"), [source.text(f"choice_{letter}") for letter in "abcd"]
    ability = source.row.get("question_type_id")
    if not isinstance(ability, int) or not 1 <= ability <= len(ABILITIES):
        raise bad(f"question_type_id is {ability!r}, not 1 to {len(ABILITIES)}. Mend the row or leave it out.")
    images = source.images("image")
    if not images:
        raise bad("it has no image. Mend the row or leave it out.")
    yield choice(
        source,
        [*images, Text("\n".join([question, *lettered(options, "{letter}. {option}")]) + ASKS)],
        name=source.name("question_id"),
        options=options,
        right=letter_at(source.text("answer"), len(options)),
        question=question,
        kind=ABILITIES[ability - 1],
        scenario=source.text("data_type"),
        story=fact_of(source.row, "data_id"),
    )


BENCHMARK = Benchmark(
    questions=questions,
    score=scorers.correct,
    chance=chance_of,
    cite="Li et al. 2023 (CVPR 2024, arXiv:2307.16125), CC-BY-NC-4.0",
    about="twelve abilities on images and videos, four options",
    images="1, or the frames of a video",
    guess=0.25,
    task_count=12,
    items=17990,
    source="hub: lmms-lab/SEED-Bench, test",
    licence="CC-BY-NC-4.0",
    max_tokens=16,
    published=published,
)
