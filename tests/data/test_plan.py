"""The plan of many rows, by windows: nothing is lost, every rank count sees the same, ranks have equal work."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.core.errors import DataError
from triptych.data.plan.balance import Work, balance, share
from triptych.data.plan.measures import RECORD, REFUSED, USED, KnownMeasures, Records
from triptych.data.plan.mixture import Mixture, Numbers, mix
from triptych.data.plan.step_plan import PlanSettings, Step, StepPlan

CAPACITY = 100
many_lengths = st.lists(st.integers(1, 130), min_size=1, max_size=80)
"""Those above the capacity are refused."""
windows = st.integers(1, 30)
pack_counts = st.integers(1, 5)


class Watched(KnownMeasures):
    """Lengths that know who asked."""

    def __init__(self, records: Records) -> None:
        super().__init__(records)
        self.asked: set[int] = set()

    def measure(self, rows: Numbers) -> Records:
        self.asked.update(rows.tolist())
        return super().measure(rows)


def records_of(lengths: list[int]) -> Records:
    records = np.zeros(len(lengths), dtype=RECORD)
    records["tokens"], records["state"] = lengths, USED
    return records


def plan_of(
    records: Records,
    *,
    window: int = 8,
    packs_per_step: int = 2,
    capacity: int = CAPACITY,
    mixture: Mixture | None = None,
    work: Work | None = None,
) -> StepPlan:
    settings = PlanSettings(
        capacity=capacity, packs_per_step=packs_per_step, seed=1, window=window, search=True, work=work
    )
    every = mix([len(records)], weights=[1.0], limits=[None], seed=0)
    return StepPlan(KnownMeasures(records), every if mixture is None else mixture, settings)


def rows_of(steps: list[Step]) -> list[int]:
    return [row for step in steps for pack in step.packs for row in pack]


def multi_image(count: int, *, seed: int = 0, image_tokens: int = 576) -> Records:
    """Return records as multi-image data have them: a long tail of images, a long tail of words, some words alone."""
    random, records = Random(seed), np.zeros(count, dtype=RECORD)
    for at in range(count):
        images = 0 if random.random() < 0.1 else min(12, 1 + int(random.expovariate(0.5)))
        words = min(1000, max(10, round(random.lognormvariate(5.2, 0.9))))
        tokens = images * image_tokens
        records[at] = (tokens + words, images, tokens, images * image_tokens**2, USED)
    return records


@given(many_lengths, windows, pack_counts, st.booleans())
def test_an_epoch_has_every_usable_row_once_whatever_the_window(
    lengths: list[int], window: int, packs_per_step: int, balanced: bool
) -> None:
    usable = [row for row, length in enumerate(lengths) if length <= CAPACITY]
    plan = plan_of(records_of(lengths), window=window, packs_per_step=packs_per_step, work=Work() if balanced else None)
    if not usable:
        with pytest.raises(DataError, match="no examples to learn from"):
            plan.step(0)
        return
    steps = [plan.step(number) for number in range(plan.steps_per_epoch(0))]
    assert sorted(rows_of(steps)) == usable
    assert all(len(step.packs) == packs_per_step for step in steps[:-1])
    assert all(sum(lengths[row] for row in pack) <= CAPACITY for step in steps for pack in step.packs)
    assert plan.step(len(steps)).passed == len(lengths)
    assert plan.step(len(steps)).spent == sum(lengths[row] for row in usable)


@given(many_lengths, windows, pack_counts, st.integers(0, 40), st.booleans())
def test_a_resumed_plan_gives_the_same_steps(
    lengths: list[int], window: int, packs_per_step: int, start: int, balanced: bool
) -> None:
    lengths = [*lengths, 5]
    work = Work() if balanced else None
    ran, resumed, back = (
        plan_of(records_of(lengths), window=window, packs_per_step=packs_per_step, work=work) for _ in range(3)
    )
    stream = [ran.step(number) for number in range(start + 4)]
    assert [resumed.step(number) for number in range(start, start + 4)] == stream[start:]
    assert [back.step(number) for number in reversed(range(start + 4))] == stream[::-1]


def test_the_first_step_asks_for_one_window_of_rows() -> None:
    lengths = Watched(records_of([7] * 1_000))
    settings = PlanSettings(capacity=50, packs_per_step=2, seed=0, window=100)
    plan = StepPlan(lengths, mix([1_000], weights=[1.0], limits=[None], seed=0), settings)
    plan.step(0)
    assert len(lengths.asked) <= 100 + 1_024  # packs choose among so many who wait
    lengths = Watched(records_of([7] * 100_000))
    StepPlan(lengths, mix([100_000], weights=[1.0], limits=[None], seed=0), settings).step(0)
    assert len(lengths.asked) <= 1_200


def test_steps_far_behind_are_planned_again_the_same() -> None:
    plan = plan_of(records_of([20 + at % 60 for at in range(3_000)]), window=64, packs_per_step=1)
    first = plan.step(0)
    plan.step(1_200)
    assert plan.step(0) == first
    again = plan_of(records_of([20 + at % 60 for at in range(3_000)]), window=64, packs_per_step=1)
    assert again.step(1_100) == plan.step(1_100)


def test_weights_and_refusals_go_together() -> None:
    records = records_of([10] * 60)
    records["state"][::7] = REFUSED
    mixture = mix([40, 20], weights=[0.5, 2.0], limits=[None, None], seed=3)
    plan = plan_of(records, mixture=mixture)
    for epoch in range(3):
        first = plan.first_step(epoch)
        steps = [plan.step(number) for number in range(first, first + plan.steps_per_epoch(epoch))]
        wanted = sorted(row for row in mixture.epoch(epoch).tolist() if row % 7)
        assert sorted(rows_of(steps)) == wanted
    assert plan.step(plan.first_step(2)).passed == plan.rows_in(Fraction(2))


@pytest.mark.parametrize("work", [None, Work()])
@pytest.mark.parametrize("usable", [40, 8])
def test_rows_of_no_use_are_counted_evenly_among_those_that_are_learnt(usable: int, work: Work | None) -> None:
    """One row in 40 is used, as of a file of many data sets of which one is at hand; most of them wait for the end."""
    records = records_of([10] * 24_000)
    records["state"][np.arange(24_000) % usable != 0] = REFUSED
    plan = plan_of(records, window=512, work=work)
    steps = [plan.step(number) for number in range(plan.steps_per_epoch(0))]
    learnt = np.cumsum([0, *(sum(map(len, step.packs)) for step in steps)])
    passed = np.array([step.passed for step in [*steps, plan.step(len(steps))]])
    assert passed[0] == 0
    assert passed[-1] == 24_000
    assert np.abs(passed / 24_000 - learnt / learnt[-1]).max() < 0.02


def test_without_rows_of_no_use_what_has_passed_is_what_was_learnt() -> None:
    plan = plan_of(records_of([20 + at % 60 for at in range(3_000)]), window=64, work=Work())
    steps = [plan.step(number) for number in range(plan.first_step(2))]
    assert [step.passed for step in steps] == np.cumsum([0, *(sum(map(len, step.packs)) for step in steps)])[
        :-1
    ].tolist()


def test_packs_of_a_long_tailed_multi_image_mix_are_995_thousandths_full() -> None:
    records = multi_image(20_000)
    plan = plan_of(records, window=4_096, packs_per_step=8, capacity=8_192)
    steps = [plan.step(number) for number in range(plan.steps_per_epoch(0))]
    full = sum(map(sum, (step.lengths for step in steps))) / (8_192 * sum(len(step.packs) for step in steps))
    assert full >= 0.995


@given(st.lists(st.floats(0, 1e6), max_size=40), st.integers(1, 9))
def test_ranks_share_every_pack_once_and_none_has_two_more_than_another(work: list[float], ranks: int) -> None:
    dealt = share(work, ranks)
    assert sorted(index for indexes in dealt for index in indexes) == list(range(len(work)))
    counts = [len(indexes) for indexes in dealt]
    assert max(counts) - min(counts) <= 1


def test_64_ranks_wait_less_than_a_fiftieth_of_the_time_for_each_other() -> None:
    records = multi_image(40_000)
    work = Work().of(records)
    found = {}
    for name, weigh in (("random", None), ("balanced", Work())):
        plan = plan_of(records, window=4_096, packs_per_step=64, capacity=8_192, work=weigh)
        steps = [plan.step(number) for number in range(plan.steps_per_epoch(0) - 1)]
        found[name] = balance([[float(work[list(pack)].sum()) for pack in step.packs] for step in steps], 64)
    assert found["balanced"] >= 0.98
    assert found["random"] < 0.96


def test_the_order_of_balanced_steps_stays_random_over_the_epoch() -> None:
    records = multi_image(20_000)
    plan = plan_of(records, window=4_096, packs_per_step=16, capacity=8_192, work=Work())
    means = [float(np.mean(plan.step(number).work)) for number in range(plan.steps_per_epoch(0))]
    neighbours = np.corrcoef(means[:-1], means[1:])[0, 1]
    with_time = np.corrcoef(means, range(len(means)))[0, 1]
    assert abs(neighbours) < 0.35
    assert abs(with_time) < 0.35


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_any_number_of_ranks_sees_the_same_stream_without_loss_or_repeat(ranks: int) -> None:
    records = multi_image(600)
    mixture = mix([400, 200], weights=[0.5, 1.5], limits=[None, None], seed=9)
    plans = [
        plan_of(records, mixture=mixture, packs_per_step=4, capacity=8_192, window=64, work=Work())
        for _ in range(ranks + 1)
    ]
    for number in range(plans[0].first_step(2)):
        dealt = [plan.step(number).of_rank(rank, ranks).packs for rank, plan in enumerate(plans[1:])]
        assert sorted(pack for packs in dealt for pack in packs) == sorted(plans[0].step(number).packs)
    every = [plans[0].step(number) for number in range(plans[0].first_step(2))]
    assert sorted(rows_of(every)) == sorted(np.concatenate([mixture.epoch(0), mixture.epoch(1)]).tolist())


def test_a_run_that_goes_on_with_more_ranks_loses_and_repeats_nothing() -> None:
    records = multi_image(500)
    plans = [plan_of(records, packs_per_step=4, capacity=8_192, window=64) for _ in range(3)]
    steps = plans[0].steps_per_epoch(0)
    stages = [(1, range(steps // 3)), (2, range(steps // 3, 2 * steps // 3)), (4, range(2 * steps // 3, steps))]
    seen = [
        row
        for plan, (ranks, numbers) in zip(plans, stages, strict=True)
        for number in numbers
        for rank in range(ranks)
        for pack in plan.step(number).of_rank(rank, ranks).packs
        for row in pack
    ]
    assert sorted(seen) == list(range(500))


@given(many_lengths, windows, pack_counts, st.integers(1, 60), st.booleans())
def test_an_epochs_end_is_known_without_a_look_at_the_next(
    lengths: list[int], window: int, packs_per_step: int, limit: int, balanced: bool
) -> None:
    lengths = [min(length, CAPACITY) for length in lengths]
    mixture = mix([len(lengths)], weights=[1.0], limits=[limit], seed=0)
    plans = [
        plan_of(records_of(lengths), window=window, mixture=mixture, packs_per_step=packs_per_step, work=work)
        for work in [Work() if balanced else None] * 2
    ]
    plan, measures = plans[0], Watched(records_of(lengths))
    plan.measures = measures
    for epochs in (1, 2):
        end = plan.first_step(epochs)
        found = plan.before(end)
        taken = {row for epoch in range(epochs) for row in mixture.epoch(epoch).tolist()}
        assert measures.asked == taken
        step = plans[1].step(end)
        assert found == (step.passed, step.spent)
    for number in range(plans[1].first_step(3)):
        assert plan.before(number) == (plans[1].step(number).passed, plans[1].step(number).spent)
