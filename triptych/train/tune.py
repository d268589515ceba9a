"""The one loop: learn replies by gradient, step by step, from where the last whole checkpoint stands.

Frozen, full and LoRA are values in the recipe, not other loops. A step (``step.py``) is a pure function of the weights
before it and its number: its examples come from the plan, its random numbers from (seed, stage, step). So a run that
was killed ends with the same bits as one that was not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from triptych.core.files import append_json_line
from triptych.core.log import Advance, progress
from triptych.data.plan.step_loader import LoadedStep
from triptych.models.family import Model
from triptych.train.checkpoint import (
    Outcome,
    checkpoint_folder,
    latest_checkpoint,
    prune_checkpoints,
    save_checkpoint,
)
from triptych.train.encode_ahead import encode_ahead
from triptych.train.feature_cache import FEATURES
from triptych.train.lowest import lowest_step, put_back_lowest
from triptych.train.measuring.meters import METRICS, VALIDATIONS, StepReport, rewind_records
from triptych.train.measuring.sessions import note_stage
from triptych.train.measuring.trackers import note_plan
from triptych.train.parallel.world import World
from triptych.train.prefetch import make_prefetcher, workers_of
from triptych.train.reach import Reach
from triptych.train.recipe import Tune
from triptych.train.signals import CutOff, Stop, next_or_cut_off
from triptych.train.stage_state import StageState, begin_stage, check_data, resume_stage, stage_outcome
from triptych.train.step import train_step
from triptych.train.validation import AfterValidation, Validator, open_validator

LINES = 10
"""Lines about a stage's steps in its run's log, however long it is."""

AfterStep = Callable[[StepReport], None]


def tune(
    model: Model,
    stage: Tune,
    *,
    run: Path,
    seed: int,
    later: Sequence[str],
    stop: Stop,
    after_step: AfterStep | None,
    after_validation: AfterValidation | None = None,
    world: World | None = None,
    peak: float | None = None,
) -> Outcome:
    """Run a tune stage to its end; its adapters stay attached. The last step's checkpoint is the caller's.

    Args:
        model: as the stage before left it.
        stage: what to learn, and how.
        run: the run's folder.
        seed: of this stage.
        later: stages after this one, whose records are dropped.
        stop: is asked after each step.
        after_step: is told about each step, in the process that leads.
        after_validation: likewise about each validation.
        world: the processes of the run, which all come here; None: this one is alone.
        peak: operations a second of one process's device, so that MFU can be told; None: not known.

    Raises:
        DataError: the data cannot be used.
        RunError: the loss is not finite, no gradient reaches what is to move, the data changed since the checkpoint, or
            a stop was asked for.
    """
    world = World() if world is None else world
    last = world.lead(lambda: latest_checkpoint(run, stage.name))
    check = None
    if last is not None:
        world.lead(partial(note_plan, run, stage.name, plan=last.position.plan))
        check = partial(check_data, last)
    state = begin_stage(
        model, stage, run=run, seed=seed, anew=last is None, check=check, world=world, peak=peak, stop=stop
    )
    done = 0 if last is None else world.together(lambda: resume_stage(state, last))
    rewind_records(state.book / METRICS, stage.name, step=done, later=later)
    rewind_records(state.book / VALIDATIONS, stage.name, step=-1 if last is None else done, later=later)
    note_stage(state.book, stage.name, after_step=done, parts=model.parts_and_head())
    if state.features is not None and not state.pace.finished(done):
        state = encode_ahead(state, state.features, folder=run / FEATURES, stop=stop)
    validator = open_validator(state, stop=stop, after_validation=after_validation)
    steps = state.data.loaded(
        done, workers=workers_of(state), finished=state.pace.finished, rank=world.rank, ranks=world.ranks
    )
    with progress(stage.name, state.pace.total(done), done=done, lines=LINES) as advance, closing(steps):
        if validator is not None:
            validator.look(done)
        done = _run_steps(
            state, steps, done=done, stop=stop, advance=advance, after_step=after_step, validator=validator
        )
    state.data.settle()
    put_back_lowest(state, validator, done=done)
    return stage_outcome(state, done, finished=True)


def _run_steps(
    state: StageState,
    steps: Iterator[LoadedStep],
    *,
    done: int,
    stop: Stop,
    advance: Advance,
    after_step: AfterStep | None,
    validator: Validator | None,
) -> int:
    """Do the steps that are left, with their records and checkpoints; return how many are done then."""
    world, prefetcher, reach = state.world, make_prefetcher(state, steps), Reach(state)
    _save_if_due(state, done, stop, saved=done, validator=validator)  # nothing, unless somebody asked to stop meanwhile
    epoch, ready, saved = None, time.perf_counter(), done
    while (loaded := world.together(partial(next_or_cut_off, prefetcher, stop))) is not None:
        cut_off = any(world.gather(isinstance(loaded, CutOff)))
        if not (cut_off or isinstance(loaded, CutOff)):
            if epoch not in (None, loaded.step.epoch):
                state.data.settle()
            epoch = loaded.step.epoch
            wait_s = time.perf_counter() - ready
            report = replace(train_step(state, loaded.step.number, loaded=loaded, prefetcher=prefetcher), wait_s=wait_s)
            append_json_line(state.book / METRICS, report.record())
            reach.look(report)
            done = report.step
            advance(1, report.told(), total=report.total_steps)
            if after_step is not None and world.leads:
                after_step(report)
            if validator is not None:
                validator.look(done)
        saved = _save_if_due(state, done, stop, saved=saved, validator=validator)
        ready = time.perf_counter()
    return done


def _save_if_due(state: StageState, done: int, stop: Stop, *, saved: int, validator: Validator | None) -> int:
    """Save a checkpoint where one is due or somebody asked to stop; return the steps that the latest one holds.

    Of a stage that is done nothing is saved here, unless a stop came before its last look at the validation was over.

    Raises:
        RunError: somebody asked to stop.
    """
    world, run, stage = state.world, state.run, state.stage
    asked_by = next((signal for signal in world.gather(stop.asked_by) if signal), None)
    over = state.pace.finished(done) and not (asked_by and validator is not None and validator.due(done))
    lowest = lowest_step(state, validator)
    if over or not (asked_by or lowest == done or state.pace.saves(done)):
        return saved
    if done > saved:
        save_checkpoint(run, stage_outcome(state, done, finished=False), world=world)
        keep = stage.keep_checkpoints
        world.lead(partial(prune_checkpoints, run, stage.name, latest=done, keep=keep, also=lowest))
    where = f"after step {done} of {state.pace.total(done)} of stage {stage.name!r}"
    where += f"; all is in {checkpoint_folder(run, stage.name, step=done)}" if done else ""
    stop.asked_by = stop.asked_by or asked_by  # it may have come while all was saved
    world.together(partial(stop.check, where))
    return max(saved, done)
