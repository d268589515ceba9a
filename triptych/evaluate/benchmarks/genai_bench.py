"""GenAI-Bench, videos: rate two videos made from one text; how often is the order people's? About 1,070 pairs.

Source: Jiang et al. 2024 (arXiv:2406.04485), as VideoScore (arXiv:2406.15252) tests on it: TIGER-Lab/VideoScore-Bench,
``genaibench``, a row a video, ``0000_left`` and ``0000_right``, each with its ``preference``: the higher one is
preferred. Prompt and frames are in ``video_quality``, the metric in ``against_people``: pairwise accuracy, ties
included.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from triptych.core.records import Example
from triptych.data.disk.rows import bad
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of, fact
from triptych.evaluate.question.against_people import (
    Marked,
    compared,
    pair_answered,
    pair_points,
    pair_score,
    pairwise,
)
from triptych.evaluate.question.question_rows import Source
from triptych.evaluate.question.video_quality import ASPECTS, FRAMES, ratings_text, read_videos, video_question

GUESS = 0.5
"""Of a pair in which people prefer one; where they prefer neither it depends on how far apart guesses are."""


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield a question for each video."""
    return read_videos(path, _build)


def accuracy(marked: Marked) -> float:
    """Return the share of pairs in people's order."""
    return pairwise(marked, _preferred)


def pairs(questions: Sequence[Example]) -> list[tuple[int, int]]:
    """Return the positions of every two videos that are compared."""
    return compared(questions, _preferred)


def _build(source: Source) -> Iterator[Example]:
    video, preference = source.name(), source.number_at("preference")
    pair, _, side = video.rpartition("_")
    if side not in ("left", "right") or not pair:
        raise bad(f"the id {video!r} is no PAIR_left or PAIR_right. Mend the row or leave it out.")
    like_it = dict.fromkeys(ASPECTS, 1 + 3 * min(1.0, max(0.0, preference)))
    yield video_question(
        source,
        name=video,
        benchmark="genaibench",
        reply=ratings_text(like_it),
        kind="preference",
        chance=GUESS,
        preference=preference,
        story=pair,
    )


def _preferred(one: Example, other: Example) -> float:
    left, right = float(fact(one, "preference")), float(fact(other, "preference"))
    return 0.5 if left == right else float(left > right)


BENCHMARK = Benchmark(
    questions=questions,
    score=pair_score,
    corpus=pair_points,
    statistic=accuracy,
    pairs=pairs,
    answered=pair_answered,
    chance=chance_of,
    cite="Jiang et al. 2024, GenAI Arena (arXiv:2406.04485); as He et al. 2024 (arXiv:2406.15252) test on it",
    about="ratings of two generated videos, and whether their order is people's",
    task_count=1,
    images=f"{FRAMES} frames",
    source="hub: TIGER-Lab/VideoScore-Bench, genaibench, test, with its frames",
    licence="Apache-2.0",
    max_tokens=128,
)
