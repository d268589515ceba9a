"""What a run folder holds, read for a report: evaluations, costs of stages, the loss, the recipe.

Reads ``evals/*/``, ``metrics.jsonl`` and ``recipe.yaml``; each may be missing, as a run may be in the middle. An
evaluation's folder is called ``BENCHMARK-PART-CONDITION``; without a part it is about all questions, without a
condition about the model as it is. One that was asked without images is blind, whatever its folder is called.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import yaml

from triptych.core.errors import DataError
from triptych.core.files import read_json_lines
from triptych.core.records import Example, Json
from triptych.evaluate.certainty.statistics import Score
from triptych.evaluate.reading.answers import ANSWERS, read_lines
from triptych.evaluate.running.asked import ASKED, read_asked
from triptych.evaluate.running.result import ITEMS, RESULT, Pairs
from triptych.evaluate.running.secondary_scores import SecondaryScores, figure_of

BLIND = "blind"
"""The condition of an evaluation without images."""
CONDITIONS = (BLIND, "untuned", "tuned")
"""In the order of reports; conditions of other names come after."""
EVALS = "evals"
MODEL = "model"
"""The condition of an evaluation that names none."""
GROUPS = ("task", "skill", "scenario", "kind", "split")
"""What scores are grouped by. ``task`` is left out where it says what ``kind`` says."""


@dataclass(frozen=True, slots=True)
class Item:
    """One question, its reply and what it is worth."""

    question: Example
    reply: str
    score: float
    answered: bool


@dataclass(frozen=True)
class Evaluation:
    """One folder of ``evals``."""

    folder: Path
    benchmark: str
    part: str
    """What was asked, e.g. ``held_in``; ``all`` where the folder does not say."""
    condition: str
    total: Score
    majority: float
    unanswered: int
    failed: int
    cut: int
    """Replies that ended at the most tokens; 0 in a result of an older version."""
    groups: Mapping[str, Mapping[str, Score]]
    """``skill`` -> name -> score, and so on for each of GROUPS."""
    judge: str = ""
    """Who marked the replies; empty where rules did."""
    judge_asking: tuple[str, int] | None = None
    """The judge's fingerprint and most tokens; None in a result of an older version."""
    blind: bool = False
    """Whether it was asked without images."""
    secondary: SecondaryScores = field(default_factory=SecondaryScores)
    """Its numbers besides the total; none in a result of an older version."""

    @cached_property
    def rules(self) -> str:
        """Name of the benchmark that was asked, whatever the folder is called; else what the folder says."""
        asked = read_asked(self.folder).benchmark if (self.folder / ASKED).is_file() else ""
        return asked or self.benchmark

    @cached_property
    def marks(self) -> dict[str, float | None]:
        """The score of every question that was asked, by id; None: it failed."""
        # Rows that are no questions have no key; nobody was asked them.
        rows = [row for row in read_json_lines(self.folder / ITEMS) if row["key"]]
        scores = [(str(row["id"]), row["score"]) for row in rows]
        return {name: float(score) if isinstance(score, int | float) else None for name, score in scores}

    def asked_as(self, other: Evaluation) -> bool:
        """Return whether both were asked the same questions, and marked by the same judge or rule."""
        return self.judge == other.judge and self.marks.keys() == other.marks.keys()

    def scored_as(self, other: Evaluation) -> bool:
        """Return whether, besides, the same questions have a score: then the totals are of the same ones."""
        scored = [[name for name, score in it.marks.items() if score is not None] for it in (self, other)]
        return self.asked_as(other) and set(scored[0]) == set(scored[1])

    @cached_property
    def items(self) -> dict[str, Item]:
        """Questions that have a score, by id, in the benchmark's order."""
        lines = read_lines(self.folder / ANSWERS)
        found: dict[str, Item] = {}
        for record in read_json_lines(self.folder / ITEMS):
            line, score = lines.get(str(record["key"])), record["score"]
            if line is not None and isinstance(score, int | float):
                found[line.question.id] = Item(line.question, line.reply, float(score), record["answered"] is True)
        return found


@dataclass(frozen=True, slots=True)
class StageCost:
    """What a stage of the run took."""

    stage: str
    wall_s: float
    peak_gib: float


@dataclass(frozen=True, slots=True)
class Losses:
    """The loss of one training stage, step by step."""

    stage: str
    steps: tuple[int, ...]
    losses: tuple[float, ...]
    """Nats a supervised token, or ``squared``."""
    squared: bool = False
    """Whether they are mean squared errors of a score head."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """A run, as far as it has come."""

    name: str
    evaluations: tuple[Evaluation, ...]
    """By benchmark, then part, then condition."""
    costs: tuple[StageCost, ...]
    """In the order of the run; of a stage that ran twice, the last."""
    losses: tuple[Losses, ...]
    recipe: str
    """The text of recipe.yaml; empty where there is none."""
    parts: Mapping[str, str]
    """What the model is made of, from the recipe: ``vision``, ``language``..., or ``model``."""


def gather(run: Path) -> Gathered:
    """Read a run folder.

    Raises:
        DataError: a file in it is not what it should be; the message names it.
    """
    recipe = run / "recipe.yaml"
    text = recipe.read_text(encoding="utf-8") if recipe.is_file() else ""
    records = list(read_json_lines(run / "metrics.jsonl")) if (run / "metrics.jsonl").is_file() else []
    return Gathered(
        name=run.resolve().name,
        evaluations=read_evaluations(run / EVALS),
        costs=_costs(records),
        losses=_losses(records),
        recipe=text,
        parts=_parts(text),
    )


def parse_name(name: str) -> tuple[str, str, str]:
    """Return benchmark, part and condition of an evaluation's folder."""
    benchmark, *rest = name.split("-")
    condition = rest.pop() if len(rest) > 1 or (rest and rest[0] in CONDITIONS) else MODEL
    return benchmark, "-".join(rest) or "all", condition


