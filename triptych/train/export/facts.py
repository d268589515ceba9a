"""What a run's folder says of itself: recipe, data, steps, scores with intervals, versions. Nothing is made up.

Not the card (``card.py``). What a folder does not say is None or empty, and the card names it as missing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triptych.core.config import dump_config, parse_config
from triptych.core.errors import DataError
from triptych.core.files import read_json_lines
from triptych.core.records import Json
from triptych.train.ledger import LEDGER, by_source, read_ledger
from triptych.train.measuring.meters import METRICS
from triptych.train.measuring.sessions import SESSIONS
from triptych.train.recipe import RECIPE, Recipe, resolve

EVALS = "evals"
RESULT = "result.json"
TUNED = "tuned"
"""How the demo calls its tuned model among those that it asks."""


@dataclass(frozen=True, slots=True)
class Data:
    """Rows of one source in one stage."""

    stage: str
    source: str
    rows: int | None
    """None: the ledger does not say."""
    used: int | None
    refused: int | None


@dataclass(frozen=True, slots=True)
class Measured:
    """One result of an evaluation."""

    name: str
    """Name of its folder."""
    score: float
    low: float
    high: float
    """Upper end of the 95% interval; ``low`` is its lower end."""
    n: int
    chance: float | None
    blind: bool
    """Without its images."""
    responder: str
    """Who was asked."""
    own: bool
    """Whether that was the model that is exported."""


@dataclass(frozen=True, slots=True)
class Steps:
    """How a stage went."""

    stage: str
    steps: int
    tokens: int
    last_loss_nats: float | None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """All that the card may say of a run."""

    name: str
    recipe: Recipe
    recipe_text: str
    data: Sequence[Data] = ()
    steps: Sequence[Steps] = ()
    measured: Sequence[Measured] = ()
    environment: Mapping[str, Json] = field(default_factory=dict)


def read_run(run: Path) -> RunFacts:
    """Return what a run's folder says.

    Raises:
        ConfigError: its recipe cannot be read.
        DataError: a file of it is damaged; the message names it.
    """
    path = run / RECIPE
    recipe = resolve(parse_config(path.read_text(encoding="utf-8"), model=Recipe, file=str(path)))
    return RunFacts(
        name=recipe.name,
        recipe=recipe,
        recipe_text=dump_config(recipe),
        data=_data(recipe, run / LEDGER),
        steps=_steps(recipe, run / METRICS),
        measured=_measured(run),
        environment=_environment(run / SESSIONS),
    )


def _data(recipe: Recipe, ledger: Path) -> list[Data]:
    found = []
    for stage in recipe.stages:
        sums = {number: record for number, record in by_source(read_ledger(ledger, stage.name)) if "all" in record}
        for number, entry in enumerate(stage.data):
            last: Mapping[str, Any] = sums.get(number, {})
            learnt = [last[state] for state in ("used", "shrunk", "shortened") if state in last]
            used = sum(learnt) if learnt else None
            found.append(Data(stage.name, entry.source, last.get("all"), used, last.get("refused")))
    return found


def _steps(recipe: Recipe, metrics: Path) -> list[Steps]:
    found = []
    records = _records(metrics)
    for stage in recipe.stages:
        own = [record for record in records if record.get("stage") == stage.name and "step" in record]
        if not own:
            continue
        tokens = sum(_whole(record.get("tokens")) for record in own)
        losses = [loss for record in own if isinstance(loss := record.get("loss_nats"), float)]
        found.append(Steps(stage.name, len(own), tokens, losses[-1] if losses else None))
    return found


def _measured(run: Path) -> list[Measured]:
    found = []
    for path in sorted((run / EVALS).glob(f"*/{RESULT}")):
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            responder = str(said.get("responder", ""))
            if not int(said["n"]):  # nothing was scored: its zero is no score
                continue
            found.append(
                Measured(
                    name=path.parent.name,
                    score=float(said["score"]),
                    low=float(said["low"]),
                    high=float(said["high"]),
                    n=int(said["n"]),
                    chance=said.get("chance"),
                    blind=bool(said.get("blind")),
                    responder=responder,
                    own=_is_own(responder, run.absolute()),
                )
            )
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: no result of an evaluation ({error}). Measure again, or delete it.") from None
    return found


def _is_own(responder: str, run: Path) -> bool:
    """Whether what was asked is the run's model: called by the demo's name, as the run's folder, or as its model's."""
    last = Path(responder).parts[-2:]
    return responder == TUNED or last in ((run.name, "model"), (run.parent.name, run.name))


def _environment(sessions: Path) -> Mapping[str, Json]:
    starts = [record for record in _records(sessions) if record.get("event") == "start"]
    said = starts[-1].get("environment") if starts else None
    return said if isinstance(said, dict) else {}


def _records(path: Path) -> list[dict[str, Json]]:
    return list(read_json_lines(path)) if path.is_file() else []


def _whole(value: Json) -> int:
    return value if isinstance(value, int) else 0
