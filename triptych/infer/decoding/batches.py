"""Which questions are asked together: groups that begin alike, and batches of groups of similar length.

Not the asking itself (``local``), nor what is done with a shared beginning (``decode``). Tokens are shared from the
first on, as far as they are the same and the same images stand among them, shown alike: the questions of a story mostly
differ in their last words alone, and a conversation's next turn begins with all turns before it.
Pure functions of the prompts: no weights, no pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from triptych.core.records import ImageRef
from triptych.data.template import Encoded

MOST_TOKENS = 16_384
"""Most different tokens of a group; what is longer is asked alone. Who sees whom in a group is a square of so many."""

Key = tuple[int, ...]
"""A prompt's tokens, an image's replaced by a negative number that stands for this image in a slot of this length."""


@dataclass(frozen=True, slots=True)
class Group:
    """Prompts that begin alike, sorted, so that each has most in common with its neighbours."""

    prompts: tuple[Encoded, ...]
    common: tuple[int, ...]
    """How many tokens each prompt has in common with the one before it, less than either has; 0 for the first."""

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt."""
        return max(len(prompt.ids) for prompt in self.prompts)

    @property
    def tokens(self) -> int:
        """Tokens of all prompts, each common one counted once."""
        return sum(len(prompt.ids) for prompt in self.prompts) - sum(self.common)


def alone(prompt: Encoded) -> Group:
    """Return a prompt as a group."""
    return Group((prompt,), (0,))


def group_by_beginning(prompts: Sequence[Encoded]) -> list[Group]:
    """Return every prompt once: in a group with a neighbour it shares at least half of the shorter one with, or alone.

    What two neighbours share, in sorted order, is all that one of them shares with anybody on the other's side; so no
    group could share more.
    """
    images: dict[tuple[tuple[ImageRef, ...], int], int] = {}
    keyed = sorted(((_key(prompt, images), prompt) for prompt in prompts), key=lambda pair: (pair[0], pair[1].id))
    groups: list[Group] = []
    members, common = [prompt for _, prompt in keyed[:1]], [0]
    for (one, _), (other, prompt) in pairwise(keyed):
        alike = min(common_prefix(one, other), min(len(one), len(other)) - 1)  # each keeps one token of its own
        if 2 * alike < min(len(one), len(other)):
            groups.append(Group(tuple(members), tuple(common)))
            members, common, alike = [], [], 0
        members.append(prompt)
        common.append(alike)
    return [*groups, Group(tuple(members), tuple(common))] if members else groups


def plan_batches(groups: Sequence[Group], *, budget: int, reply: int, most: int = MOST_TOKENS) -> Iterator[list[Group]]:
    """Yield every prompt once, in batches of groups of as many tokens, the most first; then of prompts alone.

    Args:
        groups: in any order; one that does not fit a batch is divided.
        budget: most positions of a batch: rows times (longest prompt + reply). A longer prompt is alone.
        reply: positions kept free for each reply.
        most: different tokens of a group, and positions of any prompt in it with its reply.
    """
    fitting = [part for group in groups for part in _divide(group, budget=budget, reply=reply, most=most)]
    batch: list[Group] = []
    rows = width = 0
    for group in sorted(fitting, key=lambda group: (len(group.prompts) == 1, -group.tokens)):
        width = max(width, group.longest + reply)
        mixed = bool(batch) and len(batch[0].prompts) > 1 and len(group.prompts) == 1
        if batch and (mixed or (rows + len(group.prompts)) * width > budget):
            yield batch
            batch, rows, width = [], 0, group.longest + reply
        batch.append(group)
        rows += len(group.prompts)
    if batch:
        yield batch


def _key(prompt: Encoded, images: dict[tuple[tuple[ImageRef, ...], int], int]) -> Key:
    key = list(prompt.ids)
    for place in prompt.places:
        span = place.stop - place.start
        key[place.start : place.stop] = [-1 - images.setdefault((place.images, span), len(images))] * span
    return tuple(key)


def common_prefix(one: Key, other: Sequence[int]) -> int:
    """Return how many tokens both begin with."""
    most = min(len(one), len(other))
    low, step = 0, most
    while step > 0:  # halving, as comparing slices is quick and comparing tokens one by one is not
        if one[low : low + step] == tuple(other[low : low + step]):
            low += step
            step = min(step, most - low)
        else:
            step //= 2
    return low


def _divide(group: Group, *, budget: int, reply: int, most: int) -> Iterator[Group]:
    rows = max(1, budget // (group.longest + reply)) if max(group.tokens, group.longest + reply) <= most else 1
    for start in range(0, len(group.prompts), rows):
        yield Group(group.prompts[start : start + rows], (0, *group.common[start + 1 : start + rows]))
