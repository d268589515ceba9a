"""VideoFeedback-test: rate 760 generated videos in five aspects; Spearman's correlation with people's ratings.

Source: He et al. 2024, VideoScore (arXiv:2406.15252), TIGER-Lab/VideoScore-Bench, ``video_feedback``; the last turn of
a row holds people's ratings. Prompt and frames are in ``video_quality``, the metric in ``against_people``. Each aspect
of a video is a question; all five have the same prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example
from triptych.data.disk.rows import bad
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question.against_people import aspect_answered, aspect_ranks, aspect_score, mean_correlation
from triptych.evaluate.question.question_rows import Source
from triptych.evaluate.question.video_quality import ASPECTS, FRAMES, ratings_text, read_videos, said_in, video_question

_RATING = re.compile(r": (\d+)")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield five questions a video."""
    return read_videos(path, _build)


def _build(source: Source) -> Iterator[Example]:
    people = [float(number) for number in _RATING.findall(said_in(source, 1))]
    if len(people) != len(ASPECTS):
        raise bad(f"people's ratings are {len(people)} numbers, not {len(ASPECTS)}. Mend the row or leave it out.")
    reply, video = ratings_text(dict(zip(ASPECTS, people, strict=True))), source.name()
    for aspect, rating in zip(ASPECTS, people, strict=True):
        yield video_question(
            source,
            name=f"{video}/{aspect}",
            benchmark="video_feedback",
            reply=reply,
            kind=aspect,
            people=rating,
            story=video,
        )


BENCHMARK = Benchmark(
    questions=questions,
    score=aspect_score,
    corpus=aspect_ranks,
    statistic=mean_correlation,
    answered=aspect_answered,
    chance=chance_of,
    cite="He, Jiang, Zhang et al. 2024 (EMNLP; arXiv:2406.15252)",
    about="ratings of generated videos in five aspects, correlated with people's",
    items=760 * len(ASPECTS),
    task_count=len(ASPECTS),
    images=f"{FRAMES} frames",
    source="hub: TIGER-Lab/VideoScore-Bench, video_feedback, test, with its frames",
    licence="Apache-2.0",
    metric="spearman",
    max_tokens=128,
)
