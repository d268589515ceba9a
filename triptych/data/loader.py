"""Which conversations make up step n: a pure function of (lengths, seed, n). Reads no files, needs no pixels.

Not a queue and not a sampler with state: ``StepPlan`` can be asked for any step in any order, which makes a resume
exact. Each epoch shuffles anew, and has every conversation exactly once; its last step may be smaller, never padded
with repeats.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from triptych.core.errors import ConfigError, DataError
from triptych.data.packing import check_lengths, pack


@dataclass(frozen=True, slots=True)
class Step:
    """What one optimizer step learns from."""

    number: int
    """From 0, over all epochs."""
    epoch: int
    """From 0."""
    packs: tuple[tuple[int, ...], ...]
    """Each pack: indexes of the conversations that share a row."""


class StepPlan:
    """The steps of all epochs. State: the packing of the epoch that was asked for last, and where epochs start."""

    def __init__(self, lengths: Sequence[int], *, capacity: int, packs_per_step: int, seed: int) -> None:
        """See ``plan_steps``."""
        self._lengths = tuple(lengths)
        self._capacity = capacity
        self._packs_per_step = packs_per_step
        self._seed = seed
        self._starts = [0]
        self._epoch = -1
        self._packs: tuple[tuple[int, ...], ...] = ()

    def steps_per_epoch(self, epoch: int) -> int:
        """Return the number of steps in this epoch; epochs differ by a few, as their packings do."""
        return self.first_step(epoch + 1) - self.first_step(epoch)

    def first_step(self, epoch: int) -> int:
        """Return the number of the epoch's first step: also the number of steps in all epochs before it."""
        while len(self._starts) <= epoch:
            packs = self._packs_of(len(self._starts) - 1)
            self._starts.append(self._starts[-1] + -(-len(packs) // self._packs_per_step))
        return self._starts[epoch]

    def step(self, number: int) -> Step:
        """Return step ``number``, from 0. Costs one packing for each epoch that was not passed yet."""
        while self._starts[-1] <= number:
            self.first_step(len(self._starts))
        epoch = bisect_right(self._starts, number) - 1
        first = (number - self._starts[epoch]) * self._packs_per_step
        return Step(number, epoch, self._packs_of(epoch)[first : first + self._packs_per_step])

    def _packs_of(self, epoch: int) -> tuple[tuple[int, ...], ...]:
        """Shuffle the examples, pack them, shuffle the packs: those packed early hold more of the long examples."""
        if epoch != self._epoch:
            random = Random(f"{self._seed}-{epoch}")
            order = random.sample(range(len(self._lengths)), len(self._lengths))
            packs = pack([self._lengths[index] for index in order], capacity=self._capacity)
            random.shuffle(packs)
            self._packs = tuple(tuple(order[place] for place in places) for places in packs)
            self._epoch = epoch
        return self._packs


def plan_steps(lengths: Sequence[int], *, capacity: int, packs_per_step: int, seed: int) -> StepPlan:
    """Return the plan of all steps over examples of these lengths.

    Args:
        lengths: tokens of each example, > 0.
        capacity: tokens of a pack (``pack_tokens``).
        packs_per_step: packs in a step, over all ranks and micro-batches; > 0.
        seed: another seed, another order.

    Raises:
        ConfigError: ``packs_per_step`` is not positive.
        DataError: there are no examples, or one is empty or longer than a pack.
    """
    if packs_per_step < 1:
        raise ConfigError(f"packs_per_step must be > 0, found {packs_per_step}: step_tokens is below pack_tokens.")
    if not lengths:
        raise DataError("there are no examples to learn from: every source is empty, or all its rows were refused.")
    check_lengths(lengths, capacity=capacity)  # here, in the caller's order: an error names the caller's index
    return StepPlan(lengths, capacity=capacity, packs_per_step=packs_per_step, seed=seed)
