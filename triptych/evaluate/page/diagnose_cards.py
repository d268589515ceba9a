"""Questions whose answer a condition changed, with their images, before and after.

Not the page (``diagnose_page``), and no judgement: which ones are shown follows from where they stand, nobody picks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from triptych.core.records import Example, Json
from triptych.evaluate.diagnosis.conditions import BLIND, Condition
from triptych.evaluate.diagnosis.findings import ScoredReply, same_reply
from triptych.evaluate.diagnosis.perturbations import CHANGED, of_question
from triptych.evaluate.page.cards import Said, pieces_of
from triptych.evaluate.reading.scorers import reference_of

THUMBNAIL_PX = (512, 128)
"""Most width and height of an image on the page: several may stand side by side in one."""
Row = tuple[str, str, ScoredReply, ScoredReply]
"""Id, how the answer moved, unchanged, changed."""


@dataclass(frozen=True, slots=True)
class Side:
    """A question as it was asked, and the reply."""

    said: Said
    reference: str
    reply: str
    right: bool


@dataclass(frozen=True, slots=True)
class Moved:
    """A question before and after a change."""

    id: str
    kind: str
    """``right, then wrong``; ``wrong, then right``; ``scored less``; ``scored more``; ``another reply``."""
    note: str
    """What was changed in this very question; empty where the condition says all."""
    before: Side
    held: str
    """What the question is before: ``as it is``, or what the condition is held against."""
    after: Side
    blind: bool
    """Whether there is nothing to see after."""


def moved_by(
    condition: Condition, unchanged: Mapping[str, ScoredReply], *, changed: Sequence[ScoredReply], most: int = 3
) -> tuple[Moved, ...]:
    """Return questions whose score a condition changed, falls and rises in turn; then those with another reply.

    ``unchanged`` is what the condition is held against, by id.

    At most one of each question, evenly from everywhere.
    """
    return tuple(
        Moved(
            id=name,
            kind=kind,
            note=_note(after.question),
            before=_side(one),
            held="images in front" if CHANGED in one.question.facts else "as it is",
            after=_side(after),
            blind=condition.name == BLIND,
        )
        for name, kind, one, after in _picked(condition, unchanged, changed, most)
    )


def _picked(
    condition: Condition, unchanged: Mapping[str, ScoredReply], changed: Sequence[ScoredReply], most: int
) -> list[Row]:
    kinds: dict[str, dict[str, Row]] = {"fell": {}, "rose": {}, "other": {}}
    for after in changed:
        name = of_question(after.question)
        one = unchanged.get(name)
        if one is None:
            continue
        if after.score < one.score:
            kinds["fell"].setdefault(name, (name, _moved(one, after), one, after))
        elif after.score > one.score:
            kinds["rose"].setdefault(name, (name, _moved(one, after), one, after))
        elif not condition.renumbers and not same_reply(one, after):
            kinds["other"].setdefault(name, (name, "another reply", one, after))
    spread = [_spread(list(kinds[kind].values()), most) for kind in ("fell", "rose")]
    in_turn = [row for rows in zip_longest(*spread) for row in rows if row is not None]
    seen: set[str] = set()
    chosen: list[Row] = []
    for row in (*in_turn, *_spread(list(kinds["other"].values()), most)):
        if row[0] not in seen and len(chosen) < most:
            seen.add(row[0])
            chosen.append(row)
    return chosen


def _moved(one: ScoredReply, after: ScoredReply) -> str:
    """Return how a score moved, in words: from right to wrong only where it went past the middle."""
    if (one.score >= 0.5) != (after.score >= 0.5):
        return "right, then wrong" if after.score < one.score else "wrong, then right"
    return "scored less" if after.score < one.score else "scored more"


def _spread(rows: Sequence[Row], most: int) -> Sequence[Row]:
    return [rows[at * len(rows) // most] for at in range(most)] if len(rows) > most else rows


def _side(asked: ScoredReply) -> Side:
    return Side(pieces_of(asked.question, THUMBNAIL_PX), reference_of(asked.question), asked.reply, asked.score >= 0.5)


def _note(question: Example) -> str:
    changed: Json = question.facts.get(CHANGED)
    if not isinstance(changed, dict):
        return ""
    match changed:
        case {"image": int(number)}:
            return f"image {number} is empty"
        case {"from_question": str(name)}:
            return f"images of {name}"
        case {"order": list(order)} if question.id == changed.get("of"):
            return f"the places now hold images {', '.join(map(str, order))}"
        case {"order": list(order)}:
            return f"the places now hold options {', '.join(str(int(str(each)) + 1) for each in order)}"
    return ""
