"""The step whose weights a stage leaves, where its recipe keeps those of the lowest validation loss.

Not the looking (``validation.py``). The checkpoint of the lowest step so far stays beside the latest ones, and what it
holds is put back when the stage is done. Its first weights, before any step, are never chosen: that is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from triptych.core.log import say
from triptych.train.checkpoint import checkpoint_at, checkpoint_folder
from triptych.train.measuring.sessions import note_kept
from triptych.train.release import load_weights
from triptych.train.stage_state import StageState
from triptych.train.validation import Validator


def keeps_lowest(state: StageState) -> bool:
    """Return whether a stage leaves the weights of the lowest validation loss."""
    return state.stage.validation is not None and state.stage.validation.keep == "lowest"


def lowest_step(state: StageState, validator: Validator | None) -> int | None:
    """Return the step with the lowest loss so far, the earliest of several; None: nothing is chosen, or was found."""
    losses = validator.losses() if validator is not None and keeps_lowest(state) else {}
    return next(iter(_by_loss(losses)), None)


def put_back_lowest(state: StageState, validator: Validator | None, *, done: int) -> None:
    """Give a stage that is done the weights of its lowest validation loss, where its recipe says so; all processes."""
    if validator is None or not keeps_lowest(state):
        return
    world, run, name, losses = state.world, state.run, state.stage.name, validator.losses()
    kept = done
    for step in _by_loss(losses):
        if step == done:
            break
        if (found := world.lead(partial(checkpoint_at, run, name, step=step))) is not None:
            load_weights(state.weights, found.weights(state.weights))
            kept = step
            break
        say(f"{name}: {checkpoint_folder(run, name, step=step)} is not whole: the next lowest loss counts")
    note_kept(state.book, name, step=kept)
    found_there = f", of loss {losses[kept]:.3f}" if kept in losses else ": no loss of the validation is a number"
    said = f"{name}: kept are the weights after step {kept} of {done}{found_there}"
    if kept != done and done in losses:
        said += f" (after the last step {losses[done]:.3f})"
    if losses.get(0, float("inf")) <= losses.get(kept, float("inf")) and 0 in losses:
        said += f"; the model was as good before the first step: {losses[0]:.3f}"
    say(said)


def _by_loss(losses: Mapping[int, float]) -> list[int]:
    return sorted((step for step in losses if step), key=lambda step: (losses[step], step))
