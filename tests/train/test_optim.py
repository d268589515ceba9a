"""Rates per part, the schedule, what decays, and a state that survives being written."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers import get_cosine_with_min_lr_schedule_with_warmup

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


def an_adapter() -> dict[str, nn.Parameter]:
    torch.manual_seed(1)
    shapes = {"lora_A.weight": (2, 5), "lora_B.weight": (3, 2), "lora_magnitude_vector.weight": (3,)}
    return {f"language.q_proj.{name}": nn.Parameter(torch.randn(shape)) for name, shape in shapes.items()}


def test_the_second_matrix_learns_as_in_a_plain_optimizer_of_two_groups() -> None:
    plan = Lora(train="dora", rate=1e-3, rank=2, alpha=4, rate_b=16, decay=0.2)
    ours, theirs = an_adapter(), an_adapter()
    optimizer = make_optimizer(ours, PartPlans(language=plan), decay=0.1, betas=(0.9, 0.98))
    first, second, magnitude = theirs.values()
    plain = torch.optim.AdamW(
        [
            {"params": [first], "weight_decay": 0.2},
            {"params": [second], "lr": 16e-3, "weight_decay": 0.2},
            {"params": [magnitude], "weight_decay": 0.0},
        ],
        lr=1e-3,
        betas=(0.9, 0.98),
    )
    steps(optimizer, ours, numbers=range(1))
    steps(plain, theirs, numbers=range(1))
    for name, weight in ours.items():
        assert not torch.equal(weight, an_adapter()[name])
        assert torch.allclose(weight, theirs[name], rtol=1e-6, atol=0)


def test_the_rate_that_is_told_of_an_adapter_is_its_first_matrixs() -> None:
    plans = PartPlans(language=Lora(train="lora", rate=1e-3, rank=2, alpha=4, rate_b=16))
    optimizer = make_optimizer(an_adapter(), plans, decay=0.0, betas=(0.9, 0.98))
    assert set_rates(optimizer, 0.5, own={"language": 0.25}) == {"language": 0.25e-3}
    assert [group["lr"] for group in optimizer.param_groups] == [0.25e-3, pytest.approx(4e-3), 0.25e-3]


def test_an_optimizer_whose_second_matrices_have_another_rate_goes_on_with_the_same_bits() -> None:
    plans = PartPlans(language=Lora(train="lora", rate=1e-3, rank=2, alpha=4, rate_b=16))
    through, broken = an_adapter(), an_adapter()
    optimizer = make_optimizer(through, plans, decay=0.1, betas=(0.9, 0.98))
    steps(optimizer, through, numbers=range(4))
    before = make_optimizer(broken, plans, decay=0.1, betas=(0.9, 0.98))
    steps(before, broken, numbers=range(2))
    after = make_optimizer(broken, plans, decay=0.1, betas=(0.9, 0.98))
    restore_optimizer(after, broken, tensors=optimizer_tensors(before, broken))
    steps(after, broken, numbers=range(2, 4))
    assert all(torch.equal(weight, broken[name]) for name, weight in through.items())


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


@pytest.mark.parametrize("floor", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("warmup", [0, 7])
def test_a_cosine_falls_to_its_floor_as_in_transformers(warmup: int, floor: float) -> None:
    plain = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_cosine_with_min_lr_schedule_with_warmup(plain, warmup, 50, min_lr_rate=floor)
    for step in range(50):
        if step >= warmup:  # there the first step of a warm-up has rate zero
            ours = schedule_factor(step, total=50, warmup=warmup, schedule="cosine", floor=floor)
            assert ours == pytest.approx(theirs.get_last_lr()[0], rel=1e-12, abs=1e-15)
        plain.step()
        theirs.step()
    assert schedule_factor(50, total=50, warmup=warmup, schedule="cosine", floor=floor) == pytest.approx(floor)


@given(st.integers(1, 300), st.integers(0, 50), st.sampled_from(["cosine", "linear"]))
def test_a_floor_of_nothing_changes_no_bit(total: int, warmup: int, schedule: Schedule) -> None:
    for step in range(total):
        left = (total - step) / max(1, total - warmup)
        fallen = left if schedule == "linear" else 0.5 - 0.5 * math.cos(math.pi * left)
        before = (step + 1) / (warmup + 1) if step < warmup else fallen
        assert schedule_factor(step, total=total, warmup=warmup, schedule=schedule) == before


def test_a_line_falls_to_its_floor_and_a_warm_up_rises_past_it() -> None:
    factors = [schedule_factor(step, total=10, warmup=3, schedule="linear", floor=0.3) for step in range(10)]
    assert factors == pytest.approx([0.25, 0.5, 0.75, *(1 - 0.1 * step for step in range(7))])
