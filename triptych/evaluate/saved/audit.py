"""Replies worth a person's look: those that choose nothing, and those that speak for several options.

Not a second opinion: it shows what the rules read and by which rule, and changes no score. Both are counted as
``mark`` counts them: a reply that speaks for several options and chooses none of them is ambiguous and unanswered.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from triptych.core.records import Json
from triptych.evaluate.saved.marking import MarkedItem

_HEAD, _TAIL = 70, 150
"""Characters of a long reply that are shown: most replies conclude at their end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """One reply to look at."""

    id: str
    task: str
    why: str
    """``ambiguous``: it speaks for several options, and chooses one; ``unanswered``: it chooses none; ``both``."""
    choice: str | None
    rule: str
    excerpt: str


def doubts_of(items: Iterable[MarkedItem]) -> list[Doubt]:
    """Return the replies to look at: ambiguous ones, both, unanswered ones; a question that failed has no reply."""
    found = [
        Doubt(
            id=item.id,
            task=item.task,
            why="unanswered" if item.sure else "ambiguous" if item.answered else "both",
            choice=item.choice,
            rule=item.rule,
            excerpt=excerpt_of(item.reply),
        )
        for item in items
        if item.score is not None and (not item.sure or not item.answered)
    ]
    return sorted(found, key=lambda doubt: doubt.why)


def excerpt_of(reply: str) -> str:
    """Return a reply on one line, a long one without its middle."""
    line = re.sub(r"\s+", " ", reply).strip()
    return line if len(line) <= _HEAD + _TAIL + 5 else f"{line[:_HEAD]} ... {line[-_TAIL:]}"


def doubts_to_json(doubts: Sequence[Doubt], total: int) -> dict[str, Json]:
    """Return what ``triptych audit --json`` prints."""
    why = _counts(doubts)
    return {
        "n": total,
        **why,
        "replies": [
            {
                "id": doubt.id,
                "task": doubt.task,
                "why": doubt.why,
                "choice": doubt.choice,
                "rule": doubt.rule,
                "excerpt": doubt.excerpt,
            }
            for doubt in doubts
        ],
    }


def lines_of(doubts: Sequence[Doubt], total: int) -> list[str]:
    """Return the table that ``triptych audit`` prints: id, what was read and by which rule, and the reply."""
    why = _counts(doubts)
    width = max((len(doubt.id) for doubt in doubts), default=0)
    lines = [
        f"{doubt.why:<10}  {doubt.id:<{width}}  {doubt.choice or '-'}  {doubt.rule:<10}  {doubt.excerpt}"
        for doubt in doubts
    ]
    both = f" ({why['both']} are both)" if why["both"] else ""
    return [*lines, f"{total} replies: {why['ambiguous']} ambiguous, {why['unanswered']} unanswered{both}"]


def _counts(doubts: Sequence[Doubt]) -> dict[str, int]:
    """Return how many are ambiguous and how many unanswered, and how many of both are the same ones."""
    why = Counter(doubt.why for doubt in doubts)
    return {name: why[name] + why["both"] for name in ("ambiguous", "unanswered")} | {"both": why["both"]}
