"""``triptych demo``: the main job, end to end, on the embedded default. What the README's first command runs.

Joins the rooms; every step is also a command of its own. Killed at any moment and started again it goes on where it
was, and ends with the same weights, bit for bit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.core.records import Json

if TYPE_CHECKING:
    from triptych.evaluate.run import Result
    from triptych.models.family import Model
    from triptych.train.recipe import Recipe

PARTS = ("held_in", "held_out")
CONDITIONS = ("blind", "untuned", "tuned")
METRICS = "metrics.jsonl"
UNTUNED = "untuned"
"""Folder of the model as it is before tuning: put together and aligned."""
REPLY_TOKENS = 8


def run(
    recipe: Annotated[Path, typer.Option(help="The recipe to run.")] = Path("recipes/demo.yaml"),
    folder: Annotated[Path, typer.Option("--run", help="The run's folder.")] = Path("runs/demo"),
) -> None:
    """Draw data, put a model together, align, tune, measure, report: about ten minutes on two cores."""
    from rich.console import Console

    from triptych.cli.starter import write_storyboard
    from triptych.core.files import write_atomically
    from triptych.core.log import measured, say
    from triptych.evaluate.summary import summarise_conditions, table_of_conditions
    from triptych.starter.storyboard import Sizes
    from triptych.train.recipe import load_recipe

    plan = load_recipe(recipe)
    data, metrics = folder / "data", folder / METRICS
    if not (data / "held_out.jsonl").is_file():
        say("Drawing Storyboard: pictures, and questions with known answers")
        with measured("draw", metrics):
            write_storyboard(data, seed=plan.seed, sizes=Sizes())
    model = _train(plan, folder)
    results = _measure(folder, model)
    with measured("report", metrics):
        from triptych.evaluate.report import write_report

        page = write_report(folder)
    summary = summarise_conditions(results) | stage_costs(metrics)
    write_atomically(folder / "summary.json", json.dumps(summary, indent=1) + "\n")
    Console().print(table_of_conditions(results, conditions=CONDITIONS, parts=PARTS))
    say(f"Report: {page}")
    say(f"Talk to it: .venv/bin/triptych chat {model} IMAGE IMAGE ...")


def _train(plan: Recipe, folder: Path) -> Path:
    from triptych.train.recipe import ClosedForm
    from triptych.train.trainer import Hooks, train

    aligned = [stage.name for stage in plan.stages if isinstance(stage, ClosedForm)]

    def keep_untuned(stage: str, model: Model) -> None:
        if stage == aligned[-1]:
            model.save(folder / UNTUNED)

    return train(plan, run=folder, hooks=Hooks(after_stage=keep_untuned))


def _measure(folder: Path, model: Path) -> dict[tuple[str, str], Result]:
    """Ask every question of both parts under all three conditions."""
    from triptych.core.log import measured
    from triptych.core.plugins import find
    from triptych.evaluate.benchmark import Benchmark
    from triptych.evaluate.run import evaluate
    from triptych.infer.local import LocalResponder
    from triptych.models.family import open_model
    from triptych.models.features import FeatureStore

    storyboard = find("benchmark", "storyboard", Benchmark)
    results: dict[tuple[str, str], Result] = {}
    for source in (folder / UNTUNED, model):
        opened = open_model(source)
        features = FeatureStore(opened, folder / "features")
        responder = LocalResponder(opened, features=features, name="tuned" if source == model else "untuned")
        for condition in ("tuned", "blind") if source == model else ("untuned",):
            with measured(f"measure-{condition}", folder / METRICS):
                for part in PARTS:
                    results[condition, part] = evaluate(
                        storyboard,
                        folder / "data" / f"{part}.jsonl",
                        responder,
                        folder=folder / "evals" / f"storyboard-{part}-{condition}",
                        blind=condition == "blind",
                        max_tokens=REPLY_TOKENS,
                    )
    return results


def stage_costs(metrics: Path) -> dict[str, Json]:
    """Return ``wall_s`` and ``peak_gib`` by stage; of a stage that ran twice, the last."""
    from triptych.core.files import read_json_lines

    wall_s: dict[str, Json] = {}
    peak_gib: dict[str, Json] = {}
    for record in read_json_lines(metrics):
        if "peak_gib" in record and "step" not in record:
            stage, wall, peak = str(record["stage"]), record["wall_s"], record["peak_gib"]
            wall_s[stage], peak_gib[stage] = wall, peak
    return {"wall_s": wall_s, "peak_gib": peak_gib}
