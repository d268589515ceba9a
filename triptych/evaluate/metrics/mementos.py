"""Mementos: recall, precision and F1 of the objects and actions that a description of an image sequence names.

Source: Wang et al. 2024 (arXiv:2401.10529); the evaluation code that Mantis (arXiv:2405.01483) carries. A judge takes
the keywords out of both descriptions (``keyword_lists`` reads what it says); here they are compared, with a table of
synonyms. Not the judge.

Quirk that is kept unless ``strict``: once every reference keyword has been matched by a synonym, all predicted keywords
that are left count together as one wrong keyword; so long lists of hallucinations cost little.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

Synonyms = Mapping[tuple[str, ...], Collection[str]]
"""Keyword, or two in a row -> reference keywords that mean the same."""

LISTS = ("Object list 1", "Action list 1", "Object list 2", "Action list 2")
"""What the judge is asked for: 1 is the reference, 2 the reply."""
_LINE = re.compile(r"\W*((?:Object|Action) list [12])\W*: ?\W*\[(.*)\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Overlap:
    """How well keywords agree: each from 0 to 1."""

    recall: float
    precision: float
    f1: float


def keyword_scores(
    reference: Sequence[str],
    predicted: Sequence[str],
    *,
    synonyms: Synonyms,
    pairs: bool = False,
    strict: bool = False,
) -> Overlap:
    """Compare two lists of keywords; repeats in a list count once. Two empty lists agree.

    Args:
        reference: of the human's description.
        predicted: of the reply.
        synonyms: what also counts as a reference keyword; empty: only equal words match.
        pairs: two predicted keywords in a row may be one synonym, as published for actions and not for objects.
        strict: every keyword that is left over is wrong, instead of all of them together being one.
    """
    if not reference and not predicted:
        return Overlap(1.0, 1.0, 1.0)
    found, left_over = _renamed(reference, predicted, synonyms, pairs)
    wanted, said = set(reference), set(found)
    extra = len(set(left_over) - wanted - said) if strict else bool(left_over)
    if strict:
        said |= set(left_over) & wanted
    right = len(wanted & said)
    recall = right / len(wanted) if wanted else 0.0
    total = len(said) + extra
    precision = right / total if total else 0.0
    return Overlap(recall, precision, 2 * precision * recall / (precision + recall) if right else 0.0)


def keyword_lists(verdict: str) -> dict[str, tuple[str, ...]] | None:
    """Return the four lists of the judge's reply by name, or None where one is missing.

    >>> keyword_lists("Object list 1: [dog, toy]")
    """
    found = {match[1].capitalize(): match[2] for match in map(_LINE.match, verdict.splitlines()) if match}
    if not all(name in found for name in LISTS):
        return None
    return {name: tuple(word for part in found[name].split(",") if (word := part.strip())) for name in LISTS}


def _renamed(
    reference: Sequence[str], predicted: Sequence[str], synonyms: Synonyms, pairs: bool
) -> tuple[list[str], list[str]]:
    """Return the predicted keywords by their reference names, and those that no reference keyword was left for."""
    open_ones = list(reference)
    found: list[str] = []
    at = 0
    while at < len(predicted) and open_ones:
        one, two = (predicted[at],), tuple(predicted[at : at + 2])
        for number, wanted in enumerate(open_ones):
            if wanted in synonyms.get(one, ()):
                taken = 1
            elif pairs and len(two) == 2 and wanted in synonyms.get(two, ()):
                taken = 2
            else:
                continue
            found.append(open_ones.pop(number))
            at += taken
            break
        else:
            found.append(predicted[at])
            at += 1
    return found, list(predicted[at:])
