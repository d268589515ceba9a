"""Train a recipe: its stages in order, each taken up where it was left, and at the end a plain Hugging Face folder.

Not the loop (``tune.py``) nor the regression (``closed_form.py``). A stage that is finished is not done again: its
weights are put back from its last checkpoint. Killed at any moment and started again, a run ends with the same bits.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from safetensors import SafetensorError

from triptych.core.errors import RunError
from triptych.core.files import only_one
from triptych.core.full_disk import NO_ROOM, system_error
from triptych.core.log import logged, measured, say
from triptych.core.rollback import left_as, look_before
from triptych.data.plan.measures import LENGTHS
from triptych.data.plan.planned import BEGUN, forget_lengths
from triptych.models.family import Model
from triptych.models.memory.placement import place
from triptych.train.checkpoint import FOLDER, Checkpoint, latest_checkpoint, prune_checkpoints, save_checkpoint
from triptych.train.claim import claim_run, refuse_foreign
from triptych.train.closed_form import align
from triptych.train.determinism import derive_seed, deterministic
from triptych.train.ledger import LEDGER
from triptych.train.measuring.meters import METRICS, VALIDATIONS, StepReport
from triptych.train.measuring.peak import peak_of
from triptych.train.measuring.sessions import SESSIONS, session
from triptych.train.measuring.trackers import TRACKERS, Trackers, check_trackers, validation_told
from triptych.train.merging import settle_stage
from triptych.train.origin import ORIGIN, check_origin
from triptych.train.packages import check_packages
from triptych.train.parallel.blocks import reset_blocks
from triptych.train.parallel.four_bits import refuse_shared_bits
from triptych.train.parallel.world import World, joined
from triptych.train.recipe import RECIPE, ClosedForm, Recipe, StagePlan, Tune, resolve
from triptych.train.release import settle_parts
from triptych.train.signals import Stop, listening
from triptych.train.start import start_model
from triptych.train.tune import tune
from triptych.train.validation import ValidationReport

MODEL = "model"
"""Folder of the finished model in the run's."""
LOCK = ".lock"
LOG = "log.txt"
OWN_FILES = {RECIPE, LOCK, LOG, SESSIONS, ORIGIN, LENGTHS, BEGUN}
"""What a run writes before it has done anything."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What others may do while a run goes on. They see; they change nothing."""

    after_step: Callable[[StepReport], None] | None = None
    after_validation: Callable[[ValidationReport], None] | None = None
    after_stage: Callable[[str, Model], None] | None = None
    """Is given the stage's name and the model, adapters merged; also for a stage that an earlier start finished, as
    that one may have been killed before its hook was done."""


def train(recipe: Recipe, *, run: str | Path, hooks: Hooks | None = None) -> Path:
    """Run all stages, or what is left of them; return the folder of the finished model.

    Args:
        recipe: what to train.
        run: the run's folder; made if it is not there, and from then on this recipe's.
        hooks: who is told.

    Raises:
        NotFoundError, ModelError: the model cannot be put together or opened.
        DataError: the data cannot be used.
        RunError: the folder is another recipe's or another process works in it, the loss is not finite, a checkpoint
            or anything else cannot be written, a stop was asked for.
    """
    recipe, run = resolve(recipe), Path(run)
    if recipe.model.open is not None and run.resolve() in Path(recipe.model.open).expanduser().resolve().parents:
        raise RunError(
            f"model.open is {recipe.model.open}, inside of {run}, where this run would write its own model. Use another"
            " name for the run."
        )
    before = look_before(run)
    with joined(recipe.parallel.kind) as world, _told_if_full(run), ExitStack() as own:

        def claim() -> None:
            check_trackers(recipe.log)
            refuse_foreign(run)
            own.enter_context(only_one(run / LOCK))
            own.enter_context(left_as(before, OWN_FILES, worked=partial(has_worked, run)))
            own.enter_context(logged(run / LOG))

        world.lead(claim)
        return _train(recipe, world, run=run, hooks=hooks or Hooks())


def has_worked(run: Path) -> bool:
    """Return whether a run has more to show than its recipe: what it refused, encoded, measured or learnt."""
    return any(path.name not in OWN_FILES for path in run.iterdir())


def _train(recipe: Recipe, world: World, *, run: Path, hooks: Hooks) -> Path:
    finished = run / MODEL

    def claim() -> bool:
        if claim_run(recipe, run):
            shutil.rmtree(finished, ignore_errors=True)  # an earlier recipe's
            shutil.rmtree(run / LENGTHS, ignore_errors=True)
            for name in (METRICS, VALIDATIONS, LEDGER, SESSIONS, TRACKERS, ORIGIN, BEGUN):
                (run / name).unlink(missing_ok=True)
        return finished.is_dir() and _finished(run, recipe.stages[-1].name) is not None

    if world.lead(claim):
        say(f"{recipe.name}: nothing to do, {finished} is there")
        return finished
    world.lead(lambda: check_packages(recipe))
    if world.ranks > 1:
        world.lead(lambda: refuse_shared_bits(recipe))
    begun = any((run / FOLDER).glob("*"))
    world.lead(lambda: check_origin(recipe.model, run, begun=begun))
    if world.ranks > 1:
        say(f"{recipe.name}: {world.ranks} processes, {world.kind}")

    def save() -> None:
        # Whole or not there: a family writes beside the folder and renames.
        shutil.rmtree(finished, ignore_errors=True)
        with _told_if_full(run):
            model.save(finished)

    with session(run, world), _told(recipe, world, run=run, hooks=hooks) as hooks, deterministic(), listening() as stop:
        model = world.together(lambda: start_model(recipe.model, seed=derive_seed(recipe.seed, "model")))
        for index in range(len(recipe.stages)):
            model = _run_stage(model, recipe, index, world, run=run, hooks=hooks, stop=stop)
        world.lead(save)
    return finished


