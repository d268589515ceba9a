"""``triptych train``: a recipe, ``key.path=value`` overrides, and a folder for the run. Nothing else decides a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.core.log import say

if TYPE_CHECKING:
    from triptych.train.meters import StepReport

RUNS = Path("runs")
LINES = 10
"""Lines about the loss, for each stage."""


def run(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A YAML file, e.g. recipes/nlvr.yaml.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE...]", help="Changes to it, e.g. stages.tune.length='40 steps'."),
    ] = None,
    *,
    folder: Annotated[
        Path | None, typer.Option("--run", metavar="DIR", help="Default: runs/NAME, NAME being the recipe's.")
    ] = None,
) -> None:
    """Train a recipe. The same command goes on where a run was killed, to the same bits."""
    from triptych.train.recipe import load_recipe

    plan = load_recipe(recipe, overrides or [])  # first: an error in it is told before torch is loaded

    from triptych.train.trainer import Hooks, train

    model = train(plan, run=folder or RUNS / plan.name, hooks=Hooks(after_step=tell_step))
    say(f"finished: {model}")
    say(f"try it:   triptych chat {model} IMAGE...")


def tell_step(report: StepReport) -> None:
    """Say how a stage goes: its first step, its last, and some between."""
    every = max(1, report.total_steps // LINES)
    if report.step == 1 or report.step == report.total_steps or report.step % every == 0:
        speed = report.tokens / report.wall_s
        say(
            f"{report.stage}: step {report.step}/{report.total_steps}, loss {report.loss_nats:.3f} nats a token,"
            f" {speed:.0f} tokens/s"
        )
