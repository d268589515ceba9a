"""Scores with their uncertainty: 95% intervals, and the baselines that a score must beat.

Which interval follows from the scores alone:

    0 or 1, independent   Wilson's (1927).
    0 or 1, else          Wilson's for as many independent questions as the spread between clusters, and within the
                          groups of a macro score, is worth (Korn & Graubard 1998). Near 0 or 1, and with few
                          clusters, a bootstrap is too narrow: it holds the truth 90 times in 100.
    any other             Bootstrap over clusters, drawn within the groups of a macro score; its percentiles are
                          widened as Student's t is wider than the normal (Hesterberg 2015). With fewer than 8
                          clusters it is Student's own interval. It reaches at least as far as Wilson's does for the
                          same standard error, which near the ends of the range, where scores are skewed, is farther.
    no mean at all        The same over the statistic's range: a rank correlation, a formula of a benchmark's own. Where
                          all resamples have one value that is no certainty, but Wilson's for all clusters.

Student's t has as many degrees of freedom as the clusters are worth: fewer than there are where they differ in size, or
where one small group of a macro score makes most of its spread.

Seeded. ``tests/evaluate/test_statistics.py`` simulates how often they hold the truth. Tests of two results are in
``pairs.py``, standard errors in ``power.py``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from triptych.core.records import Json
from triptych.evaluate.certainty.power import (
    ALPHA,
    Design,
    Floats,
    design_of,
    detectable,
    freedom,
    standard_error,
    variances,
)

RESAMPLES = 4000
_BATCH_NUMBERS = 4_000_000
"""Most numbers of a batch of resamples: 32 MB."""
_FEW = 8
"""With fewer clusters a resample can hardly leave the range of what was seen."""
_MUCH = 2.0
"""Where the standard error is so many times the spread of the resamples, a few thousand of them do not reach its tails:
Student's interval is used."""
_NONE = 1e-12
"""Below it an error is one of rounding."""
_Z = float(stats.norm.ppf(1 - ALPHA / 2))


class Interval(NamedTuple):
    """A 95% interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Score:
    """A mean score with its 95% interval and its baselines; all from 0 to 1."""

    score: float
    low: float
    high: float
    n: int
    """Questions that have a score."""
    chance: float
    """Score of guessing on the same questions."""
    majority: float | None = None
    """Score of always giving the most frequent reference; None: not worked out."""
    detects: float | None = None
    """Smallest true difference from another model's total that these questions see (80% power, two-sided 5%)."""
    detects_paired: float | None = None
    """The smallest that is seen when two models are compared item by item (``power.PAIRED_CORRELATION``)."""


def score_to_json(score: Score) -> dict[str, Json]:
    """Return all numbers of a score, for programs; null where nothing was scored, but for ``n``."""
    record = asdict(score)
    return record if score.n else {**dict.fromkeys(record), "n": 0}


def summarise(
    scores: Sequence[float],
    *,
    chances: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    strata: Sequence[Hashable] | None = None,
    labels: Sequence[tuple[Hashable, Hashable]] | None = None,
    seed: int = 0,
) -> Score:
    """Return mean, interval and baselines of one group of questions; zeros with interval (0, 1) when it is empty.

    Args:
        scores: one a question, from 0 to 1.
        chances: expected score of a guess, one a question.
        clusters: what each question shares with others (its story); None: all are independent.
        strata: the group of each question, for a macro score: the unweighted mean over groups. None: micro.
        labels: (kind, reference) of each question, for `majority`; None: it is not worked out.
        seed: of the bootstrap.
    """
    if not scores:
        return Score(score=0.0, low=0.0, high=1.0, n=0, chance=0.0)
    design = design_of(len(scores), clusters=clusters, strata=strata)
    values = np.asarray(scores, dtype=np.float64)
    mean = design.mean(values)
    low, high = _interval(values, design, seed)
    unpaired, paired = detectable(values, design)
    return Score(
        score=mean,
        low=min(low, mean),
        high=max(high, mean),
        n=len(scores),
        chance=design.mean(np.asarray(chances, dtype=np.float64)),
        majority=None if labels is None else majority(labels, total=design.mean),
        detects=unpaired,
        detects_paired=paired,
    )


