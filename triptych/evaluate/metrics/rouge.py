"""ROUGE-L as LLaVA-Interleave Bench counts it: the words of the longest common subsequences of two texts.

Source: Lin 2004, and the package ``rouge`` 1.0.1, which the benchmark uses and to which this is equal. It is not the
ROUGE-L of the paper: it counts distinct words, splits both texts at every period and joins the subsequences of all
pairs of sentences, and its F of a perfect reply is 0.999999995. The benchmarks give F.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_EPSILON = 1e-8
"""What ``rouge`` 1.0.1 adds to the sum of precision and recall."""


@dataclass(frozen=True, slots=True)
class Rouge:
    """What two texts share: each from 0 to 1."""

    precision: float
    """Of the reply's words."""
    recall: float
    """Of the reference's words."""
    f: float
    """Their harmonic mean."""


def published_rouge_l(reference: str, reply: str) -> Rouge:
    """Return the ROUGE-L of the package ``rouge`` 1.0.1: distinct words, sentences split at every period.

    Words are split at white space, and case and marks count: the caller brings both texts into one form first.

    Raises:
        ValueError: one of the texts is empty, or nothing but periods, for which the package has no score.
    """
    wanted, said = _sentences(reference), _sentences(reply)
    if not wanted or not said:
        raise ValueError("a text of periods only, or of nothing, has no ROUGE-L here.")
    shared: set[str] = set()
    for sentence in wanted:
        for other in said:
            shared.update(_common(sentence, other))
    recall = len(shared) / len({word for sentence in wanted for word in sentence})
    precision = len(shared) / len({word for sentence in said for word in sentence})
    return Rouge(precision, recall, 2.0 * ((precision * recall) / (precision + recall + _EPSILON)))


def _sentences(text: str) -> list[list[str]]:
    # A sentence of blanks alone is one empty word there, which may be shared.
    return [" ".join(part.split()).split(" ") for part in text.split(".") if part]


def _common(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """Return a longest common subsequence; of several the one that ``rouge`` 1.0.1 finds, as its words may differ."""
    lengths = [[0] * (len(second) + 1)]
    for word in first:
        above, row = lengths[-1], [0]
        for column, other in enumerate(second):
            row.append(above[column] + 1 if word == other else max(above[column + 1], row[column]))
        lengths.append(row)
    found: list[str] = []
    i, j = len(first), len(second)
    while i and j:
        if first[i - 1] == second[j - 1]:
            found.append(first[i - 1])
            i, j = i - 1, j - 1
        elif lengths[i - 1][j] > lengths[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return found[::-1]
