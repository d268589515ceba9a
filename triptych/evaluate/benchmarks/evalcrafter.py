"""EvalCrafter: rate about 2,540 generated videos; Spearman's correlation with people's ratings in three aspects.

Source: Liu et al. 2023 (arXiv:2310.11440), as VideoScore (arXiv:2406.15252) tests on it: TIGER-Lab/VideoScore-Bench,
``eval_crafter``, people's ratings in ``score_list``. Compared are visual quality, temporal consistency and
text-to-video alignment, the three that EvalCrafter has. We have not seen the rows: five numbers are taken as the five
aspects in order, three as the three compared. Prompt and frames are in ``video_quality``, the metric in
``against_people``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example
from triptych.data.disk.rows import bad, finite, listed
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question.against_people import aspect_answered, aspect_ranks, aspect_score, mean_correlation
from triptych.evaluate.question.question_rows import Source
from triptych.evaluate.question.video_quality import ASPECTS, FRAMES, ratings_text, read_videos, video_question

COMPARED = ("visual quality", "temporal consistency", "text-to-video alignment")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield three questions a video."""
    return read_videos(path, _build)


def _build(source: Source) -> Iterator[Example]:
    people, video = _people(source), source.name()
    for aspect, rating in people.items():
        yield video_question(
            source,
            name=f"{video}/{aspect}",
            benchmark="eval_crafter",
            reply=ratings_text(people),
            kind=aspect,
            people=rating,
            story=video,
        )


def _people(source: Source) -> dict[str, float]:
    listed_scores = listed(source.row.get("score_list"), "'score_list'")
    numbers = [finite(number, "an entry of 'score_list'") for number in listed_scores]
    for names in (ASPECTS, COMPARED):
        if len(numbers) == len(names):
            rated = dict(zip(names, numbers, strict=True))
            return {aspect: rated[aspect] for aspect in COMPARED}
    raise bad(f"score_list has {len(numbers)} numbers: 5 or 3 are known. Mend the row or leave it out.")


BENCHMARK = Benchmark(
    questions=questions,
    score=aspect_score,
    corpus=aspect_ranks,
    statistic=mean_correlation,
    answered=aspect_answered,
    chance=chance_of,
    cite="Liu et al. 2023, EvalCrafter (CVPR 2024; arXiv:2310.11440); as He et al. 2024 (arXiv:2406.15252) test on it",
    about="ratings of generated videos in three aspects, correlated with people's",
    task_count=len(COMPARED),
    images=f"{FRAMES} frames",
    source="hub: TIGER-Lab/VideoScore-Bench, eval_crafter, test, with its frames",
    licence="Apache-2.0",
    metric="spearman",
    max_tokens=128,
)
