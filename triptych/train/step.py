"""One optimizer step of a tune stage: gradients of all its micro-batches, then one change of the weights.

Not the loop over steps (``tune.py``). In several processes each computes its own packs of the step. What they hold is
gathered before anybody computes, so that all divide the loss by the same number of supervised tokens.

Shapes: B rows, T tokens a row, H hidden size, K sources of the stage; 0 of them where there is one alone.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from PIL.Image import Image
from torch import Tensor
from torch.distributed.tensor import DTensor

from triptych.core.errors import RunError
from triptych.core.records import ImageRef
from triptych.data.batch import Batch, collate
from triptych.data.format import Refused
from triptych.data.plan.reader import Read
from triptych.data.plan.step_loader import LoadedStep
from triptych.data.template import Encoded
from triptych.train.by_source import count_by_source
from triptych.train.checkpoint import latest_checkpoint
from triptych.train.determinism import derive_seed, seed_everything
from triptych.train.loss import BatchLoss, batch_loss
from triptych.train.measuring.meters import Learnt, StepReport, memory_gib
from triptych.train.measuring.operations import Counts, counts_of
from triptych.train.objective import Reply
from triptych.train.optim import clip_gradients, set_rates
from triptych.train.parallel.blocks import computing_in
from triptych.train.parallel.shards import idle_batch
from triptych.train.prefetch import Prefetcher, Ready, features_of
from triptych.train.scores import scoring_of
from triptych.train.stage_state import StageState


@dataclass(frozen=True, slots=True)
class Share:
    """One process's part of a step, which all processes gather before anybody computes."""

    packs: str
    """Digest of the whole step's packs, as this process planned them; empty where there is one process."""
    told: tuple[tuple[int, Read], ...]
    """(number, row) of the rows that are bad, or that the budget changed."""
    passes: int
    """Forward passes, one for each micro-batch."""
    tokens: int
    """Tokens without padding."""
    counts: Counts
    supervised: int
    """Trained tokens, or targets of a score head."""
    by_source: tuple[int, ...]
    """Those of each of K sources."""
    images: frozenset[ImageRef]
    """Distinct images."""


def train_step(
    state: StageState, number: int, *, loaded: LoadedStep | None = None, prefetcher: Prefetcher | None = None
) -> StepReport:
    """Do step ``number`` (from 0): gradients of all micro-batches, then one change of the weights.

    Args:
        state: the stage.
        number: of the step.
        loaded: the step, where it was read ahead; in several processes, this one's packs of it.
        prefetcher: prepares the next step while a device computes this one; None: nothing is done ahead.

    Raises:
        RunError: the loss or its gradient is not finite; the weights are as before the step.
    """
    begin = time.perf_counter()
    world, step = state.world, state.plan.step(number)
    if loaded is None:
        loaded = state.data.load(step.of_rank(world.rank, world.ranks) if world.ranks > 1 else step)
    seed_everything(derive_seed(state.seed, "step", number, *(("rank", world.rank) if world.rank else ())))
    factors = {part: pace.factor(number) for part, pace in state.paces.items()}
    rates = set_rates(state.optimizer, state.pace.factor(number), own=factors)
    batches = list(batches_of(state, loaded))
    shares = agree(state, loaded, batches=batches)
    loss, *sums_K = _accumulate_gradients(state, batches, shares, loaded.pictures, prefetcher=prefetcher)
    norm = clip_gradients(state.weights.values(), largest=state.stage.clip)
    if not (math.isfinite(loss) and math.isfinite(norm)):
        world.together(partial(_refuse_to_go_on, state, number, loss=loss, norm=norm))
    state.optimizer.step()
    wall_s = time.perf_counter() - begin
    report = _report(state, number, shares, loss=loss, norm=norm, rates=rates, wall_s=wall_s)
    return replace(report, sources=_by_source(shares, sums_K))


def _by_source(shares: Sequence[Share], sums_K: Sequence[float]) -> dict[int, Learnt]:
    """Return what was learnt of each source, by its number."""
    counts_K = [sum(each) for each in zip(*(share.by_source for share in shares), strict=True)]
    told = enumerate(zip(sums_K, counts_K, strict=True))
    return {number: Learnt(total / count, count) for number, (total, count) in told if count}


