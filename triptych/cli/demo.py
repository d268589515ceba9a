"""``triptych demo``: the main job, end to end, on the embedded default. What the README's first command runs.

Joins the rooms; every step is also a command of its own. Killed at any moment and started again it goes on where it
was, and ends with the same weights, bit for bit.
"""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.core.records import Json

if TYPE_CHECKING:
    from triptych.evaluate.running.result import Result
    from triptych.models.family import Model
    from triptych.train.recipe import Recipe

RECIPE = Path("recipes/demo.yaml")
RUN = Path("runs/demo")
"""Where the recipe looks for its data, so it is no option."""
DRAWN = "drawn.jsonl"
"""What the drawing took: not among the run's own records, as the run begins after it."""
PARTS = ("held_in", "held_out")
CONDITIONS = ("blind", "untuned", "tuned")
UNTUNED = "untuned"
"""Folder of the model as it is before tuning: put together and aligned."""
REPLY_TOKENS = 16
"""Enough for the longest answer and a sentence around it."""


def run() -> None:
    """Draw data, put a model together, align, tune, measure, report: about a quarter of an hour on two cores."""
    from rich.console import Console

    from triptych.core.errors import NotFoundError
    from triptych.core.files import write_atomically
    from triptych.core.log import measured, say

    if not RECIPE.is_file():
        raise NotFoundError(f"{RECIPE} is not here: give this command in the folder of Triptych's repository.")

    from triptych.evaluate.page.report import write_report
    from triptych.evaluate.page.summary import summarise_conditions, table_of_conditions
    from triptych.train.measuring.meters import METRICS
    from triptych.train.recipe import load_recipe

    plan = load_recipe(RECIPE)
    metrics = RUN / METRICS
    draw_once(RUN / "data", seed=plan.seed, costs=RUN / DRAWN)
    model = _train(plan)
    results = _measure(model, metrics)
    with measured("report", metrics):
        page = write_report(RUN)
    summary = summarise_conditions(results) | stage_costs(RUN / DRAWN, metrics)
    write_atomically(RUN / "summary.json", json.dumps(summary, indent=1) + "\n")
    Console().print(table_of_conditions(results, conditions=CONDITIONS, parts=PARTS))
    say(f"Report: {page}")
    say(f"Talk to it: .venv/bin/triptych chat {model} IMAGE IMAGE ...")


def draw_once(data: Path, *, seed: int, costs: Path) -> None:
    """Draw Storyboard into ``data`` unless the same is there; write down in ``costs`` what that took.

    Raises:
        RunError: what is there was drawn by another version, or from another seed.
    """
    from triptych.cli.starter import NOTE, describe, write_storyboard
    from triptych.core.errors import RunError
    from triptych.core.files import write_atomically
    from triptych.core.log import measured, say
    from triptych.starter.storyboard import Sizes

    note, wanted = data / NOTE, describe(seed=seed, sizes=Sizes())
    if note.is_file():
        if note.read_text(encoding="utf-8") != wanted:
            raise RunError(f"{data} was drawn from another seed or by another version. Delete {RUN} to begin anew.")
        return
    say("Drawing Storyboard: pictures, and questions with known answers")
    with measured("draw", costs):
        write_storyboard(data, seed=seed, sizes=Sizes())
    write_atomically(note, wanted)


def _train(plan: Recipe) -> Path:
    from triptych.core.allocators import keep_large_blocks
    from triptych.train.page.page import paged
    from triptych.train.recipe import ClosedForm
    from triptych.train.trainer import Hooks, train

    keep_large_blocks()
    aligned = [stage.name for stage in plan.stages if isinstance(stage, ClosedForm)]

    def keep_untuned(stage: str, model: Model) -> None:
        if stage == aligned[-1] and not (RUN / UNTUNED).is_dir():
            model.save(RUN / UNTUNED)

    with paged(RUN):
        return train(plan, run=RUN, hooks=Hooks(after_stage=keep_untuned))


def _measure(model: Path, metrics: Path) -> dict[tuple[str, str], Result]:
    """Ask every question of both parts under all three conditions."""
    from triptych.core.log import measured
    from triptych.core.plugins import find
    from triptych.evaluate.benchmark import Benchmark
    from triptych.evaluate.running.run import evaluate
    from triptych.infer.local import LocalResponder
    from triptych.models.family import open_model
    from triptych.models.vision.features import FeatureStore

    storyboard = find("benchmark", "storyboard", expected=Benchmark)
    results: dict[tuple[str, str], Result] = {}
    for name, folder, conditions in (("untuned", RUN / UNTUNED, ("untuned",)), ("tuned", model, ("tuned", "blind"))):
        opened = open_model(folder)
        responder = LocalResponder(opened, features=FeatureStore(opened, RUN / "features"), name=name)
        for condition in conditions:
            with measured(f"measure-{condition}", metrics):
                for part in PARTS:
                    results[condition, part] = evaluate(
                        storyboard,
                        RUN / "data" / f"{part}.jsonl",
                        responder=responder,
                        name="storyboard",
                        folder=RUN / "evals" / f"storyboard-{part}-{condition}",
                        blind=condition == "blind",
                        max_tokens=REPLY_TOKENS,
                    )
    return results


def stage_costs(*costs: Path) -> dict[str, Json]:
    """Return ``wall_s`` and ``peak_gib`` by stage; a stage in several pieces adds up their time, and keeps its peak."""
    from triptych.core.files import read_json_lines

    wall_s: dict[str, float] = {}
    peak_gib: dict[str, float] = {}
    for record in chain.from_iterable(read_json_lines(path) for path in costs if path.is_file()):
        if "peak_gib" in record and "step" not in record:
            stage, wall, peak = str(record["stage"]), float(str(record["wall_s"])), float(str(record["peak_gib"]))
            wall_s[stage] = round(wall_s.get(stage, 0.0) + wall, 3)
            peak_gib[stage] = max(peak_gib.get(stage, 0.0), peak)
    return {"wall_s": dict(wall_s), "peak_gib": dict(peak_gib)}
