"""The one loop: learn replies by gradient, step by step, from where the last whole checkpoint stands.

Frozen, full and LoRA are values in the recipe, not other loops. A step is a pure function of the weights before it and
its number: its examples come from the plan, its random numbers from (seed, stage, step). So a run that was killed ends
with the same bits as one that was not.

Shapes: N distinct images, P feature positions, C channels of the tower, K tokens an image, H hidden size, B rows,
T tokens a row.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from PIL.Image import Image
from torch import Tensor, nn
from torch.optim import AdamW

from triptych.core.errors import DataError, RunError
from triptych.core.files import append_json_line
from triptych.core.log import progress, say
from triptych.core.records import ImageRef
from triptych.data.batch import Batch, collate
from triptych.data.plan.load import Loaded
from triptych.data.plan.loader import StepPlan
from triptych.data.plan.reader import Read
from triptych.data.template import Encoded
from triptych.models.family import Model
from triptych.models.features import FeatureStore
from triptych.train.checkpoint import (
    Checkpoint,
    Outcome,
    Position,
    latest_checkpoint,
    prune_checkpoints,
    save_checkpoint,
)
from triptych.train.determinism import derive_seed, seed_everything
from triptych.train.ledger import LEDGER
from triptych.train.loss import supervised_loss
from triptych.train.material import Material, open_material
from triptych.train.meters import METRICS, StepReport, memory_gib, rewind_records
from triptych.train.optim import (
    clip_gradients,
    make_optimizer,
    optimizer_tensors,
    restore_optimizer,
    set_rates,
)
from triptych.train.pace import Pace, pace_of
from triptych.train.recipe import Frozen, Tune
from triptych.train.release import load_weights, release_parts
from triptych.train.stop import Stop
from triptych.train.torn import Torn, read_ahead

KEEP = 2
"""Checkpoints of a running stage that stay."""

AfterStep = Callable[[StepReport], None]


@dataclass(frozen=True, slots=True, eq=False)
class TuneRun:
    """A tune stage under way: everything the loop needs. Its only state is in the weights and the optimizer."""

    model: Model
    stage: Tune
    seed: int
    """Of this stage."""
    run: Path
    material: Material
    pace: Pace
    weights: Mapping[str, nn.Parameter]
    """Those that may move, by part and name."""
    optimizer: AdamW
    features: FeatureStore | None
    """None: every picture is encoded each time, as the tower is trained or the rows are too many to keep all."""
    torn: Torn = field(default_factory=Torn)
    """Pictures that cannot be read. A conversation with one is left out of its pack."""

    @property
    def plan(self) -> StepPlan:
        """The plan of its steps."""
        return self.material.plan

    @property
    def encoded(self) -> Sequence[Encoded]:
        """All rows by number, where they are in memory."""
        return self.material.encoded

    @property
    def total(self) -> int:
        """Steps of the stage; an estimate where the last ones are not planned yet."""
        return self.pace.total(0)


def tune(
    model: Model, stage: Tune, *, run: Path, seed: int, later: Sequence[str], stop: Stop, after_step: AfterStep | None
) -> Outcome:
    """Run a tune stage to its end; its adapters stay attached. The last step's checkpoint is the caller's.

    Args:
        model: as the stage before left it.
        stage: what to learn, and how.
        run: the run's folder.
        seed: of this stage.
        later: stages after this one, whose records are dropped.
        stop: is asked after each step.
        after_step: is told about each step.

    Raises:
        DataError: the data cannot be used.
        RunError: the loss is not finite, the data changed since the checkpoint, or a stop was asked for.
    """
    last = latest_checkpoint(run, stage.name)
    work = start(model, stage, run=run, seed=seed, anew=last is None)
    done = 0 if last is None else _take_up(work, last)
    rewind_records(run / METRICS, stage.name, step=done, later=later)
    if work.features is not None and not work.pace.finished(done):
        work = _encode_ahead(work, work.features, stop)
    total = work.pace.total(done)
    steps = work.material.loaded(done, workers=stage.workers, finished=work.pace.finished)
    with progress(f"{stage.name} after step {done}" if done else stage.name, total - done) as advance, closing(steps):
        epoch = None
        for loaded in steps:
            if epoch not in (None, loaded.step.epoch):
                work.material.settle()
            epoch = loaded.step.epoch
            report = train_step(work, loaded.step.number, loaded)
            append_json_line(run / METRICS, report.record())
            done = report.step
            advance(1)
            if after_step is not None:
                after_step(report)
            if not work.pace.finished(done) and (work.pace.saves(done) or stop.asked_by):
                folder = save_checkpoint(run, _outcome(work, done))
                prune_checkpoints(run, stage.name, keep=KEEP)
                total = work.pace.total(done)
                stop.check(f"after step {done} of {total} of stage {stage.name!r}; all is in {folder}")
    work.material.settle()
    return _outcome(work, done)


def start(model: Model, stage: Tune, *, run: Path, seed: int, anew: bool = True) -> TuneRun:
    """Read the data, plan the steps, let the parts move and make the optimizer.

    Args:
        model: as the stage before left it.
        stage: what to learn, and how.
        run: the run's folder.
        seed: of this stage.
        anew: whether nothing is done of the stage yet.

    Raises:
        DataError: the data cannot be used.
    """
    frozen_tower = isinstance(stage.parts.vision, Frozen)
    material = open_material(
        stage,
        model.rendering,
        run=run,
        seed=seed,
        decode=not frozen_tower,
        anew=anew,
    )
    weights = release_parts(model, stage.parts, seed=seed)
    return TuneRun(
        model=model,
        stage=stage,
        seed=seed,
        run=run,
        material=material,
        pace=pace_of(
            material.plan,
            length=stage.length,
            warmup=stage.warmup,
            save_every=stage.checkpoint_every,
            schedule=stage.schedule,
        ),
        weights=weights,
        optimizer=make_optimizer(weights, stage.parts, decay=stage.decay, betas=stage.betas),
        features=FeatureStore(model, run / "features") if frozen_tower and material.in_memory else None,
    )


def train_step(work: TuneRun, number: int, loaded: Loaded | None = None) -> StepReport:
    """Do step ``number`` (from 0): gradients of all micro-batches, then one change of the weights.

    Args:
        work: the stage.
        number: of the step.
        loaded: the step, where it was read ahead.

    Raises:
        RunError: the loss or its gradient is not finite; the weights are as before the step.
    """
    begin = time.perf_counter()
    stage = work.stage
    loaded = work.material.load(work.plan.step(number)) if loaded is None else loaded
    step = loaded.step
    seed_everything(derive_seed(work.seed, "step", number))
    rates = set_rates(work.optimizer, work.pace.factor(number))
    batches = list(_batches(work, loaded))
    trained_tokens = sum(batch.trained_tokens for batch in batches)
    work.optimizer.zero_grad(set_to_none=True)
    loss_nats = sum(_learn(work, batch, loaded.pictures, step_tokens=trained_tokens) for batch in batches)
    norm = clip_gradients(work.weights.values(), largest=stage.clip)
    if not (math.isfinite(loss_nats) and math.isfinite(norm)):
        raise RunError(_not_finite(work, number, loss_nats=loss_nats, norm=norm))
    work.optimizer.step()
    tokens = sum(batch.tokens for batch in batches)
    return StepReport(
        stage=stage.name,
        step=number + 1,
        total_steps=number + 1 if work.pace.finished(number + 1) else work.pace.total(number + 1),
        epoch=step.epoch,
        loss_nats=loss_nats,
        gradient_norm=norm,
        rates=rates,
        tokens=tokens,
        trained_tokens=trained_tokens,
        images=len({image for batch in batches for image in batch.images}),
        packing_fill=tokens / (len(step.packs) * stage.pack_tokens),
        wall_s=time.perf_counter() - begin,
        memory_gib=memory_gib(work.model.device),
    )


def _batches(work: TuneRun, loaded: Loaded) -> Iterator[Batch]:
    """Yield the step's packs as micro-batches that go through the network at once, without what cannot be read."""
    stage = work.stage
    rows = (stage.forward_tokens or stage.step_tokens) // stage.pack_tokens
    pad_id = work.model.tokenizer.pad_token_id
    readable = [_readable(work, *each) for each in zip(loaded.step.packs, loaded.packs, strict=True)]
    for first in range(0, len(readable), rows):
        if packs := [pack for pack in readable[first : first + rows] if pack]:
            yield collate(packs, pad_id=pad_id if isinstance(pad_id, int) else 0)


