"""How far scores agree with labels."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from scipy import stats

from triptych.core.records import Example
from triptych.evaluate.saved.agreement import agreement, agreements

LABELS = (1.0, 2.0, 2.0, 3.0, 4.0, 1.0, 3.0, 2.0, 4.0, 1.0)
SCORES = (1.2, 1.9, 2.4, 2.2, 3.9, 1.4, 3.3, 1.1, 3.0, 0.8)


def test_the_numbers_are_scipys_and_the_interval_holds_them() -> None:
    found = agreement("sharp", LABELS, scores=SCORES)
    assert found.rho == pytest.approx(stats.spearmanr(LABELS, SCORES).statistic)
    assert found.interval.low < (found.rho or 0) < found.interval.high
    assert found.squared_error == pytest.approx(sum((a - b) ** 2 for a, b in zip(LABELS, SCORES, strict=True)) / 10)
    mean = sum(LABELS) / 10
    assert found.mean_error == pytest.approx(sum((label - mean) ** 2 for label in LABELS) / 10)
    assert found.right is None
    assert agreement("sharp", LABELS, scores=SCORES) == found, "the bootstrap is seeded"


def test_one_score_for_all_has_no_correlation_and_the_error_of_the_mean() -> None:
    mean = sum(LABELS) / len(LABELS)
    found = agreement("sharp", LABELS, scores=[mean] * 10)
    assert found.rho is None
    assert found.squared_error == pytest.approx(found.mean_error)
    assert found.interval == (-1.0, 1.0)


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_what_is_no_number_is_never_ranked(score: float) -> None:
    with pytest.raises(ValueError, match=f"score 3 of 'sharp' is {score}"):
        agreement("sharp", [1, 2, 3, 4], scores=[0.1, 0.2, 0.3, score])
    rows = [Example(f"row-{at}", (), labels=(("sharp", at),)) for at in range(4)]
    with pytest.raises(ValueError, match="is no number"):
        agreements(rows, {row.id: (score,) for row in rows}, targets=["sharp"])


def test_classes_have_a_share_that_is_right() -> None:
    assert agreement("kind", [0, 1, 2, 1], scores=[0, 1, 1, 1], classes=True).right == 0.75


def test_targets_without_any_label_are_left_out_and_rows_without_one_do_not_count() -> None:
    rows = [Example(f"row-{at}", (), labels=(("sharp", label),)) for at, label in enumerate(LABELS)]
    rows[3] = replace(rows[3], labels=())
    scores = {row.id: (score, 0.0) for row, score in zip(rows, SCORES, strict=True)}
    (found,) = agreements(rows, scores, targets=["sharp", "blur"])
    assert (found.target, found.n) == ("sharp", 9)
    assert found.as_json()["spearman"] == found.rho
