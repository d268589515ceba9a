"""ActivityNet-QA: open questions about videos of people doing things. Test: 8,000 on 800 videos; a judge, or accuracy.

Source: Yu et al. 2019 (AAAI; arXiv:1906.02467), the layout of lmms-lab/ActivityNetQA: {video_name, question,
question_id, answer, type}, videos as ``all_test/v_NAME``. The prompt is that of LLaVA-NeXT-Interleave and of lmms-eval.
Accuracy is the share that a judge says yes to; without a judge a reply must be the answer's words, as in the first
paper. Frames are in ``video_rows``, the judge in ``judged_answers``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example, Text
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question.judged_answers import judge_by
from triptych.evaluate.question.question_rows import Source, fact_of, free
from triptych.evaluate.question.short_answers import says_something
from triptych.evaluate.question.video_rows import FRAMES, frames_of, read_video_questions, video_of
from triptych.evaluate.reading import scorers

FILES = ("data/test-*.parquet", "test-*.parquet", "test.jsonl")
ASKS = " Answer the question using a single word or phrase."
TYPES = ("motion", "space", "time", "yes or no", "colour", "object", "place", "number", "other")
"""What the numbers of ``type`` mean."""


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of the test split."""
    return read_video_questions(path, _build, files=FILES)


def _build(source: Source, frames: int) -> Iterator[Example]:
    name, kind = source.text("video_name"), fact_of(source.row, "type")
    question = f"{source.text('question').capitalize()}?"
    video = video_of(source, f"all_test/v_{name}", f"v_{name}")
    yield free(
        source,
        [*frames_of(video, frames), Text(f"{question}{ASKS}")],
        name=source.name("question_id"),
        reply=source.text("answer"),
        kind=TYPES[int(kind)] if kind.isdecimal() and int(kind) < len(TYPES) else kind or "unknown",
        question=question,
        scenario="frames",
        story=name,
    )


BENCHMARK = Benchmark(
    questions=questions,
    score=scorers.correct,
    chance=chance_of,
    answered=says_something,
    cite="Yu, Xu, Yu, Yu, Zhao, Zhuang, Tao 2019 (AAAI; arXiv:1906.02467)",
    about="open questions about what people do in videos, over frames",
    items=8000,
    task_count=len(TYPES),
    images=f"{FRAMES} frames",
    source="hub: lmms-lab/ActivityNetQA, test, with its videos",
    metric="judge",
    max_tokens=64,
    judge=judge_by("gpt-3.5-turbo-0613"),
)
