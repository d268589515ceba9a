"""LLaVA-Interleave Bench: 21 multi-image sets in-domain, 5 out-of-domain and 5 of 3D and many views, as published.

Source: Li et al. 2024 (arXiv:2407.07895), the raw JSON of lmms-lab/LLaVA-NeXT-Interleave-Bench beside
``eval_images.zip``, unpacked or not. The prompt is the row's own text with each image where ``<image>`` stands; options
and what to answer are part of it. Of a conversation with several replies each is a question; what comes before it holds
reference replies, where the published script feeds the model's own.

Published metrics, exactly (``metrics/interleave.py``): ROUGE-L F for a data set whose first row is open-ended, an exact
match of processed texts else; a category is the unweighted mean of its data sets, and the total that of its categories.
Name ``multi_image_in_domain.json`` alone for the published in-domain average, over all nine categories, of which the
published table shows eight. Outside it a data set is its own category.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Json, Turn, text_of
from triptych.data.disk.finder import Media
from triptych.data.disk.json_rows import read_rows
from triptych.data.disk.marks import check_counts, count_marks, place
from triptych.data.disk.rows import bad, check_turns, convert_row, id_of, keyed, listed, role_of, words
from triptych.data.format import Refused, RowError
from triptych.evaluate.benchmark import Benchmark, chance_of, each_reply, fact
from triptych.evaluate.metrics.interleave import (
    category_of,
    category_scores,
    dataset_score,
    multi_choice,
    open_ended,
    process,
)
from triptych.evaluate.question.question_rows import media_under
from triptych.evaluate.reading.scorers import reference_of

FILES = {
    "multi_image_in_domain": "in_domain",
    "multi_image_out_domain": "out_of_domain",
    "multi_view_in_domain": "multi_view",
    "MMMU_mv": "out_of_domain",
}
"""Published files, and the split that each is."""
TYPES = ("open-ended", "multi-choice")
_OPTION = re.compile(r"(?:^|[\s(\[])([A-H])\s?[).:\]]")
_TWO = frozenset({"yes", "no", "true", "false"})


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of a file, or of the published files that are in a folder."""
    files = [path / f"{name}.json" for name in FILES] if path.is_dir() else [path]
    there = [file for file in files if file.is_file()]
    if not there:
        raise DataError(f"{path}: none of {', '.join(FILES)} as .json is in it. Name the folder of the raw JSON.")
    media = media_under(path)
    for file in there:
        first_type: dict[str, str] = {}
        for row in read_rows(file):
            read = convert_row(row, _reader(media, FILES.get(file.stem, file.stem), first_type), path=file)
            if isinstance(read, Refused):
                yield read
            else:
                yield from each_reply(read)


def score(question: Example, reply: str) -> float:
    """Return ROUGE-L F, or 1 for an exact match, by the published rules."""
    rule = open_ended if question.facts["question_type"] == "open-ended" else multi_choice
    return rule(reference_of(question), reply) or 0.0


def answered(question: Example, reply: str) -> bool:
    """Return whether anything is left of the reply once it is processed."""
    return bool(process(reply))


def label(question: Example) -> Hashable:
    """Return the processed reference."""
    return process(reference_of(question))


def suite_score(marked: Sequence[tuple[Example, float]]) -> float:
    """Return the unweighted mean over categories of the unweighted means over their data sets."""
    by_dataset: defaultdict[str, list[float | None]] = defaultdict(list)
    for question, value in marked:
        by_dataset[fact(question, "kind")].append(value)
    by_category = category_scores({dataset: dataset_score(scores) for dataset, scores in by_dataset.items()})
    return sum(by_category.values()) / len(by_category)


def _reader(media: Media, split: str, first_type: dict[str, str]) -> Callable[[dict[str, Json], str], Example]:
    """Return what builds a conversation; ``first_type`` grows by the type of each data set's first row."""

    def build(row: dict[str, Json], origin: str) -> Example:
        metadata = keyed(row.get("metadata"), "metadata")
        dataset = words(metadata.get("dataset"), "metadata.dataset")
        asked_as = first_type.setdefault(dataset, words(metadata.get("question_type"), "metadata.question_type"))
        if asked_as not in TYPES:
            raise bad(f"question_type is {asked_as!r}. Known are {' and '.join(TYPES)}.")
        images = [media.image(entry) for entry in _entries(row.get("image"))]
        turns = _turns(row, images)
        if asked_as == "open-ended" and not all(process(text_of(turn)) for turn in turns if turn.role == "assistant"):
            raise RowError("empty reply", "nothing is left of a reference reply once it is processed. Leave it out.")
        shared: dict[str, Json] = {
            "kind": dataset,
            "category": category_of(dataset),
            "split": split,
            "question_type": asked_as,
        }
        each: list[Json] = [{"chance": _guess(turns[:end], asked_as)} for end in range(2, len(turns) + 1, 2)]
        name = f"{dataset}/{id_of(row, origin, key='sample_id')}"
        return Example(name, turns, origin=origin, facts={**shared, "turns": each})

    return build


def _entries(value: Json) -> list[Json]:
    return [value] if isinstance(value, str) else listed(value, "image")


def _turns(row: dict[str, Json], images: list[ImageRef]) -> tuple[Turn, ...]:
    said = [keyed(turn, "a turn") for turn in listed(row.get("conversations"), "conversations")]
    texts = [words(turn.get("value"), "a turn's text") for turn in said]
    check_counts(marks=count_marks(texts), images=len(images))
    left = iter(images)
    turns = tuple(
        Turn(role_of(turn.get("from"), "a turn"), place(text, left)) for turn, text in zip(said, texts, strict=True)
    )
    check_turns(turns)
    if turns[0].role != "user":
        raise bad("its first turn is not the human's. Mend the row or leave it out.")
    return turns


def _guess(turns: Sequence[Turn], asked_as: str) -> float:
    """Return what guessing scores, as far as the words show how many options there are; else 0."""
    if asked_as == "open-ended":
        return 0.0
    shown = set(_OPTION.findall(text_of(turns[-2])))
    options = next((number for number, letter in enumerate("ABCDEFGHI") if letter not in shown), 0)
    if options > 1:
        return 1 / options
    return 0.5 if process(text_of(turns[-1])) in _TWO else 0.0


BENCHMARK = Benchmark(
    questions=questions,
    score=score,
    chance=chance_of,
    cite="Li et al. 2024, LLaVA-NeXT-Interleave (arXiv:2407.07895)",
    about="LLaVA-Interleave Bench: difference, editing, stories, cloze, text-rich, puzzles, 3D and many views",
    answered=answered,
    label=label,
    images="1 to 16",
    source="hub: lmms-lab/LLaVA-NeXT-Interleave-Bench, raw JSON",
    metric="rouge_l",
    tasks="category",
    statistic=suite_score,
    mean_of_means=True,
    max_tokens=1024,
)
