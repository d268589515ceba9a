"""NExT-QA, open-ended: why, how and when things happen in a video, in a few words. Test: 9,178 questions; WUPS.

Source: Xiao et al. 2021 (CVPR; arXiv:2105.08276), its code NExT-OE, and the layout of lmms-lab/NExTQA, configuration
OE: {video, question, answer, qid, type, additional_ref_answer}, videos under ``NExTVideo/``. The prompt is that of
lmms-eval. The score is WUPS at threshold 0, of the better of the two references; counts (DC) and yes or no (DB) must be
the same words. Needs WordNet (``metrics/wordnet.py``) for replies that are not the reference to the letter.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from pathlib import Path

from triptych.core.records import Example, Text
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of, fact
from triptych.evaluate.metrics.wups import same_words, words, wups
from triptych.evaluate.question.question_rows import Source, fact_of, free
from triptych.evaluate.question.video_rows import FRAMES, frames_of, read_video_questions, video_of
from triptych.evaluate.reading import scorers

FILES = ("OE/test-*.parquet", "test-*.parquet", "test.jsonl")
POST_PROMPT = "\nAnswer a question using a short phrase or sentence."
EXACT = ("DC", "DB")
"""Types whose answers must be the same words: counts, and yes or no."""
TASKS = {"TP": "TN"}
"""Before and after are one task in the published table."""


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield the questions of the test split."""
    return read_video_questions(path, _build, files=FILES)


def score(question: Example, reply: str) -> float:
    """Return the score against the better reference: 0 to 1. Raises ConfigError: WordNet is needed and not there."""
    measure: Callable[[str, str], float] = same_words if fact(question, "kind") in EXACT else wups
    answers = [answer for answer in (scorers.reference_of(question), fact(question, "other_answer")) if answer]
    if any(words(answer) == words(reply) for answer in answers):
        return 1.0
    return max(float(measure(answer, reply)) for answer in answers)


def answered(question: Example, reply: str) -> bool:
    """Return whether there is a word."""
    return bool(words(reply))


def label(question: Example) -> Hashable:
    """Return the answer's words."""
    return " ".join(words(scorers.reference_of(question)))


def _build(source: Source, frames: int) -> Iterator[Example]:
    name, kind, question = fact_of(source.row, "video"), source.text("type"), source.text("question")
    yield free(
        source,
        [
            *frames_of(video_of(source, f"NExTVideo/{name}", name), frames),
            Text(f"{question.strip()}{POST_PROMPT}"),
        ],
        name=f"{name}/{fact_of(source.row, 'qid') or source.number}",
        reply=source.text("answer"),
        kind=TASKS.get(kind, kind),
        question=question,
        other_answer=fact_of(source.row, "additional_ref_answer"),
        scenario="frames",
        story=name,
    )


BENCHMARK = Benchmark(
    questions=questions,
    score=score,
    chance=chance_of,
    answered=answered,
    label=label,
    cite="Xiao, Shang, Yao, Chua 2021 (CVPR; arXiv:2105.08276)",
    about="causes, order and description of what happens in a video, in a few words of one's own",
    items=9178,
    task_count=8,
    images=f"{FRAMES} frames",
    source="hub: lmms-lab/NExTQA, OE, test, with its videos",
    metric="wups",
)
