"""A step that cannot go on says why: rates that are too high, or a weight that was never a number."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.train.runs import toy_recipe
from triptych.core.errors import RunError
from triptych.models.families.tiny import tiny
from triptych.train.trainer import train

PARTS = "model:\n  family: tiny\n  parts: {vision: vit, language: llama}"


@pytest.mark.parametrize(
    ("weight", "value"),
    [
        ("model.vision_tower.embeddings.class_embedding", float("nan")),
        ("model.multi_modal_projector.linear_1.weight", float("inf")),
        ("model.language_model.embed_tokens.weight", float("nan")),
    ],
)
def test_a_weight_that_is_no_number_as_the_model_is_opened_is_named(weight: str, value: float, tmp_path: Path) -> None:
    model = tiny(0)
    with torch.no_grad():
        model.network.get_parameter(weight).view(-1)[-1] = value
    model.save(tmp_path / "torn")
    recipe = toy_recipe(tmp_path, (PARTS, f"model: {{open: {tmp_path / 'torn'}}}"))
    with pytest.raises(RunError, match=rf"Weight '{weight}' is not finite, and no step") as told:
        train(recipe, run=tmp_path / "run")
    assert "rates" not in str(told.value)
    assert "step 1 of stage 'tune': the loss is nan" in str(told.value)


@pytest.mark.parametrize("rate", ["1e+18", "1e+38"])
def test_rates_that_are_too_high_are_told_where_all_weights_were_numbers(rate: str, tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path, ("rate: 1e-2", f"rate: {rate}"), ("rate: 3e-3", f"rate: {rate}"))
    with pytest.raises(RunError, match="Lower the parts' rates"):
        train(recipe, run=tmp_path / "run")
