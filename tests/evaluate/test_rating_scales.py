"""Ratings of videos on other scales than the one that was asked for: no order among them is lost."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from triptych.core.records import Example, Json, Text, Turn
from triptych.evaluate.benchmarks import genai_bench
from triptych.evaluate.question.against_people import aspect_ranks, mean_rating, pair_points
from triptych.evaluate.question.video_quality import ASPECTS

SCALES = [(-10.0, -9.0), (-0.5, 0.25), (0.0, 1.0), (2.0, 3.5), (7.0, 7.75), (8.5, 9.5), (85.0, 95.0), (997.0, 998.0)]


def video(side: str, preference: float) -> Example:
    turns = (Turn("user", (Text("?"),)), Turn("assistant", (Text("3"),)))
    facts: dict[str, Json] = {"kind": "preference", "preference": preference, "story": "pair"}
    return Example(f"pair_{side}", turns, facts=facts)


def says(rating: float) -> str:
    return "\n".join(f"{aspect}: {rating:f}" for aspect in ASPECTS)


@pytest.mark.parametrize(("low", "high"), SCALES)
@pytest.mark.parametrize("preferred", [0.0, 0.5, 1.0])
def test_a_pair_is_ordered_as_its_ratings_are_on_any_scale(low: float, high: float, preferred: float) -> None:
    pair = [video("left", preferred), video("right", 1 - preferred)]
    points = pair_points([(pair[0], says(high)), (pair[1], says(low))])
    assert all(0 < point <= 1 for point in points)
    assert points[0] > points[1]
    assert genai_bench.accuracy(list(zip(pair, points, strict=True))) == float(preferred == 1)


@pytest.mark.parametrize(("one", "other", "tied"), [(9.0, 9.4, 1.0), (90.5, 90.0, 0.0), (-3.0, -3.5, 0.0), (-1, -1, 1)])
def test_a_tie_is_less_than_one_half_apart_on_any_scale(one: float, other: float, tied: float) -> None:
    pair = [video("left", 0.5), video("right", 0.5)]
    points = pair_points(list(zip(pair, map(says, (one, other)), strict=True)))
    assert genai_bench.accuracy(list(zip(pair, points, strict=True))) == tied


def test_points_rise_with_ratings_and_none_is_lost_on_the_scale_that_was_asked_for() -> None:
    ratings = [-1e9, -100.0, -1.0, 0.0, 1e-3, 0.5, 1.0, 2.6, 4.0, 6.9, 7.1, 8.0, 8.1, 100.0, 1e6, 1e9]
    points = pair_points([(video("left", 1.0), says(rating)) for rating in ratings])
    assert all(one < other for one, other in pairwise(points))
    assert points[ratings.index(2.6)] == (mean_rating(says(2.6)) or math.nan) / 8


def test_a_number_beyond_all_numbers_is_no_rating() -> None:
    assert mean_rating("9" * 400) is None


def test_a_reply_without_a_rating_comes_last_behind_negative_ones_too() -> None:
    aspect = Example("a", (), facts={"kind": ASPECTS[0], "people": 2})
    assert aspect_ranks([(aspect, says(-2)), (aspect, "no number"), (aspect, says(1))]) == [2 / 3, 1 / 3, 1]
