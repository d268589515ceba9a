"""The test that flips signs (Fisher 1935), and the differences that it does not refuse, which are its interval.

Not which numbers are flipped (``pairs``, ``ratings``). Without a difference each cluster's part of it might as well
have the other sign. With a difference of d, that holds of the parts less d times what each cluster weighs; flipping
some clusters then leaves the sum as far from zero unless d lies outside the means of those that are flipped and of the
others (Hartigan 1969). So the interval is a quantile of such means, and holds zero exactly where the test sees nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from triptych.evaluate.certainty.power import ALPHA, Floats

FLIPS = 10_000
LEAST_CLUSTERS = 6
"""With fewer, even parts of one sign are no evidence at 5%, and the test refuses no difference at all."""
_EXACT_UNITS = 13
"""Up to so many signs are flipped in every way there is: 8,192 of them."""
_BATCH_NUMBERS = 4_000_000
_NONE = 1e-9
"""Less than any cluster weighs."""


def sign_flips(parts: Floats, *, seed: int, flips: int = FLIPS) -> float:
    """Return how often the sum is at least as far from zero when the sign of each part is drawn anew.

    Up to 13 parts that are not zero are flipped in every way; of more, a random sample is, and it counts the
    observed one in, so that p is never zero. Parts of one size make this McNemar's exact test.
    """
    moved = parts[parts != 0]
    if not len(moved):
        return 1.0
    return _p(float(moved.sum()), np.concatenate([drawn @ moved for drawn in _flipped(moved, seed=seed, flips=flips)]))


def sign_flips_with_interval(
    parts: Floats, weights: Floats, *, seed: int, flips: int = FLIPS
) -> tuple[float, float, float]:
    """Return the p-value of ``sign_flips``, and the least and the most difference that these flips do not refuse.

    Args:
        parts: what each of ``LEAST_CLUSTERS`` clusters or more adds to the difference.
        weights: what each cluster weighs; they add up to one.
        seed: of the flips.
        flips: number of random ones.
    """
    both = np.stack([parts, weights], axis=1)
    sums, weighed = np.concatenate([drawn @ both for drawn in _flipped(parts, seed=seed, flips=flips)]).T
    difference = float(parts.sum())
    p = _p(difference, sums)
    torn = (weighed > _NONE) & (weighed < 1 - _NONE)  # else nothing is flipped, or everything: nothing is refused
    least, most = np.full(len(sums), -np.inf), np.full(len(sums), np.inf)
    means = np.sort([sums[torn] / weighed[torn], (difference - sums[torn]) / (1 - weighed[torn])], axis=0)
    least[torn], most[torn] = means
    rank = math.ceil(ALPHA * len(sums)) - 1
    low, high = float(np.partition(least, rank)[rank]), float(-np.partition(-most, rank)[rank])
    return (p, min(low, 0.0), max(high, 0.0)) if p >= ALPHA else (p, low, high)  # zero may be missed by rounding


def _p(whole: float, sums: Floats) -> float:
    """Return how often the sum is at least as far from zero, given the sums of the parts that are flipped."""
    return float((np.abs(whole - 2 * sums) >= abs(whole) * (1 - 1e-9)).mean())


def _flipped(parts: Floats, *, seed: int, flips: int) -> Iterator[NDArray[np.int8]]:
    """Yield which parts are flipped, (some flips, parts) at a time: 1 or 0.

    Parts that are zero are flipped at random; what the others do is still every way there is, where they are few.
    """
    rng = np.random.default_rng(seed)
    moved = np.flatnonzero(parts)
    ways = 1 << len(moved) if len(moved) <= _EXACT_UNITS else 0
    if ways and len(moved) < len(parts):
        flips = ways * math.ceil(flips / ways)
    elif ways:
        flips = ways
    else:
        yield np.zeros((1, len(parts)), dtype=np.int8)
    batch = max(1, _BATCH_NUMBERS // len(parts))
    for start in range(0, flips, batch):
        rows = np.arange(start, min(start + batch, flips))
        drawn = rng.integers(0, 2, (len(rows), len(parts)), dtype=np.int8)
        if ways:
            drawn[:, moved] = (rows[:, None] >> np.arange(len(moved))) & 1
        yield drawn
