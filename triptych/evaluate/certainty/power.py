"""What a benchmark of a given size can tell apart: standard errors, the smallest difference it sees, how many it takes.

Not intervals (``statistics.py``) and not tests (``pairs.py``). Everything is for a two-sided test at 5% that is to see
a true difference four times in five (80% power), the usual choice (Cohen 1988; for language models Card et al. 2020,
Miller 2024). Questions of a cluster (the same images) are added up before anything is squared (Liang & Zeger 1986), so
that sharing is paid for, and a large cluster counts as the jackknife has it (Bell & McCaffrey 2002); a macro score is a
weighted mean, with the weights that make its groups equal.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

ALPHA = 0.05
POWER = 0.8
_SIGNIFICANT = float(stats.norm.ppf(1 - ALPHA / 2))
_SEEN = float(stats.norm.ppf(POWER))
PAIRED_CORRELATION = 0.5
"""How two models' scores are taken to go together over the questions, before there are two. Compared models of one
kind mostly agree more than this, and then a smaller difference can be seen; `pairs` uses what it finds."""

Numbers = NDArray[np.intp]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Design:
    """The sampling design of a score: which questions share images, and which groups a macro score weighs alike."""

    cluster_ids: Numbers
    """Number of each question's cluster: questions of one share images, clusters are independent."""
    stratum_ids: Numbers
    """Number of each question's group; all groups weigh the same."""

    @cached_property
    def weights(self) -> Floats:
        """What each question weighs in the total; they add up to one."""
        sizes = np.bincount(self.stratum_ids)
        return np.asarray(1 / (len(sizes) * sizes[self.stratum_ids]), dtype=np.float64)

    def mean(self, values: Floats) -> float:
        """Return the mean of the groups' means; exactly one where every value is."""
        sums = np.bincount(self.stratum_ids, weights=values)
        return float((sums / np.bincount(self.stratum_ids)).mean())

    @cached_property
    def clusters(self) -> int:
        """Number of clusters."""
        return int(self.cluster_ids.max()) + 1

    @cached_property
    def strata(self) -> int:
        """Number of groups."""
        return int(self.stratum_ids.max()) + 1

    @cached_property
    def clusters_of_stratum(self) -> Numbers:
        """Of each group, the number of clusters that have a question in it."""
        return np.bincount(np.unique(np.stack([self.stratum_ids, self.cluster_ids]), axis=1)[0], minlength=self.strata)

    @cached_property
    def block_of_cluster(self) -> Numbers:
        """Of each cluster, the number of its block: a resample replaces a cluster by one of its own block.

        Clusters are in one block where their questions are of the same groups, or of connected groups.
        """
        if self.strata == 1:
            return np.zeros(self.clusters, dtype=np.intp)
        size = self.clusters + self.strata
        edges = (np.ones(len(self.cluster_ids)), (self.cluster_ids, self.clusters + self.stratum_ids))
        return np.asarray(connected_components(coo_array(edges, shape=(size, size)), directed=False)[1], dtype=np.intp)[
            : self.clusters
        ]

    @cached_property
    def block_of_stratum(self) -> Numbers:
        """Of each group, the number of the block that its clusters are in."""
        found = np.zeros(self.strata, dtype=np.intp)
        found[self.stratum_ids] = self.block_of_cluster[self.cluster_ids]
        return found

    @cached_property
    def shares(self) -> Floats:
        """Of each question, the share of its group's questions that are of its cluster."""
        pair = self.stratum_ids * self.clusters + self.cluster_ids
        return np.asarray(np.bincount(pair)[pair] / np.bincount(self.stratum_ids)[self.stratum_ids], dtype=np.float64)

    @cached_property
    def freedom_of_block(self) -> Floats:
        """Degrees of freedom of the spread within each block: its clusters less one, fewer where they differ in size.

        As many equal clusters as weigh the same in sum of squares (Carter, Schnepel & Steigerwald 2017); at least one.
        """
        weight = np.bincount(self.cluster_ids, weights=self.weights)
        whole = np.bincount(self.block_of_cluster, weights=weight)
        equal = whole**2 / np.bincount(self.block_of_cluster, weights=weight**2)
        return np.asarray(np.maximum(1.0, equal - 1), dtype=np.float64)


