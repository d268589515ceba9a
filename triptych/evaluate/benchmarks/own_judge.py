"""Your own held-out rows, marked by a judge: how right is a reply, from 0.0 to 1.0, with the reference beside it?

As ``own``, but no rule marks anything. The judge reads the conversation's words and sees no image, so what the
reference does not tell it cannot check. The request is in our words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from triptych.core.records import Example, Text, Turn
from triptych.data.format import Refused
from triptych.evaluate.benchmarks import own
from triptych.evaluate.metrics.verdict import read_verdict
from triptych.evaluate.question import own_rows
from triptych.evaluate.reading.judge import Judge, needs_judge
from triptych.evaluate.reading.scorers import reference_of

REQUEST = """Compare a model's reply in a conversation about pictures with the right one. You cannot see the pictures.
How right is it, from 0.0 (wrong) to 1.0 (right), in steps of 0.1? Other words for the same thing are as good; a wrong \
or missing fact is not. Where options are listed, the same option by its letter or by its words is the same reply.
Reply with one line like this and nothing else: score: 0.5

The conversation:
%s

The right reply: %s
The model's reply: %s
"""


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield a question for each reply of each row."""
    return own_rows.own_questions(path, lambda question: own_rows.JUDGE)


def _ask(question: Example, reply: str) -> Example:
    words = REQUEST % (own_rows.dialogue_of(question), reference_of(question), reply)
    return Example(question.id, (Turn("user", (Text(words),)),))


def _read(question: Example, verdict: str) -> Mapping[str, float] | None:
    found = read_verdict(verdict, top=1.0).score
    return None if found is None else {"score": found}


BENCHMARK = replace(
    own.BENCHMARK,
    questions=questions,
    score=needs_judge,
    about="your own rows, each reply marked by a judge beside the right one",
    metric="judge",
    judge=Judge(ask=_ask, read=_read, published="nobody, as the rows are your own", max_tokens=16),
)
