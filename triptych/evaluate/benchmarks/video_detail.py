"""Video detailed description (VDD): describe a video at length. 499 videos; a judge rates the detail from 0 to 5.

Source: LLaVA-NeXT's video evaluation, on videos and human descriptions of Video-ChatGPT (arXiv:2306.05424), the layout
of lmms-lab/VideoDetailDescription: {video_name, question, answer}, videos under ``Test_Videos/``. The prompt is the
row's question. The judge is asked in words of ours. ``score`` is the rating over 5: papers print 5 times it. Frames are
in ``video_rows``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example, Text
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question.question_rows import Source, free
from triptych.evaluate.question.video_ratings import RATED, ask_ratings, read_ratings
from triptych.evaluate.question.video_rows import FRAMES, frames_of, read_video_questions, video_of
from triptych.evaluate.reading.judge import Judge, needs_judge

FILES = ("data/test-*.parquet", "test-*.parquet", "test.jsonl")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield a question for each video."""
    return read_video_questions(path, _build, files=FILES)


def _build(source: Source, frames: int) -> Iterator[Example]:
    name, question = source.text("video_name"), source.text("question")
    yield free(
        source,
        [*frames_of(video_of(source, f"Test_Videos/{name}", name), frames), Text(question)],
        name=name,
        reply=source.text("answer"),
        kind="description",
        question=question,
        scenario="frames",
        story=name,
    )


BENCHMARK = Benchmark(
    questions=questions,
    score=needs_judge,
    chance=chance_of,
    cite="Zhang, Li et al. 2024, LLaVA-NeXT; videos and descriptions: Maaz et al. 2023 (arXiv:2306.05424)",
    about="long descriptions of videos, their detail rated by a judge",
    items=499,
    task_count=1,
    images=f"{FRAMES} frames",
    source="hub: lmms-lab/VideoDetailDescription, test, with Video-ChatGPT's videos",
    metric="judge",
    max_tokens=1024,
    judge=Judge(ask=ask_ratings, read=read_ratings, published="gpt-3.5-turbo-0613", max_tokens=RATED),
)
