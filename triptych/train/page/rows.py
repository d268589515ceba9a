"""What a stage learnt from, read out of its ledger: sums of every source, and why rows were changed or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from triptych.train.ledger import Record, by_source

EXAMPLES = 3
"""Rows that are named of each reason."""
STATES = ("used", "shrunk", "shortened", "refused")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why rows of a source were changed or refused."""

    what: str
    """The reason of a refusal, else what was done."""
    refused: bool
    count: int
    examples: tuple[str, ...]
    """What the ledger says of the first ones."""


@dataclass(frozen=True, slots=True)
class SourceRows:
    """One source of a stage."""

    source: str
    rows: int | None
    """All of them; None: the sum is not written yet."""
    states: Mapping[str, int]
    """How many rows were used, shrunk, shortened, refused."""
    reasons: tuple[Reason, ...]


def sources_of(records: Sequence[Record]) -> list[SourceRows]:
    """Return the sources of a stage, in the ledger's order.

    Args:
        records: those of the stage.
    """
    found: dict[int, list[Record]] = {}
    for number, record in by_source(records):
        found.setdefault(number, []).append(record)
    return [_source(own) for _, own in sorted(found.items())]


def _source(records: Sequence[Record]) -> SourceRows:
    total = next((record for record in reversed(records) if "all" in record), None)
    rows = None if total is None else total.get("all")
    states = {state: count for state in STATES if total and isinstance(count := total.get(state), int)}
    reasons: dict[tuple[str, bool], list[str]] = {}
    for record in records:
        if "all" in record:
            continue
        refused = "reason" in record
        what = str(record.get("reason", record.get("act", "")))
        reasons.setdefault((what, refused), []).append(_example(record))
    found = [Reason(what, refused, len(told), tuple(told[:EXAMPLES])) for (what, refused), told in reasons.items()]
    return SourceRows(
        str(records[0]["source"]),
        rows if isinstance(rows, int) else None,
        states,
        tuple(sorted(found, key=lambda r: -r.count)),
    )


def _example(record: Record) -> str:
    where, message = str(record.get("where", "")), str(record.get("message", ""))
    return message if where in message or not where else f"{where}: {message}"
