"""The one loop: learn replies by gradient, step by step, from where the last whole checkpoint stands.

Frozen, full and LoRA are values in the recipe, not other loops. A step is a pure function of the weights before it and
its number: its examples come from the plan, its random numbers from (seed, stage, step). So a run that was killed ends
with the same bits as one that was not.

Shapes: B rows, T tokens a row, H hidden size.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from PIL.Image import Image
from torch import Tensor

from triptych.core.errors import DataError, RunError
from triptych.core.files import append_json_line
from triptych.core.log import progress
from triptych.core.records import ImageRef
from triptych.data.batch import Batch, collate
from triptych.data.format import Refused
from triptych.data.plan.load import Loaded
from triptych.data.plan.reader import Read
from triptych.data.template import Encoded
from triptych.models.family import Model
from triptych.models.vision.features import FeatureStore
from triptych.train.checkpoint import (
    Outcome,
    checkpoint_folder,
    latest_checkpoint,
    prune_checkpoints,
    save_checkpoint,
)
from triptych.train.determinism import derive_seed, seed_everything
from triptych.train.feature_cache import FEATURES
from triptych.train.ledger import LEDGER
from triptych.train.loss import batch_loss
from triptych.train.measuring.meters import METRICS, StepReport, memory_gib, rewind_records
from triptych.train.measuring.operations import Counts, counts_of
from triptych.train.measuring.sessions import note_stage
from triptych.train.objective import Reply
from triptych.train.optim import clip_gradients, set_rates
from triptych.train.parallel.blocks import computing_in
from triptych.train.parallel.shards import idle_batch
from triptych.train.parallel.world import World
from triptych.train.prefetch import Ready, Upcoming, features_of, upcoming, workers_of
from triptych.train.reach import Reach
from triptych.train.recipe import Tune
from triptych.train.scores import scoring_of
from triptych.train.signals import CutOff, Stop, next_or_cut_off
from triptych.train.stage_state import TuneRun, outcome, start, take_up
from triptych.train.torn_images import Torn, read_ahead

LINES = 10
"""Lines about a stage's steps in its run's log, however long it is."""
KEEP = 2
"""Checkpoints of a running stage that stay."""

AfterStep = Callable[[StepReport], None]


@dataclass(frozen=True, slots=True)
class Share:
    """What a process says of its part of a step, before anybody computes."""

    packs: str
    """Of the whole step, as this process planned it."""
    told: tuple[tuple[int, Read], ...]
    """Rows that are bad, or that the budget changed."""
    passes: int
    """Times that it goes through the network."""
    tokens: int
    counts: Counts
    supervised: int
    """Trained tokens, or targets of a score head."""
    images: frozenset[ImageRef]
    """Distinct ones."""


def tune(
    model: Model,
    stage: Tune,
    *,
    run: Path,
    seed: int,
    later: Sequence[str],
    stop: Stop,
    after_step: AfterStep | None,
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
        world: the processes of the run, which all come here; None: this one is alone.
        peak: operations a second of one process's device, so that MFU can be told; None: not known.

    Raises:
        DataError: the data cannot be used.
        RunError: the loss is not finite, no gradient reaches what is to move, the data changed since the checkpoint, or
            a stop was asked for.
    """
    world = World() if world is None else world
    last = world.lead(lambda: latest_checkpoint(run, stage.name))
    work = start(model, stage, run=run, seed=seed, anew=last is None, world=world, peak=peak, stop=stop)
    done = 0 if last is None else world.together(lambda: take_up(work, last))
    rewind_records(work.book / METRICS, stage.name, step=done, later=later)
    note_stage(work.book, stage.name, after_step=done, parts=model.parts_and_head())
    if work.features is not None and not work.pace.finished(done):
        work = _encode_ahead(work, work.features, stop)
    total = work.pace.total(done)
    steps = work.material.loaded(
        done, workers=workers_of(work), finished=work.pace.finished, rank=world.rank, ranks=world.ranks
    )
    coming, reach = upcoming(work, steps), Reach(work)
    with progress(stage.name, total, done=done, lines=LINES) as advance, closing(steps):
        epoch, ready, kept = None, time.perf_counter(), done
        while (loaded := world.together(partial(next_or_cut_off, coming, stop))) is not None:
            cut_off = any(world.gather(isinstance(loaded, CutOff)))
            if not (cut_off or isinstance(loaded, CutOff)):
                if epoch not in (None, loaded.step.epoch):
                    work.material.settle()
                epoch = loaded.step.epoch
                wait_s = time.perf_counter() - ready
                report = replace(train_step(work, loaded.step.number, loaded, coming=coming), wait_s=wait_s)
                append_json_line(work.book / METRICS, report.record())
                reach.look(report)
                done = report.step
                advance(1, report.told(), total=report.total_steps)
                if after_step is not None and world.leads:
                    after_step(report)
            asked_by = next((signal for signal in world.gather(stop.asked_by) if signal), None)
            if not work.pace.finished(done) and (asked_by or work.pace.saves(done)):
                if done > kept:
                    save_checkpoint(run, outcome(work, done), world)
                    world.lead(partial(prune_checkpoints, run, stage.name, latest=done, keep=KEEP))
                    kept = done
                where = f"after step {done} of {work.pace.total(done)} of stage {stage.name!r}"
                where += f"; all is in {checkpoint_folder(run, stage.name, done)}" if done else ""
                stop.asked_by = stop.asked_by or asked_by  # it may have come while all was saved
                world.together(partial(stop.check, where))
            ready = time.perf_counter()
    work.material.settle()
    return outcome(work, done)


