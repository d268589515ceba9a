"""What a judge's reply says: yes or no, and a score, from ``{'pred': 'yes', 'score': 4}`` and its near relatives.

Source: the judging of Video-ChatGPT (arXiv:2306.05424) and of ActivityNet-QA, MSVD-QA and MSRVTT-QA after it. Not the
asking (``judge.py``). Deterministic: nothing is evaluated as code, and what cannot be read is None, never a guess: no
number of another scale ("1 out of 10", "80%"), no range ("3-4"), no comma for a point ("0,5"). The published scripts
drop such replies or break off; here they can be counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_QUOTE = """["'“‘”’]?"""
_PRED = re.compile(
    rf"{_QUOTE}\bpred(?:iction)?{_QUOTE}\s*[:=]\s*{_QUOTE}\s*(yes|no)\b"
    rf"(?:{_QUOTE}\s*(?:/|\bor\b)\s*{_QUOTE}(yes|no)\b)?",
    re.IGNORECASE,
)
PLAIN_NUMBER = (
    r"(-?\d+(?:\.\d+)?)(?![\d.]*\d)"
    r"(?![\"'“‘”’)\]* \t]*(?:[-–—~]\s?\d|,\d|(?:to|or|and)\b ?\d|%|percent\b))"
    r"(?:[\"'“‘”’)\]* \t,]*[(\[]?(?:/|\b(?:out\s+)?of\b)\s*(\d+(?:\.\d+)?))?"
)
"""A number, and the top of the scale that it is said to be of; neither a range, a share nor a comma in a number."""
_SCORE = re.compile(
    rf"{_QUOTE}\b(?:score|rating){_QUOTE}\s*(?:[:=]|\bis\b)\s*\**\s*{_QUOTE}\s*(?:{PLAIN_NUMBER}|(?=-?\d))",
    re.IGNORECASE,
)
"""Where it is followed by no plain number, it is found all the same: there is a score that cannot be read."""
_ALONE = re.compile(r"\W*(yes|no)\W*", re.IGNORECASE)
_NUMBER_ALONE = re.compile(rf"\s*{_QUOTE}\s*{PLAIN_NUMBER}\W*", re.IGNORECASE)
TOP = 5.0
"""The best score."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge said."""

    right: bool | None
    """yes or no; None: neither, or both."""
    score: float | None
    """0 to 5; None: no number, several, of another scale, or one outside."""


def read_verdict(reply: str, *, top: float = TOP) -> Verdict:
    """Return what the judge's reply says.

    Args:
        reply: whole; words around the object do not matter.
        top: the best score there is.

    >>> read_verdict("{'pred': 'yes', 'score': 4}")
    Verdict(right=True, score=4.0)
    """
    said = {word.lower() for words in _PRED.findall(reply) for word in words if word}
    if not said and (alone := _ALONE.fullmatch(reply)):
        said = {alone[1].lower()}
    found = list(_SCORE.finditer(reply))
    if not found and (lone := _NUMBER_ALONE.fullmatch(reply)):
        found = [lone]
    scores = {score_of(*match.groups(), top=top) for match in found}
    return Verdict(
        right=said == {"yes"} if len(said) == 1 else None,
        score=scores.pop() if len(scores) == 1 else None,
    )


def score_of(number: str | None, scale: str | None, *, top: float) -> float | None:
    """Return the score of the groups of ``PLAIN_NUMBER``; None: not from 0 to the top, or of another scale."""
    if not number or (scale and float(scale) != top):
        return None
    return float(number) if 0 <= float(number) <= top else None