@contextmanager
def _told_if_full(run: Path) -> Iterator[None]:
    """Say in one line that there is no room, whoever wanted to write."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        if system_error(error) not in NO_ROOM:
            raise
        full = (isinstance(error, OSError) and error.filename) or run
        raise RunError(
            f"{full}: no more can be written ({error}). What is whole in {run} is kept: make room, then give the same"
            " command again to go on."
        ) from error


@contextmanager
def _told(recipe: Recipe, world: World, *, run: Path, hooks: Hooks) -> Iterator[Hooks]:
    """Open the trackers where this process leads; yield the hooks, which tell them too."""
    if not world.leads:
        yield hooks
        return
    trackers = Trackers(recipe.log, run=run, recipe=recipe.model_dump(mode="json"))

    def after_step(report: StepReport) -> None:
        trackers.tell(report.record())
        if hooks.after_step is not None:
            hooks.after_step(report)

    def after_validation(report: ValidationReport) -> None:
        trackers.tell(validation_told(report.record()))
        if hooks.after_validation is not None:
            hooks.after_validation(report)

    try:
        yield replace(hooks, after_step=after_step, after_validation=after_validation)
    finally:
        trackers.close()


def _run_stage(model: Model, recipe: Recipe, index: int, world: World, *, run: Path, hooks: Hooks, stop: Stop) -> Model:
    """Return the model at the end of a stage: by the stage's work, or by the weights that it left."""
    stage = recipe.stages[index]
    seed = derive_seed(recipe.seed, "stage", stage.name)
    if last := world.lead(lambda: _finished(run, stage.name)):
        say(f"{stage.name}: done before, taken from {last.folder}")
        world.together(lambda: settle_stage(model, stage, last, seed=seed))
        world.lead(lambda: _tidy(run, stage, latest=last.position.step))
        world.lead(lambda: _tell(hooks, stage.name, model))
        return model
    later = [each.name for each in recipe.stages[index + 1 :]]
    if isinstance(stage, ClosedForm):
        place(model, world.device)
        done = world.lead(lambda: _align(model, stage, run=run, seed=seed, later=later, stop=stop))
    else:
        peak = peak_of(world.device, precision=stage.precision, measure=recipe.log.measure_peak)
        with measured(stage.name, world.book(run) / METRICS):
            outcome = tune(
                model,
                stage,
                run=run,
                seed=seed,
                later=later,
                stop=stop,
                after_step=hooks.after_step,
                after_validation=hooks.after_validation,
                world=world,
                peak=peak,
            )
        # After the stage's last record, so that whoever is killed in between writes that record again.
        save_checkpoint(run, outcome, world=world)
        reset_blocks(model, stage)
        done = outcome.position.step
    world.lead(lambda: _tidy(run, stage, latest=done))
    model = _settled(model, recipe, index, world, run=run)
    world.lead(lambda: _tell(hooks, stage.name, model))
    world.together(partial(stop.check, f"after stage {stage.name!r}, which is done"))
    return model


def _align(model: Model, stage: ClosedForm, *, run: Path, seed: int, later: list[str], stop: Stop) -> int:
    """Align and save; return the step of the checkpoint."""
    with measured(stage.name, run / METRICS):
        outcome = align(model, stage, run=run, seed=seed, later=later, stop=stop)
    save_checkpoint(run, outcome)
    return outcome.position.step


def _settled(model: Model, recipe: Recipe, index: int, world: World, *, run: Path) -> Model:
    """Return the plain model that a stage left, in every process."""
    stage = recipe.stages[index]
    if world.ranks == 1 or (isinstance(stage, Tune) and world.kind == "ddp"):
        settle_parts(model)
        return model
    stages: tuple[StagePlan, ...] = (stage,)  # aligned by the leading process alone
    if isinstance(stage, Tune):
        # Shares cannot be put together in place: the model is made again, and led through all stages' checkpoints.
        model = start_model(recipe.model, seed=derive_seed(recipe.seed, "model"))
        stages = recipe.stages[: index + 1]
    for each in stages:
        last = world.lead(partial(_finished, run, each.name))
        assert last is not None, f"stage {each.name!r} is done and has no checkpoint"
        seed = derive_seed(recipe.seed, "stage", each.name)
        world.together(partial(settle_stage, model, each, last, seed=seed))
    return model


def _tidy(run: Path, stage: StagePlan, *, latest: int) -> None:
    """Delete what a stage that is done needs no more: all checkpoints but its last, unless many were asked for."""
    asked = stage.keep_checkpoints if isinstance(stage, Tune) else 1
    usual = Tune.model_fields["keep_checkpoints"].default
    prune_checkpoints(run, stage.name, latest=latest, keep=asked if asked == "all" or asked > usual else 1)
    forget_lengths(run, stage.name)


def _tell(hooks: Hooks, stage: str, model: Model) -> None:
    if hooks.after_stage is not None:
        hooks.after_stage(stage, model)


def _finished(run: Path, stage: str) -> Checkpoint | None:
    last = latest_checkpoint(run, stage)
    return last if last is not None and last.position.finished else None
