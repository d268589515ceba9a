"""Scores with their uncertainty: 95% intervals, and the baselines that a score must beat.

Wilson for scores that are 0 or 1, percentile bootstrap for others, bootstrap over clusters where questions share
images (then they are not independent, and an interval that ignores it is too narrow). From scipy; seeded.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 4000


class Interval(NamedTuple):
    """A 95% interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Score:
    """A mean score with its 95% interval and the score of guessing on the same questions; all from 0 to 1."""

    score: float
    low: float
    high: float
    n: int
    """Questions that have a score."""
    chance: float


def summarise(
    scores: Sequence[float], *, chances: Sequence[float], clusters: Sequence[Hashable] | None = None, seed: int = 0
) -> Score:
    """Return mean, interval and chance of one group of questions; zeros with interval (0, 1) when it is empty.

    Args:
        scores: one a question, from 0 to 1.
        chances: expected score of a guess, one a question.
        clusters: what each question shares with others (its story); None: all are independent.
        seed: of the bootstrap.
    """
    if not scores:
        return Score(score=0.0, low=0.0, high=1.0, n=0, chance=0.0)
    low, high = interval(scores, clusters=clusters, seed=seed)
    mean = float(np.mean(scores))
    return Score(score=mean, low=min(low, mean), high=max(high, mean), n=len(scores), chance=float(np.mean(chances)))


def interval(scores: Sequence[float], *, clusters: Sequence[Hashable] | None = None, seed: int = 0) -> Interval:
    """Return the 95% interval of the mean, by the method that the scores call for.

    Where every score is equal a bootstrap would claim certainty; then the interval is Wilson's for as many
    independent questions as there are clusters.

    Raises:
        ValueError: no scores.
    """
    if not scores:
        raise ValueError("an interval needs at least one score")
    values = np.asarray(scores, dtype=np.float64)
    groups = _cluster_sums(values, clusters)
    if np.ptp(values) == 0 and values[0] in (0.0, 1.0):
        return wilson(len(groups.sums) * int(values[0]), len(groups.sums))
    if len(groups.sums) == len(values) and np.isin(values, (0.0, 1.0)).all():
        return wilson(int(values.sum()), len(values))
    return bootstrap(groups, seed=seed)


def wilson(successes: int, trials: int) -> Interval:
    """Return Wilson's score interval of a proportion (Wilson 1927); it stays inside 0 to 1 even at the ends."""
    found = stats.binomtest(successes, trials).proportion_ci(confidence_level=CONFIDENCE, method="wilson")
    return Interval(float(found.low), float(found.high))


class Clusters(NamedTuple):
    """Scores added up within each cluster."""

    sums: NDArray[np.float64]
    counts: NDArray[np.float64]


def bootstrap(groups: Clusters, *, seed: int) -> Interval:
    """Return the percentile interval of sum(sums) / sum(counts), clusters drawn with replacement."""
    if len(groups.sums) < 2:
        return Interval(0.0, 1.0)  # one cluster says nothing about the next one
    found = stats.bootstrap(
        (groups.sums, groups.counts),
        _ratio,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=500,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


def majority(labelled: Iterable[tuple[Hashable, Hashable]]) -> float:
    """Return the score of always giving the most frequent reference of a question's group.

    Args:
        labelled: (group, reference) of each question; the group is what a guesser can see without images, such as
            the kind of question. With few questions a group this baseline is a little too strong, never too weak.
    """
    groups: defaultdict[Hashable, Counter[Hashable]] = defaultdict(Counter)
    for group, reference in labelled:
        groups[group][reference] += 1
    total = sum(counts.total() for counts in groups.values())
    return sum(counts.most_common(1)[0][1] for counts in groups.values()) / total if total else 0.0


def _ratio(sums: NDArray[np.float64], counts: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = sums.sum(axis=axis) / counts.sum(axis=axis)
    return mean


def _cluster_sums(values: NDArray[np.float64], clusters: Sequence[Hashable] | None) -> Clusters:
    if clusters is None:
        return Clusters(values, np.ones_like(values))
    if len(clusters) != len(values):
        raise ValueError(f"{len(values)} scores but {len(clusters)} clusters")
    numbers: dict[Hashable, int] = {}
    member_of = np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters])
    sums = np.bincount(member_of, weights=values).astype(np.float64)
    return Clusters(sums, np.bincount(member_of).astype(np.float64))
