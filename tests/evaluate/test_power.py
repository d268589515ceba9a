"""The smallest difference that is seen is seen four times in five, and less where questions share images."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.evaluate.certainty.power import design_of, detectable, numbered, share_needed, standard_error
from triptych.evaluate.certainty.statistics import summarise


def test_the_standard_error_is_the_textbook_one() -> None:
    values = np.array([0.1, 0.4, 0.35, 0.8])
    assert standard_error(values, design_of(4)) == pytest.approx(values.std(ddof=1) / 2)


def test_questions_that_agree_count_once() -> None:
    values = np.repeat([0.1, 0.4, 0.35, 0.8], 5)
    clusters = np.repeat(np.arange(4), 5).tolist()
    assert standard_error(values, design_of(20, clusters=clusters)) == pytest.approx(
        standard_error(values[::5], design_of(4))
    )


def test_one_cluster_tells_nothing() -> None:
    design = design_of(3, clusters=["a"] * 3)
    assert standard_error(np.array([0.0, 1.0, 1.0]), design) == math.inf
    assert detectable(np.array([0.0, 1.0, 1.0]), design) == (1.0, 1.0)


@pytest.mark.parametrize(("share", "count"), [(0.5, 352), (0.8, 200), (0.95, 100), (0.2, 100)])
def test_the_difference_that_is_said_to_be_seen_is_seen_four_times_in_five(share: float, count: int) -> None:
    rng = np.random.default_rng(1)
    right = round(share * count)
    seen, _ = detectable(np.array([1.0] * right + [0.0] * (count - right)), design_of(count))
    other = share + seen if share < 0.5 else share - seen
    first, second = rng.binomial(count, share, 4000) / count, rng.binomial(count, other, 4000) / count
    middle = (first + second) / 2
    found = np.abs(first - second) > 1.96 * np.sqrt(2 * middle * (1 - middle) / count)
    assert found.mean() == pytest.approx(0.8, abs=0.05)


def test_the_217_items_of_a_benchmark_do_not_see_a_tenth_of_a_point() -> None:
    found = summarise([1.0] * 109 + [0.0] * 108, chances=[0.5] * 217)
    assert found.detects == pytest.approx(0.133, abs=0.002)
    assert found.detects_paired == pytest.approx(0.094, abs=0.002)


def test_all_right_is_not_told_to_see_everything() -> None:
    unpaired, paired = detectable(np.ones(100), design_of(100))
    assert 0.04 < paired < unpaired < 0.12
    few, _ = detectable(np.ones(100), design_of(100, clusters=[number // 10 for number in range(100)]))
    assert few > unpaired


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 5), st.integers(0, 2)), min_size=1))
def test_what_is_seen_is_a_difference_that_can_be(items: list[tuple[float, int, int]]) -> None:
    design = design_of(len(items), clusters=[it[1] for it in items], strata=[it[2] for it in items])
    unpaired, paired = detectable(np.array([it[0] for it in items]), design)
    assert 0 < paired <= unpaired <= 1


@given(st.lists(st.integers(0, 4), min_size=1), st.lists(st.integers(0, 4), min_size=1))
def test_weights_of_questions_add_up_to_one(strata: list[int], clusters: list[int]) -> None:
    count = min(len(strata), len(clusters))
    design = design_of(count, strata=strata[:count], clusters=clusters[:count])
    assert design.weights.sum() == pytest.approx(1)
    assert all(1 <= free <= max(1, design.clusters) for free in design.freedom_of_block)


def test_labels_are_numbered_as_they_come() -> None:
    assert numbered(["b", "a", "b", "c"]).tolist() == [0, 1, 0, 2]


def test_four_times_the_questions_see_half_the_difference() -> None:
    once = share_needed(0.1, error=0.05, error_at_zero=0.05)
    half = share_needed(0.05, error=0.05, error_at_zero=0.05)
    assert once is not None
    assert half == pytest.approx(4 * once)
    assert share_needed(0.0, error=0.05, error_at_zero=0.05) is None
