"""What a run folder tells of its training: steps, costs, sessions, ledger, recipe; each may be missing.

Reads ``metrics.jsonl``, ``sessions.jsonl``, ``ledger.jsonl`` and ``recipe.yaml``, and changes nothing. A run may be in
the middle, killed, or of an older version: what is not written is not told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from triptych.core.config import parse_config
from triptych.core.errors import ConfigError
from triptych.core.files import read_json_lines
from triptych.core.records import Json
from triptych.train.ledger import LEDGER, Record
from triptych.train.measuring.meters import METRICS, VALIDATIONS
from triptych.train.measuring.sessions import FINISHED, SESSIONS
from triptych.train.page.rows import SourceRows, sources_of
from triptych.train.recipe import RECIPE, VALIDATION, Frozen, Full, Lora, Recipe, Tune

LOSSES = frozenset({"loss_nats", "loss_squared"})
"""Keys of metrics.jsonl that a step has one of, if there was something to learn from."""
VALIDATED = "validation"
"""Key of the losses of rows that are not learnt, in a stage's series."""


@dataclass(frozen=True, slots=True)
class PartRow:
    """What became of a part in a stage."""

    part: str
    plan: str
    weights: int | None
    """All of it; None: not written."""
    moved: int | None


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of a stage, and where they went."""

    computing_s: float
    """Seconds in steps."""
    waiting_s: float | None
    """Seconds before steps, waiting for their data; None: not written."""
    beside_s: float | None
    """Seconds of the last session outside of steps: reading, encoding images ahead, checkpoints; None: the stage is not
    done."""
    before_s: float
    """Seconds in steps of earlier sessions, and waiting for their data."""


@dataclass(frozen=True, slots=True)
class StageStory:
    """One stage of the recipe, as far as it has come."""

    name: str
    kind: str
    """``tune``, ``closed_form``, or empty where the recipe cannot be read."""
    steps: tuple[int, ...]
    series: Mapping[str, tuple[float, ...]]
    """Numbers of every step, by key of metrics.jsonl; of the loss, those of ``loss_steps``, and of the validation."""
    loss_steps: tuple[int, ...]
    """Steps that have a loss: not those whose rows could not be read."""
    validation_steps: tuple[int, ...]
    """Steps that were done when the validation was looked at, over the rows that it has now."""
    facts: Mapping[str, float]
    """What a stage without steps found."""
    done: bool
    kept: int | None
    """Step whose weights were chosen by the validation; None: nothing was chosen."""
    resumed: tuple[int, ...]
    """Steps after which it was taken up again."""
    parts: tuple[PartRow, ...]
    sources: tuple[SourceRows, ...]
    validated: tuple[SourceRows, ...]
    """Sources of the validation."""
    spent: Spent | None


@dataclass(frozen=True, slots=True)
class Session:
    """One start of the run."""

    started: str
    ended: str
    """Empty: it was killed, or goes on."""
    how: str
    stages: tuple[str, ...]
    """Stages it worked on, in words."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stage, or something else that was measured, took. Of a stage's earlier sessions steps alone are known."""

    stage: str
    wall_s: float
    peak_gib: float


@dataclass(frozen=True, slots=True)
class Story:
    """A run's training."""

    name: str
    recipe: Recipe | None
    recipe_text: str
    stages: tuple[StageStory, ...]
    costs: tuple[Cost, ...]
    sessions: tuple[Session, ...]
    environments: tuple[Mapping[str, str], ...]
    """Distinct environments of the starts, in order."""
    finished: bool
    model: Mapping[str, str]
    """What it is made of."""


def read_story(run: Path) -> Story:
    """Read a run's folder.

    Raises:
        DataError: a file in it is not what it should be; the message names it.
    """
    metrics, events, ledger = (_records(run / name) for name in (METRICS, SESSIONS, LEDGER))
    validations = _records(run / VALIDATIONS)
    path = run / RECIPE
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    recipe = _recipe(text, path)
    names = [stage.name for stage in recipe.stages] if recipe else _names(metrics)
    stages = tuple(_stage(name, recipe, metrics, events, ledger, validations=validations) for name in names)
    return Story(
        name=run.resolve().name,
        recipe=recipe,
        recipe_text=text,
        stages=tuple(stage for stage in stages if stage.steps or stage.facts or stage.parts),
        costs=tuple(_costs(metrics, stages)),
        sessions=tuple(_sessions(events)),
        environments=tuple(_environments(events)),
        finished=events[-1].get("how") == FINISHED if events else bool(stages) and all(each.done for each in stages),
        model=_model(recipe),
    )


