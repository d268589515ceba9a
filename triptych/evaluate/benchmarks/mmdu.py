"""MMDU: 110 dialogues of up to 27 turns about 2 to 20 images, more than 1,600 open questions, marked by a judge.

Source: Liu et al. 2024 (arXiv:2406.11833), laolao77/MMDU: ``benchmark.json``, an object or list of {id, image,
conversations: [{from: user or assistant, value}]}, an image at each ``<ImageHere>``, pictures in ``mmdu_pics.zip`` or
unpacked. Each reply is a question; what comes before it is context *with the reference replies*, where the authors go
on with the model's own. The judge gets question, reference, reply and the images, and gives six dimensions and an
overall score from 1 to 10, as published, but is asked in words of ours: numbers are not those that GPT-4o gave with the
authors' words. ``score`` is the overall score over 10.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Json, Text, Turn, images_of, text_of
from triptych.data.disk.json_rows import Row, read_rows
from triptych.data.disk.marks import MARK, count_marks, refuse_surplus_marks
from triptych.data.disk.rows import bad, check_turns, keyed, listed, role_of, words
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of, each_reply
from triptych.evaluate.metrics.verdict import PLAIN_NUMBER, score_of
from triptych.evaluate.question.question_rows import Source, built, files_of, marked, media_under, read_object
from triptych.evaluate.reading import scorers
from triptych.evaluate.reading.judge import Judge, needs_judge

SLOT = "<ImageHere>"
OVERALL = "Overall Score"
DIMENSIONS = (
    "Creativity",
    "Richness",
    "Visual Perception",
    "Logical Coherence",
    "Answer Accuracy",
    "Image Relationship Understanding",
    OVERALL,
)
INSTRUCTION = """You are a strict and fair judge of how an assistant answers questions about several images.
Below are a question, a reference answer and the assistant's answer; the images follow.
Give each dimension a whole number from 1 (worst) to 10 (clearly better than the reference):
Creativity (own and fitting ideas), Richness (depth, breadth, useful detail), Visual Perception (what is said of the \
images is there), Logical Coherence (no gaps, no contradictions), Answer Accuracy (it answers the question, rightly), \
Image Relationship Understanding (images are told apart and related as they are), and then Overall Score.
Say in a sentence or two why, for each. End with all the numbers in this form:
{'Creativity': 5, 'Richness': 5, ..., 'Overall Score': 5}

[Question]
%s

[Reference answer]
%s
[End of the reference answer]

[Assistant's answer]
%s
[End of the assistant's answer]
"""
_NUMBER = re.compile(rf"""['"]([A-Z][A-Za-z ]+)['"]\s*:\s*{PLAIN_NUMBER}""")
TOP = 10.0
"""The best of a verdict's numbers."""


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield a question for each reply of each dialogue."""
    for file in files_of(path, ("benchmark.json", "*.json")):
        media = media_under(file)
        for row in _rows(file):
            yield from built(row, _build, file=file, media=media)


def _rows(file: Path) -> Iterator[Row]:
    """Yield the dialogues of a list, or those in an object by name."""
    with file.open("rb") as start:
        listing = start.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["
    if listing:
        yield from read_rows(file)
    else:
        yield from (Row(number, row) for number, row in enumerate(read_object(file).values()))


def _build(source: Source) -> Iterator[Example]:
    images = source.images("image")
    said = [keyed(turn, "a turn") for turn in listed(source.row.get("conversations"), "'conversations'")]
    texts = [words(turn.get("value"), "a turn").replace(SLOT, MARK) for turn in said]
    refuse_surplus_marks(marks=count_marks(texts), images=len(images))
    turns, taken = [], 0
    for turn, text in zip(said, texts, strict=True):
        count = text.count(MARK)
        parts: tuple[Text | ImageRef, ...] = marked(text, images[taken : taken + count])
        turns.append(Turn(role_of(turn.get("from"), "a turn"), parts))
        taken += count
    if taken != len(images):
        raise bad(f"{len(images)} images but {taken} {SLOT} marks. Mend the row or leave it out.")
    check_turns(turns)
    own: list[Json] = [{"kind": "reply", "chance": 0.0} for turn in turns if turn.role == "assistant"]
    facts: dict[str, Json] = {"scenario": "images", "turns": own}
    dialogue = Example(source.name(), tuple(turns), origin=source.origin, facts=facts)
    try:
        yield from each_reply(dialogue)
    except DataError as error:
        raise bad(str(error)) from None


def _ask(question: Example, reply: str) -> Example:
    """Return what the judge is asked: the last question, both answers, then every image of the dialogue so far."""
    asked = INSTRUCTION % (text_of(question.turns[-2]).strip(), scorers.reference_of(question), reply)
    return Example(question.id, (Turn("user", (Text(asked), *images_of(question))),))


def _read(question: Example, verdict: str) -> Mapping[str, float] | None:
    """Return the numbers of the verdict's last object over 10; None where one is missing or no number from 0 to 10."""
    said = _NUMBER.findall(verdict[verdict.rfind("{") :])
    found = {name: score / TOP for name, *number in said if (score := score_of(*number, top=TOP)) is not None}
    if not found.keys() >= {*DIMENSIONS}:
        return None
    return {"score": found[OVERALL], **{name: found[name] for name in DIMENSIONS if name != OVERALL}}


BENCHMARK = Benchmark(
    questions=questions,
    score=needs_judge,
    chance=chance_of,
    cite="Liu, Chu, Zang, Wei, Dong, Zhang, Liang, Xiong, Qiao, Lin, Wang 2024 (NeurIPS; arXiv:2406.11833)",
    about="dialogues over many turns and images, marked by a judge in six dimensions",
    task_count=1,
    images="2 to 20",
    source="hub: laolao77/MMDU, benchmark.json and mmdu_pics.zip",
    licence="CC-BY-NC-4.0",
    metric="judge",
    max_tokens=1024,
    judge=Judge(ask=_ask, read=_read, published="gpt-4o", max_tokens=1024),
)
