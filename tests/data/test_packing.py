"""Packing: nobody is lost, split or kept waiting, and rows are full."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.data.plan.packing import WINDOW, Packer

CAPACITY = 64

many_lengths = st.lists(st.integers(1, CAPACITY), max_size=120)
windows = st.integers(1, 40)


def pack(lengths: Sequence[int], *, capacity: int, window: int = WINDOW) -> list[list[int]]:
    """Return the packs of conversations that arrive all at once."""
    packer = Packer(capacity=capacity, window=window)
    return [*packer.add(lengths), *packer.finish()]


def long_tailed(count: int, *, seed: int, capacity: int) -> list[int]:
    """Return lengths as instruction data has them: many short ones, a few of many images."""
    random = Random(seed)
    return [min(capacity, max(8, round(random.lognormvariate(5.2, 0.9)))) for _ in range(count)]


def fullness(packs: list[list[int]], lengths: list[int], capacity: int) -> float:
    return sum(lengths) / (len(packs) * capacity)


@given(many_lengths, windows)
def test_packing_has_every_example_exactly_once(lengths: list[int], window: int) -> None:
    packs = pack(lengths, capacity=CAPACITY, window=window)
    assert sorted(index for one in packs for index in one) == list(range(len(lengths)))


@given(many_lengths, windows)
def test_no_pack_is_above_capacity_or_empty(lengths: list[int], window: int) -> None:
    packs = pack(lengths, capacity=CAPACITY, window=window)
    assert all(0 < sum(lengths[index] for index in one) <= CAPACITY for one in packs)


@given(many_lengths, windows)
def test_packing_the_same_lengths_gives_the_same_packs(lengths: list[int], window: int) -> None:
    assert pack(lengths, capacity=CAPACITY, window=window) == pack(tuple(lengths), capacity=CAPACITY, window=window)


@given(many_lengths, windows)
def test_each_pack_has_the_oldest_that_waits_and_nobody_from_beyond_the_window(lengths: list[int], window: int) -> None:
    waiting = list(range(len(lengths)))
    for one in pack(lengths, capacity=CAPACITY, window=window):
        assert one[0] == waiting[0]
        assert set(one) <= set(waiting[:window])
        assert one == sorted(one)
        waiting = [index for index in waiting if index not in one]


@given(many_lengths, windows)
def test_a_pack_leaves_out_nobody_of_its_window_who_would_fit(lengths: list[int], window: int) -> None:
    waiting = list(range(len(lengths)))
    for one in pack(lengths, capacity=CAPACITY, window=window):
        room = CAPACITY - sum(lengths[index] for index in one)
        left = [index for index in waiting[:window] if index not in one]
        assert all(lengths[index] > room for index in left)
        waiting = [index for index in waiting if index not in one]


def test_the_longest_that_fits_goes_first() -> None:
    assert pack([50, 3, 14, 10, 4], capacity=64) == [[0, 2], [1, 3, 4]]


def test_a_window_of_one_keeps_the_order() -> None:
    packs = pack([30, 30, 30, 4, 60], capacity=64, window=1)
    assert [index for one in packs for index in one] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("capacity", [2048, 8192])
def test_packs_of_a_long_tailed_mix_are_995_thousandths_full(seed: int, capacity: int) -> None:
    lengths = long_tailed(10_000, seed=seed, capacity=capacity)
    assert fullness(pack(lengths, capacity=capacity), lengths, capacity) > 0.995


@pytest.mark.parametrize("seed", range(5))
def test_packs_of_short_rows_are_95_percent_full(seed: int) -> None:
    random = Random(seed)
    lengths = [random.randint(20, 120) for _ in range(2_000)]
    assert fullness(pack(lengths, capacity=256), lengths, 256) > 0.95


def test_nothing_makes_no_packs() -> None:
    assert pack([], capacity=CAPACITY) == []
