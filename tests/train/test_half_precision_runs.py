"""A run beside weights that are kept in 16 bits ends as one beside whole ones, and its model is whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.train.runs import toy_recipe
from triptych.core.machine import GIB
from triptych.models.families.tiny import tiny
from triptych.models.family import open_model
from triptych.train.forecast.estimate import Assumed, memory_of
from triptych.train.forecast.planner import shape_of
from triptych.train.recipe import ModelPlan, Recipe, Tune, load_recipe
from triptych.train.stage_state import begin_stage
from triptych.train.start import start_model
from triptych.train.trainer import train

RECIPES = Path(__file__).resolve().parent.parent.parent / "recipes"
PARTS = "family: tiny\n  parts: {vision: vit, language: llama}"


def saved_in_16_bits(folder: Path) -> Path:
    """Save a toy whose weights were released in bfloat16."""
    model = tiny(0)
    with torch.no_grad():
        for weight in model.network.parameters():
            weight.copy_(weight.bfloat16())
    model.save(folder)
    return folder


def recipe(folder: Path, *changes: tuple[str, str]) -> Recipe:
    model = saved_in_16_bits(folder / "released")
    folder.mkdir(exist_ok=True)
    return toy_recipe(folder, (PARTS, f"open: {model}"), *changes)


def begun(plan: Recipe, run: Path) -> dict[str, torch.dtype]:
    (stage,) = plan.stages
    assert isinstance(stage, Tune)
    state = begin_stage(start_model(plan.model, seed=1), stage, run=run, seed=2)
    return {name: weight.dtype for name, weight in state.model.network.named_parameters()}


def test_frozen_matrices_of_the_language_model_are_in_16_bits_where_a_step_is(tmp_path: Path) -> None:
    half = ("schedule: linear", "schedule: linear\n    precision: bfloat16")
    kept = begun(recipe(tmp_path / "half", half), tmp_path / "run")
    small = {name for name, kind in kept.items() if kind == torch.bfloat16}
    assert small == {name for name in kept if "language_model.layers" in name and ".base_layer." in name}
    assert set(begun(recipe(tmp_path / "whole"), tmp_path / "other").values()) == {torch.float32}


def test_what_was_frozen_is_saved_as_it_was(tmp_path: Path) -> None:
    changes = [
        ("schedule: linear", "schedule: linear\n    precision: bfloat16"),
        ("rank: 4, alpha: 8, dropout: 0.1", "rank: 4, alpha: 8, dropout: 0.0, targets: [q_proj]"),
    ]
    finished = open_model(train(recipe(tmp_path, *changes), run=tmp_path / "run"))
    released = open_model(tmp_path / "released")
    moved = {
        name
        for name, weight in finished.network.state_dict().items()
        if not torch.equal(weight, released.network.state_dict()[name])
    }
    assert {weight.dtype for weight in finished.network.parameters()} == {torch.float32}
    assert moved
    assert all("q_proj" in name or "projector" in name for name in moved)


@pytest.mark.parametrize(("parallel", "weights_gib"), [("none", 18.3), ("ddp", 18.3), ("fsdp", 9.6)])
def test_the_plan_counts_them_so(parallel: str, weights_gib: float) -> None:
    (stage,) = load_recipe(RECIPES / "qwen_vl_lora.yaml").stages
    assert isinstance(stage, Tune)
    shape = shape_of(ModelPlan(open="Qwen/Qwen2.5-VL-7B-Instruct"))
    found = memory_of(stage, shape, gpus=4, parallel=parallel, assumed=Assumed())
    assert found.weights / GIB == pytest.approx(weights_gib, abs=0.1)