def interval(
    scores: Sequence[float],
    *,
    clusters: Sequence[Hashable] | None = None,
    strata: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> Interval:
    """Return the 95% interval of the (macro) mean, by the method that the scores call for: see the file's head.

    Where every score is the same, the interval is Wilson's for as many independent questions as there are clusters.

    Raises:
        ValueError: no scores, or not as many clusters or strata as scores.
    """
    if not scores:
        raise ValueError("an interval needs at least one score")
    design = design_of(len(scores), clusters=clusters, strata=strata)
    return _interval(np.asarray(scores, dtype=np.float64), design, seed)


def wilson(successes: float, trials: float) -> Interval:
    """Return Wilson's score interval of a proportion (Wilson 1927); it stays inside 0 to 1 even at the ends.

    Args:
        successes: of the trials.
        trials: more than none; a fraction is an effective number.
    """
    share, z2 = successes / trials, _Z * _Z
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _Z / (1 + z2 / trials) * float(np.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials)))
    return Interval(max(0.0, middle - half) if share else 0.0, min(1.0, middle + half) if share < 1 else 1.0)


def wilson_worth(share: float, *, error: float, freedom: float, units: float) -> Interval:
    """Return Wilson's interval for as many independent questions as a standard error is worth (Korn & Graubard 1998).

    Args:
        share: from 0 to 1.
        error: its standard error.
        freedom: degrees of freedom of that error.
        units: how many questions there are, for a share without an error: of 0, of 1, or where all are alike.
    """
    return wilson(share * (trials := _worth(share, error, freedom) or units), trials)


def bootstrap(values: Floats, design: Design, *, seed: int) -> Interval:
    """Return the bootstrap interval of a (macro) mean: clusters drawn with replacement, within blocks of groups."""
    error = standard_error(values, design)
    if not np.isfinite(error):
        return Interval(0.0, 1.0)  # one cluster says nothing about the next one
    free = freedom(variances(values, design), design)
    mean = design.mean(values)
    if design.clusters < _FEW:
        half = float(stats.t.ppf(1 - ALPHA / 2, free)) * error
        return Interval(max(0.0, mean - half), min(1.0, mean + half))
    found = percentiles(resampled_means(values, design, seed=seed), error=error, freedom=free)
    return _wider(found, wilson_worth(mean, error=error, freedom=free, units=design.clusters))


def resampled_means(values: Floats, design: Design, *, seed: int, resamples: int = RESAMPLES) -> Floats:
    """Return the (macro) mean of each resample of the clusters. A group that a resample lacks is not in its mean."""
    at = (design.cluster_ids, design.stratum_ids)
    sums, counts = np.zeros((design.clusters, design.strata)), np.zeros((design.clusters, design.strata))
    np.add.at(sums, at, values)
    np.add.at(counts, at, 1.0)
    means = []
    for drawn in draws(design.block_of_cluster, seed=seed, resamples=resamples):
        summed, counted = drawn @ sums, drawn @ counts
        shares = np.divide(summed, counted, out=np.full_like(summed, np.nan), where=counted > 0)
        means.append(np.nanmean(shares, axis=1))
    return np.concatenate(means)


def interval_of(
    value: Callable[[Sequence[int]], float],
    count: int,
    *,
    clusters: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    least: float = -1.0,
) -> Interval:
    """Return the bootstrap interval of any statistic of questions that is no mean, such as a rank correlation.

    Args:
        value: (positions of questions, repeats allowed) -> the statistic. NaN, where it has none, is left out.
        count: questions.
        clusters: what each question shares with others.
        resamples: how often ``value`` is called.
        seed: of the draws.
        least: lower end of the statistic's range, -1 or 0; the upper end is 1.
    """
    design = design_of(count, clusters=clusters)
    held = resampled_values(value, design, resamples=resamples, seed=seed)
    if not len(held):
        return Interval(least, 1.0)
    return in_range(value(list(range(count))), held, units=design.clusters, least=least)


def resampled_values(value: Callable[[Sequence[int]], float], design: Design, *, resamples: int, seed: int) -> Floats:
    """Return a statistic of each resample of the clusters, where it has a value; none of a single cluster."""
    if design.clusters < 2:
        return np.zeros(0)
    members = [np.flatnonzero(design.cluster_ids == cluster) for cluster in range(design.clusters)]
    rng = np.random.default_rng(seed)
    drawn = (
        np.concatenate([members[one] for one in rng.integers(0, len(members), len(members))]) for _ in range(resamples)
    )
    values = np.array([value(positions.tolist()) for positions in drawn], dtype=np.float64)
    return values[~np.isnan(values)]


