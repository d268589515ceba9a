"""Lengths -> packs: which conversations share a row. Best fit within a window; a conversation is never split.

Not the order of the rows: they are packed as they arrive. Each pack starts with the oldest conversation that still
waits and takes, again and again, the longest of the next ``window`` that fits. So nobody waits for ever, nobody is
taken more than a window early, and the short ones are left for the gaps. With ``search``, a pack that would stay
emptier than it must is filled anew by an exact subset sum over some of those who wait. Invariants: every index exactly
once, no pack above capacity, same input -> same packs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from itertools import islice

WINDOW = 1024
CANDIDATES = 24
"""Conversations among which the exact search chooses: more cost time and fill no better."""
SLACK = 0.005
"""Share of a pack that may stay empty before it is searched for something better."""


class Packer:
    """Packs a stream that arrives in pieces, exactly as it would be packed whole. State: those who wait."""

    def __init__(self, *, capacity: int, window: int = WINDOW, search: bool = False) -> None:
        """Begin with nobody waiting.

        Args:
            capacity: tokens of a pack. Every length that is added is above 0 and at most this.
            window: how many waiting conversations a pack may choose from, > 0.
            search: look for the fullest pack where the longest-first choice leaves a gap.
        """
        self._capacity = capacity
        self._window = window
        self._slack = int(SLACK * capacity) if search else capacity
        # (length, -index), sorted: the last that fits is the longest, and of equals the oldest.
        self._waiting: list[tuple[int, int]] = []
        self._lengths: dict[int, int] = {}
        """Index -> length of each conversation that waits, in order of arrival: the first is the oldest."""
        self._arrived = 0

    def add(self, lengths: Iterable[int]) -> list[list[int]]:
        """Take conversations in, by their lengths in tokens; return the packs that no later arrival can change.

        A pack is the indexes of its conversations, ascending. They count arrivals from 0, over all calls.
        """
        packs: list[list[int]] = []
        arriving = iter(lengths)
        while True:
            for length in islice(arriving, self._window - len(self._waiting)):
                insort(self._waiting, (length, -self._arrived))
                self._lengths[self._arrived] = length
                self._arrived += 1
            if len(self._waiting) < self._window:
                return packs
            packs.append(self._one())

    def finish(self) -> list[list[int]]:
        """Return the packs of all who still wait."""
        packs: list[list[int]] = []
        while self._waiting:
            packs.append(self._one())
        return packs

    def _one(self) -> list[int]:
        """Take out the next pack: the oldest, and who fits beside it."""
        oldest = next(iter(self._lengths))
        first = (self._lengths[oldest], -oldest)
        chosen, room = self._longest_first([first])
        if room > self._slack:
            self._give_back(chosen)
            better, left = self._longest_first(self._fullest(first))
            if left < room:
                chosen = better
            else:
                self._give_back(better)
                chosen, _ = self._longest_first([first])
        for _, negative in chosen:
            del self._lengths[-negative]
        return sorted(-negative for _, negative in chosen)

    def _longest_first(self, chosen: Sequence[tuple[int, int]]) -> tuple[list[tuple[int, int]], int]:
        """Take out those chosen, then the longest that fits until none does; return them and the room left."""
        waiting, taken, room = self._waiting, list(chosen), self._capacity
        for each in taken:
            del waiting[bisect_left(waiting, each)]
            room -= each[0]
        while (place := bisect_right(waiting, (room, 0)) - 1) >= 0:
            taken.append(waiting.pop(place))
            room -= taken[-1][0]
        return taken, room

    def _give_back(self, taken: Iterable[tuple[int, int]]) -> None:
        for each in taken:
            insort(self._waiting, each)

    def _fullest(self, first: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the fullest pack of ``first`` and candidates from all lengths that fit beside it.

        A subset sum: bit n of ``reach[k]`` says whether some of the first k candidates are n tokens together.
        """
        room = self._capacity - first[0]
        fitting = [each for each in self._waiting[: bisect_right(self._waiting, (room, 0))] if each != first]
        stride = max(1.0, len(fitting) / CANDIDATES)
        candidates = [fitting[int(at * stride)] for at in range(min(len(fitting), CANDIDATES))][::-1]
        mask, reach = (1 << (room + 1)) - 1, [1]
        for length, _ in candidates:
            reach.append((reach[-1] | reach[-1] << length) & mask)
            if reach[-1] >> room:
                break
        chosen, left = [first], reach[-1].bit_length() - 1
        for at in range(len(reach) - 1, 0, -1):
            if not reach[at - 1] >> left & 1:  # not reached without this one
                chosen.append(candidates[at - 1])
                left -= candidates[at - 1][0]
        return chosen
