"""Is one result better than another on the same questions? Exact tests and intervals over pairs of scores.

Not where pairs come from (``compare.py``). Test and interval never contradict each other: the interval holds zero
exactly where p is 5% or more.

    0 or 1, independent   McNemar's exact test, and the interval of Bonett & Price (2012), made to hold zero where the
                          test sees nothing.
    any other mean        The same test in general, which flips the sign of each cluster's difference (Fisher 1935); the
                          interval is what it does not refuse (``flips.py``). Of fewer than 6 clusters, Student's.
    a mean over groups    Student's t: flips cannot see that a small group's questions happen to be all alike.
    no mean at all        Swaps of the two results' scores, cluster by cluster, and a bootstrap over clusters.

``tests/evaluate/test_pairs.py`` simulates how often they mislead. Several at once: Holm (1979).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from triptych.evaluate.certainty.flips import LEAST_CLUSTERS, sign_flips, sign_flips_with_interval
from triptych.evaluate.certainty.power import (
    ALPHA,
    Design,
    Floats,
    contributions,
    design_of,
    detectable_pair,
    difference_error,
    freedom,
    share_needed,
)
from triptych.evaluate.certainty.statistics import Interval, percentiles, resampled_values

_Z = float(stats.norm.ppf(1 - ALPHA / 2))

Value = Callable[[Sequence[tuple[int, float]]], float]
"""((position of a question, its score), ...) -> the statistic of these questions, -1 to 1."""


Test = Literal["mcnemar", "sign flips", "t", "swaps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """The difference of two results on the same questions, first less second."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    """The difference's 95% interval."""
    p: float
    """p-value of the two-sided test that there is no difference."""
    test: Test
    n: int
    """Pairs."""
    clusters: int
    """Independent clusters of pairs."""
    first_better: int
    second_better: int
    """Pairs in which the first, or the second, scored more."""
    detects: float | None
    """Smallest true difference that so many questions see, as often as these two disagree; None: they never do, or it
    is not worked out."""
    needed: int | None
    """About how many questions see a difference as large as this one; None: there is none, or not worked out."""


def compare_scores(
    first: Sequence[float],
    second: Sequence[float],
    *,
    clusters: Sequence[Hashable] | None = None,
    strata: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> Paired:
    """Return how the (macro) means of two results differ.

    Args:
        first: scores, one a question.
        second: of the same questions in the same order.
        clusters: what each question shares with others; None: all are independent.
        strata: the group of each question, for macro means.
        seed: of flips and bootstrap.

    Raises:
        ValueError: no pairs, or lengths differ.
    """
    one, other = _arrays(first, second)
    design = design_of(len(one), clusters=clusters, strata=strata)
    differences = np.round(one - other, 12)
    difference = round(design.mean(differences), 12)  # without it, none is 1e-17
    errors = _errors(differences, design)
    test: Test = "sign flips" if design.strata == 1 else "t"
    if test == "t":
        p, found = _student(difference, differences, design)
    elif design.clusters == len(one) and np.isin([one, other], (0.0, 1.0)).all():
        test, p = "mcnemar", mcnemar(differences)
        found = _holding_zero(_adjusted_wald(differences), p)
    else:
        p, found = _flipping(difference, differences, design, seed=seed)
    share = share_needed(difference, error=errors[0], error_at_zero=errors[1])
    low, high = max(-1.0, found.low), min(1.0, found.high)
    return Paired(
        first=design.mean(one),
        second=design.mean(other),
        difference=difference,
        low=min(low, difference),
        high=max(high, difference),
        p=p,
        test=test,
        n=len(one),
        clusters=design.clusters,
        first_better=int((differences > 0).sum()),
        second_better=int((differences < 0).sum()),
        detects=detectable_pair(errors[1]) if differences.any() else None,
        needed=None if share is None else math.ceil(len(one) * share),
    )


def compare_values(
    first: Sequence[float],
    second: Sequence[float],
    *,
    value: Value,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    resamples: int = 1000,
    least: float = -1.0,
) -> Paired:
    """Return how two results differ in a statistic that is no mean, such as a rank correlation.

    The test swaps the two results' scores cluster by cluster; the interval is a bootstrap over clusters. Where one of
    them sees a difference and the other does not, none is taken to be seen: p is then the interval's.

    Args:
        first: scores, one a question.
        second: of the same questions in the same order.
        value: the statistic.
        clusters: what each question shares with others; None: all are independent.
        seed: of swaps and bootstrap.
        resamples: number of swaps, and of bootstrap resamples.
        least: lower end of the statistic's range, -1 or 0; the upper end is 1.

    Raises:
        ValueError: no pairs, or lengths differ.
    """
    one, other = _arrays(first, second)
    design = design_of(len(one), clusters=clusters)

    def value_at(scores: Floats, positions: Sequence[int]) -> float:
        return value([(position, float(scores[position])) for position in positions])

    everywhere = range(len(one))
    both = value_at(one, everywhere), value_at(other, everywhere)
    difference = both[0] - both[1]
    p = _swaps_p(
        one, other, lambda scores: value_at(scores, everywhere), design, difference, seed=seed, swaps=resamples
    )
    drawn = resampled_values(lambda at: value_at(one, at) - value_at(other, at), design, resamples=resamples, seed=seed)
    p, found = _of_statistics(drawn, design, p=p, least=_least_error(one - other, design), most=1 - least)
    low, high = found
    return Paired(
        first=both[0],
        second=both[1],
        difference=difference,
        low=min(low, difference),
        high=max(high, difference),
        p=p,
        test="swaps",
        n=len(one),
        clusters=design.clusters,
        first_better=int((one > other).sum()),
        second_better=int((one < other).sum()),
        detects=None,
        needed=None,
    )


def mcnemar(differences: Floats) -> float:
    """Return the p-value of McNemar's exact test: are as many pairs better as are worse? (McNemar 1947)."""
    better, worse = int((differences > 0).sum()), int((differences < 0).sum())
    return float(stats.binomtest(better, better + worse).pvalue) if better + worse else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for how many there are, so that one of them misleads at most 5 times in 100."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        adjusted[position] = largest
    return adjusted


def _arrays(first: Sequence[float], second: Sequence[float]) -> tuple[Floats, Floats]:
    if not first or len(first) != len(second):
        raise ValueError(f"pairs of scores, please: {len(first)} and {len(second)}")
    return np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)