def _report(
    state: StageState,
    number: int,
    shares: Sequence[Share],
    *,
    loss: float,
    norm: float,
    rates: Mapping[str, float],
    wall_s: float,
) -> StepReport:
    stage, step = state.stage, state.plan.step(number)
    tokens = sum(share.tokens for share in shares)
    scoring = scoring_of(stage.objective)
    return StepReport(
        stage=stage.name,
        scores=None if scoring is None else scoring.loss,
        step=number + 1,
        total_steps=number + 1 if state.pace.finished(number + 1) else state.pace.total(number + 1),
        epoch=step.epoch,
        loss=loss,
        gradient_norm=norm,
        rates=rates,
        tokens=tokens,
        supervised=sum(share.supervised for share in shares),
        images=len(frozenset[ImageRef]().union(*(share.images for share in shares))),
        packing_fill=tokens / (len(step.packs) * stage.pack_tokens),
        wall_s=wall_s,
        mfu=state.mfu(sum((share.counts for share in shares), Counts()), wall_s),
        memory_gib=max(state.world.gather(memory_gib(state.model.device))),
    )


def agree(state: StageState, loaded: LoadedStep, *, batches: Sequence[Batch]) -> list[Share]:
    """Return what each process does in this step; write down the rows that any of them could not use.

    Raises:
        RunError: they planned different steps.
        DataError: a row cannot be used, under ``on_bad: raise``.
    """
    packs = state.plan.step(loaded.step.number).packs
    read = [pair for each in zip(loaded.step.packs, loaded.packs, strict=True) for pair in zip(*each, strict=True)]
    own = Share(
        packs=hashlib.sha256(repr(packs).encode()).hexdigest() if state.world.ranks > 1 else "",
        told=tuple((row, _without_words(read)) for row, read in read if read.act or isinstance(read.row, Refused)),
        passes=len(batches),
        tokens=sum(batch.tokens for batch in batches),
        counts=counts_of(batches),
        supervised=sum(batch.supervised for batch in batches),
        by_source=count_by_source(batches, _sources(state)),
        images=frozenset(image for batch in batches for image in batch.images),
    )
    shares = state.world.gather(own)
    state.world.together(partial(_write_down, state, shares))
    return shares


def _write_down(state: StageState, shares: Sequence[Share]) -> None:
    if len({share.packs for share in shares}) > 1:
        raise RunError(
            f"the processes of this run planned different steps for stage {state.stage.name!r}: their data differ. Let"
            " all of them see the same files, then give the same command again."
        )
    for row, read in (each for share in shares for each in share.told):
        state.data.act(row, read)
        if isinstance(read.row, Refused):
            state.data.refuse(row, read.row)


def _without_words(read: Read) -> Read:
    """Return what the ledger needs of a row."""
    return replace(read, row=replace(read.row, ids=(), trained=())) if isinstance(read.row, Encoded) else read


def batches_of(state: StageState, loaded: LoadedStep) -> Iterator[Batch]:
    """Yield the step's packs as micro-batches that go through the network at once, without what cannot be read."""
    stage = state.stage
    rows = stage.packs_a_pass
    readable = [
        list(state.torn_images.keep(_usable(state, numbers, pack), stage, run=state.book))
        for numbers, pack in zip(loaded.step.packs, loaded.packs, strict=True)
    ]
    for first in range(0, len(readable), rows):
        if packs := [pack for pack in readable[first : first + rows] if pack]:
            rows_of_packs = [[row for _, row in pack] for pack in packs]
            sources = [[source for source, _ in pack] for pack in packs]
            yield collate(rows_of_packs, pad_id=pad_id_of(state), sources=sources)


def _usable(state: StageState, numbers: Sequence[int], pack: Sequence[Read]) -> list[tuple[int, Encoded]]:
    """Return a pack's rows that could be read, each with the number of its source."""
    read = zip(numbers, pack, strict=True)
    return [(state.data.source(number), each.row) for number, each in read if isinstance(each.row, Encoded)]


def _sources(state: StageState) -> int:
    """Return K."""
    count = len(state.stage.data)
    return count if count > 1 else 0


def pad_id_of(state: StageState) -> int:
    """Return the token that fills what is empty."""
    pad_id = state.model.tokenizer.pad_token_id
    return pad_id if isinstance(pad_id, int) else 0