def _records(path: Path) -> list[dict[str, Json]]:
    return list(read_json_lines(path)) if path.is_file() else []


def _recipe(text: str, path: Path) -> Recipe | None:
    try:
        return parse_config(text, model=Recipe, file=str(path)) if text else None
    except ConfigError:  # of another version: its text is shown
        return None


def _names(metrics: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(str(record["stage"]) for record in metrics if {"stage", "step"} <= record.keys()))


def _stage(
    name: str,
    recipe: Recipe | None,
    metrics: Sequence[Record],
    events: Sequence[Record],
    ledger: Sequence[Record],
    *,
    validations: Sequence[Record],
) -> StageStory:
    plan = next((stage for stage in recipe.stages if stage.name == name), None) if recipe else None
    own = [record for record in metrics if record.get("stage") == name]
    begun = [event for event in events if event.get("event") == "stage" and event.get("stage") == name]
    steps = {step: record for record in own if isinstance(step := record.get("step"), int) and _learns(record)}
    total = next((record for record in reversed(own) if "step" not in record), None)
    facts = next((record for record in own if "step" in record and not _learns(record)), {})
    seen = _validation(name, validations)
    resumed = tuple(sorted({after for event in begun if isinstance(after := event.get("after_step"), int) and after}))
    return StageStory(
        name=name,
        kind=plan.kind if plan else "",
        steps=tuple(steps),
        series=_series(list(steps.values())) | ({VALIDATED: tuple(seen.values())} if seen else {}),
        loss_steps=tuple(step for step, record in steps.items() if _has_loss(record)),
        validation_steps=tuple(seen),
        facts={key: value for key in facts if key != "step" and (value := _number(facts, key)) is not None},
        done=total is not None,
        kept=next((step for each in reversed(events) if isinstance(step := _kept(each, name), int)), None),
        resumed=resumed,
        parts=_parts(plan if isinstance(plan, Tune) else None, begun[-1] if begun else {}),
        sources=tuple(sources_of([row for row in ledger if row.get("stage") == name], steps=steps.values(), plan=plan)),
        validated=tuple(_validated(name, ledger)),
        spent=_spent(steps, total, _after(begun)) if steps else None,
    )


def _kept(event: Record, stage: str) -> Json:
    return event.get("step") if event.get("event") == "kept" and event.get("stage") == stage else None


def _validated(stage: str, ledger: Sequence[Record]) -> Iterator[SourceRows]:
    """Yield what the ledger says of a validation's sources, in their order."""
    names = {str(each.get("stage")) for each in ledger if str(each.get("stage")).startswith(stage + VALIDATION)}
    for name in sorted(names, key=lambda name: int(name.rpartition(" ")[2])):
        yield from sources_of([record for record in ledger if record.get("stage") == name])


def _validation(stage: str, records: Sequence[Record]) -> dict[int, float]:
    """Return the finite losses of a stage's validation by step, over the rows that were looked at last."""
    own = [record for record in records if record.get("stage") == stage]
    same = [record for record in own if all(record.get(key) == own[-1].get(key) for key in ("data", "rows"))]
    found = {
        record.get("step"): loss for record in same for key in LOSSES if (loss := _number(record, key)) is not None
    }
    return {step: loss for step, loss in found.items() if isinstance(step, int)}


def _has_loss(record: Record) -> bool:
    return any(_number(record, key) is not None for key in LOSSES)


def _learns(record: Record) -> bool:
    """Tell a step of learning from the one of a stage that is solved at once."""
    return not (LOSSES | {"trained_tokens", "targets"}).isdisjoint(record)


def _series(records: Sequence[Record]) -> dict[str, tuple[float, ...]]:
    """Return the numbers that every step has, and the losses of those that have one; images a second also of a run
    that did not write them."""
    keys = [key for key in records[0] if all(_number(record, key) is not None for record in records)] if records else []
    told = {key: tuple(loss for record in records if (loss := _number(record, key)) is not None) for key in LOSSES}
    found = {key: tuple(float(str(record[key])) for record in records) for key in keys if key != "step"}
    found |= {key: losses for key, losses in told.items() if losses}
    if "images_per_s" not in found and {"images", "wall_s"} <= found.keys():
        pairs = zip(found["images"], found["wall_s"], strict=True)
        found["images_per_s"] = tuple(images / wall_s if wall_s else 0.0 for images, wall_s in pairs)
    return found


