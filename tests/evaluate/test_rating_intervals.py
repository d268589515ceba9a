"""How far a rating may reach, where somebody wins nearly always or has never lost."""

from __future__ import annotations

import math

import pytest

from triptych.evaluate.certainty.ratings import Vote, rate
from triptych.evaluate.certainty.statistics import wilson
from triptych.evaluate.saved.arena import hold_arena, lines_of


def points(share: float) -> float:
    """Return the rating of who wins so often against the only other."""
    return 1000 + 200 * math.log10(share / (1 - share))


def test_of_two_the_interval_is_that_of_the_share_of_wins() -> None:
    best, worst = rate([Vote("a", "b", float(number > 0), number) for number in range(40)])
    low, high = wilson(39, 40)
    assert (best.low, best.high) == pytest.approx((points(low), points(high)))
    assert (worst.low, worst.high) == pytest.approx((2000 - points(high), 2000 - points(low)))


def test_of_two_the_end_of_who_always_won_is_open() -> None:
    votes = [Vote("a", "b", 1.0, number) for number in range(40)]
    best, worst = rate(votes)
    assert (best.high, worst.low) == (None, None)
    assert (best.low, worst.high) == pytest.approx((points(wilson(40, 40).low), points(wilson(0, 40).high)))
    said = [line.split() for line in lines_of(hold_arena(votes))[1:3]]
    assert said == [["a", "1382", "1204", "or", "more", "40"], ["b", "618", "796", "or", "less", "40"]]


def test_of_several_the_end_of_who_never_lost_or_never_won_is_open() -> None:
    games = [(("a", "b"), 1.0), (("a", "c"), 1.0), (("b", "c"), 0.5)]
    votes = [Vote(*pair, won, number) for number in range(9) for pair, won in games]
    found = {it.name: it for it in rate(votes)}
    assert [name for name, it in found.items() if it.high is None] == ["a"]
    assert [name for name, it in found.items() if it.low is None] == []
    votes += [Vote("d", "b", 0.0, number) for number in range(9)]
    assert [it.name for it in rate(votes) if it.low is None] == ["d"]


def test_votes_on_one_question_leave_both_ends_open() -> None:
    votes = [Vote("a", "b", 1.0, "q")] * 3
    assert {(it.low, it.high) for it in rate(votes)} == {(None, None)}
    assert "unknown" in lines_of(hold_arena(votes))[1]
