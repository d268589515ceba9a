"""Intervals against published and computed values; the baselines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.evaluate.statistics import interval, majority, summarise, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, Statistics in Medicine 17, Table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_the_published_one(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_scores_of_zero_and_one_get_wilsons_interval() -> None:
    scores = [1.0] * 81 + [0.0] * 182
    assert interval(scores) == wilson(81, 263)


def test_other_scores_get_an_interval_near_the_normal_one() -> None:
    scores = np.random.default_rng(3).beta(2, 3, size=400)
    half = 1.96 * scores.std() / np.sqrt(len(scores))
    assert interval(list(scores)) == pytest.approx((scores.mean() - half, scores.mean() + half), abs=0.004)


def test_the_bootstrap_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    scores = [0.1, 0.5, 0.25, 0.9, 0.4, 0.75]
    assert interval(scores, seed=1) == interval(scores, seed=1)
    assert interval(scores, seed=1) != interval(scores, seed=2)


def test_questions_of_one_story_that_agree_count_as_one() -> None:
    stories = [story for story in range(40) for _ in range(5)]
    scores = [float(story % 2) for story in stories]
    together, apart = interval(scores, clusters=stories), interval(scores)
    alone = wilson(20, 40)
    assert together.high - together.low > 2 * (apart.high - apart.low)
    assert together == pytest.approx(alone, abs=0.03)


def test_stories_of_one_question_each_change_nothing() -> None:
    scores = [1.0, 0.0, 1.0, 1.0]
    assert interval(scores, clusters=["a", "b", "c", "d"]) == interval(scores)


def test_scores_that_are_all_equal_are_not_certain() -> None:
    low, high = interval([0.0] * 30, clusters=[number // 3 for number in range(30)])
    assert (low, high) == wilson(0, 10)


def test_an_empty_group_says_that_it_knows_nothing() -> None:
    nothing = summarise([], chances=[])
    assert (nothing.n, nothing.low, nothing.high) == (0, 0.0, 1.0)


def test_an_interval_of_no_scores_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        interval([])


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3)), min_size=1, max_size=30))
def test_the_interval_holds_the_score(items: list[tuple[float, int]]) -> None:
    scores = [score for score, _ in items]
    found = summarise(scores, chances=[0.5] * len(items), clusters=[story for _, story in items])
    assert 0 <= found.low <= found.score <= found.high <= 1 + 1e-9
    assert found.chance == 0.5


def test_the_majority_answers_each_kind_by_its_most_frequent_reference() -> None:
    labelled = [("count", "1"), ("count", "1"), ("count", "2"), ("same", "yes"), ("same", "no")]
    assert majority(labelled) == pytest.approx(3 / 5)


def test_the_majority_of_no_questions_is_zero() -> None:
    assert majority([]) == 0.0