def _readable(work: TuneRun, rows: Sequence[int], pack: Sequence[Read]) -> list[Encoded]:
    encoded: list[Encoded] = []
    for row, read in zip(rows, pack, strict=True):
        work.material.act(row, read)
        if isinstance(read.row, Encoded):
            encoded.append(read.row)
        else:
            work.material.refuse(row, read.row)
    return list(work.torn.keep(encoded, work.stage, run=work.run))


def _learn(work: TuneRun, batch: Batch, pictures: Mapping[ImageRef, Image], *, step_tokens: int) -> float:
    """Add a micro-batch's gradient to those there; return its share of the step's loss, in nats."""
    model = work.model
    tokens_NKH = model.project(_features(work, batch.images, pictures)) if batch.images else None
    embeds_BTH = model.embed(batch.ids_BT, batch.slots, tokens_NKH)
    hidden_BTH = model.hidden(embeds_BTH, segments_BT=batch.segments_BT, positions_BT=batch.positions_BT)
    loss = supervised_loss(model, hidden_BTH, batch.labels_BT.to(hidden_BTH.device), step_tokens=step_tokens)
    if loss.requires_grad:  # not where only tower or projector learn, and there is no picture
        loss.backward()
    return loss.item()


def _features(work: TuneRun, images: Sequence[ImageRef], pictures: Mapping[ImageRef, Image]) -> Tensor:
    if work.features is not None:
        return work.features.features(images).to(work.model.device)
    pixels_NCHW = torch.stack([work.model.pixels(pictures[image]) for image in images])
    return work.model.encode(pixels_NCHW)


