"""Your own held-out rows, each marked by what its reference is: an option, a short answer, or a longer text.

The path is a source, ``FORMAT:PATH`` (``question/own_rows``). Choices count as right or wrong, and so do references of
up to five words; longer ones count by ROUGE-L. ``by_split`` tells them apart, as a mean over both is no accuracy. One
rule for all rows: ``own_exact``, ``own_rouge_l``, ``own_judge``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triptych.core.records import Example
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, chance_of
from triptych.evaluate.question import own_rows


def questions(path: Path) -> Iterator[Example | Refused]:
    """Yield a question for each reply of each row."""
    return own_rows.own_questions(path, own_rows.rule_of)


BENCHMARK = Benchmark(
    questions=questions,
    score=own_rows.score,
    answered=own_rows.answered,
    label=own_rows.label,
    chance=chance_of,
    cite="whoever has the rows",
    about="your own rows: choices and short answers right or wrong, longer ones by ROUGE-L; own_judge has a judge",
    images="any",
    source="--data FORMAT:PATH, any rows that Triptych reads",
    licence="of the rows",
    metric="mixed",
    tasks="rule",
    max_tokens=own_rows.MAX_TOKENS,
)
