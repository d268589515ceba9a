"""Things that are joined in pairs, and through these in groups: copies of a picture, rows that share one."""

from __future__ import annotations


class Joined:
    """So many things by their numbers. State: which are joined."""

    def __init__(self, count: int) -> None:
        """Join none yet."""
        self._heads = list(range(count))

    def head(self, number: int) -> int:
        """Return the least of those that a thing is joined with, through however many others: its group's number."""
        heads = self._heads
        while heads[number] != number:
            heads[number] = number = heads[heads[number]]
        return number

    def join(self, one: int, other: int) -> None:
        """Make one group of two things' groups."""
        first, last = sorted((self.head(one), self.head(other)))
        self._heads[last] = first
