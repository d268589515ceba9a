"""MSVD-QA: one-word questions made from captions of web videos. Test: 13,157; a judge, or accuracy.

Source and prompt are in ``web_video_qa``, frames in ``video_rows``, the judge in ``judged_answers``.
``youtube_mapping.txt`` has a line ``NAME vidN`` for each video; the videos lie in ``YouTubeClips/``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.records import Example
from triptych.data.disk.rows import bad
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question.judged_answers import judge_by
from triptych.evaluate.question.question_rows import Source, fact_of
from triptych.evaluate.question.short_answers import says_something
from triptych.evaluate.question.video_rows import FRAMES, read_video_questions
from triptych.evaluate.question.web_video_qa import KINDS, web_question
from triptych.evaluate.reading import scorers

MAPPING = "youtube_mapping.txt"


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of the test split."""
    return read_video_questions(path, _build, files=("test_qa.json",))


def _build(source: Source, frames: int) -> Iterator[Example]:
    number = fact_of(source.row, "video_id")
    name = _names(source.file.parent / MAPPING).get(f"vid{number}")
    if name is None:
        raise bad(f"{MAPPING} has no video vid{number}. Mend it or leave the row out.")
    yield from web_question(source, frames, f"YouTubeClips/{name}", name)


@lru_cache(maxsize=4)
def _names(mapping: Path) -> dict[str, str]:
    """Return vidN -> name."""
    try:
        lines = mapping.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{mapping}: cannot be read ({error.strerror}). Put it beside test_qa.json.") from None
    pairs = [line.split() for line in lines if line.strip()]
    return {number: name for name, number in (pair for pair in pairs if len(pair) == 2)}


BENCHMARK = Benchmark(
    questions=questions,
    score=scorers.correct,
    chance=chance_of,
    answered=says_something,
    cite="Xu et al. 2017 (ACM MM), videos of MSVD (Chen and Dolan 2011, ACL)",
    about="one-word questions about short web videos, over frames",
    items=13157,
    task_count=len(KINDS),
    images=f"{FRAMES} frames",
    source="https://github.com/xudejing/video-question-answering, MSVD-QA, test, with MSVD's videos",
    metric="judge",
    max_tokens=64,
    judge=judge_by("gpt-3.5-turbo-0613"),
)
