"""Shrunk sizes keep their shape and their limits, and no pixel more is lost than need be."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.data.media.images import Size
from triptych.data.plan.costs import Cost, CostError, Merged, Patches, least_longer, scaled
from triptych.data.plan.costs_tiled import AnyRes, Tiles
from triptych.data.plan.shrink import shrink

ONEVISION = AnyRes(
    tile_px=384,
    tile_patches=27,
    grids=tuple((384 * wide, 384 * high) for wide, high in itertools.product(range(1, 7), repeat=2)),
    view=729,
    most_tiles=9,
)
SHRINKING = (ONEVISION, Patches(), Merged(), Merged(patch_px=16, least_pixels=65_536), Tiles())
SIZES = st.tuples(st.integers(1, 6000), st.integers(1, 6000))


@pytest.mark.parametrize("cost", SHRINKING, ids=lambda cost: type(cost).__name__)
@given(size=SIZES, max_tokens=st.integers(1, 5000), least_side=st.sampled_from([1, 28, 64]))
def test_a_shrunk_size_fits_and_is_the_largest_that_does(
    cost: Cost, size: Size, max_tokens: int, least_side: int
) -> None:
    try:
        span = cost.span(size)
    except CostError:
        return
    smaller = cost.resized(size, max_tokens, least_side=least_side)
    if span <= max_tokens:
        assert smaller == size
    elif smaller is not None:
        assert cost.span(smaller) <= max_tokens
        assert smaller == scaled(size, max(smaller))
        assert max(smaller) < max(size)
        assert min(smaller) >= min(least_side, min(size))
        assert not cost._fits(scaled(size, max(smaller) + 1), max_tokens)
    else:
        assert not cost._fits(scaled(size, least_longer(size, least_side)), max_tokens)


@given(size=SIZES, longer=st.integers(1, 6000))
def test_a_scaled_size_keeps_its_shape_to_the_pixel(size: Size, longer: int) -> None:
    made = scaled(size, longer)
    assert max(made) == longer
    assert (made[0] >= made[1]) == (size[0] >= size[1]) or made[0] == made[1]
    exact = min(size) * longer / max(size)
    assert abs(min(made) - max(exact, 1)) <= 0.5


@settings(max_examples=300)
@given(
    full=st.lists(SIZES, min_size=1, max_size=5),
    cost=st.sampled_from(SHRINKING),
    each=st.one_of(st.none(), st.integers(1, 3000)),
    total=st.integers(1, 9000),
    floor=st.sampled_from([1, 28, 56]),
)
def test_shrinking_keeps_both_limits_and_the_proportions(
    full: list[Size], cost: Cost, each: int | None, total: int, floor: int
) -> None:
    try:
        made = shrink(full, cost=cost, each=each, total=total, floor_px=floor)
    except CostError:
        return
    if made is None:
        return
    costs = [cost.span(size) for size in made]
    assert sum(costs) <= total
    assert max(costs) <= (each or max(costs))
    free = [
        small[0] * small[1] / (size[0] * size[1]) for small, size in zip(made, full, strict=True) if min(small) > 60
    ]
    if each is None and free and min(min(size) for size in made) > 60:
        assert max(free) - min(free) < 0.15  # One factor for all, to the pixel.
