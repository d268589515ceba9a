"""VQA with shots: the official question and annotation files of VQA v2 and OK-VQA, on photographs of COCO 2014.

Source: the few-shot suite of OpenFlamingo, as Otter (arXiv:2306.05425) uses it: the validation split is asked, shots
are of the training split, the prompt is the picture and "QUESTION Please answer in short words.", a shot's reply the
first of the ten answers. How replies are scored is the business of the two files in ``benchmarks/``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.records import Example, Json, Text
from triptych.data.disk.finder import Media
from triptych.data.disk.json_rows import Row
from triptych.data.disk.rows import bad, keyed
from triptych.data.format import Refused
from triptych.evaluate.question.question_rows import Source, built, fact_of, free, media_under, read_object
from triptych.evaluate.question.short_answers import answers_in
from triptych.evaluate.question.shots import shots_of, with_shots

ASKS = " Please answer in short words."
BestOf = Callable[[Sequence[str]], str]
"""Of ten answers that which scores most: a question's reference."""


@dataclass(frozen=True, slots=True)
class Files:
    """Names of the official files, ``{split}`` for train or val."""

    questions: str
    annotations: str


def read_vqa(path: Path, files: Files, *, best_of: BestOf, kind: str) -> Iterator[Example | Refused]:
    """Yield the validation split, each question with its shots.

    Args:
        path: the folder, perhaps with ``#shots=K``.
        files: what the JSON files are called.
        best_of: chooses the reference.
        kind: the key of an annotation that is the question's task.

    Raises:
        DataError: a file is not there or is none; not enough rows for the shots.
    """
    plain, shots = shots_of(path)
    media = media_under(plain)

    def build(source: Source, *, first: bool) -> Iterator[Example]:
        split = source.text("split")
        image = source.row.get("image_id")
        if not isinstance(image, int) or isinstance(image, bool):
            raise bad(f"image_id is {image!r}, no whole number. Mend the row or leave it out.")
        shown = source.media.image(f"{split}2014/COCO_{split}2014_{image:012d}.jpg")
        answers = answers_in(source)
        question = source.text("question")
        facts: dict[str, Json] = {"question": question, "answers": [*answers], "story": str(image)}
        facts["kind"] = fact_of(source.row, kind) or "question"
        yield free(
            source,
            (shown, Text(f"{question}{ASKS}")),
            name=source.name("question_id"),
            reply=answers[0] if first else best_of(answers),
            **facts,
        )

    file, rows = _rows(plain, files, "val")
    test = (
        question
        for number, row in enumerate(rows)
        for question in built(Row(number, row), lambda source: build(source, first=False), file=file, media=media)
    )
    train = _sources(plain, files, media) if shots.count else []
    yield from with_shots(test, train, build=lambda source: build(source, first=True), shots=shots, where=plain)


def _sources(folder: Path, files: Files, media: Media) -> list[Source]:
    file, rows = _rows(folder, files, "train")
    return [Source(row, file, number, media) for number, row in enumerate(rows)]


def _rows(folder: Path, files: Files, split: str) -> tuple[Path, list[dict[str, Json]]]:
    """Return the questions of a split with what is annotated to them."""
    file, notes = (folder / name.format(split=split) for name in (files.questions, files.annotations))
    known = {fact_of(each, "question_id"): each for each in _list(notes, "annotations")}
    asked = _list(file, "questions")
    return file, [{**known.get(fact_of(each, "question_id"), {}), **each, "split": split} for each in asked]


def _list(file: Path, key: str) -> list[dict[str, Json]]:
    found = read_object(file).get(key)
    if not isinstance(found, list):
        raise DataError(f"{file}: no list {key!r} in it. Is it the official file?")
    return [keyed(each, f"an entry of {key!r}") for each in found]
