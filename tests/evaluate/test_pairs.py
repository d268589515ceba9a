"""Two results on the same questions: tests that mislead 5 times in 100, and intervals that agree with them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.evaluate.certainty.flips import sign_flips, sign_flips_with_interval
from triptych.evaluate.certainty.pairs import compare_scores, compare_values, holm, mcnemar

SCORES = st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0]))


def discordant(better: int, worse: int, same: int = 0) -> tuple[list[float], list[float]]:
    return [1.0] * better + [0.0] * worse + [1.0] * same, [0.0] * better + [1.0] * worse + [1.0] * same


@pytest.mark.parametrize(
    ("better", "worse", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (6, 0, 0.03125), (9, 1, 0.021484375), (5, 5, 1.0), (15, 5, 0.0413894653)],
)
def test_mcnemars_p_is_the_binomial_one(better: int, worse: int, p: float) -> None:
    found = compare_scores(*discordant(better, worse, 30))
    assert (found.test, found.first_better, found.second_better) == ("mcnemar", better, worse)
    assert found.p == pytest.approx(p)


@pytest.mark.parametrize(("better", "worse"), [(6, 0), (9, 2), (3, 4), (1, 1)])
def test_flipping_signs_of_single_questions_is_mcnemars_test(better: int, worse: int) -> None:
    differences = np.array([1.0] * better + [-1.0] * worse + [0.0] * 7)
    assert sign_flips(differences, seed=0) == pytest.approx(mcnemar(differences))


def test_flipping_many_signs_at_random_comes_near_mcnemars_test() -> None:
    differences = np.array([1.0] * 40 + [-1.0] * 24)
    assert sign_flips(differences, seed=0) == pytest.approx(mcnemar(differences), abs=0.01)


def test_the_interval_is_the_one_of_bonett_and_price() -> None:
    found = compare_scores(*discordant(20, 5, 75))
    half = 1.959964 * np.sqrt((21 / 102 + 6 / 102 - (15 / 102) ** 2) / 102)
    assert (found.low, found.high) == pytest.approx((15 / 102 - half, 15 / 102 + half))
    assert found.difference == pytest.approx(0.15)


@given(
    st.lists(st.one_of(SCORES, st.tuples(st.floats(0, 1), st.floats(0, 1))), min_size=1, max_size=40),
    st.sampled_from([1, 2, 3, 6]),
    st.sampled_from([0, 2, 5]),
)
def test_interval_and_test_never_contradict_each_other(
    pairs: list[tuple[float, float]], size: int, groups: int
) -> None:
    clusters = [number // size for number in range(len(pairs))] if size > 1 else None
    strata = [number % 7 % groups for number in range(len(pairs))] if groups else None
    found = compare_scores(*zip(*pairs, strict=True), clusters=clusters, strata=strata)
    assert found.low - 1e-9 <= found.difference <= found.high + 1e-9
    assert (found.p < 0.05) is not (found.low <= 0 <= found.high)
    assert 0 < found.p <= 1


@given(st.lists(SCORES, min_size=2, max_size=30), st.sampled_from([1, 3]))
def test_interval_and_test_of_a_statistic_never_contradict_each_other(
    pairs: list[tuple[float, float]], size: int
) -> None:
    def root(marks: Sequence[tuple[int, float]]) -> float:
        return math.sqrt(np.mean([score for _, score in marks]))

    first, second = zip(*pairs, strict=True)
    clusters = [number // size for number in range(len(pairs))]
    found = compare_values(first, second, value=root, clusters=clusters, resamples=60, least=0.0)
    assert (found.p < 0.05) is not (found.low <= 0 <= found.high)
    assert found.low <= found.difference <= found.high


def test_the_interval_is_what_the_flips_do_not_refuse() -> None:
    rng = np.random.default_rng(7)
    weights = rng.uniform(1, 3, 9)
    weights /= weights.sum()
    parts = weights * rng.normal(0.3, 0.3, 9)
    p, low, high = sign_flips_with_interval(parts, weights, seed=0)
    assert p == sign_flips(parts, seed=0) < 0.05
    for end, outside in ((low, -1e-6), (high, 1e-6)):
        assert sign_flips(parts - (end - outside) * weights, seed=0) >= 0.05
        assert sign_flips(parts - (end + outside) * weights, seed=0) < 0.05
    many, each = rng.normal(0.1, 0.3, 400) / 400, np.full(400, 1 / 400)
    p, low, high = sign_flips_with_interval(many, each, seed=0)
    half = 1.96 * 20 * many.std()
    assert (low, high) == pytest.approx((many.sum() - half, many.sum() + half), abs=0.003)
    assert p == pytest.approx(sign_flips(many, seed=1), abs=0.005)


def test_eight_stories_that_all_say_the_same_are_evidence_and_their_interval_says_so() -> None:
    stories = np.repeat(np.arange(8), 10)
    right = np.concatenate([[1.0] * count + [0.0] * (10 - count) for count in (1, 1, 2, 2, 2, 3, 4, 10)])
    found = compare_scores(right.tolist(), [0.0] * 80, clusters=stories.tolist())
    assert found.p == pytest.approx(2 / 256)
    assert 0 < found.low < found.difference < found.high


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=12))
def test_who_comes_first_does_not_matter(pairs: list[tuple[float, float]]) -> None:
    first, second = map(list, zip(*pairs, strict=True))
    one, other = compare_scores(first, second), compare_scores(second, first)
    assert one.p == pytest.approx(other.p)
    assert one.difference == pytest.approx(-other.difference)
    assert one.needed == other.needed


def test_the_same_replies_are_no_evidence_and_no_certainty() -> None:
    found = compare_scores([1.0, 0.0] * 50, [1.0, 0.0] * 50)
    assert (found.difference, found.p, found.needed, found.detects) == (0.0, 1.0, None, None)
    assert found.low < 0 < found.high


def test_questions_that_share_images_are_less_evidence() -> None:
    first, second = discordant(12, 2)
    apart = compare_scores(first, second)
    together = compare_scores(first, second, clusters=[number // 4 for number in range(14)])
    assert apart.p < 0.05 < together.p
    assert together.test == "sign flips"
    assert together.high - together.low > apart.high - apart.low


def test_a_macro_difference_weighs_groups_alike() -> None:
    first, second = [1.0] * 20 + [0.0] * 4, [1.0] * 20 + [1.0] * 4
    found = compare_scores(first, second, strata=["large"] * 20 + ["small"] * 4)
    assert (found.first, found.second) == pytest.approx((0.5, 1.0))
    assert found.difference == pytest.approx(-0.5)


def test_a_test_misleads_five_times_in_a_hundred_and_its_interval_as_often() -> None:
    rng = np.random.default_rng(3)
    misled, held = 0, 0
    for seed in range(200):
        clusters = np.repeat(np.arange(25), rng.integers(1, 6, 25))
        shift = rng.normal(0, 0.2, 25)[clusters]
        first = rng.uniform(0.3, 0.7, len(clusters))
        found = compare_scores(first.tolist(), (first + shift).tolist(), clusters=clusters.tolist(), seed=seed)
        misled += found.p < 0.05
        held += found.low <= 0 <= found.high
    assert misled <= 20
    assert held >= 180


@pytest.mark.parametrize(
    ("sizes", "first", "second"),
    [
        ((4, 60, 60), (1.0, 0.6, 0.6), (0.7, 0.75, 0.75)),
        ((2, 2, 60, 60), (1.0, 1.0, 0.6, 0.6), (0.7, 0.7, 0.9, 0.9)),
        ((1, 60, 60), (1.0, 0.6, 0.6), (0.7, 0.75, 0.75)),
        ((60,) * 8, (0.6,) * 8, (0.6,) * 8),
    ],
)
def test_a_mean_over_groups_is_not_misled_by_a_tiny_group_without_an_error(
    sizes: tuple[int, ...], first: tuple[float, ...], second: tuple[float, ...]
) -> None:
    """There is no true difference; flips of signs misled in 14 to 48 of 100 draws of the first three."""
    rng = np.random.default_rng(8)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    misled = 0
    for _ in range(200):
        one, other = ((rng.random(len(groups)) < np.array(each)[groups]) * 1.0 for each in (first, second))
        found = compare_scores(one.tolist(), other.tolist(), strata=groups.tolist())
        assert found.test == "t"
        misled += found.p < 0.05
    assert misled <= 17


def test_a_mean_over_large_groups_sees_what_a_test_of_independent_questions_sees() -> None:
    rng = np.random.default_rng(9)
    groups, seen = np.repeat(np.arange(10), 100), []
    for _ in range(100):
        drawn = rng.random(1000)
        one, other = (drawn < 0.68) * 1.0, (np.where(rng.random(1000) < 0.7, drawn, rng.random(1000)) < 0.62) * 1.0
        pair = one.tolist(), other.tolist()
        seen.append([compare_scores(*pair, strata=strata).p < 0.05 for strata in (groups.tolist(), None)])
    grouped, whole = np.mean(seen, axis=0)
    assert grouped == pytest.approx(whole, abs=0.05)
    assert grouped > 0.5


def test_as_many_questions_as_are_needed_see_the_difference_four_times_in_five() -> None:
    rng = np.random.default_rng(4)
    asked = compare_scores(*discordant(14, 8, 78))
    assert asked.p > 0.05
    assert asked.needed is not None
    assert 400 < asked.needed < 600
    drawn = rng.multinomial(asked.needed, [0.14, 0.08, 0.78], 500)
    seen = [mcnemar(np.array([1.0] * better + [-1.0] * worse)) < 0.05 for better, worse, _ in drawn]
    assert np.mean(seen) == pytest.approx(0.8, abs=0.06)


def test_ranks_are_compared_by_swapping() -> None:
    rng = np.random.default_rng(6)
    truth = rng.uniform(size=60)
    close, loose = truth + rng.normal(0, 0.05, 60), truth + rng.normal(0, 1.0, 60)

    def agreement(marks: Sequence[tuple[int, float]]) -> float:
        at, said = zip(*marks, strict=True)
        return float(np.corrcoef(truth[list(at)], said)[0, 1])

    better = compare_values(close.tolist(), loose.tolist(), value=agreement, resamples=200)
    assert better.p < 0.05
    assert better.low > 0
    same = compare_values(close.tolist(), close.tolist(), value=agreement, resamples=50)
    assert (same.p, same.difference) == (1.0, 0.0)


def test_holm_corrects_the_smallest_most() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_order_and_never_helps(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(after >= before and after <= 1 for before, after in zip(p_values, corrected, strict=True))
    ordered = sorted(range(len(p_values)), key=lambda at: p_values[at])
    assert [corrected[at] for at in ordered] == sorted(corrected)


def test_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="pairs of scores"):
        compare_scores([], [])
    with pytest.raises(ValueError, match="2 and 1"):
        compare_scores([0.0, 1.0], [1.0])


@pytest.mark.parametrize(("one", "other"), [(0.5, 0.9), (0.3, 0.6), (0.2, 0.4), (0.1, 0.2)])
def test_a_difference_that_is_the_same_of_every_question_is_not_certain(one: float, other: float) -> None:
    found = compare_scores([one] * 14, [other] * 14)
    far = 0.1 * (other - one)
    assert found.low < found.difference - far < found.difference + far < found.high < 0  # as p says
    assert found.p < 0.05


def test_two_results_that_are_alike_in_a_statistic_are_not_certainly_alike() -> None:
    def share(marks: Sequence[tuple[int, float]]) -> float:
        return float(np.mean([score for _, score in marks]))

    found = compare_values([1.0] * 30, [1.0] * 30, value=share, resamples=50, least=0.0)
    assert found.low < -0.05 < 0.05 < found.high
    alone = compare_values([1.0] * 3, [1.0] * 3, value=share, clusters=["a"] * 3, resamples=50, least=0.0)
    assert (alone.low, alone.high) == (-1.0, 1.0)
