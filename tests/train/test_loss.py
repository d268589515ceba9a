"""The loss: every supervised token of a step weighs the same, and the head sees nothing else, a piece at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, inject_adapter_in_model
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests.train.processes import run_ranks
from tests.train.runs import toy_recipe
from triptych.data.batch import IGNORE
from triptych.models.families.tiny import tiny
from triptych.models.family import Model
from triptych.train import loss as loss_module
from triptych.train.forecast.estimate import HEAD_POSITIONS
from triptych.train.loss import POSITIONS_ON_CPU, select_supervised, supervised_loss
from triptych.train.trainer import train

FULL = ("language: {train: lora, rate: 1e-2, rank: 4, alpha: 8, dropout: 0.1}", "language: {train: full, rate: 1e-3}")


def labels_and_hidden(rows: int, tokens: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Return labels_BT, about a third of them trained and the first never, and random hidden_BTH."""
    random = torch.Generator().manual_seed(seed)
    labels_BT = torch.randint(0, 200, (rows, tokens), generator=random)
    labels_BT[torch.rand(rows, tokens, generator=random) < 0.66] = IGNORE
    labels_BT[:, 0] = IGNORE
    return labels_BT, torch.randn(rows, tokens, 48, generator=random)


def full_loss(model: Model, hidden_BTH: Tensor, labels_BT: Tensor) -> Tensor:
    """Return the mean loss from logits of every position, by autograd: what ours must equal."""
    logits_BTV = model.head(hidden_BTH)[:, :-1].float()
    return cross_entropy(logits_BTV.flatten(0, 1), labels_BT[:, 1:].flatten(), ignore_index=IGNORE)


def heads_weights(model: Model) -> dict[str, nn.Parameter]:
    """Return the head's weights that move."""
    head = model.network.get_output_embeddings()
    return {name: weight for name, weight in head.named_parameters() if weight.requires_grad}


def gradients(model: Model, loss: Tensor, hidden_BTH: Tensor) -> list[Tensor]:
    """Return those of the hidden states, where they are wanted, and of the head's weights."""
    model.network.zero_grad(set_to_none=True)
    hidden_BTH.grad = None
    loss.backward()
    found = [hidden_BTH.grad, *(weight.grad for weight in heads_weights(model).values())]
    return [gradient for gradient in found if gradient is not None]


def moving(model: Model) -> None:
    """Let the whole head move."""
    model.network.get_output_embeddings().requires_grad_(True)


def tied(model: Model) -> None:
    """Let the table of words be the head's matrix."""
    model.network.get_input_embeddings().weight = model.network.get_output_embeddings().weight
    moving(model)


def with_bias(model: Model) -> None:
    """Give the head a bias."""
    head = model.network.get_output_embeddings()
    head.bias = nn.Parameter(torch.randn(len(head.weight)))
    moving(model)


def frozen(model: Model) -> None:
    """Let nothing of the head move."""
    model.network.get_output_embeddings().requires_grad_(False)


def adapted(model: Model, *, decomposed: bool = False) -> None:
    """Give the head an adapter of peft's that does something."""
    inject_adapter_in_model(LoraConfig(r=2, target_modules=["lm_head"], use_dora=decomposed), model.network)
    for weight in heads_weights(model).values():
        nn.init.normal_(weight.data, mean=0.5, std=0.3)


class Capped(nn.Linear):
    """A head whose logits are bounded, as Gemma 2's."""

    def forward(self, hidden_NH: Tensor) -> Tensor:
        """Return logits_NV within 3 of zero."""
        return 3 * torch.tanh(super().forward(hidden_NH) / 3)


def capped(model: Model) -> None:
    """Give the model a head that is more than a matrix."""
    width, words = model.network.get_output_embeddings().weight.shape[::-1]
    model.network.set_output_embeddings(Capped(width, words, bias=False))


