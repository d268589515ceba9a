"""Agreement with people: Spearman's rank correlation, and whether two scores order a pair as people do.

Source: He et al. 2024, VideoScore (arXiv:2406.15252) and its benchmark scripts: ties get their mean rank; a tie that
people see counts as right where two scores differ by less than one half. Written for a bootstrap, which calls it a
thousand times: ``scipy.stats.spearmanr`` gives the same numbers, and is held against it in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TIE = 0.5
"""Points on the scale of 1 to 4 below which two scores are a tie."""
Floats = Sequence[float] | NDArray[np.float64]


def rank_correlation(reference: Floats, scores: Floats) -> float | None:
    """Return Spearman's rho, -1 to 1; None where one side is constant.

    Raises:
        ValueError: they differ in length, or one is NaN.
    """
    if len(reference) != len(scores):
        raise ValueError(f"{len(reference)} reference scores but {len(scores)} scores")
    left, right = ranks(reference), ranks(scores)
    left, right = left - left.mean(), right - right.mean()
    size = float(np.sqrt((left @ left) * (right @ right)))
    return max(-1.0, min(1.0, float(left @ right) / size)) if size else None


def ranks(values: Floats) -> NDArray[np.float64]:
    """Return ranks from 1; equal values share the mean of their ranks.

    Raises:
        ValueError: one is NaN, which is neither above nor below another.
    """
    if len(odd := np.flatnonzero(np.isnan(values))):
        raise ValueError(f"value {odd[0]} is NaN, which has no rank")
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    found: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return found


def pair_is_right(left: float, right: float, *, preferred: float) -> bool:
    """Return whether two scores order a pair as people do.

    Args:
        left: score of the left item.
        right: score of the right one.
        preferred: 1: people prefer the left; 0: the right; 0.5: neither.
    """
    if preferred == 0.5:
        return abs(left - right) < TIE
    return left > right if preferred > 0.5 else right > left