def _accumulate_gradients(
    state: StageState,
    batches: Sequence[Batch],
    shares: Sequence[Share],
    pictures: Mapping[ImageRef, Image],
    *,
    prefetcher: Prefetcher | None,
) -> list[float]:
    """Leave the step's gradient in the weights; return its loss, over all processes, and the sums of K sources."""
    passes = max(share.passes for share in shares) if state.sharing.in_step else len(batches)
    padded = [*batches, *[idle_batch(pad_id_of(state))] * (passes - len(batches))]
    supervised = sum(share.supervised for share in shares)
    state.optimizer.zero_grad(set_to_none=True)
    state.sharing.begin(sees=any(share.images for share in shares))
    own = _learn_all(state, padded, pictures, step_supervised=supervised, prefetcher=prefetcher)
    found = [sum(each) for each in zip(*state.world.gather(own), strict=True)]
    state.sharing.finish()
    return found


def _learn_all(
    state: StageState,
    batches: Sequence[Batch],
    pictures: Mapping[ImageRef, Image],
    *,
    step_supervised: int,
    prefetcher: Prefetcher | None,
) -> list[float]:
    """Return this process's share of the step's loss, and of the sums of K sources; gradients are left where shared."""
    losses = []
    for number, batch in enumerate(batches):
        ready = prefetcher.take_ready() if prefetcher is not None and number == 0 else {}
        losses.append(_learn(state, batch, pictures, ready, step_supervised=step_supervised))
        state.sharing.settle_pass()
    if prefetcher is not None:
        prefetcher.prefetch()
    # Asked for once, at the end: while a GPU works through one batch, the host prepares the next.
    if not losses:
        return [0.0] * (1 + _sources(state))
    return [sum(each) for each in zip(*torch.stack(losses).tolist(), strict=True)]


def _learn(
    state: StageState, batch: Batch, pictures: Mapping[ImageRef, Image], ready: Ready, *, step_supervised: int
) -> Tensor:
    """Add a micro-batch's gradient to those there; return its share of the step's loss and K sums, not on the host."""
    loss = loss_of(state, batch, pictures=pictures, ready=ready, step_supervised=step_supervised)
    if loss.share.requires_grad:  # not where only tower or projector learn, and there is no image
        loss.share.backward()
    return torch.cat([loss.share.detach()[None], loss.sums_K])


def loss_of(
    state: StageState, batch: Batch, *, pictures: Mapping[ImageRef, Image], ready: Ready, step_supervised: int
) -> BatchLoss:
    """Return a micro-batch's share of the step's loss, where it computes.

    Args:
        state: the stage.
        batch: with images that can be read.
        pictures: pixels of the step's images, where features are not kept.
        ready: those of them that are prepared already.
        step_supervised: what the loss is the mean over; > 0.
    """
    model = state.model
    scores = not isinstance(state.stage.objective, Reply)
    with computing_in(state.stage, model.device):  # not the way back, which computes as the way forth did
        hidden_BTH = model.hidden(model.weave(batch, features_of(state, batch, pictures=pictures, ready=ready)))
        return batch_loss(
            model,
            hidden_BTH,
            batch=batch,
            scores=scores,
            step_supervised=step_supervised,
            sources=_sources(state),
        )


def _refuse_to_go_on(state: StageState, number: int, *, loss: float, norm: float) -> None:
    last = latest_checkpoint(state.run, state.stage.name)
    good = f"The last good checkpoint is {last.folder}" if last else "There is no checkpoint of this stage yet"
    what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient's norm is {norm}"
    advice = "Lower the parts' rates or give the stage a warmup, and use another name for the run."
    if (damaged := _not_finite(state, begun=number > 0)) is not None:
        advice = f"Weight {damaged!r} is not finite, and no step of this stage changed it: get or make the model anew."
    raise RunError(
        f"step {number + 1} of stage {state.stage.name!r}: {what}, and learning cannot go on. {good}. {advice}"
    )


def _not_finite(state: StageState, *, begun: bool) -> str | None:
    """Return the name of the first weight that held what is no number before the stage; None: none did.

    Args:
        state: before a step's change of the weights.
        begun: whether a step has changed those that move: then only the others tell.
    """
    modules = (state.model.network, state.model.score_head)
    for name, weight in (pair for each in modules if each is not None for pair in each.named_parameters()):
        if begun and weight.requires_grad:
            continue
        own = weight.to_local() if isinstance(weight, DTensor) else weight
        if own.is_floating_point() and not torch.isfinite(own).all():
            return name.replace(".base_layer.", ".")
    return None
