"""The loss of a step: cross entropy of its supervised tokens, or a score head's of its targets; each weighs the same.

Not a mean of means: every micro-batch's sum is divided by the step's tokens or targets, so that the sum over
micro-batches (and ranks) is the exact mean, however the conversations were packed (tests/train/test_loss.py).
The language model's head runs only where something is supervised, and not at all where a score head learns. It runs
over some positions at a time, whose gradient is taken at once: logits of all positions never lie in memory together.

Shapes: B rows, T tokens a row, N supervised positions or conversations, C of them at once, H hidden size, V vocabulary;
of score heads, S targets, O outputs for each; K sources.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, log_softmax, mse_loss

from triptych.data.batch import IGNORE, Batch
from triptych.data.plan.scoring import Loss
from triptych.models.family import Model
from triptych.models.memory.transfer import send
from triptych.train.by_source import sources_of, sum_by_source

POSITIONS, POSITIONS_ON_CPU = 2048, 256
"""Positions at most that go through the head at once. Fewer take less memory; but where the head's weights move, each
time reads and writes their whole gradient, which a GPU, quick at products, would wait for."""


class BatchLoss(NamedTuple):
    """What a micro-batch loses."""

    share: Tensor
    """Its share of the step's mean loss: a scalar, with a gradient; zero where nothing is supervised."""
    sums_K: Tensor
    """Sum of the losses of each source's tokens or targets, float32, without a gradient."""


class Supervised(NamedTuple):
    """The supervised positions of a micro-batch."""

    hidden_NH: Tensor
    """Hidden states at the positions *before* the trained tokens: what they are told from."""
    targets_N: Tensor
    """The trained tokens, int64."""


def select_supervised(hidden_BTH: Tensor, labels_BT: Tensor) -> Supervised:
    """Return the positions that have something to tell, and what they are to tell.

    Args:
        hidden_BTH: the language model's last hidden states.
        labels_BT: unshifted labels, IGNORE where nothing is learnt; of the host, else where they are is asked for.
    """
    next_BT = labels_BT[:, 1:]
    at = (next_BT != IGNORE).nonzero(as_tuple=True)
    rows_N, columns_N = (send(each, hidden_BTH.device) for each in at)
    return Supervised(hidden_BTH[rows_N, columns_N], send(next_BT[at], hidden_BTH.device))


def supervised_loss(model: Model, hidden_BTH: Tensor, *, labels_BT: Tensor, step_tokens: int) -> Tensor:
    """Return a micro-batch's share of the step's mean loss, in nats per supervised token; float32, a scalar.

    Zero, with zero gradient, where nothing is supervised.

    Args:
        model: whose head it is.
        hidden_BTH: the language model's last hidden states.
        labels_BT: unshifted labels, IGNORE where nothing is learnt.
        step_tokens: supervised tokens of the whole optimizer step, over all micro-batches and ranks; > 0.
    """
    return _supervised_losses(model, hidden_BTH, labels_BT)[0] / step_tokens


