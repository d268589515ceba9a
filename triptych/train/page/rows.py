"""What a stage learnt from, read out of its ledger: sums of every source, and why rows were changed or refused.

And what its steps lost on each of several sources, out of metrics.jsonl.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from triptych.core.records import Json
from triptych.train.ledger import Record, by_source
from triptych.train.recipe import StagePlan

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
class SourceLoss:
    """What the steps lost on a source: means over its supervised tokens or targets."""

    first: float
    """Of the first tenth of the steps that learnt something of it."""
    last: float
    """Of the last tenth of them."""


@dataclass(frozen=True, slots=True)
class SourceRows:
    """One source of a stage."""

    source: str
    rows: int | None
    """All of them; None: the sum is not written yet."""
    states: Mapping[str, int]
    """How many rows were used, shrunk, shortened, refused."""
    reasons: tuple[Reason, ...]
    loss: SourceLoss | None = None
    """None: it is not written, as where a stage has one source alone."""


def sources_of(
    records: Sequence[Record], *, steps: Iterable[Record] = (), plan: StagePlan | None = None
) -> list[SourceRows]:
    """Return the sources of a stage, in the ledger's order.

    Args:
        records: those of the stage.
        steps: what metrics.jsonl says of its steps.
        plan: names the sources that the ledger does not, as where a stage that reads as it learns goes on.
    """
    found: dict[int, list[Record]] = {}
    for number, record in by_source(records):
        found.setdefault(number, []).append(record)
    lost: dict[str, list[tuple[float, float]]] = {}
    for source, loss, supervised in _lost(steps):
        lost.setdefault(source, []).append((loss, supervised))
    for number, each in enumerate(plan.data if plan else ()):
        if str(number) in lost:
            found.setdefault(number, [{"source": each.source}])
    return [_source(own, lost.get(str(number), ())) for number, own in sorted(found.items())]


def _lost(steps: Iterable[Record]) -> Iterator[tuple[str, float, float]]:
    """Yield (number of the source, loss, supervised tokens or targets) of every step."""
    for step in steps:
        told = step.get("sources")
        for number, source in told.items() if isinstance(told, dict) else ():
            if isinstance(source, dict):
                loss = _first_number(source, "loss_nats", "loss_squared")
                supervised = _first_number(source, "trained_tokens", "targets")
                if loss is not None and supervised is not None:
                    yield number, loss, supervised


def _first_number(record: Mapping[str, Json], *keys: str) -> float | None:
    return next((float(value) for key in keys if isinstance(value := record.get(key), int | float)), None)


def _mean(lost: Sequence[tuple[float, float]]) -> float:
    return sum(loss * supervised for loss, supervised in lost) / sum(supervised for _, supervised in lost)


def _source(records: Sequence[Record], lost: Sequence[tuple[float, float]]) -> SourceRows:
    total = next((record for record in reversed(records) if "all" in record), None)
    rows = None if total is None else total.get("all")
    share = max(1, len(lost) // 10)
    states = {state: count for state in STATES if total and isinstance(count := total.get(state), int)}
    reasons: dict[tuple[str, bool], list[str]] = {}
    for record in records:
        if "all" in record or not record.keys() & {"reason", "act"}:
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
        loss=SourceLoss(_mean(lost[:share]), _mean(lost[-share:])) if lost else None,
    )


def _example(record: Record) -> str:
    where, message = str(record.get("where", "")), str(record.get("message", ""))
    return message if where in message or not where else f"{where}: {message}"
