"""Your own held-out rows, each reply right or wrong: the option that it chooses, else the reference to the word.

As ``own``, but longer references must be said to the word too, in the form that short answers are compared in (case,
articles and marks do not count): for replies of one form, such as labels, lists or numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from triptych.core.records import Example
from triptych.data.format import Refused
from triptych.evaluate.benchmarks import own
from triptych.evaluate.question import own_rows


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield a question for each reply of each row."""
    return own_rows.own_questions(path, own_rows.exact_rule)


BENCHMARK = replace(
    own.BENCHMARK,
    questions=questions,
    about="your own rows, each reply right or wrong: its option, else the reference to the word",
    metric="accuracy",
)
