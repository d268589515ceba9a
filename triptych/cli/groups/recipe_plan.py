"""``triptych recipe plan``: memory of a GPU, time of a step and of the run, and what to change where nothing fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.groups.recipes import Overrides, RecipeFile, that_trains
from triptych.cli.groups.sources import AsJson, json_text

if TYPE_CHECKING:
    from triptych.core.records import Json
    from triptych.train.forecast.gpus import Gpu
    from triptych.train.forecast.planner import Features, StageEstimate

PARTS = ("weights", "gradients", "optimizer", "activations", "logits", "images", "gathered", "reserve")


def plan_run(
    recipe: RecipeFile,
    overrides: Overrides = None,
    *,
    gpu: Annotated[str, typer.Option("--gpu", help="Kind of GPU: a100-40g, a100-80g, h100-80g, ...")] = "a100-80g",
    gpus: Annotated[int, typer.Option("--gpus", min=1, help="How many.")] = 1,
    mfu: Annotated[
        float | None, typer.Option("--mfu", min=0.01, max=1.0, help="Share of its operations that are the model's.")
    ] = None,
    tokens: Annotated[
        float | None, typer.Option("--tokens", min=1.0, help="Tokens of an epoch, where nobody tells: data plan does.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Estimate memory and time from shapes alone. Nothing is downloaded, no weights are loaded."""
    from triptych.core.errors import NotFoundError
    from triptych.train.forecast.gpus import GPUS
    from triptych.train.recipe import load_recipe

    if gpu not in GPUS:
        raise NotFoundError(f"no GPU is called {gpu!r}. There are: {', '.join(GPUS)}.")
    with that_trains(recipe):
        found = load_recipe(recipe, overrides or [])
    from triptych.train.forecast.planner import plan_stages, shape_of  # Seconds, which no wrong recipe waits for.

    shape = shape_of(found.model, recipes=recipe.parent)
    stages = plan_stages(found, shape, gpu=GPUS[gpu], gpus=gpus, mfu=mfu, epoch_tokens=tokens)
    if as_json:
        typer.echo(json_text([_stage_to_json(each, asked=mfu is not None) for each in stages]))
        return
    weights = ", ".join(f"{part} {count / 1e9:.2f}" for part, count in shape.part_weights.items() if count)
    typer.echo(f"model: 10^9 weights: {weights}; {shape.image_tokens} tokens an image")
    for each in stages:
        typer.echo("\n".join(_lines(each, name=gpu, gpu=GPUS[gpu], gpus=gpus, asked=mfu is not None)))


def _lines(stage: StageEstimate, *, name: str, gpu: Gpu, gpus: int, asked: bool) -> Iterator[str]:
    total = stage.memory.total / (1 << 30)
    verdict = "fits" if stage.fits else "DOES NOT FIT"
    yield f"stage {stage.stage} on {gpus} x {name} ({gpu.memory_gib:g} GiB each): {total:.1f} GiB a GPU, {verdict}"
    for part in PARTS:
        yield f"  {part:<12}{getattr(stage.memory, part) / (1 << 30):8.2f} GiB"
    mfu = f"at an assumed MFU of {stage.assumed.mfu:.0%}"
    yield f"  step        {stage.step_s:8.3g} s, {stage.work.total / 1e15:.3g} * 10^15 operations, {mfu}"
    if stage.waiting is not None:
        yield f"  packs        {stage.waiting}"
    if stage.steps is None:
        yield "  length       unknown: nobody tells how much the data hold; give --tokens, as triptych data plan counts"
    else:
        data = "" if stage.epoch_tokens is None else f", an epoch is {_millions(stage.epoch_tokens)} million tokens"
        yield f"  length       {stage.steps} steps{data}: {_span(stage.hours or 0.0)} in packs"
        if unpacked := _unpacked(stage, asked=asked):
            text = " or ".join(f"{_span(hours)} (MFU {mfu:.0%})" for mfu, hours in unpacked.items())
            yield f"               {text} where nothing is packed, as published runs were done"
    if stage.features is not None:
        yield f"  features     {_disk_of(stage.features)}"
    for part, names in stage.counted_as_all.items():
        words = ", ".join(map(repr, names))
        yield f"  counted      parts.{part}.only: shapes do not tell {words}: the part is counted as all of it"
    for number, change in enumerate(stage.changes):
        yield f"  {'change' if number == 0 else '      '}       {change.what}: {change.total_gib:.1f} GiB"


def _disk_of(features: Features) -> str:
    """Return what features take of the disk, and whether they are kept."""
    text = f"{features.picture / (1 << 20):.2f} MiB a picture"
    if features.total is not None:
        text += f", {features.total / (1 << 30):,.1f} GiB for all"
    if features.kept is False:
        return f"not kept, as there are more rows than in_memory_rows: each step encodes its pictures ({text})"
    return f"kept on the run's disk: {text}; where there is no room, each step encodes its pictures"


def _span(hours: float) -> str:
    """Return a time that is told in hours, in minutes where it is less than two of them, and so with seconds."""
    if hours >= 2:
        return f"{hours:.1f} hours"
    return f"{hours * 60:.1f} minutes" if hours * 60 >= 2 else f"{hours * 3600:.2g} seconds"


def _millions(tokens: float) -> str:
    return f"{tokens / 1e6:,.0f}" if tokens >= 1e7 else f"{tokens / 1e6:.2f}"


def _unpacked(stage: StageEstimate, *, asked: bool) -> dict[float, float]:
    """Return the hours of a trainer that does not pack, by its MFU; none where an MFU was ``asked`` for."""
    from triptych.train.forecast.planner import UNPACKED_MFU

    if asked:
        return {}
    return {mfu: hours for mfu in UNPACKED_MFU if (hours := stage.hours_unpacked_at(mfu)) is not None}


def _stage_to_json(stage: StageEstimate, *, asked: bool) -> dict[str, Json]:
    return {
        "stage": stage.stage,
        "memory_gib": {part: round(getattr(stage.memory, part) / (1 << 30), 3) for part in PARTS},
        "total_gib": round(stage.memory.total / (1 << 30), 3),
        "fits": stage.fits,
        "changes": [asdict(each) for each in stage.changes],
        "step_s": round(stage.step_s, 4),
        "packs_a_step": stage.packs,
        "waiting_gpus": stage.waiting_gpus,
        "steps": stage.steps,
        "hours": None if stage.hours is None else round(stage.hours, 3),
        "hours_unpacked": list(_unpacked(stage, asked=asked).values()) or None,
        "epoch_tokens": stage.epoch_tokens,
        "features": None if stage.features is None else asdict(stage.features),
        "assumed": asdict(stage.assumed),
        "counted_as_all": {part: list(names) for part, names in stage.counted_as_all.items()},
    }


COMMANDS: dict[str, Callable[..., None]] = {"plan": plan_run}
