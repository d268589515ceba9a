"""Consistency: the share of statements that are right on every picture they stand with. NLVR's second number.

Source: Suhr et al. 2017 and 2019 (arXiv:1811.00491) with the evaluation code of NLVR2, where an identifier is
``SPLIT-SET-PAIR-SENTENCE`` and the pairs of one sentence are a group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable


def accuracy_and_consistency(marked: Iterable[tuple[Hashable, bool]]) -> tuple[float, float]:
    """Return the share of right answers, and the share of groups in which all are right: each 0 to 1.

    Args:
        marked: (group, whether the answer is right), in any order.

    Raises:
        ValueError: nothing is marked.
    """
    groups: defaultdict[Hashable, list[bool]] = defaultdict(list)
    for group, right in marked:
        groups[group].append(right)
    if not groups:
        raise ValueError("no answer is marked.")
    answers = [right for rights in groups.values() for right in rights]
    return sum(answers) / len(answers), sum(map(all, groups.values())) / len(groups)


def nlvr2_statement(identifier: str) -> str:
    """Return what the pairs of one sentence share: the identifier without its pair.

    >>> nlvr2_statement("test1-17-3-1")
    'test1-17-1'

    Raises:
        ValueError: it has not the four parts of NLVR2.
    """
    parts = identifier.split("-")
    if len(parts) != 4:
        raise ValueError(f"{identifier!r} is no identifier of NLVR2: SPLIT-SET-PAIR-SENTENCE.")
    return "-".join((*parts[:2], parts[3]))
