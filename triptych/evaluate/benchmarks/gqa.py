"""GQA: questions about photographs made from their scene graphs, answered in a word. testdev: 12,578; accuracy.

Source: Hudson and Manning 2019 (arXiv:1902.09506), the layout of lmms-lab/GQA: questions {id, imageId, question,
answer, types} in ``testdev_balanced_instructions``, their 398 pictures {id, image} in ``testdev_balanced_images``
beside it. The prompt is that of lmms-eval. The published reading wants the answer's words but for case and marks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from string import punctuation

from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Json, Text
from triptych.data.disk.rows import bad, rows_of
from triptych.data.format import Refused, RowError
from triptych.data.media.locate import ImageError
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question.question_rows import Source, fact_of, files_of, free, media_under, read_questions
from triptych.evaluate.question.short_answers import ASKS, same_words, says_something
from triptych.evaluate.reading import scorers

FILES = ("testdev_balanced_instructions/testdev-*.parquet",)
PICTURES = ("testdev_balanced_images/testdev-*.parquet",)
_NO_MARKS = str.maketrans("", "", punctuation)


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of a folder that holds both, or of a file of questions. Raises DataError."""
    root = path if path.is_dir() else path.parent.parent
    return read_questions(path, partial(_build, pictures=_pictures(root)), files=FILES, root=root)


def published(question: Example, reply: str) -> float:
    """Return whether the reply is the answer, but for case and marks."""
    said, wanted = (text.lower().translate(_NO_MARKS) for text in (reply, scorers.reference_of(question)))
    return float(said == wanted)


def _pictures(root: Path) -> Mapping[str, ImageRef]:
    """Return the pictures by their ids. Raises DataError: a row is none."""
    media, found = media_under(root), {}
    for file in files_of(root, PICTURES):
        for row in rows_of(file):
            if not isinstance(row.value, dict):
                raise DataError(f"{file}: row {row.number} is no picture. Get the file again.")
            try:
                found[fact_of(row.value, "id")] = media.image(row.value.get("image"))
            except (RowError, ImageError) as error:
                raise DataError(f"{file}: row {row.number}: {error}") from None
    return found


def _build(source: Source, *, pictures: Mapping[str, ImageRef]) -> Iterator[Example]:
    question, name = source.text("question"), fact_of(source.row, "imageId")
    if not name or name not in pictures:
        raise bad(f"there is no picture {name!r} under {PICTURES[0].partition('/')[0]}. Get the file again.")
    types = source.row.get("types")
    kind = types.get("structural") if isinstance(types, dict) else None
    facts: dict[str, Json] = {"kind": str(kind or "all"), "question": question, "story": name}
    asked = (pictures[name], Text(f"{question}{ASKS}"))
    yield free(source, asked, name=source.name(), reply=source.text("answer"), **facts)


BENCHMARK = Benchmark(
    questions=questions,
    score=scorers.correct,
    published=published,
    chance=chance_of,
    cite="Hudson, Manning 2019 (CVPR, arXiv:1902.09506), CC-BY-4.0",
    about="questions about photographs made from their scene graphs, in a word",
    answered=says_something,
    label=same_words,
    images="1",
    task_count=5,
    items=12578,
    source="hub: lmms-lab/GQA, testdev_balanced_instructions and testdev_balanced_images",
    licence="CC-BY-4.0",
    max_tokens=16,
)