def design_of(
    count: int, *, clusters: Sequence[Hashable] | None = None, strata: Sequence[Hashable] | None = None
) -> Design:
    """Return the design of so many questions; without clusters all are independent, without strata all are one group.

    Raises:
        ValueError: not as many clusters or strata as questions.
    """
    for name, given in (("clusters", clusters), ("strata", strata)):
        if given is not None and len(given) != count:
            raise ValueError(f"{count} scores but {len(given)} {name}")
    alone = np.arange(count, dtype=np.intp)
    together = np.zeros(count, dtype=np.intp)
    return Design(
        cluster_ids=alone if clusters is None else numbered(clusters),
        stratum_ids=together if strata is None else numbered(strata),
    )


def numbered(labels: Sequence[Hashable]) -> Numbers:
    """Return 0, 1, 2... for each distinct label, in order of first sight."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in labels], dtype=np.intp)


def contributions(values: Floats, design: Design, *, centred: bool = True) -> Floats:
    """Return what each cluster adds to the mean's deviation; the root of the sum of squares is its standard error.

    Args:
        values: one a question.
        design: which questions hang together.
        centred: deviations from the mean of each group; else from zero, as under "there is no difference".
    """
    scores = values
    if centred:
        within = design.clusters_of_stratum[design.stratum_ids]
        means = np.bincount(design.stratum_ids, weights=values) / np.bincount(design.stratum_ids)
        # A group of one cluster tells nothing of its own spread: it is measured from the mean of all.
        middle = np.where(within > 1, means[design.stratum_ids], design.mean(values))
        left = np.where(within > 1, 1 - design.shares, 1.0)
        scores = (values - middle) * np.where(within > 1, np.sqrt((within - 1) / within), 1.0) / left
    return np.bincount(design.cluster_ids, weights=design.weights * scores).astype(np.float64)


def standard_error(values: Floats, design: Design) -> float:
    """Return the standard error of a (macro) mean of scores from 0 to 1; infinite for a single cluster.

    A group in which all scores are equal has a spread of two more right and two more wrong (Agresti & Coull 1998).
    """
    return math.inf if design.clusters < 2 else math.sqrt(float(variances(values, design).sum()))


def freedom(by_block: Floats, design: Design) -> float:
    """Return the degrees of freedom of a variance: those of blocks, by what each adds to it (Satterthwaite 1946).

    A small group that spreads a lot leaves few, however large the others are.

    Args:
        by_block: what each block adds.
        design: which questions hang together.
    """
    if not by_block.any():
        return float(design.freedom_of_block.sum())
    shares = by_block / by_block.sum()
    return float(1 / (shares**2 / design.freedom_of_block).sum())


def variances(values: Floats, design: Design) -> Floats:
    """Return what each block adds to the variance of a (macro) mean of scores from 0 to 1; see ``standard_error``."""
    found, low, alike = _spread(values, design)
    alike &= design.clusters_of_stratum > 1
    least = _least_variance(low[alike], design.clusters_of_stratum[alike]) / design.strata**2
    np.add.at(found, design.block_of_stratum[alike], least)
    if found.any():
        return found
    whole = _least_variance(np.float64(design.mean(values)), np.intp(design.clusters))
    return np.full(len(found), whole / len(found))


def difference_error(values: Floats, design: Design) -> tuple[float, float]:
    """Return standard error and degrees of freedom of a (macro) mean of differences of scores, from -1 to 1.

    A group in which nothing differs, or all differ alike, has the spread of one more that differs as much as any does,
    on each side (Bonett & Price 2012); so has, at least, a group of one cluster, which tells nothing of its spread.
    That is taken for known: the freedom is that of the spread which was measured.
    """
    found, _, alike = _spread(values, design)
    single = design.clusters_of_stratum == 1
    least = float(np.abs(values).max() or 1.0) ** 2 * 2 / (design.clusters_of_stratum + 2) ** 2
    means = np.bincount(design.stratum_ids, weights=values) / np.bincount(design.stratum_ids)
    own = np.where(single, (means - design.mean(values)) ** 2, 0.0)  # as in ``contributions``
    taken = np.where(alike | single, np.maximum(own, least), 0.0).sum() / design.strata**2
    measured = np.array(found)
    np.subtract.at(measured, design.block_of_stratum, own / design.strata**2)
    measured = np.maximum(measured, 0.0)
    variance = float(taken + measured.sum())
    shares = measured / variance
    unsure = float((shares**2 / design.freedom_of_block).sum())
    return math.sqrt(variance), 1 / unsure if unsure else math.inf


def detectable(values: Floats, design: Design) -> tuple[float, float]:
    """Return the smallest true differences from these scores that a benchmark of this size sees, unpaired and paired.

    Unpaired: of two models of which only the totals are known. Paired: item by item over the same questions, if their
    scores correlate by ``PAIRED_CORRELATION``. Both at most 1, which is also what one cluster can tell: nothing.
    """
    error = standard_error(values, design)
    difference = (_SIGNIFICANT + _SEEN) * math.sqrt(2) * error
    if np.isin(values, (0.0, 1.0)).all() and math.isfinite(error):
        difference = _between_shares(design.mean(values), error, design.clusters)
    return min(1.0, difference), min(1.0, difference * math.sqrt(1 - PAIRED_CORRELATION))


def detectable_pair(error_at_zero: float) -> float:
    """Return the smallest true difference that a paired comparison with this standard error sees, at most 1."""
    return min(1.0, (_SIGNIFICANT + _SEEN) * error_at_zero)


def share_needed(difference: float, *, error: float, error_at_zero: float) -> float | None:
    """Return how many times as many questions would see the difference; None where there is none to see.

    Args:
        difference: that is to be seen; mostly the one that was observed.
        error: standard error of the difference on the questions at hand.
        error_at_zero: the same, if there were no true difference (Connor 1987 for 0/1 scores).
    """
    if not difference:
        return None
    return ((_SIGNIFICANT * error_at_zero + _SEEN * error) / difference) ** 2


def _spread(values: Floats, design: Design) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return what each block adds to the variance of the mean; each group's lowest value, and whether all are alike."""
    found = np.bincount(design.block_of_cluster, weights=contributions(values, design) ** 2).astype(np.float64)
    low, high = np.full(design.strata, np.inf), np.full(design.strata, -np.inf)
    np.minimum.at(low, design.stratum_ids, values)
    np.maximum.at(high, design.stratum_ids, values)
    return found, low, low == high


def _least_variance(share: Floats | np.float64, units: Numbers | np.intp) -> Floats:
    """Return the variance of a mean of equal scores, with two more right and two more wrong ones."""
    smoothed = (units * share + 2) / (units + 4)
    return np.asarray(smoothed * (1 - smoothed) / (units + 4), dtype=np.float64)


def _between_shares(share: float, error: float, units: int) -> float:
    """Return the difference of two proportions that is seen, in the direction in which it is harder (Fleiss 1981)."""
    if share in (0.0, 1.0):
        share = (units * share + 2) / (units + 4)
    trials = share * (1 - share) / error**2
    side = -1.0 if share >= 0.5 else 1.0

    def short(difference: float) -> float:
        other = share + side * difference
        middle = (share + other) / 2
        if_equal = math.sqrt(2 * middle * (1 - middle))
        if_not = math.sqrt(share * (1 - share) + max(0.0, other * (1 - other)))
        return (_SIGNIFICANT * if_equal + _SEEN * if_not) / math.sqrt(trials) - difference

    most = max(share, 1 - share)
    return 1.0 if short(most) >= 0 else float(optimize.brentq(short, 0.0, most, xtol=1e-6))