def read_evaluations(folder: Path) -> tuple[Evaluation, ...]:
    """Return what is evaluated in a folder of evaluations, or in one of them: by benchmark, part and condition.

    Raises:
        DataError: a result is not what it should be; the message names it.
    """
    paths = [folder / RESULT] if (folder / RESULT).is_file() else sorted(folder.glob(f"*/{RESULT}"))
    return tuple(sorted(map(_evaluation, paths), key=_order))


def _evaluation(path: Path) -> Evaluation:
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        benchmark, part, condition = parse_name(path.parent.resolve().name)
        blind = result.get("blind") is True
        return Evaluation(
            folder=path.parent,
            benchmark=benchmark,
            part=part,
            condition=BLIND if blind else condition,
            total=_score(result),
            majority=float(result["majority"]),
            unanswered=int(result["unanswered"]),
            failed=int(result["failed"]),
            cut=int(result.get("cut", 0)),
            groups=_grouped(result),
            judge=str(result.get("judge", "")),
            judge_asking=_judge_asking(result.get("judge_asking")),
            blind=blind,
            secondary=_secondary(result),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: no result of an evaluation ({error!r}). Evaluate again.") from None


def _grouped(result: Mapping[str, Json]) -> dict[str, dict[str, Score]]:
    groups: dict[str, dict[str, Score]] = {}
    for group in GROUPS:
        found = result.get(f"by_{group}", {})  # a result of an older version has no tasks
        if not isinstance(found, dict):
            raise TypeError(f"by_{group} is {found!r}")
        groups[group] = {name: _score(score) for name, score in found.items() if isinstance(score, dict)}
    if groups["task"] == groups["kind"]:
        groups["task"] = {}
    return groups


def _secondary(result: Mapping[str, Json]) -> SecondaryScores:
    def scores(key: str) -> dict[str, Score]:
        found = result.get(key, {})
        if not isinstance(found, dict):
            raise TypeError(f"{key} is {found!r}")
        return {name: _score(score) for name, score in found.items() if isinstance(score, dict)}

    figures, published = result.get("figures", {}), result.get("published")
    if not isinstance(figures, dict):
        raise TypeError(f"figures are {figures!r}")
    return SecondaryScores(
        together=scores("together"),
        figures={name: figure_of(figure) for name, figure in figures.items() if isinstance(figure, dict)},
        pairs=_pairs(result.get("pairs")),
        published=_score(published) if isinstance(published, dict) else None,
        published_together=scores("published_together"),
    )


def _pairs(record: Json) -> Pairs | None:
    match record:
        case {"n": int(n), "alone": int(alone)}:
            return Pairs(n, alone)
    return None  # or the result is of an older version


def _judge_asking(record: Json) -> tuple[str, int] | None:
    match record:
        case [str(fingerprint), int(max_tokens)]:
            return fingerprint, max_tokens
    return None


def _score(record: Mapping[str, Json]) -> Score:
    def number(key: str) -> float:
        value = record[key]
        if not isinstance(value, int | float):
            raise TypeError(f"{key} is {value!r}")
        return float(value)

    def known(key: str) -> float | None:
        return None if record.get(key) is None else number(key)

    return Score(
        score=number("score"),
        low=number("low"),
        high=number("high"),
        n=int(number("n")),
        chance=number("chance"),
        majority=known("majority"),
        detects=known("detects"),
        detects_paired=known("detects_paired"),
    )


def _order(evaluation: Evaluation) -> tuple[str, str, int, str]:
    known = CONDITIONS.index(evaluation.condition) if evaluation.condition in CONDITIONS else len(CONDITIONS)
    return evaluation.benchmark, evaluation.part, known, evaluation.condition


def _costs(records: list[dict[str, Json]]) -> tuple[StageCost, ...]:
    costs: dict[str, StageCost] = {}
    for record in records:
        match record:
            case {"stage": str(stage), "wall_s": int() | float() as wall_s, "peak_gib": int() | float() as peak_gib}:
                costs.pop(stage, None)
                costs[stage] = StageCost(stage, float(wall_s), float(peak_gib))
    return tuple(costs.values())


def _losses(records: list[dict[str, Json]]) -> tuple[Losses, ...]:
    stages: dict[tuple[str, bool], dict[int, float]] = {}
    for record in records:
        for name, squared in (("loss_nats", False), ("loss_squared", True)):
            match record.get("stage"), record.get("step"), record.get(name):
                case str(stage), int(step), int() | float() as loss:
                    stages.setdefault((stage, squared), {})[step] = float(loss)
    return tuple(
        Losses(stage, tuple(points), tuple(points.values()), squared) for (stage, squared), points in stages.items()
    )


def _parts(recipe: str) -> dict[str, str]:
    """Return what a recipe says of the model; it is read loosely, as the page only shows it."""
    try:
        tree = yaml.safe_load(recipe)
    except yaml.YAMLError:
        return {}
    match tree:
        case {"model": {"parts": dict(parts)}}:
            return {str(name): str(value) for name, value in parts.items() if value is not None}
        case {"model": {"open": str(opened)}}:
            return {"model": opened}
    return {}