HEADS: dict[str, Callable[[Model], None]] = {
    "moving": moving,
    "tied": tied,
    "bias": with_bias,
    "frozen": frozen,
    "lora": adapted,
    "dora": lambda model: adapted(model, decomposed=True),
    "capped": capped,
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("tokens", [40, 900])
def test_the_loss_equals_cross_entropy_over_full_logits_in_value_and_gradient(head: str, tokens: int) -> None:
    model = tiny()
    HEADS[head](model)
    labels_BT, hidden_BTH = labels_and_hidden(3, tokens, seed=1)
    hidden_BTH.requires_grad_()
    supervised = int((labels_BT != IGNORE).sum())
    assert (supervised > 3 * POSITIONS_ON_CPU) == (tokens == 900), "in one piece, and in several"
    ours = supervised_loss(model, hidden_BTH, labels_BT=labels_BT, step_tokens=supervised)
    found = gradients(model, ours, hidden_BTH)
    full = full_loss(model, hidden_BTH, labels_BT)
    torch.testing.assert_close(ours, full)
    wanted = gradients(model, full, hidden_BTH)
    assert len(found) == len(wanted) == 1 + len(heads_weights(model))
    for mine, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("head", ["moving", "lora"])
def test_in_bfloat16_the_gradient_is_as_near_the_true_one_as_that_of_full_logits(head: str) -> None:
    model = tiny()
    HEADS[head](model)
    labels_BT, hidden_BTH = labels_and_hidden(2, 1200, seed=2)
    hidden_BTH.requires_grad_()
    supervised = int((labels_BT != IGNORE).sum())
    exact = gradients(model, full_loss(model, hidden_BTH, labels_BT), hidden_BTH)
    with torch.autocast("cpu", torch.bfloat16):
        ours = supervised_loss(model, hidden_BTH, labels_BT=labels_BT, step_tokens=supervised)
        full = full_loss(model, hidden_BTH, labels_BT)
    assert ours.dtype == torch.float32, "summed so"
    torch.testing.assert_close(ours, full, rtol=1e-4, atol=0)
    found, wanted = gradients(model, ours, hidden_BTH), gradients(model, full, hidden_BTH)
    for mine, theirs, true in zip(found, wanted, exact, strict=True):
        assert mine.dtype == torch.float32
        assert (mine - true).norm() <= 1.2 * (theirs - true).norm()


def test_a_head_learns_where_nothing_before_it_does_and_tells_each_weight_once() -> None:
    model = tiny()
    with_bias(model)
    labels_BT, hidden_BTH = labels_and_hidden(3, 900, seed=3)
    model.network.zero_grad(set_to_none=True)
    told: list[str] = []
    for name, weight in heads_weights(model).items():
        weight.register_post_accumulate_grad_hook(lambda _, name=name: told.append(name))
    loss = supervised_loss(model, hidden_BTH, labels_BT=labels_BT, step_tokens=7)
    assert told == []
    loss.backward()
    assert sorted(told) == ["bias", "weight"]


def test_two_micro_batches_add_their_gradients() -> None:
    model = tiny()
    moving(model)
    labels_BT, hidden_BTH = labels_and_hidden(4, 300, seed=4)
    hidden_BTH.requires_grad_()
    whole = gradients(model, supervised_loss(model, hidden_BTH, labels_BT=labels_BT, step_tokens=9), hidden_BTH)
    halves = [supervised_loss(model, hidden_BTH[at], labels_BT=labels_BT[at], step_tokens=9) for at in ([0, 1], [2, 3])]
    for mine, wanted in zip(gradients(model, torch.stack(halves).sum(), hidden_BTH), whole, strict=True):
        torch.testing.assert_close(mine, wanted)


@pytest.mark.parametrize("head", ["moving", "frozen"])
def test_without_a_gradient_the_loss_is_the_same(head: str) -> None:
    model = tiny()
    HEADS[head](model)
    labels_BT, hidden_BTH = labels_and_hidden(3, 300, seed=5)
    learnt = supervised_loss(model, hidden_BTH, labels_BT=labels_BT, step_tokens=5)
    with torch.no_grad():
        told = supervised_loss(model, hidden_BTH, labels_BT=labels_BT, step_tokens=5)
    assert not told.requires_grad
    assert learnt.requires_grad == (head == "moving")
    assert told.item() == learnt.item()


def test_the_head_sees_only_the_positions_before_trained_tokens() -> None:
    labels_BT = torch.tensor([[IGNORE, IGNORE, 7, 8, IGNORE], [IGNORE, 3, IGNORE, IGNORE, 4]])
    hidden_BTH = torch.arange(10.0).reshape(2, 5, 1)
    hidden_NH, targets_N = select_supervised(hidden_BTH, labels_BT)
    assert hidden_NH.flatten().tolist() == [1, 2, 5, 8]
    assert targets_N.tolist() == [7, 8, 3, 4]


def test_the_planner_counts_as_many_positions_at_once_as_the_head_is_given() -> None:
    assert HEAD_POSITIONS == loss_module.POSITIONS


def test_the_head_never_sees_more_positions_at_once_than_it_should() -> None:
    model = tiny()
    moving(model)
    labels_BT, hidden_BTH = labels_and_hidden(3, 900, seed=6)
    seen: list[int] = []
    model.network.get_output_embeddings().register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    supervised_loss(model, hidden_BTH, labels_BT=labels_BT, step_tokens=5)
    assert max(seen) <= POSITIONS_ON_CPU
    assert max(seen) - min(seen) < len(seen), "in pieces of about a size: a small last one costs as a large one"
    assert sum(seen) == int((labels_BT != IGNORE).sum())


def small_pieces(_rank: int) -> None:
    """Let a process take seven positions at once."""
    loss_module.POSITIONS_ON_CPU = 7


def test_processes_that_share_the_heads_weights_learn_by_pieces_what_one_learns_at_once(tmp_path: Path) -> None:
    one = train(toy_recipe(tmp_path, FULL), run=tmp_path / "one")
    shared = toy_recipe(tmp_path, ("seed: 3", "seed: 3\nparallel: {kind: fsdp}"), FULL)
    assert run_ranks(shared, tmp_path / "many", ranks=2, before=small_pieces) == [0, 0]
    wanted, found = (load_file(run / "model.safetensors") for run in (one, tmp_path / "many" / "model"))
    for name in wanted:
        if not name.endswith("k_proj.bias"):  # its gradient is zero but for rounding, which AdamW makes a step of
            torch.testing.assert_close(found[name], wanted[name], rtol=1e-4, atol=1e-5, msg=name)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(0, 100))
