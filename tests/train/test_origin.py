"""What a run began with is told by content: a base model that was replaced is noticed, one that was moved is not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from tests.train.runs import toy_recipe
from triptych.core import plugins
from triptych.core.errors import ModelError, NotFoundError, RunError
from triptych.models.family import Family
from triptych.train.measuring.meters import StepReport
from triptych.train.origin import ORIGIN, digest_of, origin_of
from triptych.train.recipe import ModelPlan, Recipe
from triptych.train.trainer import Hooks, train

WEIGHTS = "model.safetensors"
PARTS = "  family: tiny\n  parts: {vision: vit, language: llama}"


class KilledError(Exception):
    """In place of a kill."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "base"
    plugins.find("family", "tiny", expected=Family).samples["mlp"](0).save(folder)
    return folder


@pytest.fixture
def base(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "base"))


def killed_at_3(recipe: Recipe, run: Path) -> None:
    def kill(report: StepReport) -> None:
        if report.step == 3:
            raise KilledError

    with pytest.raises(KilledError):
        train(recipe, run=run, hooks=Hooks(after_step=kill))


def change_a_weight(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    name = sorted(weights)[7]
    weights[name] = weights[name] + 0.01
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def test_a_base_model_that_was_replaced_between_a_kill_and_going_on_is_refused(base: Path, tmp_path: Path) -> None:
    recipe, run = toy_recipe(tmp_path, (PARTS, f"  open: {base}")), tmp_path / "run"
    killed_at_3(recipe, run)
    kept = shutil.copytree(base, tmp_path / "kept")
    change_a_weight(base)
    with pytest.raises(
        RunError, match=r"model\.open .* is not what this run began with: model\.safetensors is another"
    ):
        train(recipe, run=run)
    shutil.rmtree(base)
    shutil.copytree(kept, base)
    for path in base.iterdir():
        os.utime(path, (1.0, 1.0))
    assert train(recipe, run=run) == run / "model"


def test_a_finished_run_needs_its_base_model_no_more(base: Path, tmp_path: Path) -> None:
    recipe, run = toy_recipe(tmp_path, (PARTS, f"  open: {base}"), ("6 steps", "1 step")), tmp_path / "run"
    train(recipe, run=run)
    shutil.rmtree(base)
    assert train(recipe, run=run) == run / "model"


def test_a_run_of_a_version_that_wrote_nothing_down_goes_on(base: Path, tmp_path: Path) -> None:
    recipe, run = toy_recipe(tmp_path, (PARTS, f"  open: {base}")), tmp_path / "run"
    killed_at_3(recipe, run)
    (run / ORIGIN).unlink()
    assert train(recipe, run=run) == run / "model"


def test_a_copy_elsewhere_of_another_time_is_the_same(base: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(base, tmp_path / "elsewhere", copy_function=shutil.copyfile)
    assert origin_of(ModelPlan(open=str(base))) == origin_of(ModelPlan(open=str(copy)))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "preprocessor_config.json"])
def test_settings_and_words_count(base: Path, name: str) -> None:
    before = origin_of(ModelPlan(open=str(base)))
    (base / name).write_text((base / name).read_text().replace("{", "{ ", 1))
    assert origin_of(ModelPlan(open=str(base))) != before


def test_what_a_person_writes_beside_a_model_does_not_count(base: Path) -> None:
    before = origin_of(ModelPlan(open=str(base)))
    (base / "README.md").write_text("mine")
    assert origin_of(ModelPlan(open=str(base))) == before


@given(which=st.integers(0, 40), ending=st.sampled_from([".safetensors", ".bin"]))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_tensor_that_was_tuned_changes_the_digest(saved: Path, tmp_path: Path, which: int, ending: str) -> None:
    weights = load_file(saved / WEIGHTS)
    name = sorted(weights)[which % len(weights)]
    file = tmp_path / f"weights{ending}"
    save = torch.save if ending == ".bin" else save_file
    save(weights, file)
    before = digest_of(file)
    save(weights, file)
    assert digest_of(file) == before
    if ending == ".safetensors":
        weights[name] = weights[name] * 1.01 + 0.01
    else:  # without a table a file is looked at all over: a change of everything shows
        weights = {key: value * 1.01 + 0.01 for key, value in weights.items()}
    save(weights, file)
    assert digest_of(file) != before


def test_a_recipe_that_cannot_begin_leaves_nothing_and_its_mended_twin_goes_there(base: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "toy"
    with pytest.raises(NotFoundError):
        train(toy_recipe(tmp_path, (PARTS, "  open: nowhere")), run=run)
    (base / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="tokenizer is missing"):
        train(toy_recipe(tmp_path, (PARTS, f"  open: {base}")), run=run)
    assert not (tmp_path / "runs").exists()
    train(toy_recipe(tmp_path, ("6 steps", "1 step")), run=run)
