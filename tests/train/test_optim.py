"""Rates per part, the schedule, what decays, and a state that survives being written."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from triptych.core.errors import ModelError
from triptych.train.optim import (
    Schedule,
    make_optimizer,
    optimizer_tensors,
    restore_optimizer,
    schedule_factor,
    set_rates,
)
from triptych.train.recipe import Full, Lora, PartPlans

PLANS = PartPlans(projector=Full(train="full", rate=1e-3), language=Lora(train="lora", rate=1e-4, rank=4, alpha=8))


def some_weights() -> dict[str, nn.Parameter]:
    torch.manual_seed(0)
    shapes = {"projector.a.weight": (3, 4), "projector.a.bias": (3,), "language.lora_A.weight": (2, 5)}
    return {name: nn.Parameter(torch.randn(shape)) for name, shape in shapes.items()}


def steps(optimizer: torch.optim.AdamW, weights: dict[str, nn.Parameter], *, numbers: range) -> None:
    for number in numbers:
        random = torch.Generator().manual_seed(number)
        for weight in weights.values():
            weight.grad = torch.randn(weight.shape, generator=random)
        optimizer.step()


def test_every_part_has_its_rate_and_vectors_do_not_decay() -> None:
    optimizer = make_optimizer(some_weights(), PLANS, decay=0.1, betas=(0.9, 0.98))
    groups = [(group["part"], group["lr"], group["weight_decay"]) for group in optimizer.param_groups]
    assert groups == [("projector", 1e-3, 0.1), ("projector", 1e-3, 0.0), ("language", 1e-4, 0.1)]
    assert set_rates(optimizer, 0.5) == {"projector": 5e-4, "language": 5e-5}


def test_a_part_without_weights_to_train_is_refused() -> None:
    weights = {name: weight for name, weight in some_weights().items() if name.startswith("language")}
    with pytest.raises(ModelError, match=r"part 'projector' is to be trained \(full\), but has no weights"):
        make_optimizer(weights, PLANS, decay=0.0, betas=(0.9, 0.98))


def test_a_restored_optimizer_goes_on_with_the_same_bits() -> None:
    through, broken = some_weights(), some_weights()
    optimizer = make_optimizer(through, PLANS, decay=0.1, betas=(0.9, 0.98))
    steps(optimizer, through, numbers=range(6))
    before = make_optimizer(broken, PLANS, decay=0.1, betas=(0.9, 0.98))
    steps(before, broken, numbers=range(3))
    saved = {name: tensor.clone() for name, tensor in optimizer_tensors(before, broken).items()}
    after = make_optimizer(broken, PLANS, decay=0.1, betas=(0.9, 0.98))
    restore_optimizer(after, broken, tensors=saved)
    steps(after, broken, numbers=range(3, 6))
    for name, weight in through.items():
        assert torch.equal(weight, broken[name])


@given(st.integers(1, 300), st.integers(0, 50), st.sampled_from(["cosine", "linear", "constant"]))
def test_rates_go_up_once_and_down_once_and_never_stand_still_at_zero(
    total: int, warmup: int, schedule: Schedule
) -> None:
    factors = [schedule_factor(step, total=total, warmup=warmup, schedule=schedule) for step in range(total)]
    assert all(0 < factor <= 1 for factor in factors)
    top = min(warmup, total - 1)
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    if total > warmup:
        assert factors[warmup] == 1


def test_a_cosine_is_half_way_down_in_the_middle() -> None:
    assert schedule_factor(60, total=110, warmup=10, schedule="cosine") == pytest.approx(0.5)
    assert schedule_factor(60, total=110, warmup=10, schedule="linear") == pytest.approx(0.5)
    assert schedule_factor(109, total=110, warmup=10, schedule="constant") == 1