def in_range(
    value: float, drawn: Floats, *, units: int, least: float = 0.0, most: float = 1.0, worth: float | None = None
) -> Interval:
    """Return the interval of a statistic with a least and a most, from its values on resamples of so many units.

    Args:
        value: of all units; NaN: there is none.
        drawn: of the resamples.
        units: that were drawn with replacement; two or more.
        least: its worst.
        most: its best.
        worth: how many independent questions it rests on, where all resamples are alike; None: ``units``.
    """
    error = float(drawn.std()) * float(np.sqrt(units / (units - 1)))
    found = percentiles(drawn, error=error, freedom=units - 1)
    middle = float(drawn.mean()) if np.isnan(value) else value
    if units < _FEW:
        half = float(stats.t.ppf(1 - ALPHA / 2, units - 1)) * error
        found = _wider(found, Interval(middle - half, middle + half))
    span = most - least
    share = min(1.0, max(0.0, (middle - least) / span))
    low, high = wilson_worth(share, error=error / span, freedom=units - 1, units=worth or units)
    low, high = _wider(found, Interval(least + span * low, least + span * high))
    return Interval(max(least, low), min(most, high))


def draws(blocks: NDArray[np.intp], *, seed: int, resamples: int = RESAMPLES) -> Iterator[Floats]:
    """Yield how often each unit is in each resample, (some resamples, units) at a time.

    Args:
        blocks: the block of each unit; units are replaced by others of their block.
        seed: of the draws.
        resamples: how many in all.
    """
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(blocks == block) for block in np.unique(blocks)]
    batch = max(1, _BATCH_NUMBERS // len(blocks))
    for start in range(0, resamples, batch):
        rows = min(batch, resamples - start)
        drawn = np.zeros((rows, len(blocks)))
        for units in members:
            count = len(units)
            picked = rng.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
            drawn[:, units] = np.bincount(picked.ravel(), minlength=rows * count).reshape(rows, count)
        yield drawn


def percentiles(values: Floats, *, error: float, freedom: float, alpha: float = ALPHA) -> Interval:
    """Return the interval of resampled values, widened as Student's t is wider than the normal (Hesterberg 2015).

    Args:
        values: of the resamples. Where they hardly spread beside the error, it is Student's interval around their mean.
        error: standard error without the bootstrap's bias: resamples of few clusters spread too little.
        freedom: degrees of freedom of that error.
        alpha: how often it is to miss the truth.
    """
    spread = float(values.std())
    half = -float(stats.t.ppf(alpha / 2, freedom)) * error
    if error >= _MUCH * spread:
        return Interval(float(values.mean()) - half, float(values.mean()) + half)
    tail = float(stats.norm.cdf(-half / spread))
    low, high = np.quantile(values, (tail, 1 - tail))
    return Interval(float(low), float(high))


def majority(labelled: Iterable[tuple[Hashable, Hashable]], *, total: Callable[[Floats], float] | None = None) -> float:
    """Return the score of always giving the most frequent reference of a question's group.

    Args:
        labelled: (group, reference) of each question; the group is what a guesser can see without images, such as
            the kind of question. With few questions a group this baseline is a little too strong, never too weak.
        total: how scores are added up; None: every question weighs the same.
    """
    pairs = list(labelled)
    if not pairs:
        return 0.0
    groups: defaultdict[Hashable, Counter[Hashable]] = defaultdict(Counter)
    for group, reference in pairs:
        groups[group][reference] += 1
    best = {group: counts.most_common(1)[0][0] for group, counts in groups.items()}
    right = np.array([best[group] == reference for group, reference in pairs], dtype=np.float64)
    return total(right) if total else float(right.mean())


def _interval(values: Floats, design: Design, seed: int) -> Interval:
    share = design.mean(values)
    if np.ptp(values) == 0 or design.clusters < 2:
        return wilson(share * design.clusters, design.clusters)
    if not np.isin(values, (0.0, 1.0)).all():
        return bootstrap(values, design, seed=seed)
    if design.clusters == len(values) and design.strata == 1:
        return wilson(float(values.sum()), len(values))
    trials = _worth(share, standard_error(values, design), freedom(variances(values, design), design)) or float(
        len(values)
    )
    if design.strata == 1:  # clusters that happen to balance out are no more than independent questions
        trials = min(trials, float(len(values)))
    return wilson(share * trials, trials)


def _worth(share: float, error: float, freedom: float) -> float:
    """Return how many independent questions a share's standard error is worth; 0 where it has none."""
    if error < _NONE or not 0 < share < 1:
        return 0.0
    return share * (1 - share) / (error * float(stats.t.ppf(1 - ALPHA / 2, freedom)) / _Z) ** 2


def _wider(one: Interval, other: Interval) -> Interval:
    return Interval(min(one.low, other.low), max(one.high, other.high))
