"""VBench, human preference: rate four models' videos of one text; how often is the order of two people's? About 2,000.

Source: Huang et al. 2023 (arXiv:2311.17982), as VideoScore (arXiv:2406.15252) tests on it: TIGER-Lab/VideoScore-Bench,
``vbench``, a row a video, called ``SOURCE_NUMBER_MODEL``, with ``preference`` {other model: 1, 0.5, 0 or null}. Each of
the five sources has its own table there; here each is a task, and the total is their mean. Prompt and frames are in
``video_quality``, the metric in ``against_people``: pairwise accuracy of the mean rating, ties included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from triptych.core.records import Example, Json
from triptych.data.disk.rows import bad, keyed
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

SOURCES = (
    "technical_quality",
    "subject_consistency",
    "dynamics_degree",
    "motion_smoothness",
    "overall_consistency",
)
_ID = re.compile(rf"({'|'.join(SOURCES)})_(\d+)_(.+)")

GUESS = 0.5
"""Of a pair in which people prefer one; where they prefer neither it depends on how far apart guesses are."""


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield a question for each video."""
    return read_videos(path, _build)


def accuracy(marked: Marked) -> float:
    """Return the share of pairs in people's order, the mean over sources."""
    return pairwise(marked, _preferred)


def pairs(questions: Sequence[Example]) -> list[tuple[int, int]]:
    """Return the positions of every two videos that are compared."""
    return compared(questions, _preferred)


def _build(source: Source) -> Iterator[Example]:
    video = source.name()
    found = _ID.fullmatch(video)
    if found is None:
        raise bad(f"the id {video!r} is no SOURCE_NUMBER_MODEL. Mend the row or leave it out.")
    over: dict[str, Json] = {}
    for model, value in keyed(source.row.get("preference"), "'preference'").items():
        if value not in (None, 0, 0.5, 1) or isinstance(value, bool):
            raise bad(f"preference over {model} is {value!r}: 1, 0.5, 0 and null are known. Mend the row.")
        if value is not None:
            over[model] = value
    like_it = dict.fromkeys(ASPECTS, 1 + 3 * fmean(map(float, map(str, over.values()))) if over else 1.0)
    yield video_question(
        source,
        name=video,
        benchmark="vbench",
        reply=ratings_text(like_it),
        kind=found[1],
        chance=GUESS,
        model=found[3],
        over=over,
        story=f"{found[1]}_{int(found[2])}",
    )


def _preferred(one: Example, other: Example) -> float | None:
    over = one.facts.get("over")
    value = over.get(fact(other, "model")) if isinstance(over, dict) else None
    return None if value is None else float(str(value))


BENCHMARK = Benchmark(
    questions=questions,
    score=pair_score,
    corpus=pair_points,
    statistic=accuracy,
    pairs=pairs,
    answered=pair_answered,
    chance=chance_of,
    cite="Huang et al. 2023, VBench (CVPR 2024; arXiv:2311.17982); as He et al. 2024 (arXiv:2406.15252) test on it",
    about="ratings of four generated videos, and whether the order of two is people's",
    task_count=len(SOURCES),
    images=f"{FRAMES} frames",
    source="hub: TIGER-Lab/VideoScore-Bench, vbench, test, with its frames",
    licence="Apache-2.0",
    max_tokens=128,
)
