"""Video-ChatGPT's generative test: 1,996 general and 499 temporal questions on 500 videos, long answers, a judge.

Source: Maaz et al. 2023 (arXiv:2306.05424): ``generic_qa.json`` and ``temporal_qa.json``, [{Q, A, video_name}], videos
under ``Test_Videos/``. The prompt is the question as it is. Correctness, detail and context of general answers and the
order in temporal ones are rated from 0 to 5; papers print the mean ratings, 5 times the measures here. Consistency,
over ``consistency_qa.json``, is not here (``video_ratings`` says why); so the published mean of five is not either: the
total here is the mean of the two kinds of question.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example, Text
from triptych.data.disk.rows import bad
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question.question_rows import Source, free
from triptych.evaluate.question.video_ratings import RATED, ask_ratings, read_ratings
from triptych.evaluate.question.video_rows import FRAMES, frames_of, read_video_questions, video_of
from triptych.evaluate.reading.judge import Judge, needs_judge

KINDS = ("generic", "temporal")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of both files, or of one."""
    return read_video_questions(path, _build, files=("[gt]e*_qa.json",))


def _build(source: Source, frames: int) -> Iterator[Example]:
    kind = source.file.stem.removesuffix("_qa")
    if kind not in KINDS:
        raise bad(f"{source.file.name} is neither generic_qa.json nor temporal_qa.json. Name one of them.")
    name, question = source.text("video_name"), source.text("Q")
    yield free(
        source,
        [*frames_of(video_of(source, f"Test_Videos/{name}", name), frames), Text(question)],
        name=f"{kind}/{source.number}",
        reply=source.text("A"),
        kind=kind,
        question=question,
        scenario="frames",
        story=name,
    )


BENCHMARK = Benchmark(
    questions=questions,
    score=needs_judge,
    chance=chance_of,
    cite="Maaz, Rasheed, Khan, Khan 2023 (ACL 2024; arXiv:2306.05424)",
    about="long answers about videos, rated by a judge in four of the five published dimensions",
    items=2495,
    task_count=len(KINDS),
    images=f"{FRAMES} frames",
    source="https://github.com/mbzuai-oryx/Video-ChatGPT, quantitative evaluation, with its videos",
    metric="judge",
    aggregate="macro",
    max_tokens=1024,
    judge=Judge(ask=ask_ratings, read=read_ratings, published="gpt-3.5-turbo-0613", max_tokens=RATED),
)
