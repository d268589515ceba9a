"""Sizes of a conversation's images -> sizes that keep limits in tokens: first each its own, then all by one factor.

Not which limits, nor what happens when none will do: ``budget``. Images that lie side by side stay comparable: what is
twice as large stays so, until it meets the floor. Invariants: no image grows, no shorter side is shrunk below the
floor, and what is returned keeps the limits by the cost of exactly these sizes, however that cost rises and falls.
"""

from __future__ import annotations

from collections.abc import Sequence

from triptych.data.media.images import Size
from triptych.data.plan.costs import Cost, CostError, least_longer, scaled

_RUNGS = 24
"""Factors that are tried from full size down to the floor, evenly in proportion."""
_HALVINGS = 8
"""Steps of the bisection between the first factor that keeps the limits and the last that does not."""


def shrink(
    sizes: Sequence[Size], *, cost: Cost, each: int | None, total: int | None, floor_px: int
) -> list[Size] | None:
    """Return the largest sizes, by one factor, that keep both limits; None: even the smallest do not.

    Args:
        sizes: (width, height) in pixels.
        cost: of images, in a conversation of so many.
        each: most tokens of one image; None: as many as it has.
        total: most tokens of all; None: as many as they have.
        floor_px: no image is shrunk until its shorter side has fewer pixels.

    Raises:
        CostError: the family refuses one of the sizes.
    """
    spans = {size: cost.span(size) for size in sizes}
    capped = dict(zip(spans, spans, strict=True))
    if each is not None:
        for size in spans:
            smaller = cost.resized(size, each, least_side=floor_px)
            if smaller is None:
                return None
            capped[size] = smaller
    if total is None or sum(cost.span(capped[size]) for size in sizes) <= total:
        return [capped[size] for size in sizes]
    if not cost.shrinks:
        return None
    floors = {size: least_longer(size, floor_px) for size in spans}

    def at(factor: float) -> list[Size] | None:
        """Return the sizes at this factor, if they keep the limits."""
        smaller: dict[Size, Size] = {}
        for size in spans:
            longer = max(floors[size], min(max(capped[size]), int(max(size) * factor)))
            smaller[size] = size if longer == max(size) else scaled(size, longer)
        return (
            [smaller[size] for size in sizes] if _keeps([smaller[size] for size in sizes], cost, each, total) else None
        )

    least = min((floors[size] / max(size) for size in spans), default=1.0)
    factors = [least ** (rung / _RUNGS) for rung in range(1, _RUNGS + 1)]
    for low, high in zip(factors, [1.0, *factors], strict=False):
        if (best := at(low)) is not None:
            for _ in range(_HALVINGS):
                middle = (low + high) / 2
                if (tried := at(middle)) is not None:
                    best, low = tried, middle
                else:
                    high = middle
            return best
    return None


def _keeps(sizes: Sequence[Size], cost: Cost, each: int | None, total: int) -> bool:
    known: dict[Size, int] = {}
    try:
        for size in sizes:
            if size not in known:
                known[size] = cost.span(size)
    except CostError:  # The shape of a thin picture may round to one that is too thin.
        return False
    return sum(known[size] for size in sizes) <= total and (each is None or max(known.values()) <= each)
