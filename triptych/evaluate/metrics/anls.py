"""ANLS: one minus the normalised edit distance to the nearest accepted answer, 0 below one half.

Source: Biten et al. 2019 (arXiv:1905.13648) and the evaluation script of DocVQA, InfographicVQA and ST-VQA. Not ANLS*,
which also compares lists and tables. Case and runs of white space do not count for the distance; but a distance is
divided by the longer text as it was given, white space and all, as that script does.
"""

from __future__ import annotations

from collections.abc import Sequence


def anls(answers: Sequence[str], reply: str, *, threshold: float = 0.5) -> float:
    """Return the score of the nearest answer: 0 to 1.

    Args:
        answers: accepted ones, at least one.
        reply: the whole reply.
        threshold: a similarity below it scores 0.

    Raises:
        ValueError: no answers.
    """
    if not answers:
        raise ValueError("ANLS needs at least one accepted answer.")
    nearest = max(_similarity(answer, reply) for answer in answers)
    return nearest if nearest >= threshold else 0.0


def edit_distance(first: str, second: str) -> int:
    """Return the Levenshtein distance: insertions, deletions and substitutions of single characters, each costs 1.

    >>> edit_distance("kitten", "sitting")
    3
    """
    costs = list(range(len(second) + 1))
    for row, letter in enumerate(first, start=1):
        diagonal, costs[0] = costs[0], row
        for column, other in enumerate(second, start=1):
            diagonal, costs[column] = (
                costs[column],
                min(costs[column] + 1, costs[column - 1] + 1, diagonal + (letter != other)),
            )
    return costs[-1]


def _similarity(answer: str, reply: str) -> float:
    longest = max(len(answer.upper()), len(reply.upper()))  # Upper case, as published: it may be longer.
    return 1 - edit_distance(_plain(answer), _plain(reply)) / longest if longest else 1.0


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
