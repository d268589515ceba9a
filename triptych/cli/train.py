"""``triptych train``: a recipe, ``key.path=value`` overrides, and a folder for the run. Nothing else decides a run."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from triptych.cli.groups.recipes import Overrides, RecipeFile, that_trains
from triptych.core.log import say

RUNS = Path("runs")


def run(
    recipe: RecipeFile,
    overrides: Overrides = None,
    *,
    folder: Annotated[
        Path | None, typer.Option("--run", metavar="DIR", help="Default: runs/NAME, NAME being the recipe's.")
    ] = None,
) -> None:
    """Train a recipe. The same command goes on where a run was killed, to the same bits."""
    from triptych.train.objective import Reply
    from triptych.train.recipe import Tune, load_recipe

    with that_trains(recipe):
        plan = load_recipe(recipe, overrides or [])  # first: an error in it is told before torch is loaded

    from triptych.core.allocators import keep_large_blocks, let_gpu_blocks_grow
    from triptych.train.page.page import paged
    from triptych.train.trainer import train

    keep_large_blocks()
    let_gpu_blocks_grow()
    run = folder or RUNS / plan.name
    with paged(run):
        model = train(plan, run=run)
    say(f"finished: {model}")
    last = plan.stages[-1]
    scores = isinstance(last, Tune) and not isinstance(last.objective, Reply)
    say(f"try it:   triptych {'score' if scores else 'chat'} {quote(str(model))} IMAGE...")
