"""Mixtures: nobody is left out for ever, nobody comes too often, and every share is as it was said."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.core.errors import ConfigError
from triptych.data.plan.mixture import Mixture, mantis_sizes, mix, tempered_sizes

sizes = st.lists(st.integers(0, 40), min_size=1, max_size=4)
seeds = st.integers(0, 2**32)


def mixed(rows: list[int], weights: list[float], *, limits: list[int | None] | None = None, seed: int = 0) -> Mixture:
    return mix(rows, weights=weights, limits=limits or [None] * len(rows), seed=seed)


@given(sizes, seeds, st.integers(0, 5))
def test_every_row_of_a_weight_one_source_comes_exactly_once_an_epoch(rows: list[int], seed: int, epoch: int) -> None:
    assert mixed(rows, [1.0] * len(rows), seed=seed).epoch(epoch).tolist() == list(range(sum(rows)))


@given(st.integers(1, 40), seeds)
def test_a_weight_of_a_half_has_a_half_and_then_the_other(rows: int, seed: int) -> None:
    mixture = mixed([rows], [0.5], seed=seed)
    first, second = set(mixture.epoch(0).tolist()), set(mixture.epoch(1).tolist())
    assert not first & second
    assert first | second == set(range(rows))
    assert abs(len(first) - len(second)) <= 1


def test_the_half_is_no_fixed_prefix() -> None:
    halves = {frozenset(mixed([20], [0.5], seed=seed).epoch(0).tolist()) for seed in range(5)}
    assert len(halves) == 5
    assert frozenset(range(10)) not in halves
    mixture = mixed([20], [0.5])
    assert len({frozenset(mixture.epoch(epoch).tolist()) for epoch in range(0, 8, 2)}) == 4


@given(st.integers(2, 40), seeds)
def test_a_weight_of_two_and_a_half_has_all_twice_and_a_half(rows: int, seed: int) -> None:
    mixture = mixed([rows], [2.5], seed=seed)
    first, second = (Counter(mixture.epoch(epoch).tolist()) for epoch in range(2))
    assert set(first) == set(range(rows))
    assert set(first.values()) <= {2, 3}
    assert all((first + second)[row] == 5 for row in range(rows))


@given(sizes, st.floats(0.01, 3, allow_nan=False), seeds)
def test_in_the_long_run_every_row_comes_as_often_as_its_weight_says(rows: list[int], weight: float, seed: int) -> None:
    mixture = mixed(rows, [weight] * len(rows), seed=seed)
    seen = Counter(row for epoch in range(10) for row in mixture.epoch(epoch).tolist())
    turns = 10 * Fraction(repr(weight))
    assert all(int(turns) <= seen[row] <= int(turns) + 1 for row in range(sum(rows)))
    assert sum(seen.values()) == sum(mixture.size(epoch) for epoch in range(10))


def test_a_tenth_is_a_tenth_and_ten_epochs_are_all() -> None:
    mixture = mixed([10], [0.1])
    assert [mixture.size(epoch) for epoch in range(10)] == [1] * 10
    assert {int(mixture.epoch(epoch)[0]) for epoch in range(10)} == set(range(10))


def test_a_limit_takes_other_rows_each_epoch_until_all_were_had() -> None:
    mixture = mixed([30, 5], [1.0, 1.0], limits=[10, 10])
    epochs = [set(mixture.epoch(epoch).tolist()) for epoch in range(3)]
    assert [len(rows & set(range(30))) for rows in epochs] == [10, 10, 10]
    assert set(range(30)) < epochs[0] | epochs[1] | epochs[2]
    assert all(set(range(30, 35)) <= rows for rows in epochs)


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=6), st.floats(1, 10))
def test_a_temperature_keeps_the_order_of_sizes_and_their_sum(rows: list[int], temperature: float) -> None:
    tempered = tempered_sizes(rows, temperature)
    assert abs(sum(tempered) - sum(rows)) <= len(rows)
    pairs = sorted(zip(rows, tempered, strict=True))
    assert [size for _, size in pairs] == sorted(tempered)
    assert tempered_sizes(rows, 1) == rows


def test_the_square_root_is_the_temperature_two() -> None:
    assert tempered_sizes([100, 400], 2) == [167, 333]
    portions = mix([100, 400], weights=[1, 1], limits=[None, None], balance="sqrt", seed=0).portions
    assert [int(portion.an_epoch) for portion in portions] == [167, 333]


def test_balancing_repeats_small_sources_and_thins_large_ones() -> None:
    mixture = mix([4, 10_000], weights=[1, 1], limits=[None, None], balance=1000.0, seed=0)
    counts = Counter(mixture.epoch(0).tolist())
    assert set(range(4)) <= set(counts)
    assert min(counts[row] for row in range(4)) > 1000
    assert max(counts[row] for row in range(4, 10_000)) == 1


def test_mantis_sizes_are_those_of_its_trainer() -> None:
    """Published sizes of Mantis-Instruct's parts, as its shipped mixture limits them; and what became of them there."""
    sizes = {
        "llava_665k_multi": 312_611, "lrv_multi": 8_453, "coinstruct": 100_000, "dreamsim": 15_941,
        "spot-the-diff": 8_007, "birds-to-words": 2_649, "nlvr2": 86_373, "iconqa": 64_462,
        "contrastive_caption": 35_984, "imagecode": 16_594, "multi_vqa": 4_993, "nextqa": 3_870, "star": 3_032,
        "visual_story_telling": 6_661, "dvqa": 30_000, "docvqa": 39_463, "chartqa": 28_299,
    }  # fmt: skip
    balanced = dict(zip(sizes, mantis_sizes(list(sizes.values())), strict=True))
    assert sum(sizes.values()) == pytest.approx(767_392, rel=1e-3)
    assert sum(balanced.values()) == pytest.approx(844_121, rel=1e-3)
    times = {name: balanced[name] / size for name, size in sizes.items()}
    published = {
        "birds-to-words": 5.63,
        "star": 5.27,
        "nextqa": 4.66,
        "multi_vqa": 4.10,
        "chartqa": 1.72,
        "nlvr2": 0.99,
    }
    assert times == pytest.approx(times | published, abs=0.02)
    assert times["llava_665k_multi"] == pytest.approx(0.52, abs=0.01)


@pytest.mark.parametrize("balance", ["root", 0.5])
def test_another_balancing_is_refused(balance: str | float) -> None:
    with pytest.raises(ConfigError):
        mix([1], weights=[1], limits=[None], balance=balance, seed=0)
