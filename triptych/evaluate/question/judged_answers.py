"""Short answers that a judge marks: does a reply mean the right answer, yes or no, and how well from 0 to 5.

Source: the judging of Video-ChatGPT (arXiv:2306.05424), which ActivityNet-QA, MSVD-QA and MSRVTT-QA took over; Otter
asks for yes or no alone. Asked in words of ours, so numbers are near the published ones, not theirs.
"""

from __future__ import annotations

from collections.abc import Mapping

from triptych.core.records import Example, Text, Turn
from triptych.evaluate.benchmark import fact
from triptych.evaluate.metrics.verdict import TOP, read_verdict
from triptych.evaluate.reading import scorers
from triptych.evaluate.reading.judge import Judge

REQUEST = """A model was asked about a picture or a video. Below are the question, the right answer and its answer.
Does the model's answer mean the same as the right one? Other words for the same thing are as good; a wrong or missing \
fact is not. Then say how well they agree, as a whole number from 0 (not at all) to 5 (wholly).
Reply with one line like this and nothing else: {'pred': 'yes', 'score': 4}

Question: %s
Right answer: %s
Model's answer: %s
"""


def judge_by(published: str) -> Judge:
    """Return the judge of short answers. Args: the model that judged in the published numbers."""
    return Judge(ask=_ask, read=_read, published=published, max_tokens=64)


def _ask(question: Example, reply: str) -> Example:
    asked = REQUEST % (fact(question, "question"), scorers.reference_of(question), reply)
    return Example(question.id, (Turn("user", (Text(asked),)),))


def _read(question: Example, verdict: str) -> Mapping[str, float] | None:
    """Return 1 for yes and 0 for no as the score, and the rating over 5; None: neither yes nor no."""
    said = read_verdict(verdict)
    if said.right is None:
        return None
    rating = {} if said.score is None else {"rating": said.score / TOP}
    return {"score": float(said.right), **rating}
