"""The pace of a stage is that of its lengths as they are written, whether its rows are in memory or come as needed."""

from __future__ import annotations

import numpy as np
import pytest

from triptych.core.config import Length
from triptych.data.plan.measures import RECORD, USED, KnownMeasures
from triptych.data.plan.mixture import mix
from triptych.data.plan.step_plan import PlanSettings, StepPlan
from triptych.train.optim import Schedule
from triptych.train.pace import Pace, pace_of, steps_in


def plan_of(rows: int, *, window: int | None = None, longest: int = 50) -> StepPlan:
    """Return a plan of steps of ten packs of two rows, if no row is longer than 50 tokens; lengths vary up to it."""
    records = np.zeros(rows, dtype=RECORD)
    records["tokens"] = 50 + np.arange(rows) % max(1, longest - 49)
    records["state"] = USED
    settings = PlanSettings(capacity=100, packs_per_step=10, seed=0, window=window)
    return StepPlan(KnownMeasures(records), mix([rows], weights=[1.0], limits=[None], seed=0), settings)


def pace(plan: StepPlan, *, length: str = "1 epoch", warmup: str = "0 steps") -> Pace:
    saved = Length.parse("100 steps")
    return pace_of(
        plan, length=Length.parse(length), warmup=Length.parse(warmup), save_every=saved, schedule="constant"
    )


@pytest.mark.parametrize(("epochs", "steps"), [("1.1", 11), ("2.2", 22), ("4.1", 41), ("0.7", 7), ("1.15", 12)])
@pytest.mark.parametrize("window", [None, 40], ids=["in memory", "as they come"])
def test_a_length_is_as_many_steps_as_it_is_written(epochs: str, steps: int, window: int | None) -> None:
    assert steps_in(Length.parse(f"{epochs} epochs"), plan_of(200)) == steps
    found = pace(plan_of(200, window=window), length=f"{epochs} epochs")
    assert not found.finished(steps - 1)
    assert found.finished(steps)


@pytest.mark.parametrize(
    "warmup", ["0.03 epochs", "0.1 epochs", "0.25 epochs", "2.3 epochs", "10_000 tokens", "3 steps"]
)
def test_a_warm_up_has_the_same_rungs_in_memory_and_as_rows_come(warmup: str) -> None:
    rises = [pace(plan_of(2_000, window=window), length="3 epochs", warmup=warmup) for window in (None, 40)]
    held, streamed = ([rise.factor(number) for number in range(300)] for rise in rises)
    rungs = held.index(1.0)
    assert held[:rungs] == [(number + 1) / (rungs + 1) for number in range(rungs)]
    assert streamed == held


@pytest.mark.parametrize("warmup", ["0.2 epochs", "20_000 tokens"])
def test_a_warm_up_over_steps_of_different_sizes_rises_as_it_does_in_memory(warmup: str) -> None:
    rises = [pace(plan_of(2_000, window=window, longest=90), warmup=warmup) for window in (None, 40)]
    held, streamed = ([rise.factor(number) for number in range(60)] for rise in rises)
    assert 0 < streamed[0] == min(streamed)
    assert streamed == sorted(streamed)
    assert streamed == pytest.approx(held, abs=0.05)
    assert streamed[0] == pytest.approx(held[0], rel=0.2)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize("length", ["30 steps", "3 epochs", "30_000 tokens"])
@pytest.mark.parametrize("window", [None, 40], ids=["in memory", "as they come"])
def test_a_schedule_ends_at_its_floor_whatever_its_length_is_counted_in(
    schedule: Schedule, length: str, window: int | None
) -> None:
    zero = Length.parse("0 steps")
    lows, highs = (
        pace_of(
            plan_of(200, window=window),
            length=Length.parse(length),
            warmup=zero,
            save_every=Length.parse("100 steps"),
            schedule=schedule,
            floor=floor,
        )
        for floor in (0.2, 0.0)
    )
    assert lows.finished(30)
    assert not lows.finished(29)
    low, high = ([found.factor(number) for number in range(30)] for found in (lows, highs))
    assert low == pytest.approx([0.2 + 0.8 * factor for factor in high])
    assert low[0] == 1
    assert 0.2 < low[-1] < 0.23


@pytest.mark.parametrize("saved", ["100 steps", "0.5 epochs", "500 tokens"])
@pytest.mark.parametrize("warmup", ["0 steps", "0.5 epochs", "300 tokens", "1 epoch"])
def test_a_stage_asks_for_no_row_that_it_does_not_learn(saved: str, warmup: str) -> None:
    plan = plan_of(200, window=8)
    plan.mixture = mix([200], weights=[1.0], limits=[24], seed=0)
    asked: set[int] = set()
    plan._watch = lambda rows, _records: asked.update(rows.tolist())
    every = Length.parse(saved)
    found = pace_of(
        plan, length=Length.parse("1 epoch"), warmup=Length.parse(warmup), save_every=every, schedule="cosine"
    )
    learnt: set[int] = set()
    done = 0
    while not found.finished(done):
        learnt.update(row for pack in plan.step(done).packs for row in pack)
        assert found.factor(done) > 0
        done += 1
        found.saves(done)
        assert found.total(done) >= done
    assert len(learnt) == 24
    assert asked == learnt