def _encode_ahead(work: TuneRun, features: FeatureStore, stop: Stop) -> TuneRun:
    """Encode every picture of the stage's steps before the first of them, in an order that no restart changes.

    The bits of a picture's features may depend on which others the tower saw beside it.
    """
    used = dict.fromkeys(index for n in range(work.total) for pack in work.plan.step(n).packs for index in pack)
    rows = [work.encoded[index] for index in used]
    torn = read_ahead(rows, features.features, label=work.stage.name, stop=stop)
    if not list(torn.keep(rows, work.stage, run=work.run)):
        raise DataError(f"stage {work.stage.name!r}: every conversation has a torn picture; see {work.run / LEDGER}.")
    return replace(work, torn=torn)


def _take_up(work: TuneRun, last: Checkpoint) -> int:
    """Put back what the latest checkpoint holds; return the steps that are done."""
    if last.position.plan != work.material.digest:
        raise RunError(
            f"the data of stage {work.stage.name!r} changed since {last.folder} was written. Put it back as it was, use"
            f" another name for the run, or delete {last.folder.parent} to begin anew."
        )
    load_weights(work.weights, last.weights())
    restore_optimizer(work.optimizer, work.weights, last.optimizer())
    step, total = last.position.step, work.pace.total(last.position.step)
    say(f"{work.stage.name}: going on after step {step} of {total}, from {last.folder}")
    return last.position.step


def _outcome(work: TuneRun, step: int) -> Outcome:
    position = Position(work.stage.name, step, finished=work.pace.finished(step), plan=work.material.digest)
    return Outcome(position, work.weights, optimizer_tensors(work.optimizer, work.weights))


def _not_finite(work: TuneRun, number: int, *, loss_nats: float, norm: float) -> str:
    last = latest_checkpoint(work.run, work.stage.name)
    good = f"The last good checkpoint is {last.folder}" if last else "There is no checkpoint of this stage yet"
    what = f"the loss is {loss_nats}" if not math.isfinite(loss_nats) else f"the gradient's norm is {norm}"
    return (
        f"step {number + 1} of stage {work.stage.name!r}: {what}, and learning cannot go on. {good}."
        " Lower the parts' rates or give the stage a warmup, and use another name for the run."
    )
