"""Lengths -> packs: which conversations share a row. Best fit within a window; a conversation is never split.

Not the loader: order comes in as the order of ``lengths``. Each pack starts with the oldest conversation that still
waits and takes, again and again, the longest of the next ``window`` that fits. So nobody waits for ever, nobody is
taken more than a window early, and the short ones are left for the gaps. Invariants: every index exactly once, no
pack above capacity, same input -> same packs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence

from triptych.core.errors import DataError


def check_lengths(lengths: Sequence[int], *, capacity: int) -> None:
    """Refuse a conversation that is longer than a pack, or empty.

    Raises:
        DataError: names the first such index and its length.
    """
    for index, length in enumerate(lengths):
        if length > capacity:
            raise DataError(
                f"example {index} has {length} tokens, a pack only {capacity}: raise pack_tokens, "
                "or shrink its images, or shorten it."
            )
        if length < 1:
            raise DataError(f"example {index} has {length} tokens: leave it out.")


def pack(lengths: Sequence[int], *, capacity: int, window: int = 1024) -> list[list[int]]:
    """Return packs of indexes into ``lengths``, in order of each pack's first; ascending within a pack.

    Args:
        lengths: tokens of each conversation, > 0.
        capacity: tokens of a pack.
        window: how many waiting conversations a pack may choose from, > 0.

    Raises:
        DataError: a conversation is longer than a pack, or empty.
    """
    check_lengths(lengths, capacity=capacity)
    packs: list[list[int]] = []
    # (length, -index) of those who wait, sorted: the last that fits is the longest, and of equals the oldest.
    waiting: list[tuple[int, int]] = []
    taken = [False] * len(lengths)
    arrived = oldest = 0
    while oldest < len(lengths):
        while arrived < len(lengths) and len(waiting) < window:
            insort(waiting, (lengths[arrived], -arrived))
            arrived += 1
        room, here, chosen = capacity, bisect_left(waiting, (lengths[oldest], -oldest)), list[int]()
        while here >= 0:
            length, negative = waiting.pop(here)
            chosen.append(-negative)
            taken[-negative] = True
            room -= length
            here = bisect_right(waiting, (room, 0)) - 1
        packs.append(sorted(chosen))
        while oldest < len(lengths) and taken[oldest]:
            oldest += 1
    return packs
