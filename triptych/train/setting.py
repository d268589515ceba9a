"""Where a run takes place and who is told of it: keys of a recipe that change nothing of what it learns.

A run may go on with others of these: another number of processes, another log.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from triptych.core.config import Settings

Project = Annotated[str, Field(min_length=1)]


class ParallelPlan(Settings):
    """How the processes that ``torchrun`` starts share the work."""

    kind: Literal["none", "ddp", "fsdp"] = "none"
    """``none``: one process. ``ddp``: each holds the whole model and does a share of every step. ``fsdp``: each holds a
    share of the weights, gradients and optimizer state too (FSDP2)."""


class LogPlan(Settings):
    """Who is told of steps, beside metrics.jsonl."""

    tensorboard: bool = False
    """Write event files into the run's folder."""
    wandb: Project | None = None
    """Project at Weights & Biases; null: it is not told."""
    trackio: Project | None = None
    """Project of trackio; null: it is not told."""
    measure_peak: bool = False
    """Measure at the start, in half a second, how fast the CPU multiplies matrices, so that ``mfu`` can be told. A
    GPU's peak is known by its name."""
