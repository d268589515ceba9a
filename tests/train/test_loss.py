"""The loss: every supervised token of a step weighs the same, and the head sees nothing else."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from triptych.data.batch import IGNORE
from triptych.models.families.tiny import tiny
from triptych.train.loss import select_supervised, supervised_loss, token_loss


def labels_and_hidden(rows: int, tokens: int, *, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return labels_BT, about a third of them trained and the first never, and random hidden_BTH."""
    random = torch.Generator().manual_seed(seed)
    labels_BT = torch.randint(0, 200, (rows, tokens), generator=random)
    labels_BT[torch.rand(rows, tokens, generator=random) < 0.66] = IGNORE
    labels_BT[:, 0] = IGNORE
    return labels_BT, torch.randn(rows, tokens, 48, generator=random)


def test_the_loss_equals_cross_entropy_over_full_logits_in_value_and_gradient() -> None:
    model = tiny()
    labels_BT, hidden_BTH = labels_and_hidden(3, 40, seed=1)
    ours_BTH, full_BTH = (hidden_BTH.clone().requires_grad_() for _ in range(2))
    supervised = int((labels_BT != IGNORE).sum())
    ours = supervised_loss(model, ours_BTH, labels_BT, step_tokens=supervised)
    logits_BTV = model.head(full_BTH)[:, :-1]
    full = cross_entropy(logits_BTV.flatten(0, 1), labels_BT[:, 1:].flatten(), ignore_index=IGNORE)
    torch.testing.assert_close(ours, full)
    ours.backward()
    full.backward()
    torch.testing.assert_close(ours_BTH.grad, full_BTH.grad)


def test_the_head_sees_only_the_positions_before_trained_tokens() -> None:
    labels_BT = torch.tensor([[IGNORE, IGNORE, 7, 8, IGNORE], [IGNORE, 3, IGNORE, IGNORE, 4]])
    hidden_BTH = torch.arange(10.0).reshape(2, 5, 1)
    hidden_NH, targets_N = select_supervised(hidden_BTH, labels_BT)
    assert hidden_NH.flatten().tolist() == [1, 2, 5, 8]
    assert targets_N.tolist() == [7, 8, 3, 4]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(0, 100))
def test_shares_of_micro_batches_add_up_to_the_mean_of_the_whole(cuts: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    logits_NV = torch.randn(29, 11, generator=random)
    targets_N = torch.randint(0, 11, (29,), generator=random)
    bounds = sorted(torch.randint(0, 30, (cuts,), generator=random).tolist())
    shares = [
        token_loss(logits_NV[start:stop], targets_N[start:stop], step_tokens=29)
        for start, stop in zip([0, *bounds], [*bounds, 29], strict=True)
    ]
    torch.testing.assert_close(torch.stack(shares).sum(), cross_entropy(logits_NV, targets_N))


def test_a_micro_batch_without_supervision_adds_nothing() -> None:
    model = tiny()
    hidden_BTH = torch.randn(2, 8, 48, requires_grad=True)
    loss = supervised_loss(model, hidden_BTH, torch.full((2, 8), IGNORE), step_tokens=5)
    loss.backward()
    assert loss.item() == 0
    assert hidden_BTH.grad is not None
    assert not hidden_BTH.grad.any()


def test_the_loss_is_summed_in_float32() -> None:
    logits_NV = torch.randn(4000, 5).bfloat16()
    targets_N = torch.zeros(4000, dtype=torch.int64)
    loss = token_loss(logits_NV, targets_N, step_tokens=4000)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, cross_entropy(logits_NV.float(), targets_N))
