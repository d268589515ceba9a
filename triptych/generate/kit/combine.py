"""How the values of several images are put together to an answer: a sum, the image that has the most, yes or no.

Not what a value is, nor which kinds there are (``kinds``). Each takes (the value of each image in order, what is asked,
how many images there are) and returns the answer; None: these images give none, as for a tie.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise

from triptych.core.records import Json

Value = Hashable
Details = Mapping[str, Json]
"""What a kind is asked with: ``{"sort": [attribute, name], "a": 1, "b": 3}``, numbers of images from 1."""


def ints_in(values: Sequence[Value]) -> list[int]:
    """Return values that are counts."""
    return [value if isinstance(value, int) else 0 for value in values]


def sets_in(values: Sequence[Value]) -> list[frozenset[str]]:
    """Return values that are sets of names."""
    return [value if isinstance(value, frozenset) else frozenset() for value in values]


def number_in(details: Details, key: str) -> int:
    """Return a number that is asked with; 1 where there is none."""
    said = details.get(key)
    return said if isinstance(said, int) else 1


def _two(values: Sequence[int], details: Details) -> tuple[int, int]:
    return values[number_in(details, "a") - 1], values[number_in(details, "b") - 1]


def _yes(said: bool) -> str:
    return "yes" if said else "no"


def _only(found: Sequence[int]) -> str | None:
    return f"image {found[0]}" if len(found) == 1 else None


def total(values: Sequence[Value], details: Details, count: int) -> str:
    """Return the sum over all images."""
    return str(sum(ints_in(values)))


def in_one(values: Sequence[Value], details: Details, count: int) -> str:
    """Return the count in image ``a``."""
    return str(ints_in(values)[number_in(details, "a") - 1])


def more(values: Sequence[Value], details: Details, count: int) -> str | None:
    """Return which of images ``a`` and ``b`` has more; None: as many."""
    one, other = _two(ints_in(values), details)
    return None if one == other else f"image {number_in(details, 'a' if one > other else 'b')}"


def how_many_more(values: Sequence[Value], details: Details, count: int) -> str | None:
    """Return by how many image ``a`` has more than image ``b``; None: it has not more."""
    one, other = _two(ints_in(values), details)
    return str(one - other) if one > other else None


def same_number(values: Sequence[Value], details: Details, count: int) -> str | None:
    """Return whether images ``a`` and ``b`` have as many; None: neither has any."""
    one, other = _two(ints_in(values), details)
    return _yes(one == other) if one or other else None


def both(values: Sequence[Value], details: Details, count: int) -> str | None:
    """Return whether images ``a`` and ``b`` both have any; None: neither has."""
    one, other = _two(ints_in(values), details)
    return _yes(min(one, other) > 0) if one or other else None


def every(values: Sequence[Value], details: Details, count: int) -> str:
    """Return whether every image has any."""
    return _yes(all(ints_in(values)))


def images_with(values: Sequence[Value], details: Details, count: int) -> str:
    """Return how many images have any."""
    return str(sum(value > 0 for value in ints_in(values)))


def which(values: Sequence[Value], details: Details, count: int) -> str | None:
    """Return the only image that has any."""
    return _only([at for at, value in enumerate(ints_in(values), start=1) if value])


def odd_one_out(values: Sequence[Value], details: Details, count: int) -> str | None:
    """Return the only image that has none."""
    return _only([at for at, value in enumerate(ints_in(values), start=1) if not value])


def most(values: Sequence[Value], details: Details, count: int) -> str | None:
    """Return the only image that has as many as none else."""
    numbers = ints_in(values)
    return _only([at for at, value in enumerate(numbers, start=1) if value == max(numbers)])


def first(values: Sequence[Value], details: Details, count: int) -> str | None:
    """Return the first image that has any, where several have."""
    found = [at for at, value in enumerate(ints_in(values), start=1) if value]
    return f"image {found[0]}" if len(found) > 1 else None


def last(values: Sequence[Value], details: Details, count: int) -> str | None:
    """Return the last image that has any, where several have."""
    found = [at for at, value in enumerate(ints_in(values), start=1) if value]
    return f"image {found[-1]}" if len(found) > 1 else None


def grows(values: Sequence[Value], details: Details, count: int) -> str | None:
    """Return whether the count never goes down; None: it stays the same."""
    numbers = ints_in(values)
    return None if len(set(numbers)) == 1 else _yes(all(a <= b for a, b in pairwise(numbers)))


def exactly(values: Sequence[Value], details: Details, count: int) -> str:
    """Return whether an image has exactly as many as asked."""
    return _yes(number_in(details, "number") in ints_in(values))


def images_exactly(values: Sequence[Value], details: Details, count: int) -> str:
    """Return how many images have exactly as many as asked."""
    return str(sum(value == number_in(details, "number") for value in ints_in(values)))


def some(values: Sequence[Value], details: Details, count: int) -> str:
    """Return whether any image has any."""
    return _yes(any(ints_in(values)))


def shared(values: Sequence[Value], details: Details, count: int) -> str | None:
    """Return the one thing that images ``a`` and ``b`` share."""
    names = sets_in(values)
    both = names[number_in(details, "a") - 1] & names[number_in(details, "b") - 1]
    return next(iter(both)) if len(both) == 1 else None


def only_in(values: Sequence[Value], details: Details, count: int) -> str | None:
    """Return the one thing that image ``a`` has and image ``b`` lacks."""
    names = sets_in(values)
    left = names[number_in(details, "a") - 1] - names[number_in(details, "b") - 1]
    return next(iter(left)) if len(left) == 1 else None


def after(values: Sequence[Value], details: Details, count: int) -> str | None:
    """Return the one thing that is new right after image ``a``."""
    names = sets_in(values)
    at = number_in(details, "a")
    if at >= len(names):
        return None
    new = names[at] - frozenset[str]().union(*names[:at])
    return next(iter(new)) if len(new) == 1 else None