def train_step(
    work: TuneRun, number: int, loaded: Loaded | None = None, *, coming: Upcoming | None = None
) -> StepReport:
    """Do step ``number`` (from 0): gradients of all micro-batches, then one change of the weights.

    Args:
        work: the stage.
        number: of the step.
        loaded: the step, where it was read ahead; in several processes, this one's packs of it.
        coming: whence the step came and the next one will; None: nothing is done ahead.

    Raises:
        RunError: the loss or its gradient is not finite; the weights are as before the step.
    """
    begin = time.perf_counter()
    stage, world = work.stage, work.world
    step = work.plan.step(number)
    loaded = (
        work.material.load(step.of_rank(world.rank, world.ranks) if world.ranks > 1 else step)
        if loaded is None
        else loaded
    )
    seed_everything(derive_seed(work.seed, "step", number, *(("rank", world.rank) if world.rank else ())))
    rates = set_rates(
        work.optimizer, work.pace.factor(number), {part: pace.factor(number) for part, pace in work.paces.items()}
    )
    batches = list(_batches(work, loaded))
    shares = _agree(work, loaded, batches)
    supervised = sum(share.supervised for share in shares)
    passes = max(share.passes for share in shares) if work.sharing.in_step else len(batches)
    batches += [idle_batch(_pad_id(work))] * (passes - len(batches))
    work.optimizer.zero_grad(set_to_none=True)
    work.sharing.begin(sees=any(share.images for share in shares))
    loss = sum(world.gather(_learn_all(work, batches, loaded.pictures, step_supervised=supervised, coming=coming)))
    work.sharing.finish()
    norm = clip_gradients(work.weights.values(), largest=stage.clip)
    if not (math.isfinite(loss) and math.isfinite(norm)):
        world.together(partial(_refuse_to_go_on, work, number, loss=loss, norm=norm))
    work.optimizer.step()
    tokens = sum(share.tokens for share in shares)
    wall_s = time.perf_counter() - begin
    return StepReport(
        stage=stage.name,
        scores=None if (scoring := scoring_of(stage.objective)) is None else scoring.loss,
        step=number + 1,
        total_steps=number + 1 if work.pace.finished(number + 1) else work.pace.total(number + 1),
        epoch=step.epoch,
        loss=loss,
        gradient_norm=norm,
        rates=rates,
        tokens=tokens,
        supervised=supervised,
        images=len(frozenset[ImageRef]().union(*(share.images for share in shares))),
        packing_fill=tokens / (len(step.packs) * stage.pack_tokens),
        wall_s=wall_s,
        mfu=work.mfu(sum((share.counts for share in shares), Counts()), wall_s),
        memory_gib=max(world.gather(memory_gib(work.model.device))),
    )


def _agree(work: TuneRun, loaded: Loaded, batches: Sequence[Batch]) -> list[Share]:
    """Return what each process does in this step; write down the rows that any of them could not use."""
    packs = work.plan.step(loaded.step.number).packs
    read = [pair for each in zip(loaded.step.packs, loaded.packs, strict=True) for pair in zip(*each, strict=True)]
    own = Share(
        packs=hashlib.sha256(repr(packs).encode()).hexdigest() if work.world.ranks > 1 else "",
        told=tuple((row, _without_words(read)) for row, read in read if read.act or isinstance(read.row, Refused)),
        passes=len(batches),
        tokens=sum(batch.tokens for batch in batches),
        counts=counts_of(batches),
        supervised=sum(batch.supervised for batch in batches),
        images=frozenset(image for batch in batches for image in batch.images),
    )
    shares = work.world.gather(own)
    work.world.together(partial(_write_down, work, shares))
    return shares


def _write_down(work: TuneRun, shares: Sequence[Share]) -> None:
    if len({share.packs for share in shares}) > 1:
        raise RunError(
            f"the processes of this run planned different steps for stage {work.stage.name!r}: their data differ. Let"
            " all of them see the same files, then give the same command again."
        )
    for row, read in (each for share in shares for each in share.told):
        work.material.act(row, read)
        if isinstance(read.row, Refused):
            work.material.refuse(row, read.row)


