"""MSRVTT-QA: one-word questions made from captions of web videos. Test: 72,821; a judge, or accuracy.

Source and prompt are in ``web_video_qa``, frames in ``video_rows``, the judge in ``judged_answers``. Video N is
``videoN``, in ``TestVideo/`` or ``videos/``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question.judged_answers import judge_by
from triptych.evaluate.question.question_rows import Source, fact_of
from triptych.evaluate.question.short_answers import says_something
from triptych.evaluate.question.video_rows import FRAMES, read_video_questions
from triptych.evaluate.question.web_video_qa import KINDS, web_question
from triptych.evaluate.reading import scorers


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of the test split."""
    return read_video_questions(path, _build, files=("test_qa.json",))


def _build(source: Source, frames: int) -> Iterator[Example]:
    name = f"video{fact_of(source.row, 'video_id')}"
    yield from web_question(source, frames, f"TestVideo/{name}", f"videos/{name}", name)


BENCHMARK = Benchmark(
    questions=questions,
    score=scorers.correct,
    chance=chance_of,
    answered=says_something,
    cite="Xu et al. 2017 (ACM MM), videos of MSR-VTT (Xu et al. 2016, CVPR)",
    about="one-word questions about web videos, over frames",
    items=72821,
    task_count=len(KINDS),
    images=f"{FRAMES} frames",
    source="https://github.com/xudejing/video-question-answering, MSRVTT-QA, test, with MSR-VTT's videos",
    metric="judge",
    max_tokens=64,
    judge=judge_by("gpt-3.5-turbo-0613"),
)
