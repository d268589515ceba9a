"""NaturalBench: 1,900 groups of two images and two questions whose answers swap with the image; 7,600 questions.

Source: Li et al. 2024 (NeurIPS; arXiv:2410.14669), BaiqiL/NaturalBench: Parquet with {Index, Image_0, Image_1,
Question_0, Question_1, Image_0_Question_0, Image_1_Question_0, Image_0_Question_1, Image_1_Question_1, Question_Type}.
Question and suffix are joined without a space, as in the authors' code; it does not say where the image stands: in
front, here. ``together`` holds the published measures: Q-Acc, both images of a question right; I-Acc, both questions of
an image; G-Acc, all four. ``published`` reads a reply as the authors do: whichever of the two answers is said first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example, Json, Text
from triptych.data.disk.rows import bad
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question.question_rows import Source, choice, read_questions
from triptych.evaluate.reading import scorers

SUFFIXES = {
    "yes_no": "Please answer Yes or No.",
    "multiple_choice": "Please output the letter corresponding to the correct option.",
}
ANSWERS = {"yes_no": ("yes", "no"), "multiple_choice": ("a", "b")}


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield four questions a row: each question of each image."""
    return read_questions(path, _build, files=("data/train-*.parquet", "train-*.parquet", "*.parquet", "train.jsonl"))


def published(question: Example, reply: str) -> float:
    """Score the first of the two answers that stands in the reply as a word."""
    answers = ANSWERS[str(question.facts["kind"])]
    found = re.search(rf"\b(?:{'|'.join(f'({answer})' for answer in answers)})\b", reply, re.IGNORECASE)
    return float(found is not None and (found.lastindex or 0) - 1 == question.facts["right"])


def _build(source: Source) -> Iterator[Example]:
    group, kind = source.name("Index"), source.row.get("Question_Type")
    if not isinstance(kind, str) or kind not in SUFFIXES:
        raise bad(f"Question_Type is {kind!r}. Known are {' and '.join(SUFFIXES)}.")
    images = [source.image("Image_0"), source.image("Image_1")]
    for number in range(2):
        text = source.text(f"Question_{number}")
        for at, image in enumerate(images):
            answer = source.text(f"Image_{at}_Question_{number}")
            if answer.lower() not in ANSWERS[kind]:
                raise bad(f"the answer {answer!r} is neither of {' and '.join(ANSWERS[kind])}. Mend the row.")
            facts: dict[str, Json] = {
                "kind": kind,
                "question": text,
                "story": group,
                "group": group,
                "question_pair": f"{group}/{number}",
                "image_pair": f"{group}/{at}",
                "scenario": "image",
            }
            yield choice(
                source,
                [image, Text(f"\n{text}{SUFFIXES[kind]}")],
                name=f"{group}/q{number}i{at}",
                options=["Yes", "No"] if kind == "yes_no" else ["", ""],
                right=ANSWERS[kind].index(answer.lower()),
                reply=answer,
                **facts,
            )


BENCHMARK = Benchmark(
    questions=questions,
    score=scorers.correct,
    published=published,
    chance=chance_of,
    together={"Q-Acc": "question_pair", "I-Acc": "image_pair", "G-Acc": "group"},
    cite="Li, Lin, Peng, Nyandwi, Jiang, Ma, Khanuja, Krishna, Neubig, Ramanan 2024 (NeurIPS; arXiv:2410.14669)",
    about="two questions of two images with swapped answers: question, image and group accuracy",
    items=7600,
    task_count=2,
    images="1",
    guess=0.5,
    source="hub: BaiqiL/NaturalBench, train",
    licence="Apache-2.0",
)