def _costs(metrics: Sequence[Record], stages: Sequence[StageStory]) -> Iterator[Cost]:
    before = {stage.name: stage.spent.before_s for stage in stages if stage.spent}
    for each in metrics:
        wall_s, peak_gib = _number(each, "wall_s"), _number(each, "peak_gib")
        if wall_s is not None and peak_gib is not None:
            yield Cost(str(each["stage"]), wall_s + before.get(str(each["stage"]), 0.0), peak_gib)


def _after(begun: Sequence[Record]) -> int:
    after = begun[-1].get("after_step") if begun else 0
    return after if isinstance(after, int) else 0


def _spent(steps: Mapping[int, Record], total: Record | None, after: int) -> Spent:
    def seconds(key: str, records: Sequence[Record]) -> float:
        return sum(_number(record, key) or 0.0 for record in records)

    last = [record for step, record in steps.items() if step > after]
    wall_s = None if total is None else _number(total, "wall_s")
    in_steps = seconds("wall_s", last) + seconds("wait_s", last)
    every = list(steps.values())
    waiting_s = seconds("wait_s", every) if any("wait_s" in record for record in every) else None
    beside_s = None if wall_s is None else max(0.0, wall_s - in_steps)
    before_s = seconds("wall_s", every) + seconds("wait_s", every) - in_steps
    return Spent(seconds("wall_s", every), waiting_s, beside_s, before_s)


def _parts(plan: Tune | None, begun: Record) -> tuple[PartRow, ...]:
    counted = begun.get("parts")
    counts: Mapping[str, Json] = counted if isinstance(counted, dict) else {}
    if plan is None and not counts:
        return ()
    plans = dict(plan.parts.items()) if plan else {}
    names = list(counts) or [part for part in plans if part != "head"]
    rows = []
    for part in names:
        of = counts.get(part)
        numbers: Record = of if isinstance(of, dict) else {}
        weights, moved = _number(numbers, "weights"), _number(numbers, "moved")
        said = _said(plans[part]) if part in plans else ""
        rows.append(
            PartRow(part, said, None if weights is None else int(weights), None if moved is None else int(moved))
        )
    return tuple(rows)


def _said(plan: Frozen | Full | Lora) -> str:
    if isinstance(plan, Frozen):
        return "frozen"
    if isinstance(plan, Full):
        only = f", only {', '.join(plan.only)}" if plan.only else ""
        return f"full{only}, rate {plan.rate:g}"
    from_layer = f", from layer {plan.from_layer}" if plan.from_layer else ""
    scale = ", scaled by the root of it" if plan.scale == "root" else ""
    second = f", {plan.rate_b:g} times that for B" if plan.rate_b != 1 else ""
    return f"{plan.train}, rank {plan.rank}{scale}{from_layer}, rate {plan.rate:g}{second}"


def _sessions(events: Sequence[Record]) -> list[Session]:
    found: list[list[Record]] = []
    for event in events:
        if event.get("event") == "start" or not found:
            found.append([])
        found[-1].append(event)
    sessions = []
    for each in found:
        end = each[-1] if each[-1].get("event") == "end" else {}
        stages = [event for event in each if event.get("event") == "stage"]
        words = tuple(
            f"{event['stage']} after step {event['after_step']}" if event.get("after_step") else f"{event['stage']}"
            for event in stages
        )
        sessions.append(Session(_at(each[0]), _at(end), str(end.get("how", "")), words))
    return sessions


def _at(event: Record) -> str:
    return str(event.get("at", "")).replace("T", " ").replace("+00:00", " UTC")


def _environments(events: Sequence[Record]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for event in events:
        if isinstance(said := event.get("environment"), dict):
            told = {key: str(value) for key, value in said.items()}
            if told not in found:
                found.append(told)
    return found


def _model(recipe: Recipe | None) -> dict[str, str]:
    if recipe is None:
        return {}
    plan = recipe.model
    if plan.parts is not None:
        return {"vision": plan.parts.vision, "language": plan.parts.language}
    return {"model": plan.open or f"{plan.family}: {plan.sample}"}


def tell_number(value: float) -> str:
    """Return a number for people: whole from a thousand on, else with four digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _number(record: Record, key: str) -> float | None:
    """Return a record's number; None: it has none, or one that is not finite."""
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
