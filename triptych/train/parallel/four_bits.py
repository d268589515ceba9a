"""Weights in 4 bits cannot be cut into shares: a recipe that wants both is refused before anything is opened."""

from __future__ import annotations

from triptych.core.errors import ConfigError
from triptych.train.recipe import Lora, Recipe, Tune


def kept_in_four_bits(stage: Tune) -> str | None:
    """Return the first part of a stage whose weights are kept in 4 bits; None: there is none."""
    return next((part for part, plan in stage.parts.items() if isinstance(plan, Lora) and plan.quantised), None)


def refuse_shared_bits(recipe: Recipe) -> None:
    """Refuse a recipe whose processes share weights in 4 bits.

    Raises:
        ConfigError: ``parallel.kind`` is fsdp, and a part of a stage is kept in 4 bits.
    """
    for stage in recipe.stages:
        if recipe.parallel.kind == "fsdp" and isinstance(stage, Tune) and (part := kept_in_four_bits(stage)):
            raise ConfigError(
                f"stages.{stage.name}.parts.{part}: its weights are kept in 4 bits, which fsdp cannot share among"
                " several processes. Write parallel: {kind: ddp}, or train: lora (or dora)."
            )