def _swaps_p(
    one: Floats,
    other: Floats,
    value: Callable[[Floats], float],
    design: Design,
    difference: float,
    *,
    seed: int,
    swaps: int,
) -> float:
    """Return how often the values differ at least as much when the two results swap the scores of random clusters."""
    rng = np.random.default_rng(seed)
    extreme = 0
    for _ in range(swaps):
        flip = rng.integers(0, 2, design.clusters).astype(bool)[design.cluster_ids]
        swapped = value(np.where(flip, other, one)) - value(np.where(flip, one, other))
        extreme += abs(swapped) >= abs(difference) - 1e-12
    return (1 + extreme) / (1 + swaps)


def _adjusted_wald(differences: Floats) -> Interval:
    count = len(differences) + 2
    better = (int((differences > 0).sum()) + 1) / count
    worse = (int((differences < 0).sum()) + 1) / count
    half = _Z * math.sqrt((better + worse - (better - worse) ** 2) / count)
    return Interval(max(-1.0, better - worse - half), min(1.0, better - worse + half))


def _errors(differences: Floats, design: Design) -> tuple[float, float]:
    """Return the standard error of the difference, and what it would be if there were no difference."""
    least = _least_error(differences, design)
    if design.strata > 1:
        error = max(difference_error(differences, design)[0], least)
        return error, error
    parts = (contributions(differences, design, centred=centred) for centred in (True, False))
    error, at_zero = (max(float(np.linalg.norm(each)), least) for each in parts)
    return error, at_zero


def _student(difference: float, differences: Floats, design: Design) -> tuple[float, Interval]:
    """Return p-value and interval of Student's t, with the freedom that the blocks leave."""
    if design.clusters < 2:
        return 1.0, Interval(-1.0, 1.0)
    error, _ = _errors(differences, design)
    by_block = contributions(differences, design) ** 2
    if design.strata == 1:
        free = freedom(np.bincount(design.block_of_cluster, weights=by_block).astype(np.float64), design)
    else:
        _, free = difference_error(differences, design)
    half = float(stats.t.ppf(1 - ALPHA / 2, free)) * error
    return float(2 * stats.t.sf(abs(difference) / error, free)), Interval(difference - half, difference + half)


def _flipping(difference: float, differences: Floats, design: Design, *, seed: int) -> tuple[float, Interval]:
    """Return p-value and interval of sign flips.

    The interval reaches at least as far as the least error does, but not to zero where the test refuses zero.
    """
    parts = contributions(differences, design, centred=False)
    if design.clusters < LEAST_CLUSTERS:
        p = sign_flips(parts, seed=seed)
        return p, _holding_zero(_student(difference, differences, design)[1], p)
    weights = np.bincount(design.cluster_ids, weights=design.weights).astype(np.float64)
    p, low, high = sign_flips_with_interval(parts, weights, seed=seed)
    wide = float(stats.t.ppf(1 - ALPHA / 2, design.clusters - 1))
    far = wide * _least_error(differences, design)
    near = far if p >= ALPHA else wide * _share_least(design) * abs(difference)  # less than all of the difference
    below, above = (near, far) if difference > 0 else (far, near)
    return p, Interval(min(low, difference - below), max(high, difference + above))


def _of_statistics(drawn: Floats, design: Design, *, p: float, least: float, most: float) -> tuple[float, Interval]:
    """Return p-value and interval of the difference of two statistics, which agree.

    Args:
        drawn: the difference's values on resamples.
        design: which questions hang together.
        p: of the test.
        least: standard error that it has at least.
        most: the largest difference there can be.
    """
    if not len(drawn):
        return 1.0, Interval(-most, most)
    error = max(float(drawn.std()) * math.sqrt(design.clusters / (design.clusters - 1)), least)
    free = design.clusters - 1

    def holds_zero(alpha: float) -> bool:
        low, high = percentiles(drawn, error=error, freedom=free, alpha=alpha)
        return low <= 0 <= high

    low, high = percentiles(drawn, error=error, freedom=free)
    if holds_zero(ALPHA):
        p = max(p, _last(holds_zero))
    return p, _holding_zero(Interval(max(-most, low), min(most, high)), p)


def _last(holds: Callable[[float], bool]) -> float:
    """Return the largest level from 5% on that holds, to a thousandth; all below it do."""
    low, high = ALPHA, 1.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _holding_zero(found: Interval, p: float) -> Interval:
    """Return the interval, widened to hold zero where the test sees no difference."""
    return Interval(min(found.low, 0.0), max(found.high, 0.0)) if p >= ALPHA else found


def _least_error(differences: Floats, design: Design) -> float:
    """Return the least standard error of a difference.

    Where nothing differs there still is a question that might have, on each side (Bonett & Price 2012); where all
    differ alike, one that might have differed by as much less or more.
    """
    return float(np.abs(differences).max() or 1.0) * _share_least(design)


def _share_least(design: Design) -> float:
    return math.sqrt(2) / (design.clusters + 2)
