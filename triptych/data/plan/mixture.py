"""Which rows of which source make up an epoch: weights, limits and balancing, always seeded, never a fixed prefix.

Not their order within the epoch (``step_plan``). Each source is an endless stream of its rows, shuffled anew for every
pass; an epoch takes the next piece of it. So a weight of 1 has every row once an epoch, 0.5 has a half and then the
other half, 2.5 has all twice and a half, then all twice and the other half. Rows are numbers: those of the first source
come first. Memory: eight bytes a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from random import Random

import numpy as np
from numpy.typing import NDArray

from triptych.core.errors import ConfigError

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Portion:
    """How much of a source an epoch takes."""

    rows: int
    """Number of rows of the source."""
    an_epoch: Fraction
    """Rows that an epoch takes, on average over epochs: more than ``rows`` repeats some."""

    def place(self, epoch: int) -> int:
        """Return how many rows of the endless stream are taken before this epoch."""
        return int(epoch * self.an_epoch)


@dataclass(frozen=True, slots=True)
class Mixture:
    """The portions of all sources of a stage."""

    portions: tuple[Portion, ...]
    seed: int

    @property
    def starts(self) -> tuple[int, ...]:
        """The number of each source's first row; at the end, the number of all rows."""
        return tuple(accumulate((portion.rows for portion in self.portions), initial=0))

    def size(self, epoch: int) -> int:
        """Return how many rows the epoch takes."""
        return sum(portion.place(epoch + 1) - portion.place(epoch) for portion in self.portions)

    def epoch(self, epoch: int) -> Numbers:
        """Return the rows of an epoch, source by source."""
        pieces = [np.zeros(0, dtype=np.int64)]
        for number, (start, portion) in enumerate(zip(self.starts, self.portions, strict=False)):
            at, stop = portion.place(epoch), portion.place(epoch + 1)
            while at < stop:
                turn, first = divmod(at, portion.rows)
                end = min(portion.rows, first + stop - at)
                if end - first == portion.rows:  # all of it: their order is the loader's
                    rows = np.arange(portion.rows, dtype=np.int64)
                else:
                    rows = shuffled(portion.rows, f"{self.seed}-source-{number}-{turn}")[first:end]
                pieces.append(rows + start)
                at += end - first
        return np.concatenate(pieces)


def shuffled(count: int, seed: str) -> Numbers:
    """Return 0..count-1 in an order that follows from the seed, on any machine and with any numpy."""
    return np.array(Random(seed).sample(range(count), count), dtype=np.int64)


def mix(
    rows: Sequence[int],
    *,
    weights: Sequence[float],
    limits: Sequence[int | None],
    balance: str | float = "weights",
    seed: int,
) -> Mixture:
    """Return the mixture of sources of so many rows.

    Args:
        rows: of each source.
        weights: how often an epoch has each row of a source, > 0; with balancing, on top of it.
        limits: rows of a source that an epoch may take, before its weight; None: all. Other rows in each epoch.
        balance: ``weights``: sizes as they are; ``sqrt``: shares by the roots of the sizes; a number T: shares by
            the sizes to the power 1/T; ``mantis``: as that project's trainer had it.
        seed: another seed, another choice.

    Raises:
        ConfigError: no such balancing.
    """
    sizes = [count if limit is None else min(count, limit) for count, limit in zip(rows, limits, strict=True)]
    if balance == "mantis":
        sizes = mantis_sizes(sizes)
    elif balance == "sqrt" or isinstance(balance, int | float):
        sizes = tempered_sizes(sizes, 2.0 if balance == "sqrt" else float(balance))
    elif balance != "weights":
        raise ConfigError(f"sources are balanced by weights, sqrt, mantis or a temperature, not {balance!r}.")
    # A weight as it is written: 0.1 is a tenth, and ten epochs of it are all rows.
    taken = [size * Fraction(repr(float(weight))) for size, weight in zip(sizes, weights, strict=True)]
    portions = (Portion(count, size if count else Fraction(0)) for count, size in zip(rows, taken, strict=True))
    return Mixture(tuple(portions), seed)


def tempered_sizes(sizes: Sequence[int], temperature: float) -> list[int]:
    """Return sizes in the shares size^(1/T), as many rows in all: T = 1 changes nothing, a large T makes all equal.

    Raises:
        ConfigError: a temperature below 1.
    """
    if not temperature >= 1:
        raise ConfigError(f"a temperature is 1 or more, found {temperature}.")
    shares = [size ** (1 / temperature) if size else 0.0 for size in sizes]
    whole = sum(shares) or 1.0
    return [round(sum(sizes) * share / whole) for share in shares]


def mantis_sizes(sizes: Sequence[int]) -> list[int]:
    """Return the sizes that the trainer of Mantis balances data sets to: 1.1 times shares by the roots, none over all.

    Source: Jiang et al. 2024, arXiv:2405.01483, the option ``dataset_balancing``. There a smaller set loses always
    the same rows; here, as everywhere, each epoch has others.
    """
    roots = [size**0.5 for size in sizes]
    whole = sum(roots) or 1.0
    return [int(sum(sizes) * min(1.1 * root / whole, 1)) for root in roots]
