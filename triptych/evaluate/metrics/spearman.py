"""Scores against people: Spearman's rank correlation an aspect, and how often the preferred of two is scored higher.

Source: He et al. 2024, VideoScore (arXiv:2406.15252) and its benchmark scripts: ties get their mean rank; a tie that
people see counts as right where two scores differ by less than one half.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

from scipy import stats

TIE = 0.5
"""Points on the scale of 1 to 4 below which two scores are a tie."""


def rank_correlation(reference: Sequence[float], scores: Sequence[float]) -> float | None:
    """Return Spearman's rho, -1 to 1; None where one side is constant or has fewer than two values.

    Raises:
        ValueError: they differ in length.
    """
    if len(reference) != len(scores):
        raise ValueError(f"{len(reference)} reference scores but {len(scores)} scores")
    if len(reference) < 2:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        rho = float(stats.spearmanr(reference, scores).statistic)
    return None if math.isnan(rho) else rho


def aspect_correlations(
    reference: Sequence[Sequence[float]], scores: Sequence[Sequence[float]]
) -> tuple[float | None, ...]:
    """Return rho of each aspect (column). Args: a row of aspects for each item, in the same order on both sides.

    Raises:
        ValueError: they differ in shape.
    """
    columns = zip(zip(*reference, strict=True), zip(*scores, strict=True), strict=True)
    return tuple(rank_correlation(wanted, said) for wanted, said in columns)


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
