"""The loss of a step: cross entropy of the supervised tokens, each weighing the same, over the whole step.

Not a mean of means: every micro-batch's sum is divided by the step's supervised tokens, so that the sum over
micro-batches (and ranks) is the exact mean, however the conversations were packed (tests/train/test_loss.py).
The language model's head runs only where something is supervised.

Shapes: B rows, T tokens a row, N supervised positions, H hidden size, V vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import cross_entropy

from triptych.data.batch import IGNORE
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
