"""Video-ChatGPT's generative test: 1,996 general, 499 temporal, 2 x 499 consistency questions; long answers, a judge.

Source: Maaz et al. 2023 (arXiv:2306.05424): ``generic_qa.json`` and ``temporal_qa.json``, [{Q, A, video_name}], and
``consistency_qa.json``, [{Q1, Q2, A, video_name}]; videos under ``Test_Videos/``. The prompt is the question as it is.
Correctness, detail and context of general answers, the order in temporal ones, and whether the answers to two wordings
of one question agree, are rated from 0 to 5; papers print the mean ratings, 5 times the measures here, and the mean of
the five, which is the figure. The total here is the mean of the three kinds of question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from triptych.core.records import Example, Text
from triptych.data.disk.rows import bad
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, Figures, MarkedReply, chance_of, fact
from triptych.evaluate.question.question_rows import Source, free
from triptych.evaluate.question.video_ratings import OF_KIND, PAIR, RATED, TOP, ask_ratings, read_ratings
from triptych.evaluate.question.video_rows import FRAMES, frames_of, read_video_questions, video_of
from triptych.evaluate.reading.judge import Judge, needs_judge

KINDS = ("generic", "temporal", "consistency")
AVERAGE = "mean of the five ratings"


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of the three files, or of one."""
    return read_video_questions(path, _build, files=("[cgt]*_qa.json",))


def count_ratings(video: Sequence[MarkedReply]) -> list[float]:
    """Return, for each kind, the sum of what a video's answers are rated, and how many there are."""
    of_kind = [[one.score for one in video if fact(one.question, "kind") == kind] for kind in KINDS]
    return [number for scores in of_kind for number in (sum(scores), float(len(scores)))]


def printed_average(counts: Sequence[float]) -> Mapping[str, float]:
    """Return the mean of the five mean ratings, 0 to 5: a general answer's score is that of three of them."""
    if not all(counts[1::2]):
        return {}
    means = [total / number for total, number in zip(counts[::2], counts[1::2], strict=True)]
    rated = [len(OF_KIND[kind]) for kind in KINDS]
    return {AVERAGE: TOP * sum(mean * count for mean, count in zip(means, rated, strict=True)) / sum(rated)}


def _build(source: Source, frames: int) -> Iterator[Example]:
    kind = source.file.stem.removesuffix("_qa")
    if kind not in KINDS:
        raise bad(f"{source.file.name} is none of {', '.join(f'{name}_qa.json' for name in KINDS)}. Name one of them.")
    name, pair = source.text("video_name"), f"{kind}/{source.number}"
    keys = ("Q1", "Q2") if kind == "consistency" else ("Q",)
    shown = frames_of(video_of(source, f"Test_Videos/{name}", name), frames)
    for number, key in enumerate(keys, start=1):
        question = source.text(key)
        yield free(
            source,
            [*shown, Text(question)],
            name=f"{pair}/{number}" if len(keys) > 1 else pair,
            reply=source.text("A"),
            kind=kind,
            question=question,
            scenario="frames",
            story=name,
            **({PAIR: pair} if len(keys) > 1 else {}),
        )


BENCHMARK = Benchmark(
    questions=questions,
    score=needs_judge,
    chance=chance_of,
    cite="Maaz, Rasheed, Khan, Khan 2023 (ACL 2024; arXiv:2306.05424)",
    about="long answers about videos, rated by a judge in the five published dimensions",
    items=3493,
    task_count=len(KINDS),
    images=f"{FRAMES} frames",
    source="https://github.com/mbzuai-oryx/Video-ChatGPT, quantitative evaluation, with its videos",
    metric="judge",
    aggregate="macro",
    max_tokens=1024,
    judge=Judge(ask=ask_ratings, read=read_ratings, published="gpt-3.5-turbo-0613", max_tokens=RATED, together=PAIR),
    figures=Figures(count_ratings, printed_average, lambda name: float(TOP)),
)
