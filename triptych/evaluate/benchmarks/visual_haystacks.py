"""Visual Haystacks: is there an object in the one image, of up to 10,000, that shows another object? Yes or no.

Source: Wu et al. 2024 (arXiv:2407.13766), tsunghanwu/visual_haystacks: ``visual_haystack_N.json`` with {conversations:
[{from: human, value}, {from: gpt, value: yes or no}], pos_image, neg_image}, N images a question, and COCO 2017 beside
it. The prompt's words stand in front of the images. As in the authors' code a question with one needle is asked with
the needle at every tenth place, so ``story`` is the question and ``position`` where the needle is. Several needles they
shuffle without a seed; here the order is drawn from the question's own name. Accuracy a file: 1,000 questions or so.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example, ImageRef, Json, Text
from triptych.data.disk.rows import bad, keyed, listed, words
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question.question_rows import Source, choice, read_questions
from triptych.evaluate.reading import scorers

PROMPT = "You are given a set of images. Please answer the following question in Yes or No: "


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of one file, or of all ``visual_haystack_*.json`` under a folder.

    The folder holds ``coco/`` too; of a file, the nearest folder above it that does.
    """
    above = [folder for folder in path.resolve().parents if (folder / "coco").is_dir()] if path.is_file() else []
    files = ("visual_haystack_*.json", "**/visual_haystack_*.json")
    return read_questions(path, _build, files=files, root=above[0] if above else None)


def _build(source: Source) -> Iterator[Example]:
    asked, answer = (words(keyed(turn, "a turn").get("value"), "a turn") for turn in _turns(source))
    if answer.lower() not in ("yes", "no"):
        raise bad(f"the answer {answer!r} is neither yes nor no. Mend the row or leave it out.")
    needles, others = source.images("pos_image"), source.images("neg_image")
    if not needles:
        raise bad("pos_image is empty: there is no needle. Mend the row or leave it out.")
    story = f"{source.file.stem}/{source.number}"
    for position, images in _orders(needles, others, story):
        facts: dict[str, Json] = {
            "kind": source.file.stem,
            "question": asked,
            "story": story,
            "count": len(images),
            "scenario": "images",
        }
        if position is not None:
            facts["position"] = position
        yield choice(
            source,
            [Text(PROMPT + asked), *images],
            name=story if position is None else f"{story}/{position}",
            options=["Yes", "No"],
            right=("yes", "no").index(answer.lower()),
            reply=answer,
            **facts,
        )


def _turns(source: Source) -> list[Json]:
    turns = listed(source.row.get("conversations"), "'conversations'")
    if len(turns) != 2:
        raise bad(f"{len(turns)} turns instead of a question and its answer. Mend the row or leave it out.")
    return turns


def _orders(needles: list[ImageRef], others: list[ImageRef], story: str) -> Iterator[tuple[int | None, list[ImageRef]]]:
    """Yield the orders of images that a question is asked with, and where its one needle stands in each."""
    count = len(needles) + len(others)
    if len(needles) > 1:
        mixed = [*needles, *others]
        random.Random(story).shuffle(mixed)
        yield None, mixed
        return
    for position in range(0, count, max(1, count // 10)):
        yield position, [*others[:position], *needles, *others[position:]]


BENCHMARK = Benchmark(
    questions=questions,
    score=scorers.correct,
    chance=chance_of,
    cite="Wu, Biamby, Quenum, Gupta, Gonzalez, Darrell, Chan 2024 (arXiv:2407.13766)",
    about="one needle image among 1 to 10,000, yes or no, by the needle's place",
    images="1 to 10,000",
    guess=0.5,
    source="hub: tsunghanwu/visual_haystacks, with COCO 2017",
    licence="MIT; the photographs are COCO's",
)
