"""How hard an endpoint may be asked: with a clock that is turned by hand and waiting that takes no time."""

from __future__ import annotations

import asyncio
from collections import deque
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.infer.endpoint.limits import LONGEST_WAIT_S, Budget, Cost, Gate, Pace, wait_s


def test_waits_double_and_end_at_the_longest() -> None:
    waits = [wait_s(attempt, Random(attempt)) for attempt in range(1, 12)]
    for number, wait in enumerate(waits):
        assert min(60.0, 2.0**number) / 2 <= wait <= min(LONGEST_WAIT_S, 2.0**number)
    assert len({wait_s(3, Random(seed)) for seed in range(20)}) == 20
    asked = [wait_s(1, Random(seed), asked_s=30.0) for seed in range(20)]
    assert all(30.0 <= wait <= 33.0 for wait in asked)
    assert len(set(asked)) == 20
    assert LONGEST_WAIT_S <= wait_s(1, Random(0), asked_s=86_400.0) <= 1.1 * LONGEST_WAIT_S


def test_the_gate_grows_by_one_for_each_good_reply_until_the_first_trouble() -> None:
    async def run() -> list[float]:
        gate = Gate(20, first=4)
        limits = []
        for overrun in (False, None, False, True, False, False, False, False, *([False] * 400)):
            await gate.leave(await gate.enter(), overrun=overrun)
            limits.append(gate.limit)
        return limits

    limits = asyncio.run(run())
    assert limits[:4] == [5.0, 5.0, 6.0, 3.0]
    assert limits[4] == pytest.approx(3 + 1 / 3)
    assert limits[-1] == 20.0


def test_many_troubles_of_one_round_halve_once() -> None:
    async def run() -> tuple[float, float]:
        gate = Gate(16, first=16)
        inside = [await gate.enter() for _ in range(16)]
        for entered in inside:
            await gate.leave(entered, overrun=True)
        once = gate.limit
        for _ in range(20):
            await gate.leave(await gate.enter(), overrun=True)
        return once, gate.limit

    assert asyncio.run(run()) == (8.0, 1.0)


def test_nobody_enters_a_full_gate_before_another_leaves() -> None:
    async def run() -> int:
        gate = Gate(3, first=3)
        most = 0

        async def pass_through() -> None:
            nonlocal most
            entered = await gate.enter()
            most = max(most, gate.inside)
            await asyncio.sleep(0)
            await gate.leave(entered, overrun=None)

        await asyncio.gather(*(pass_through() for _ in range(30)))
        assert gate.inside == 0
        return most

    assert asyncio.run(run()) == 3


@given(st.integers(1, 7), st.lists(st.floats(0, 30), min_size=1, max_size=30))
def test_no_minute_holds_more_than_so_many(per_minute: int, pauses_s: list[float]) -> None:
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def run() -> list[float]:
        pace = Pace(per_minute, clock=lambda: now, sleep=sleep)
        begun = []
        for pause in pauses_s:
            await sleep(pause)
            await pace.wait()
            begun.append(now)
        return begun

    begun = asyncio.run(run())
    for first, later in zip(begun, begun[per_minute:], strict=False):
        assert later - first >= 60.0 - 1e-6


def test_a_budget_counts_what_is_spent_and_keeps_what_is_set_aside() -> None:
    budget = Budget(tokens=1000, usd=None, price_in=1.0, price_out=4.0)
    guess = Cost(300, 100)
    assert budget.set_aside(Cost(0, 0)) is None
    assert budget.set_aside(guess) is not None, "nothing is known yet"
    budget.book(Cost(0, 0), Cost(0, 0))
    assert budget.set_aside(guess) is None
    assert budget.set_aside(guess) is None
    assert "1000 tokens" in (budget.set_aside(guess) or "")
    budget.book(guess, Cost(100, 50))
    assert budget.spent == {"tokens": 150.0, "dollars": pytest.approx(300e-6)}
    assert budget.set_aside(guess) is None
    budget.book(guess, None)
    budget.book(guess, Cost(700, 0))
    assert budget.aside == []
    assert budget.set_aside(guess) is not None


def test_a_budget_in_dollars_knows_both_prices() -> None:
    budget = Budget(tokens=None, usd=0.01, price_in=2.0, price_out=10.0)
    assert budget.set_aside(Cost(1000, 700)) is None
    budget.book(Cost(1000, 700), Cost(1000, 700))
    assert "0.01 dollars" in (budget.set_aside(Cost(1000, 0)) or "")


@given(
    st.integers(1, 50_000),
    st.lists(st.tuples(st.integers(1, 500), st.integers(1, 40), st.integers(1, 12)), min_size=1, max_size=40),
    st.floats(0.1, 30),
    st.integers(1, 8),
)
def test_guesses_that_fall_short_alike_never_overdraw_a_budget(
    most: int, questions: list[tuple[int, int, int]], short: float, at_once: int
) -> None:
    """Every question costs ``short`` times its guess; only the first, which goes alone, may cost more than is there."""
    budget = Budget(tokens=most, usd=None, price_in=0, price_out=0)
    flying: list[tuple[Cost, Cost]] = []
    first = None
    for tokens_in, tokens_out, _ in questions:
        guess = Cost(tokens_in, tokens_out)
        while budget.set_aside(guess) is not None:
            if not flying:
                break
            budget.book(*flying.pop(0))
        else:
            flying.append((guess, Cost(int(tokens_in * short), tokens_out)))
            first = first or flying[-1][1]
            if len(flying) >= at_once:
                budget.book(*flying.pop(0))
    for each in flying:
        budget.book(*each)
    alone = 0 if first is None else first.tokens_in + first.tokens_out
    assert budget.spent["tokens"] <= max(most, alone)


def test_a_minute_is_one_minute_over_several_askings() -> None:
    now, begun = 0.0, deque[float]()

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def ask(times: int) -> None:
        pace = Pace(5, clock=lambda: now, sleep=sleep, begun=begun)
        for _ in range(times):
            await pace.wait()

    asyncio.run(ask(5))
    assert now == 0.0
    asyncio.run(ask(1))
    assert now == 60.0
