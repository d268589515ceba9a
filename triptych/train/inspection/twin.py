"""The tiny twin of a recipe: the same run on a toy model and drawn data, in seconds, and what it may differ in.

A recipe ``recipes/NAME.yaml`` has its twin in ``recipes/tiny/NAME.yaml``. The twin is a whole recipe; that it says the
same as the other where it must is checked, so it cannot drift.
"""

from __future__ import annotations

from pathlib import Path

from triptych.core.records import Json
from triptych.train.inspection.shown import flat
from triptych.train.recipe import Frozen, Lora, Recipe, Stage, Tune

TWINS = "tiny"
"""Folder of twins beside the recipes."""
FREE = frozenset(
    (
        *("pack_tokens", "step_tokens", "forward_tokens", "image_tokens", "images_tokens", "example_tokens"),
        *("least_side_px", "length", "warmup", "checkpoint_every", "keep_checkpoints", "in_memory_rows", "workers"),
        *("from_layer", "rank", "alpha", "targets", "only", "source", "weight", "limit"),
    )
)
"""Sizes, lengths and names of layers: last words of keys that a twin says for itself."""


def twin_of(path: Path) -> Path | None:
    """Return the twin of a recipe's file, if it is there."""
    twin = path.parent / TWINS / path.name
    return twin if twin.is_file() else None


def original_of(path: Path) -> Path | None:
    """Return the recipe whose twin a file is, if it is one."""
    original = path.parent.parent / path.name
    return original if path.parent.name == TWINS and original.is_file() else None


def drift(original: Recipe, twin: Recipe) -> list[str]:
    """Return in which keys a twin differs where it must not, a sentence each; none: it is a twin."""
    found = []
    if twin.name != f"{TWINS}_{original.name}":
        found.append(f"name is {twin.name}, a twin's is {TWINS}_{original.name}")
    ours, theirs = _bound(original), _bound(twin)
    for key in [*ours, *(key for key in theirs if key not in ours)]:
        if key not in ours or key not in theirs:
            found.append(f"{key} is only in the {'recipe' if key in ours else 'twin'}")
        elif ours[key] != theirs[key]:
            found.append(f"{key} is {ours[key]} in the recipe, {theirs[key]} in the twin")
    for stage, other in zip(original.stages, twin.stages, strict=False):
        found += _moves(stage, other)
        if _transforms(stage) != _transforms(other):
            found.append(f"stages.{stage.name}.data: the transforms are not the same ones")
    return found


def _bound(recipe: Recipe) -> dict[str, Json]:
    """Return what a twin must share: not the model, which data, sizes and lengths, nor where it runs."""

    def free(key: str) -> bool:
        words = key.split(".")
        # The budget's limits are sizes; data are compared by their transforms.
        return (
            words[0] in ("name", "model", "parallel", "log")
            or words[-1] in FREE
            or (words[0] == "stages" and words[2:3] == ["data"])
        )

    return {key: value for key, value in flat(recipe).items() if not free(key)}


def _transforms(stage: Stage) -> set[str]:
    return {str([plan.as_json() for plan in entry.transforms]) for entry in stage.data}


def _moves(stage: Stage, other: Stage) -> list[str]:
    """Compare which parts have layers of their own chosen, as their names are free."""
    if not (isinstance(stage, Tune) and isinstance(other, Tune)):
        return []
    found = []
    for (part, plan), (_, twin) in zip(stage.parts.items(), other.parts.items(), strict=True):
        if isinstance(plan, Frozen) or isinstance(twin, Frozen) or isinstance(plan, Lora) != isinstance(twin, Lora):
            continue
        key = "targets" if isinstance(plan, Lora) else "only"
        chosen = [getattr(each, key) not in (None, "all-linear") for each in (plan, twin)]
        if chosen[0] != chosen[1]:
            found.append(f"stages.{stage.name}.parts.{part}.{key}: chosen layers in one of the two alone")
    return found
