"""``triptych generate run`` and ``generate merge``: a recipe's stages, on this machine or over several."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.groups.recipes import that_makes_data
from triptych.core.log import say

if TYPE_CHECKING:  # loaded when a command needs them
    from triptych.generate.pipeline import Outcome

RUNS = Path("runs")
STOPPED = 1
"""Exit code of a run that the budget has stopped."""


def run_recipe(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A YAML file, e.g. recipes/generate/demo.yaml.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Changes to it, e.g. budget.usd=5 stages.0.limit=100."),
    ] = None,
    *,
    shard: Annotated[
        str | None, typer.Option("--shard", metavar="K/N", help="Do part K of N, from 1; then generate merge.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--run", metavar="DIR", help="Default: runs/NAME, NAME being the recipe's.")
    ] = None,
) -> None:
    """Make data. The same command goes on where a run was killed or stopped: no reply is asked for twice."""
    from triptych.core.shard import parse_shard
    from triptych.generate.pipeline import generate
    from triptych.generate.recipe import load_recipe

    part = parse_shard(shard) if shard else None
    with that_makes_data(recipe):
        plan = load_recipe(recipe, overrides or [])
    run = folder or (RUNS / plan.name / part.folder if part else RUNS / plan.name)
    _report(generate(plan, folder=run, shard=part))


def merge_parts(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR", help="Of all parts, or of the run that holds shard-K-of-N folders."),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The whole. Default: the folder that holds the parts.")
    ] = None,
) -> None:
    """Put the parts of a run together without duplicates, and run the stages that need all items."""
    from triptych.generate.pipeline import merge
    from triptych.generate.running.shards import shard_folders

    parts = shard_folders(folders)
    _report(merge(parts, out=out or parts[0].resolve().parent))


def _report(outcome: Outcome) -> None:
    from triptych.generate.page.page import report_after

    for line in _lines(outcome):
        typer.echo(line)
    if outcome.waits_for_merge:
        say("this part is done; the other stages need all items. When all parts are: triptych generate merge DIR...")
        return
    if outcome.stages:
        report_after(outcome.folder)
    if outcome.stopped:
        raise typer.Exit(STOPPED)


def _lines(outcome: Outcome) -> Iterator[str]:
    """Yield the summary: a line for each stage, each teacher, and what a kept pair cost."""
    width = max((len(note.label) for note in outcome.stages), default=0)
    for note in outcome.stages:
        refused = sum(note.refused.values())
        yield f"{note.label:<{width}}  in {note.items_in:>9,}  out {note.items_out:>9,}  refused {refused:>9,}"
        yield from (f"{'':<{width}}    {reason}: {count:,}" for reason, count in note.refused.items())
        if note.failed:
            yield f"{'':<{width}}    {note.failed:,} requests failed; run again to ask them again"
    for name, total in outcome.totals.items():
        spent = f"{name}: {total.replies:,} replies, {total.tokens_in:,} tokens in, {total.tokens_out:,} out"
        lost = f"; {total.lost_tokens:,} tokens (${total.lost_usd:.4g}) may be lost" if total.lost_tokens else ""
        yield f"{spent}{f', ${total.usd:.4g}' if outcome.usd else ''}{lost}"
    each = f"; ${outcome.usd / outcome.pairs:.4g} for each" if outcome.pairs and outcome.usd else ""
    so_far = " so far" if outcome.stopped or outcome.waits_for_merge else ""
    kept = outcome.stages[-1].items_out if outcome.stages else 0
    yield f"kept{so_far}: {kept:,} items, {outcome.pairs:,} pairs{each}"
    yield from (f"wrote {to}: {count:,} items" for to, count in outcome.written)
    yield f"run:  {outcome.folder}"
    if outcome.stopped:
        yield f"stopped: {outcome.stopped}"


COMMANDS: dict[str, Callable[..., None]] = {"run": run_recipe, "merge": merge_parts}
