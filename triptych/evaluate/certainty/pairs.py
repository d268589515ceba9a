"""Is one result better than another on the same questions? Exact tests and intervals over pairs of scores.

Not where pairs come from (``compare.py``). Scores of 0 and 1 of independent questions: McNemar's exact test, and the
interval of Bonett & Price (2012). Any others: the same test in general, which flips the sign of each cluster's
difference (Fisher 1935), and a bootstrap of the differences over clusters. Where a test sees no difference the
interval is made to hold zero, so that the two never contradict each other. Several at once: Holm (1979).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from triptych.evaluate.certainty.power import (
    ALPHA,
    Design,
    Floats,
    contributions,
    design_of,
    detectable_pair,
    freedom,
    share_needed,
)
from triptych.evaluate.certainty.statistics import Interval, percentiles, resampled_means, resampled_values

FLIPS = 10_000
_EXACT_UNITS = 13
"""Up to so many signs are flipped in every way there is: 8,192 of them."""
_BATCH_NUMBERS = 4_000_000
_Z = float(stats.norm.ppf(1 - ALPHA / 2))

Value = Callable[[Sequence[tuple[int, float]]], float]
"""((position of a question, its score), ...) -> the statistic of these questions, -1 to 1."""


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
    test: Literal["mcnemar", "sign flips", "swaps"]
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
    differences = one - other
    difference = round(design.mean(differences), 12)  # without it, none is 1e-17
    at_zero = contributions(differences, design, centred=False)
    centred = contributions(differences, design)
    least = _least_error(differences, design)
    error, error_at_zero = (max(float(np.linalg.norm(parts)), least) for parts in (centred, at_zero))
    free = freedom(np.bincount(design.block_of_cluster, weights=centred**2).astype(np.float64), design)
    simple = design.strata == 1 and design.clusters == len(one) and np.isin([one, other], (0.0, 1.0)).all()
    if simple:
        p, found = mcnemar(differences), _adjusted_wald(differences)
    else:
        p, found = sign_flips(at_zero, seed=seed), _bootstrap(differences, design, error, free, seed)
    share = share_needed(difference, error=error, error_at_zero=error_at_zero)
    low, high = _agreeing(found, p)
    return Paired(
        first=design.mean(one),
        second=design.mean(other),
        difference=difference,
        low=min(low, difference),
        high=max(high, difference),
        p=p,
        test="mcnemar" if simple else "sign flips",
        n=len(one),
        clusters=design.clusters,
        first_better=int((differences > 0).sum()),
        second_better=int((differences < 0).sum()),
        detects=detectable_pair(error_at_zero) if differences.any() else None,
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

    The test swaps the two results' scores cluster by cluster; the interval is a bootstrap over clusters.

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
    low, high = _agreeing(_of_statistics(drawn, design, least=_least_error(one - other, design), most=1 - least), p)
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


def sign_flips(parts: Floats, *, seed: int, flips: int = FLIPS) -> float:
    """Return how often the sum is at least as far from zero when the sign of each part is drawn anew.

    Up to 13 parts that are not zero are flipped in every way; of more, a random sample is, and it counts the
    observed one in, so that p is never zero. Parts of one size make this McNemar's exact test.
    """
    moved = parts[parts != 0]
    observed = abs(float(moved.sum())) * (1 - 1e-9)
    if not len(moved):
        return 1.0
    if len(moved) <= _EXACT_UNITS:
        signs = 1 - 2.0 * ((np.arange(1 << len(moved))[:, None] >> np.arange(len(moved))) & 1)
        return float((np.abs(signs @ moved) >= observed).mean())
    rng = np.random.default_rng(seed)
    batch = max(1, _BATCH_NUMBERS // len(moved))
    extreme = 0
    for start in range(0, flips, batch):
        signs = 1 - 2.0 * rng.integers(0, 2, (min(batch, flips - start), len(moved)), dtype=np.int8)
        extreme += int((np.abs(signs @ moved) >= observed).sum())
    return (1 + extreme) / (1 + flips)


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


def _bootstrap(differences: Floats, design: Design, error: float, free: float, seed: int) -> Interval:
    if design.clusters < 2:
        return Interval(-1.0, 1.0)
    low, high = percentiles(resampled_means(differences, design, seed=seed), error=error, freedom=free)
    return Interval(max(-1.0, low), min(1.0, high))


def _of_statistics(drawn: Floats, design: Design, *, least: float, most: float) -> Interval:
    """Return the interval of the difference of two statistics from its values on resamples.

    Args:
        drawn: the values.
        design: which questions hang together.
        least: standard error that it has at least.
        most: the largest difference there can be.
    """
    if not len(drawn):
        return Interval(-most, most)
    error = max(float(drawn.std()) * math.sqrt(design.clusters / (design.clusters - 1)), least)
    low, high = percentiles(drawn, error=error, freedom=design.clusters - 1)
    return Interval(max(-most, low), min(most, high))


def _least_error(differences: Floats, design: Design) -> float:
    """Return the least standard error of a difference.

    Where nothing differs there still is a question that might have, on each side (Bonett & Price 2012); where all
    differ alike, one that might have differed by as much less or more.
    """
    return float(np.abs(differences).max() or 1.0) * math.sqrt(2) / (design.clusters + 2)


def _agreeing(found: Interval, p: float) -> Interval:
    return Interval(min(found.low, 0.0), max(found.high, 0.0)) if p >= ALPHA else found
