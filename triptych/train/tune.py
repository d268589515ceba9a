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
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from triptych.core.config import Length
from triptych.core.errors import DataError, RunError
from triptych.core.files import append_json_line
from triptych.core.log import progress, say
from triptych.core.records import ImageRef
from triptych.data.batch import Batch, collate
from triptych.data.images import load_image
from triptych.data.loader import Step, StepPlan, plan_steps
from triptych.data.template import Encoded
from triptych.models.family import Model
from triptych.models.features import FeatureStore
from triptych.train.checkpoint import Outcome, Position, latest_checkpoint, prune_checkpoints, save_checkpoint
from triptych.train.determinism import derive_seed, seed_everything
from triptych.train.loss import supervised_loss
from triptych.train.meters import METRICS, StepReport, memory_gib, rewind_records
from triptych.train.optim import (
    clip_gradients,
    make_optimizer,
    optimizer_tensors,
    restore_optimizer,
    schedule_factor,
    set_rates,
)
from triptych.train.prepare import LEDGER, digest_of, prepare, render_for
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
    encoded: Sequence[Encoded]
    plan: StepPlan
    total: int
    """Steps of the stage."""
    warmup: int
    digest: str
    weights: Mapping[str, nn.Parameter]
    """Those that may move, by part and name."""
    optimizer: AdamW
    features: FeatureStore | None
    """None: the tower is trained, so every picture is encoded each time."""
    torn: Torn = field(default_factory=Torn)
    """Pictures that cannot be read. A conversation with one is left out of its pack."""


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
    work = start(model, stage, run=run, seed=seed)
    done = _take_up(work)
    rewind_records(run / METRICS, stage.name, step=done, later=later)
    if work.features is not None and done < work.total:
        work = _encode_ahead(work, work.features, stop)
    every = max(1, steps_in(stage.checkpoint_every, work.plan, work.encoded))
    with progress(f"{stage.name} after step {done}" if done else stage.name, work.total - done) as advance:
        for number in range(done, work.total):
            report = train_step(work, number)
            append_json_line(run / METRICS, report.record())
            advance(1)
            if after_step is not None:
                after_step(report)
            if report.step < work.total and (report.step % every == 0 or stop.asked_by):
                folder = save_checkpoint(run, _outcome(work, report.step))
                prune_checkpoints(run, stage.name, keep=KEEP)
                stop.check(f"after step {report.step} of {work.total} of stage {stage.name!r}; all is in {folder}")
    return _outcome(work, work.total)


def start(model: Model, stage: Tune, *, run: Path, seed: int) -> TuneRun:
    """Read the data, plan the steps, let the parts move and make the optimizer."""
    encoded = prepare(stage, render_for(model, pack_tokens=stage.pack_tokens), run=run)
    plan = plan_steps(
        [len(each.ids) for each in encoded],
        capacity=stage.pack_tokens,
        packs_per_step=stage.step_tokens // stage.pack_tokens,
        seed=derive_seed(seed, "order"),
    )
    weights = release_parts(model, stage.parts, seed=seed)
    frozen_tower = isinstance(stage.parts.vision, Frozen)
    return TuneRun(
        model=model,
        stage=stage,
        seed=seed,
        run=run,
        encoded=encoded,
        plan=plan,
        total=max(1, steps_in(stage.length, plan, encoded)),
        warmup=steps_in(stage.warmup, plan, encoded),
        digest=digest_of(encoded),
        weights=weights,
        optimizer=make_optimizer(weights, stage.parts, decay=stage.decay, betas=stage.betas),
        features=FeatureStore(model, run / "features") if frozen_tower else None,
    )


def steps_in(length: Length, plan: StepPlan, encoded: Sequence[Encoded]) -> int:
    """Return how many steps a length lasts: counted for epochs and tokens, without padding, and rounded up."""
    if length.unit == "steps":
        return int(length.amount)
    if length.unit == "epochs":
        part, whole = math.modf(length.amount)
        rest = math.ceil(part * plan.steps_per_epoch(int(whole))) if part else 0
        return plan.first_step(int(whole)) + rest
    tokens, steps = 0, 0
    while tokens < length.amount:
        tokens += sum(len(encoded[index].ids) for pack in plan.step(steps).packs for index in pack)
        steps += 1
    return steps