def test_shares_of_micro_batches_add_up_to_the_mean_of_the_whole(cuts: int, seed: int) -> None:
    model = tiny()
    labels_BT, hidden_BTH = labels_and_hidden(7, 12, seed=seed)
    supervised = int((labels_BT != IGNORE).sum())
    random = torch.Generator().manual_seed(seed)
    bounds = sorted(torch.randint(0, 8, (cuts,), generator=random).tolist())
    with torch.no_grad():
        shares = [
            supervised_loss(model, hidden_BTH[start:stop], labels_BT=labels_BT[start:stop], step_tokens=supervised)
            for start, stop in zip([0, *bounds], [*bounds, 7], strict=True)
        ]
        torch.testing.assert_close(torch.stack(shares).sum(), full_loss(model, hidden_BTH, labels_BT))


@pytest.mark.parametrize("head", HEADS)
def test_a_micro_batch_without_supervision_adds_nothing(head: str) -> None:
    model = tiny()
    HEADS[head](model)
    hidden_BTH = torch.randn(2, 8, 48, requires_grad=True)
    loss = supervised_loss(model, hidden_BTH, labels_BT=torch.full((2, 8), IGNORE), step_tokens=5)
    assert loss.item() == 0
    found = gradients(model, loss, hidden_BTH)
    assert len(found) == 1 + len(heads_weights(model))
    assert not any(gradient.any() for gradient in found)
