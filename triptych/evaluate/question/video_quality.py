"""How good a generated video is, in five aspects from 1 to 4: VideoScore's prompt, its frames, and numbers in a reply.

Source: He et al. 2024, VideoScore (arXiv:2406.15252), MIT, and TIGER-Lab/VideoScore-Bench: {id, images: frame files,
conversations} beside ``frames_NAME/ID/``, or the zip of them. The prompt is its regression prompt
(``infer/score_questions.py``), which asks for numbers like 3.2, then 16 frames from first to last, repeated where there
are fewer. So are VideoScore's own numbers made; other models' were made with a prompt for whole numbers, which is not
used here. Not a metric and not a benchmark: see ``against_people`` and ``benchmarks/``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from triptych.core.records import Example, ImageRef, Json, Text
from triptych.data.disk.rows import bad, keyed, listed, words
from triptych.data.format import Refused
from triptych.data.media.locate import ImageError
from triptych.data.media.video import pick_linspace
from triptych.evaluate.question.question_rows import Build, Source, free, read_questions
from triptych.infer import score_questions

ASPECTS, PROMPT = score_questions.ASPECTS, score_questions.PROMPT
FRAMES = 16
LOWEST, HIGHEST = 1.0, 4.0
FILES = ("test-*.parquet", "test.jsonl")
_BEFORE, _BEHIND = 'text prompt is "', '",\n'
"""What stands around the text that the video was made from, in a row's own prompt."""
_NUMBER = r"(-?\d+(?:\.\d+)?|-?\.\d+)"
_ANY = re.compile(rf"(?<![\w.]){_NUMBER}(?![\w]|\.\d)")


def read_videos(path: Path, build: Build) -> Iterator[Example | Refused]:
    """Yield the questions of a folder of VideoScore-Bench, or of one file of it. Raises DataError."""
    return read_questions(path, build, files=FILES)


def video_question(source: Source, *, name: str, benchmark: str, reply: str, **facts: Json) -> Example:
    """Return what is asked about a row's video.

    Args:
        source: the row.
        name: the question's id.
        benchmark: which of VideoScore-Bench; its frames' folder is ``frames_BENCHMARK``.
        reply: the reference.
        facts: of the question; ``kind`` among them.

    Raises:
        RowError: the row is not as its layout says; ImageError: a frame is missing.
    """
    asked = said_in(source, 0)
    _, found, behind = asked.partition(_BEFORE)
    text, closed, _ = behind.partition(_BEHIND)
    if not found or not closed:
        raise bad(f"its prompt does not hold the words {_BEFORE}..., so what the video should show is not known.")
    parts: list[Text | ImageRef] = [Text(PROMPT % text)]
    for frame in _frames(source, benchmark):
        parts += [frame, Text(" ")]
    own: dict[str, Json] = {"question": text, "scenario": "frames", "video": source.name()}
    return free(source, parts, name=name, reply=reply, **{**own, **facts})


def said_in(source: Source, turn: int) -> str:
    """Return what one turn of a row's conversation says. Raises RowError."""
    turns = listed(source.row.get("conversations"), "'conversations'")
    if turn >= len(turns):
        raise bad(f"'conversations' has {len(turns)} turns, and no turn {turn}. Mend the row or leave it out.")
    return words(keyed(turns[turn], "a turn").get("value"), "a turn")


def ratings_said(reply: str) -> Mapping[str, float]:
    """Return the number that a reply gives each aspect, as far as it gives them.

    A number behind an aspect's name is that aspect's, the last where there are several. Where no aspect is named, five
    numbers are those of the five aspects in order, and a number alone stands for every aspect.

    >>> ratings_said("Visual quality: 2.67, temporal consistency: 3")
    {'visual quality': 2.67, 'temporal consistency': 3.0}
    """
    found = {}
    for aspect in ASPECTS:
        name = re.sub(r"[ -]", r"[\\s_-]+", aspect)
        if numbers := re.findall(rf"\b{name}\b(?:\s*\([^)\n]*\))?[^\w\n.-]{{0,8}}{_NUMBER}", reply, re.IGNORECASE):
            found[aspect] = float(numbers[-1])
    if found:
        return found
    numbers = [float(number) for number in _ANY.findall(reply)]
    if len(numbers) == 1:
        return dict.fromkeys(ASPECTS, numbers[0])
    return dict(zip(ASPECTS, numbers, strict=True)) if len(numbers) == len(ASPECTS) else {}


def ratings_text(ratings: Mapping[str, float]) -> str:
    """Return ratings as a reply has them: a line for each."""
    return "\n".join(f"{aspect}: {rating:g}" for aspect, rating in ratings.items())


def closeness(said: float, wanted: float) -> float:
    """Return 1 for the same rating and 0 for one as far off as the scale is long, or farther."""
    return max(0.0, 1 - abs(said - wanted) / (HIGHEST - LOWEST))


def _frames(source: Source, benchmark: str) -> Iterator[ImageRef]:
    files, video = source.texts("images"), source.name()
    if not files:
        raise bad("'images' is empty: the video has no frames. Leave the row out.")
    for index in pick_linspace(len(files), FRAMES):
        yield _frame(source, [f"{folder}{video}/{files[index]}" for folder in (f"frames_{benchmark}/", "")])


def _frame(source: Source, names: list[str]) -> ImageRef:
    for name in names:
        try:
            return source.media.image(name)
        except ImageError as error:
            if name == names[-1] or error.reason != "image file missing":
                raise
    raise AssertionError("no name")  # The last one raises.
