"""Your own held-out rows, all by ROUGE-L: the words that a reply shares with the reference, in their order.

As ``own``, but choices and short answers count by their words too. Case and marks do not count; of scripts without
spaces each letter is a word. The formula is that of ``metrics/rouge``, of texts that are one sentence each.
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
    return own_rows.own_questions(path, lambda question: own_rows.ROUGE_L)


BENCHMARK = replace(
    own.BENCHMARK,
    questions=questions,
    about="your own rows, all by ROUGE-L against their replies",
    metric="rouge_l",
)