def _supervised_losses(model: Model, hidden_BTH: Tensor, labels_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sum of -log p(target) with its gradient, and each of them, N, without one; float32."""
    hidden_NH, targets_N = select_supervised(hidden_BTH, labels_BT)
    head: nn.Module = model.network.get_output_embeddings()
    weights = [weight for weight in head.parameters() if weight.requires_grad]
    learns = torch.is_grad_enabled() and (hidden_NH.requires_grad or bool(weights))
    total, nats_N = cast(Any, _HeadLoss).apply(hidden_NH, targets_N, model, learns, *weights)
    return total, nats_N


class _HeadLoss(torch.autograd.Function):
    """Sum of cross entropies through a model's head, and each of them. Its gradient is there when its value is.

    So the way back only multiplies: nothing is computed twice, and dropout in an adapter of the head is drawn once.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_NH: Tensor, targets_N: Tensor, model: Model, learns: bool, *weights: nn.Parameter
    ) -> tuple[Tensor, Tensor]:
        """Return the sum of -log p(target), and each of them, which has no gradient; float32.

        Args:
            ctx: takes the gradients.
            hidden_NH: what the head is given.
            targets_N: the tokens that are right, int64.
            model: whose head it is.
            learns: whether gradients are wanted.
            weights: those of the head that move.
        """
        most = POSITIONS_ON_CPU if hidden_NH.device.type == "cpu" else POSITIONS
        pieces = max(1, -(-len(targets_N) // most))
        total = hidden_NH.new_zeros((), dtype=torch.float32)
        gradients: dict[Tensor, Tensor] = {}
        before: list[Tensor] = []
        each_N: list[Tensor] = []
        for hidden_CH, targets_C in zip(hidden_NH.chunk(pieces), targets_N.chunk(pieces), strict=True):
            given_CH = hidden_CH.detach().requires_grad_(learns and hidden_NH.requires_grad)
            if not learns:
                each_N.append(_tell(model.head(given_CH), targets_C)[0])
                total += each_N[-1].sum()
                continue
            each_N.append(_learn(model, given_CH, targets_C, weights, gradients))
            total += each_N[-1].sum()
            if given_CH.requires_grad:
                before.append(gradients.pop(given_CH))
        ctx.found = (torch.cat(before) if before else None, *map(gradients.get, weights))
        nats_N = torch.cat(each_N)
        ctx.mark_non_differentiable(nats_N)
        return total, nats_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor, _of_each: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients times ``scale``, in place: they are handed out once."""
        found = ctx.found
        del ctx.found
        hidden_NH, *weights = (None if each is None else each.mul_(scale) for each in found)
        return hidden_NH, None, None, None, *weights


def _learn(
    model: Model,
    given_CH: Tensor,
    targets_C: Tensor,
    weights: tuple[nn.Parameter, ...],
    gradients: dict[Tensor, Tensor],
) -> Tensor:
    """Return -log p(target) of each; add to ``gradients`` those of the head's weights and of what it is given."""
    head = model.network.get_output_embeddings()
    plain = type(head) is nn.Linear and type(model).head is Model.head
    matrix = head.weight if plain and head.weight.requires_grad else None
    with torch.enable_grad():
        logits_CV = model.head(given_CH.view_as(given_CH))  # no leaf: torch's counters hook what a module is given
    nats_C, change_CV = _tell(logits_CV.detach(), targets_C)
    wanted = [each for each in (given_CH, *weights) if each is not matrix and each.requires_grad]
    found = torch.autograd.grad(logits_CV, wanted, change_CV, allow_unused=True) if wanted else ()
    for each, gradient in zip(wanted, found, strict=True):
        if gradient is not None:
            gradients[each] = _plus(gradients.get(each), gradient)
    if matrix is not None:  # large, so that it is added up in place
        gradients[matrix] = _plus_product(gradients.get(matrix), change_CV, given_CH.detach())
    return nats_C


def _tell(logits_CV: Tensor, targets_C: Tensor) -> tuple[Tensor, Tensor]:
    """Return -log p(target) of each, float32, and the gradient of their sum at the logits, in their type."""
    chances_CV = log_softmax(logits_CV, dim=-1, dtype=torch.float32)
    nats_C = -chances_CV.gather(1, targets_C[:, None])[:, 0]
    # In place: from log p to p, and less one at the target.
    chances_CV.exp_().scatter_add_(1, targets_C[:, None], chances_CV.new_full((len(targets_C), 1), -1.0))
    return nats_C, chances_CV.to(logits_CV.dtype)


def _plus(total: Tensor | None, more: Tensor) -> Tensor:
    """Return the sum, in the total's place from the second time on; never in less than float32."""
    if total is None:
        return more
    return total.to(torch.promote_types(total.dtype, torch.float32)).add_(more)


def _plus_product(total_VH: Tensor | None, change_CV: Tensor, hidden_CH: Tensor) -> Tensor:
    """Return the total and the matrix's gradient at these positions, in the total's place."""
    hidden_CH = hidden_CH.to(change_CV.dtype)
    if total_VH is not None and total_VH.dtype == change_CV.dtype == torch.float32:
        return total_VH.addmm_(change_CV.T, hidden_CH)
    return _plus(total_VH, change_CV.T @ hidden_CH)


def score_loss(outputs_NSO: Tensor, targets_NS: Tensor, *, loss: Loss, step_targets: int) -> Tensor:
    """Return this micro-batch's share of the step's mean loss over targets; float32, a scalar.

    Args:
        outputs_NSO: of the score head.
        targets_NS: what it should say, float32.
        loss: mse in squares of the targets' unit; bce and ce in nats.
        step_targets: targets of the whole optimizer step, over all micro-batches and ranks; > 0.
    """
    return _score_losses(outputs_NSO, targets_NS, loss=loss, reduction="sum") / step_targets


def _score_losses(outputs_NSO: Tensor, targets_NS: Tensor, *, loss: Loss, reduction: Literal["sum", "none"]) -> Tensor:
    """Return the sum of the losses of all targets, or each of them, conversation by conversation."""
    if loss == "ce":
        return cross_entropy(outputs_NSO.flatten(0, 1), targets_NS.flatten().long(), reduction=reduction)
    if loss == "bce":
        return binary_cross_entropy_with_logits(outputs_NSO[..., 0], targets_NS, reduction=reduction)
    return mse_loss(outputs_NSO[..., 0], targets_NS, reduction=reduction)


def batch_loss(
    model: Model, hidden_BTH: Tensor, *, batch: Batch, scores: bool, step_supervised: int, sources: int = 0
) -> BatchLoss:
    """Return a micro-batch's share of the step's loss, and what of it falls on each source.

    Args:
        model: whose heads these are.
        hidden_BTH: the language model's last hidden states of the batch.
        batch: with labels, or with targets and where they are read.
        scores: whether the score head learns; else replies are learnt.
        step_supervised: what the loss of the whole optimizer step is the mean over; > 0.
        sources: how many there are, where the batch knows its own; 0: nobody asks.
    """
    if not scores:
        total, nats_N = _supervised_losses(model, hidden_BTH, batch.labels_BT)
        return BatchLoss(total / step_supervised, _on_each_source(nats_N, batch, sources))
    head = model.score_head
    assert head is not None, "a score head learns, and there is none"
    outputs_NSO = head.read(hidden_BTH, batch.reads_NS2)
    targets_NS = send(batch.targets_NS, outputs_NSO.device).view(outputs_NSO.shape[:2])
    share = score_loss(outputs_NSO, targets_NS, loss=head.scoring.loss, step_targets=step_supervised)
    with torch.no_grad():
        each_NS = _score_losses(outputs_NSO, targets_NS, loss=head.scoring.loss, reduction="none")
        return BatchLoss(share, _on_each_source(each_NS.flatten(), batch, sources))


def _on_each_source(losses_N: Tensor, batch: Batch, sources: int) -> Tensor:
    """Return the sum of each source's losses; K."""
    if not sources:
        return losses_N.new_zeros(0)
    return sum_by_source(losses_N, send(sources_of(batch), losses_N.device), sources=sources)
