"""MSVD-QA and MSRVTT-QA: questions made from captions of short web videos, answered in a word. What the two share.

Source: Xu et al. 2017 (ACM MM), ``test_qa.json``: [{id, video_id, question, answer}]. Asked as Video-ChatGPT
(arXiv:2306.05424) asks without training: the question as it is, nothing else. Accuracy is the share that a judge says
yes to; without a judge a reply must be the answer's word, which wordy replies never are.
"""

from __future__ import annotations

from collections.abc import Iterator

from triptych.core.records import Example, Text
from triptych.evaluate.question.question_rows import Source, fact_of, free
from triptych.evaluate.question.video_rows import frames_of, video_of

KINDS = ("what", "who", "how", "when", "where")
"""Tasks of the papers' tables, by the first word."""


def web_question(source: Source, frames: int, *videos: str) -> Iterator[Example]:
    """Yield a row's question. ``videos``: names that its video may have, most wanted first. Raises as ``Build``."""
    question = source.text("question")
    first = question.split(maxsplit=1)[0].lower() if question.strip() else ""
    yield free(
        source,
        [*frames_of(video_of(source, *videos), frames), Text(question)],
        name=source.name("id"),
        reply=source.text("answer"),
        kind=first if first in KINDS else "other",
        question=question,
        scenario="frames",
        story=fact_of(source.row, "video_id"),
    )
