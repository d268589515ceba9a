"""A data set's own budget lies within the stage's: what it leaves out is the stage's, not a default that beats it."""

from __future__ import annotations

import json

import pytest

from triptych.data.plan.budget import FLOOR_PX, Budget
from triptych.train.recipe import Tune
from triptych.train.stage_data import _budget


def budget(stage: dict[str, int] | None, own: dict[str, int] | None) -> Budget | None:
    """Return the budget of the one source of a stage."""
    said = {"name": "s", "kind": "tune", "length": "2 steps", "pack_tokens": 1024, "step_tokens": 1024}
    data = [{"source": "messages:x.jsonl", "budget": own}]
    parts = {"projector": {"train": "full", "rate": 1e-3}}
    plan = Tune.model_validate_json(json.dumps({**said, "data": data, "budget": stage, "parts": parts}))
    return _budget(plan, plan.data[0].budget)


@pytest.mark.parametrize(
    ("stage", "own", "least"),
    [
        ({"least_side_px": 28}, {"image_tokens": 16}, 28),
        ({"least_side_px": 112}, {"image_tokens": 16}, 112),
        ({"least_side_px": 28}, {"least_side_px": 40}, 40),
        ({"least_side_px": 28}, None, 28),
        ({"image_tokens": 99}, {"least_side_px": 28}, FLOOR_PX),
        ({"image_tokens": 99}, {"image_tokens": 16}, FLOOR_PX),
        (None, {"least_side_px": 28}, 28),
        (None, {"image_tokens": 16}, FLOOR_PX),
    ],
)
def test_the_least_side_is_the_one_that_somebody_wrote(
    stage: dict[str, int] | None, own: dict[str, int] | None, least: int
) -> None:
    found = budget(stage, own)
    assert found is not None
    assert found.least_side_px == least


def test_a_source_keeps_both_limits() -> None:
    found = budget({"image_tokens": 99, "images_tokens": 500}, {"image_tokens": 16})
    assert found == Budget(image_tokens=16, images_tokens=500, example_tokens=1024, least_side_px=FLOOR_PX)
    assert budget(None, None) is None
