"""ROUGE-L: how long a common subsequence of words two texts have, as in the textbook, and as LLaVA-Interleave counts.

Source: Lin 2004. ``rouge_l`` equals the package ``rouge-score`` without stemming. ``published_rouge_l`` equals the
package ``rouge`` 1.0.1, which LLaVA-Interleave Bench uses and which is another measure: it counts distinct words,
splits both texts at every period and joins the subsequences of all pairs of sentences, and its F of a perfect reply
is 0.999999995. Both have precision, recall and F; the benchmarks give F.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NO_WORD = re.compile(r"[^a-z0-9]+")
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


def rouge_l(reference: str, reply: str) -> Rouge:
    """Return the textbook's ROUGE-L; words are runs of a-z and 0-9 in lower case. A text without words scores 0.

    >>> rouge_l("the cat sat", "The cat.").recall
    0.6666666666666666
    """
    wanted, said = (_NO_WORD.sub(" ", text.lower()).split() for text in (reference, reply))
    if not wanted or not said:
        return Rouge(0.0, 0.0, 0.0)
    common = len(_common(wanted, said))
    precision, recall = common / len(said), common / len(wanted)
    return Rouge(precision, recall, 2 * precision * recall / (precision + recall) if common else 0.0)


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
