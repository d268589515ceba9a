"""Every published recipe has a tiny twin that says the same where it must, and that runs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.train.runs import write_pictures, write_tune
from triptych.core.files import read_json_lines
from triptych.train.inspection.shown import differences, in_yaml
from triptych.train.inspection.twin import drift, original_of, twin_of
from triptych.train.measuring.meters import METRICS
from triptych.train.objective import Regression
from triptych.train.recipe import Lora, Recipe, Tune, load_recipe
from triptych.train.trainer import train

RECIPES = Path(__file__).resolve().parent.parent.parent / "recipes"
PLAIN = {
    "demo",
    "mantis_chat",
    "nlvr",
    "nlvr_generated",
    "nlvr_untuned",
    "video_score_photos_starter",
    "video_score_starter",
}
"""Recipes that are small themselves."""
TWINS = sorted((RECIPES / "tiny").glob("*.yaml"))


def test_every_published_recipe_has_a_twin_and_every_twin_its_recipe() -> None:
    published = {path.stem for path in RECIPES.glob("*.yaml")} - PLAIN
    assert {path.stem for path in TWINS} == published
    assert all(twin_of(original) == twin for twin in TWINS if (original := original_of(twin)))


def test_stages_in_another_order_are_another_recipe_and_no_twin() -> None:
    recipe = load_recipe(RECIPES / "interleave_0.5b_single.yaml")
    turned = recipe.model_copy(update={"stages": recipe.stages[::-1]})
    names = [stage.name for stage in recipe.stages]
    assert differences(recipe, turned) == [("stages", in_yaml(list(names)), in_yaml(list(names[::-1])))]
    assert differences(recipe, recipe) == []
    assert f"stages is {names} in the recipe, {names[::-1]} in the twin" in drift(recipe, turned)


@pytest.mark.parametrize("twin", TWINS, ids=lambda path: path.stem)
def test_a_twin_differs_in_model_data_lengths_and_sizes_alone(twin: Path) -> None:
    original = original_of(twin)
    assert original is not None
    assert drift(load_recipe(original), load_recipe(twin)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("stages.instruct.decay=0.5", "stages.instruct.decay is 0.0 in the recipe, 0.5 in the twin"),
        ("stages.instruct.parts.language={train: lora, rate: 1e-5, rank: 4, alpha: 4}", "language.train is full"),
        ("stages.instruct.parts.language.only=[norm]", "chosen layers in one of the two alone"),
        ("stages.instruct.data=[{source: 'messages:x'}]", "the transforms are not the same ones"),
        ("name=other", "a twin's is tiny_mantis_clip"),
        ("stages.instruct.name=tune", "stages.instruct.mixing is only in the recipe"),
    ],
)
def test_drift_is_told(change: str, said: str) -> None:
    found = drift(
        load_recipe(RECIPES / "mantis_clip.yaml"), load_recipe(RECIPES / "tiny" / "mantis_clip.yaml", [change])
    )
    assert any(said in each for each in found), found


@pytest.mark.parametrize("twin", TWINS, ids=lambda path: path.stem)
def test_a_twin_runs(twin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe(twin)
    if any(isinstance(plan, Lora) and plan.quantised for stage in _tuned(recipe) for _, plan in stage.parts.items()):
        pytest.importorskip("bitsandbytes", reason="an optional package: pip install bitsandbytes")
    monkeypatch.chdir(tmp_path)
    _write_data(Path("data"))
    train(recipe, run=Path("run"))
    steps = [record for record in read_json_lines(Path("run") / METRICS) if "step" in record]
    assert [record["step"] for record in steps] == [1, 2, 3] * len(recipe.stages)
    losses = [value for record in steps for key, value in record.items() if key.startswith("loss_")]
    assert len(losses) == len(steps)
    assert all(isinstance(loss, float) and math.isfinite(loss) for loss in losses)


def _tuned(recipe: Recipe) -> list[Tune]:
    return [stage for stage in recipe.stages if isinstance(stage, Tune)]


def _write_data(folder: Path) -> None:
    """Draw what twins read: conversations as ``triptych starter draw`` has them, and rated videos as Mantis does."""
    (folder / "storyboard").mkdir(parents=True)
    write_tune(folder / "storyboard", rows=40)
    rated = folder / "mantis_examples" / "classification"
    rated.mkdir(parents=True)
    frames = write_pictures(rated)
    (stage,) = _tuned(load_recipe(RECIPES / "videoscore.yaml"))
    assert isinstance(stage.objective, Regression)
    rows = [
        {
            "id": f"video-{number}",
            "images": frames[number % 4 : number % 4 + 4],
            "prompt": "How good is this video?",
            "labels": {name: 1.0 + (number + at) % 4 for at, name in enumerate(stage.objective.targets)},
        }
        for number in range(24)
    ]
    (rated / "train.json").write_text(json.dumps(rows))