def train_step(work: TuneRun, number: int) -> StepReport:
    """Do step ``number`` (from 0): gradients of all micro-batches, then one change of the weights.

    Raises:
        RunError: the loss or its gradient is not finite; the weights are as before the step.
    """
    begin = time.perf_counter()
    stage = work.stage
    step = work.plan.step(number)
    seed_everything(derive_seed(work.seed, "step", number))
    factor = schedule_factor(number, total=work.total, warmup=work.warmup, schedule=stage.schedule)
    rates = set_rates(work.optimizer, factor)
    batches = list(_batches(work, step))
    trained_tokens = sum(batch.trained_tokens for batch in batches)
    work.optimizer.zero_grad(set_to_none=True)
    loss_nats = sum(_learn(work, batch, step_tokens=trained_tokens) for batch in batches)
    norm = clip_gradients(work.weights.values(), largest=stage.clip)
    if not (math.isfinite(loss_nats) and math.isfinite(norm)):
        raise RunError(_not_finite(work, number, loss_nats=loss_nats, norm=norm))
    work.optimizer.step()
    tokens = sum(batch.tokens for batch in batches)
    return StepReport(
        stage=stage.name,
        step=number + 1,
        total_steps=work.total,
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


def _batches(work: TuneRun, step: Step) -> Iterator[Batch]:
    """Yield the step's packs as micro-batches that go through the network at once, without what cannot be read."""
    stage = work.stage
    rows = (stage.forward_tokens or stage.step_tokens) // stage.pack_tokens
    pad_id = work.model.tokenizer.pad_token_id
    for first in range(0, len(step.packs), rows):
        packs = [_readable(work, pack) for pack in step.packs[first : first + rows]]
        if packs := [pack for pack in packs if pack]:
            yield collate(packs, pad_id=pad_id if isinstance(pad_id, int) else 0)


def _readable(work: TuneRun, pack: Sequence[int]) -> list[Encoded]:
    encoded = [work.encoded[index] for index in pack]
    if work.features is None:  # nobody has seen these pixels yet
        for each in encoded:
            work.torn.look(each.images, lambda images: [load_image(image) for image in images])
    return list(work.torn.keep(encoded, work.stage, run=work.run))


def _learn(work: TuneRun, batch: Batch, *, step_tokens: int) -> float:
    """Add a micro-batch's gradient to those there; return its share of the step's loss, in nats."""
    model = work.model
    tokens_NKH = model.project(_features(work, batch.images)) if batch.images else None
    embeds_BTH = model.embed(batch.ids_BT, batch.slots, tokens_NKH)
    hidden_BTH = model.hidden(embeds_BTH, segments_BT=batch.segments_BT, positions_BT=batch.positions_BT)
    loss = supervised_loss(model, hidden_BTH, batch.labels_BT.to(hidden_BTH.device), step_tokens=step_tokens)
    if loss.requires_grad:  # not where only tower or projector learn, and there is no picture
        loss.backward()
    return loss.item()


def _features(work: TuneRun, images: Sequence[ImageRef]) -> Tensor:
    if work.features is not None:
        return work.features.features(images).to(work.model.device)
    pixels_NCHW = torch.stack([work.model.pixels(load_image(image)) for image in images])
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


def _take_up(work: TuneRun) -> int:
    """Put back what the latest checkpoint holds; return the steps that are done."""
    last = latest_checkpoint(work.run, work.stage.name)
    if last is None:
        return 0
    if last.position.plan != work.digest:
        raise RunError(
            f"the data of stage {work.stage.name!r} changed since {last.folder} was written. Put it back as it was, use"
            f" another name for the run, or delete {last.folder.parent} to begin anew."
        )
    load_weights(work.weights, last.weights())
    restore_optimizer(work.optimizer, work.weights, last.optimizer())
    say(f"{work.stage.name}: going on after step {last.position.step} of {work.total}, from {last.folder}")
    return last.position.step


def _outcome(work: TuneRun, step: int) -> Outcome:
    position = Position(work.stage.name, step, finished=step == work.total, plan=work.digest)
    return Outcome(position, work.weights, optimizer_tensors(work.optimizer, work.weights))


def _not_finite(work: TuneRun, number: int, *, loss_nats: float, norm: float) -> str:
    last = latest_checkpoint(work.run, work.stage.name)
    good = f"The last good checkpoint is {last.folder}" if last else "There is no checkpoint of this stage yet"
    what = f"the loss is {loss_nats}" if not math.isfinite(loss_nats) else f"the gradient's norm is {norm}"
    return (
        f"step {number + 1} of stage {work.stage.name!r}: {what}, and learning cannot go on. {good}."
        " Lower the parts' rates or give the stage a warmup, and use another name for the run."
    )
