"""The plan of steps: a resume is exact, an epoch is complete, a seed is an order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.core.errors import DataError
from triptych.data.plan.measures import RECORD, REFUSED, USED, KnownMeasures
from triptych.data.plan.mixture import mix
from triptych.data.plan.step_plan import PlanSettings, Step, StepPlan

many_lengths = st.lists(st.integers(1, 50), min_size=1, max_size=60)
capacities = st.integers(50, 200)
pack_counts = st.integers(1, 5)
seeds = st.integers(0, 2**32)

LENGTHS = [5 + 7 * index % 40 for index in range(100)]


def plan_of(lengths: list[int] = LENGTHS, *, capacity: int = 100, packs_per_step: int = 4, seed: int = 0) -> StepPlan:
    records = np.zeros(len(lengths), dtype=RECORD)
    records["tokens"], records["state"] = lengths, USED
    settings = PlanSettings(capacity=capacity, packs_per_step=packs_per_step, seed=seed)
    return StepPlan(KnownMeasures(records), mix([len(lengths)], weights=[1.0], limits=[None], seed=seed), settings)


def epoch_of(plan: StepPlan, epoch: int) -> list[Step]:
    first = plan.first_step(epoch)
    return [plan.step(number) for number in range(first, first + plan.steps_per_epoch(epoch))]


def examples_of(steps: list[Step]) -> list[int]:
    return [index for step in steps for pack in step.packs for index in pack]


@given(many_lengths, capacities, pack_counts, seeds, st.integers(0, 3))
def test_an_epoch_has_every_example_exactly_once(
    lengths: list[int], capacity: int, packs_per_step: int, seed: int, epoch: int
) -> None:
    steps = epoch_of(plan_of(lengths, capacity=capacity, packs_per_step=packs_per_step, seed=seed), epoch)
    assert sorted(examples_of(steps)) == list(range(len(lengths)))
    assert all(step.epoch == epoch for step in steps)


@given(many_lengths, capacities, pack_counts, seeds)
def test_only_the_last_step_of_an_epoch_is_smaller(
    lengths: list[int], capacity: int, packs_per_step: int, seed: int
) -> None:
    steps = epoch_of(plan_of(lengths, capacity=capacity, packs_per_step=packs_per_step, seed=seed), 1)
    assert all(len(step.packs) == packs_per_step for step in steps[:-1])
    assert 1 <= len(steps[-1].packs) <= packs_per_step
    assert all(sum(lengths[index] for index in pack) <= capacity for step in steps for pack in step.packs)


@given(many_lengths, capacities, pack_counts, seeds, st.integers(0, 60))
def test_a_resumed_plan_gives_the_same_steps_as_one_that_ran_from_the_start(
    lengths: list[int], capacity: int, packs_per_step: int, seed: int, start: int
) -> None:
    ran = plan_of(lengths, capacity=capacity, packs_per_step=packs_per_step, seed=seed)
    stream = [ran.step(number) for number in range(start + 5)]
    resumed = plan_of(lengths, capacity=capacity, packs_per_step=packs_per_step, seed=seed)
    assert [resumed.step(number) for number in range(start, start + 5)] == stream[start:]


def test_steps_may_be_asked_for_in_any_order() -> None:
    forth, back = plan_of(), plan_of()
    numbers = range(forth.first_step(3))
    assert [forth.step(number) for number in numbers] == [back.step(number) for number in reversed(numbers)][::-1]


def test_steps_are_numbered_through_the_epochs() -> None:
    plan = plan_of()
    steps = [plan.step(number) for number in range(plan.first_step(3))]
    assert [step.number for step in steps] == list(range(len(steps)))
    assert [step.epoch for step in steps] == [epoch for epoch in range(3) for _ in range(plan.steps_per_epoch(epoch))]


def test_each_epoch_has_its_own_order() -> None:
    plan = plan_of()
    assert len({tuple(examples_of(epoch_of(plan, epoch))) for epoch in range(4)}) == 4


def test_another_seed_gives_another_order() -> None:
    orders = {tuple(examples_of(epoch_of(plan_of(seed=seed), 0))) for seed in range(4)}
    assert len(orders) == 4


def test_the_order_is_that_of_the_first_release() -> None:
    """A run that was begun with an older version must resume with the same steps."""
    plan = plan_of([3, 1, 4, 1, 5, 9, 2, 6], capacity=10, packs_per_step=2, seed=7)
    assert [step.packs for step in epoch_of(plan, 0)] == [((6, 0, 4), (2, 7)), ((1,), (5, 3))]


def test_another_capacity_keeps_the_set_of_examples() -> None:
    wide, narrow = epoch_of(plan_of(capacity=400), 0), epoch_of(plan_of(capacity=50), 0)
    assert sorted(examples_of(wide)) == sorted(examples_of(narrow))
    assert len(wide) < len(narrow)


def test_long_and_short_examples_are_spread_over_an_epoch() -> None:
    lengths = [10] * 500 + [60] * 500
    plan = plan_of(lengths, capacity=100, packs_per_step=10)
    examples = [sum(len(pack) for pack in step.packs) for step in epoch_of(plan, 0)]
    half = len(examples) // 2
    assert abs(sum(examples[:half]) - sum(examples[half:])) < 0.2 * sum(examples)


def test_a_plan_over_no_examples_is_refused() -> None:
    with pytest.raises(DataError, match="there are no examples to learn from"):
        plan_of([], seed=1).step(0)


def test_an_epoch_that_weights_and_limits_leave_empty_is_told() -> None:
    records = np.zeros(40, dtype=RECORD)
    records["tokens"], records["state"] = 10, USED
    mixture = mix([30, 0, 10], weights=[0.01, 1.0, 0.05], limits=[None] * 3, seed=0)
    settings = PlanSettings(capacity=100, packs_per_step=4, seed=0)
    message = (
        r"^stage 'tune': epoch 1 has no row: by weights, limits and mixing, an epoch takes 0\.3 of the 30 rows of "
        r"data\[0\], 0\.5 of the 10 rows of data\[2\]\. Raise a weight or a limit\."
    )
    with pytest.raises(DataError, match=message):
        StepPlan(KnownMeasures(records), mixture, settings, stage="tune").step(0)


@pytest.mark.parametrize(("limit", "told"), [(2, "all 2 rows that epoch 1 takes were"), (1, "the 1 row that .* was")])
def test_an_epoch_whose_rows_were_all_refused_is_told(limit: int, told: str) -> None:
    records = np.zeros(4, dtype=RECORD)
    records["state"] = REFUSED
    settings = PlanSettings(capacity=100, packs_per_step=4, seed=0)
    mixture = mix([4], weights=[1.0], limits=[limit], seed=0)
    with pytest.raises(DataError, match=rf"^stage 'tune': there are no .*: {told} refused"):
        StepPlan(KnownMeasures(records), mixture, settings, stage="tune").step(0)
