"""NExT-QA, multiple choice: why, how and when things happen in a video, five options. Test: 8,564 questions; accuracy.

Source: Xiao et al. 2021 (CVPR; arXiv:2105.08276), the layout of lmms-lab/NExTQA, configuration MC: {video, question,
a0 to a4, answer, qid, type}, videos under ``NExTVideo/``. The prompt is that of lmms-eval: the question, then options
as ``A. words``, and no line that says how to answer. The published number is by lmms-eval's reading of replies, near
MMMU's; where it draws an option, it is what a draw is worth. Open-ended NExT-QA is ``nextqa_oe``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example, Text
from triptych.data.disk.rows import bad
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.metrics.mmmu import letter_score
from triptych.evaluate.question.question_rows import Source, choice, fact_of, lettered
from triptych.evaluate.question.video_rows import FRAMES, frames_of, read_video_questions, video_of
from triptych.evaluate.reading import scorers

FILES = ("MC/test-*.parquet", "test-*.parquet", "test.jsonl")


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of the test split."""
    return read_video_questions(path, _build, files=FILES)


def published(question: Example, reply: str) -> float:
    """Return whether lmms-eval reads the right letter."""
    return letter_score(scorers.options_of(question), reply, right=scorers.reference_of(question), loose=True)


def _build(source: Source, frames: int) -> Iterator[Example]:
    options = [source.text(f"a{number}").strip() for number in range(5)]
    right = source.row.get("answer")
    if not isinstance(right, int) or isinstance(right, bool):
        raise bad(f"answer is {right!r}, not the number of an option. Mend the row or leave it out.")
    name = fact_of(source.row, "video")
    video = video_of(source, f"NExTVideo/{name}", name)
    lines = [source.text("question").strip(), *lettered(options, "{letter}. {option}")]
    yield choice(
        source,
        [*frames_of(video, frames), Text("\n".join(lines))],
        name=f"{name}/{fact_of(source.row, 'qid') or source.number}",
        options=options,
        right=right,
        kind=fact_of(source.row, "type"),
        question=source.text("question"),
        scenario="frames",
        story=name,
    )


BENCHMARK = Benchmark(
    questions=questions,
    score=scorers.correct,
    published=published,
    chance=chance_of,
    cite="Xiao, Shang, Yao, Chua 2021 (CVPR; arXiv:2105.08276)",
    about="causes, order and description of what happens in a video, as choices over frames",
    items=8564,
    images=f"{FRAMES} frames",
    guess=0.2,
    source="hub: lmms-lab/NExTQA, MC, test, with its videos",
)
