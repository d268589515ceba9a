"""``triptych data plan``: what a recipe's stages will learn from, step by step, before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.groups.recipes import Overrides, RecipeFile, that_trains
from triptych.cli.groups.sources import AsJson, json_text
from triptych.core.log import counted

if TYPE_CHECKING:
    from triptych.train.inspection.preview import StagePreview


def plan_recipe(
    recipe: RecipeFile,
    overrides: Overrides = None,
    *,
    ranks: Annotated[int, typer.Option("--ranks", min=1, help="Processes among which steps are dealt.")] = 1,
    steps: Annotated[int, typer.Option("--steps", min=0, help="Show the ids of the first so many steps.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Plan a recipe's first epoch: rows, tokens, packs, steps, balance. Loads no weights and trains nothing."""
    from triptych.train.inspection.preview import preview
    from triptych.train.recipe import load_recipe

    with that_trains(recipe):
        plan = load_recipe(recipe, overrides or [])
    found = preview(plan, ranks=ranks, steps=steps)
    if as_json:
        typer.echo(json_text([each.as_json() for each in found]))
        return
    for each in found:
        typer.echo("\n".join(lines_of(each)))


def lines_of(stage: StagePreview) -> list[str]:
    """Return what is told of a stage."""
    lines = [f"stage {stage.stage}"]
    for source in stage.sources:
        parts = ", ".join(f"{source[key]} {key}" for key in ("used", "shrunk", "shortened", "refused"))
        lines.append(f"  {source['source']}: {source['all']} rows: {parts}")
    tokens = f"{counted(stage.tokens, 'token')} ({stage.image_tokens} of images)"
    lines += [
        f"  an epoch      {counted(stage.rows, 'row')}, {counted(stage.images, 'image')}, {tokens}",
        f"  packs         {stage.packs}, {stage.fill:.2%} full",
        f"  steps         {stage.steps_an_epoch} an epoch, {stage.total_steps} in all",
        f"  longest       {counted(stage.longest_tokens, 'token')}: {stage.longest_id}",
        f"  balance       {stage.balance:.3f} mean over largest work at {counted(stage.ranks, 'rank')}",
        f"  ledger        rows refused, shrunk and shortened, with reasons: {stage.ledger}",
    ]
    for number, packs in enumerate(stage.first_steps):
        lines.append(f"  step {number + 1}: " + " | ".join(" ".join(pack) for pack in packs))
    return lines


COMMANDS: dict[str, Callable[..., None]] = {"plan": plan_recipe}
