"""What a judge's reply says: yes or no, and a score, from ``{'pred': 'yes', 'score': 4}`` and its near relatives.

Source: the judging of Video-ChatGPT (arXiv:2306.05424) and of ActivityNet-QA, MSVD-QA and MSRVTT-QA after it. Not the
asking (``judge.py``). Deterministic: nothing is evaluated as code, and what cannot be read is None, never a guess. The
published scripts drop such replies or break off; here they can be counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PRED = re.compile(r"""["'“‘]?\bpred(?:iction)?["'”’]?\s*[:=]\s*["'“‘]?\s*(yes|no)\b""", re.IGNORECASE)
_NUMBER = r"""["'“‘]?\s*(-?\d+(?:\.\d+)?)(?![\d.]*\d)"""
_SCORE = re.compile(rf"""["'“‘]?\b(?:score|rating)["'”’]?\s*(?:[:=]|\bis\b)\s*\**\s*{_NUMBER}""", re.IGNORECASE)
_ALONE = re.compile(r"\W*(yes|no)\W*", re.IGNORECASE)
_NUMBER_ALONE = re.compile(rf"\s*{_NUMBER}\s*(?:/\s*\d+)?\W*")
TOP = 5.0
"""The best score."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge said."""

    right: bool | None
    """yes or no; None: neither, or both."""
    score: float | None
    """0 to 5; None: no number, several, or one outside."""


def read_verdict(reply: str, *, top: float = TOP) -> Verdict:
    """Return what the judge's reply says.

    Args:
        reply: whole; words around the object do not matter.
        top: the best score there is.

    >>> read_verdict("{'pred': 'yes', 'score': 4}")
    Verdict(right=True, score=4.0)
    """
    said = {word.lower() for word in _PRED.findall(reply)}
    if not said and (alone := _ALONE.fullmatch(reply)):
        said = {alone[1].lower()}
    numbers = {float(number) for number in _SCORE.findall(reply)}
    if not numbers and (lone := _NUMBER_ALONE.fullmatch(reply)):
        numbers = {float(lone[1])}
    score = numbers.pop() if len(numbers) == 1 else None
    return Verdict(
        right=said == {"yes"} if len(said) == 1 else None,
        score=score if score is not None and 0 <= score <= top else None,
    )
