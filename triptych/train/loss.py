"""The loss of a step: cross entropy of its supervised tokens, or a score head's of its targets; each weighs the same.

Not a mean of means: every micro-batch's sum is divided by the step's tokens or targets, so that the sum over
micro-batches (and ranks) is the exact mean, however the conversations were packed (tests/train/test_loss.py).
The language model's head runs only where something is supervised, and not at all where a score head learns.

Shapes: B rows, T tokens a row, N supervised positions or conversations, H hidden size, V vocabulary, S targets, C
outputs for each.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from triptych.data.batch import IGNORE, Batch
from triptych.data.plan.scoring import Loss
from triptych.models.family import Model


class Supervised(NamedTuple):
    """Where a micro-batch is supervised."""

    hidden_NH: Tensor
    """Hidden states at the positions *before* the trained tokens: what they are told from."""
    targets_N: Tensor
    """The trained tokens, int64."""


def select_supervised(hidden_BTH: Tensor, labels_BT: Tensor) -> Supervised:
    """Return the positions that have something to tell, and what they are to tell.

    Args:
        hidden_BTH: the language model's last hidden states.
        labels_BT: unshifted labels, IGNORE where nothing is learnt.
    """
    next_BT = labels_BT[:, 1:]
    learnt_BT = next_BT != IGNORE
    return Supervised(hidden_BTH[:, :-1][learnt_BT], next_BT[learnt_BT])


def token_loss(logits_NV: Tensor, targets_N: Tensor, *, step_tokens: int) -> Tensor:
    """Return this micro-batch's share of the step's mean loss, in nats per supervised token; float32, a scalar.

    Args:
        logits_NV: scores for each target, float32 or bfloat16.
        targets_N: the tokens that are right, int64.
        step_tokens: supervised tokens of the whole optimizer step, over all micro-batches and ranks; > 0.
    """
    return cross_entropy(logits_NV.float(), targets_N, reduction="sum") / step_tokens


def supervised_loss(model: Model, hidden_BTH: Tensor, labels_BT: Tensor, *, step_tokens: int) -> Tensor:
    """Return `token_loss` of a micro-batch's hidden states; zero, with zero gradient, where nothing is supervised."""
    hidden_NH, targets_N = select_supervised(hidden_BTH, labels_BT)
    return token_loss(model.head(hidden_NH), targets_N, step_tokens=step_tokens)


def score_loss(outputs_NSC: Tensor, targets_NS: Tensor, *, loss: Loss, step_targets: int) -> Tensor:
    """Return this micro-batch's share of the step's mean loss over targets; float32, a scalar.

    Args:
        outputs_NSC: of the score head.
        targets_NS: what it should say, float32.
        loss: mse in squares of the targets' unit; bce and ce in nats.
        step_targets: targets of the whole optimizer step, over all micro-batches and ranks; > 0.
    """
    if loss == "ce":
        total = cross_entropy(outputs_NSC.flatten(0, 1), targets_NS.flatten().long(), reduction="sum")
    elif loss == "bce":
        total = binary_cross_entropy_with_logits(outputs_NSC[..., 0], targets_NS, reduction="sum")
    else:
        total = mse_loss(outputs_NSC[..., 0], targets_NS, reduction="sum")
    return total / step_targets


def batch_loss(model: Model, hidden_BTH: Tensor, batch: Batch, *, scores: bool, step_supervised: int) -> Tensor:
    """Return a micro-batch's share of the step's loss; zero, with zero gradient, where nothing is supervised.

    Args:
        model: whose heads these are.
        hidden_BTH: the language model's last hidden states of the batch.
        batch: with labels, or with targets and where they are read.
        scores: whether the score head learns; else replies are learnt.
        step_supervised: what the loss of the whole optimizer step is the mean over; > 0.
    """
    if not scores:
        return supervised_loss(model, hidden_BTH, batch.labels_BT.to(hidden_BTH.device), step_tokens=step_supervised)
    head = model.score_head
    assert head is not None, "a score head learns, and there is none"
    outputs_NSC = head.read(hidden_BTH, batch.reads_NS2)
    targets_NS = batch.targets_NS.to(outputs_NSC.device).view(outputs_NSC.shape[:2])
    return score_loss(outputs_NSC, targets_NS, loss=head.scoring.loss, step_targets=step_supervised)
