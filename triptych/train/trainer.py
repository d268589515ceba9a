"""Train a recipe: its stages in order, each taken up where it was left, and at the end a plain Hugging Face folder.

Not the loop (``tune.py``) nor the regression (``closed_form.py``). A stage that is finished is not done again: its
weights are put back from its last checkpoint. Killed at any moment and started again, a run ends with the same bits.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from triptych.core.files import only_one
from triptych.core.log import logged, measured, say
from triptych.models.family import Model, PartsPlan, assemble, open_model
from triptych.train.checkpoint import Checkpoint, Outcome, latest_checkpoint, prune_checkpoints, save_checkpoint
from triptych.train.closed_form import align
from triptych.train.determinism import derive_seed, deterministic
from triptych.train.meters import METRICS, StepReport
from triptych.train.recipe import ClosedForm, ModelPlan, Recipe, StagePlan, Tune, claim_run, resolve
from triptych.train.release import load_weights, release_parts, settle_parts
from triptych.train.stop import Stop, listening
from triptych.train.tune import tune

MODEL = "model"
"""Folder of the finished model in the run's."""
LOCK = ".lock"
LOG = "log.txt"


@dataclass(frozen=True, slots=True)
class Hooks:
    """What others may do while a run goes on. They see; they change nothing."""

    after_step: Callable[[StepReport], None] | None = None
    after_stage: Callable[[str, Model], None] | None = None
    """Is given the stage's name and the model, adapters merged; also for a stage that an earlier start finished, as
    that one may have been killed before its hook was done."""


def train(recipe: Recipe, *, run: Path, hooks: Hooks | None = None) -> Path:
    """Run all stages, or what is left of them; return the folder of the finished model.

    Args:
        recipe: what to train.
        run: the run's folder; made if it is not there, and from then on this recipe's.
        hooks: who is told.

    Raises:
        NotFoundError, ModelError: the model cannot be put together or opened.
        DataError: the data cannot be used.
        RunError: the folder is another recipe's or another process works in it, the loss is not finite, a checkpoint
            cannot be written, a stop was asked for.
    """
    with only_one(run / LOCK), logged(run / LOG):
        return _train(resolve(recipe), run=run, hooks=hooks or Hooks())


def _train(recipe: Recipe, *, run: Path, hooks: Hooks) -> Path:
    finished = run / MODEL
    if claim_run(recipe, run):
        shutil.rmtree(finished, ignore_errors=True)  # an earlier recipe's
    if finished.is_dir() and _finished(run, recipe.stages[-1].name):
        say(f"{recipe.name}: nothing to do, {finished} is there")
        return finished
    with deterministic(), listening() as stop:
        model = start_model(recipe.model, seed=derive_seed(recipe.seed, "model"))
        for index in range(len(recipe.stages)):
            _run_stage(model, recipe, index, run=run, hooks=hooks, stop=stop)
        # Whole or not there: a family writes beside the folder and renames.
        shutil.rmtree(finished, ignore_errors=True)
        model.save(finished)
    return finished


def start_model(plan: ModelPlan, *, seed: int) -> Model:
    """Return the model that a run starts from, with weights in float32: smaller steps than bfloat16 has must count.

    Args:
        plan: resolved: with parts it names family and template.
        seed: of the new projector.

    Raises:
        NotFoundError, ModelError: a part is not there, or the parts do not fit together.
    """
    if plan.parts is None:
        assert plan.open is not None
        model = open_model(plan.open)
    else:
        assert plan.family is not None and plan.template is not None, "the recipe is not resolved"
        parts = plan.parts
        chosen = PartsPlan(
            vision=parts.vision,
            language=parts.language,
            projector=parts.projector,
            image_tokens=parts.image_tokens,
            template=plan.template,
            seed=seed,
        )
        model = assemble(plan.family, chosen)
    if any(weight.dtype != torch.float32 for weight in model.network.parameters()):
        nn.Module.to(model.network, torch.float32)
    return model


def _run_stage(model: Model, recipe: Recipe, index: int, *, run: Path, hooks: Hooks, stop: Stop) -> None:
    """Bring the model to the end of a stage: by the stage's work, or by the weights that it left."""
    stage = recipe.stages[index]
    seed = derive_seed(recipe.seed, "stage", stage.name)
    if last := _finished(run, stage.name):
        _put_back(model, stage, last, seed=seed)
        prune_checkpoints(run, stage.name, keep=1)
        _tell(hooks, stage.name, model)
        return
    later = [each.name for each in recipe.stages[index + 1 :]]
    with measured(stage.name, run / METRICS):
        outcome: Outcome
        if isinstance(stage, ClosedForm):
            outcome = align(model, stage, run=run, seed=seed, later=later, stop=stop)
        else:
            outcome = tune(model, stage, run=run, seed=seed, later=later, stop=stop, after_step=hooks.after_step)
    # After the stage's last record, so that whoever is killed in between writes that record again.
    save_checkpoint(run, outcome)
    prune_checkpoints(run, stage.name, keep=1)
    settle_parts(model)
    _tell(hooks, stage.name, model)
    stop.check(f"after stage {stage.name!r}, which is done")


def _tell(hooks: Hooks, stage: str, model: Model) -> None:
    if hooks.after_stage is not None:
        hooks.after_stage(stage, model)


def _finished(run: Path, stage: str) -> Checkpoint | None:
    last = latest_checkpoint(run, stage)
    return last if last is not None and last.position.finished else None


def _put_back(model: Model, stage: StagePlan, last: Checkpoint, *, seed: int) -> None:
    say(f"{stage.name}: done before, taken from {last.folder}")
    if isinstance(stage, Tune):
        weights = dict(release_parts(model, stage.parts, seed=seed))
    else:
        projector = model.parts()["projector"]
        weights = {f"projector.{name}": weight for name, weight in projector.named_parameters()}
    load_weights(weights, last.weights())
    settle_parts(model)