def _without_words(read: Read) -> Read:
    """Return what the ledger needs of a row."""
    return replace(read, row=replace(read.row, ids=(), trained=())) if isinstance(read.row, Encoded) else read


def _batches(work: TuneRun, loaded: Loaded) -> Iterator[Batch]:
    """Yield the step's packs as micro-batches that go through the network at once, without what cannot be read."""
    stage = work.stage
    rows = stage.packs_a_pass
    readable = [
        list(work.torn.keep(_usable(work, numbers, pack), stage, run=work.book))
        for numbers, pack in zip(loaded.step.packs, loaded.packs, strict=True)
    ]
    for first in range(0, len(readable), rows):
        if packs := [pack for pack in readable[first : first + rows] if pack]:
            yield collate(packs, pad_id=_pad_id(work))


def _usable(work: TuneRun, numbers: Sequence[int], pack: Sequence[Read]) -> list[tuple[int, Encoded]]:
    """Return a pack's rows that could be read, each with the number of its source."""
    read = zip(numbers, pack, strict=True)
    return [(work.material.source(number), each.row) for number, each in read if isinstance(each.row, Encoded)]


def _pad_id(work: TuneRun) -> int:
    pad_id = work.model.tokenizer.pad_token_id
    return pad_id if isinstance(pad_id, int) else 0


def _learn_all(
    work: TuneRun,
    batches: Sequence[Batch],
    pictures: Mapping[ImageRef, Image],
    *,
    step_supervised: int,
    coming: Upcoming | None,
) -> float:
    """Return this process's share of the step's loss; its gradients are left where they are shared."""
    losses = []
    for number, batch in enumerate(batches):
        ready = coming.take() if coming is not None and number == 0 else {}
        losses.append(_learn(work, batch, pictures, ready, step_supervised=step_supervised))
        work.sharing.settle_pass()
    if coming is not None:
        coming.look()
    # Asked for once, at the end: while a GPU works through one batch, the host prepares the next.
    return sum(torch.stack(losses).tolist()) if losses else 0.0


def _learn(
    work: TuneRun, batch: Batch, pictures: Mapping[ImageRef, Image], ready: Ready, *, step_supervised: int
) -> Tensor:
    """Add a micro-batch's gradient to those there; return its share of the step's loss, a scalar where it computes."""
    model = work.model
    scores = not isinstance(work.stage.objective, Reply)
    with computing_in(work.stage, model.device):  # not the way back, which computes as the way forth did
        hidden_BTH = model.hidden(model.weave(batch, features_of(work, batch, pictures, ready)))
        loss = batch_loss(model, hidden_BTH, batch, scores=scores, step_supervised=step_supervised)
    if loss.requires_grad:  # not where only tower or projector learn, and there is no picture
        loss.backward()
    return loss.detach()


def _encode_ahead(work: TuneRun, features: FeatureStore, stop: Stop) -> TuneRun:
    """Encode every picture of the stage's steps before the first of them, in an order that no restart changes.

    The bits of a picture's features may depend on which others the tower saw beside it.
    """
    used = dict.fromkeys(index for n in range(work.total) for pack in work.plan.step(n).packs for index in pack)
    numbered = [(work.material.source(index), work.encoded[index]) for index in used]
    rows = [row for _, row in numbered]
    spans: dict[ImageRef, dict[int, None]] = {}
    for slot in (slot for row in rows for slot in row.slots):
        spans.setdefault(slot.image, {})[slot.stop - slot.start] = None

    def encode(images: Sequence[ImageRef]) -> object:
        pairs = [(image, span) for image in images for span in spans[image]]
        return features.features([image for image, _ in pairs], spans=[span for _, span in pairs])

    world, name = work.world, work.stage.name
    read = partial(read_ahead, rows, encode, label=name, stop=stop, rank=world.rank, ranks=world.ranks)
    torn = Torn().joined(world.gather(world.together(read)))
    if not world.together(lambda: list(torn.keep(numbered, work.stage, run=work.book))):
        raise DataError(f"stage {name!r}: every conversation has a torn picture; see {work.run / LEDGER}.")
    # Another store finds what the other processes encoded.
    found = features if world.ranks == 1 else FeatureStore(work.model, work.run / FEATURES)
    return replace(work, torn=torn, features=found)


def _refuse_to_go_on(work: TuneRun, number: int, *, loss: float, norm: float) -> None:
    last = latest_checkpoint(work.run, work.stage.name)
    good = f"The last good checkpoint is {last.folder}" if last else "There is no checkpoint of this stage yet"
    what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient's norm is {norm}"
    raise RunError(
        f"step {number + 1} of stage {work.stage.name!r}: {what}, and learning cannot go on. {good}."
        " Lower the parts' rates or give the stage a warmup, and use another name for the run."
    )
