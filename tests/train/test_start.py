"""The model a run starts from: put together, opened as it is or with other settings, or a family's toy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from triptych.core.errors import ModelError, NotFoundError
from triptych.models.families.tiny import tiny
from triptych.models.family import open_model
from triptych.train.recipe import ModelPlan
from triptych.train.start import outline, start_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    tiny(0).save(tmp_path / "base")
    return tmp_path / "base"


def test_an_opened_model_may_be_given_another_template_and_saves_it(folder: Path, tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    plan = ModelPlan(open=str(folder), template="plain")
    model = start_model(plan, seed=0)
    assert model.template.name == "plain"
    assert outline(plan).template.name == "plain"
    assert all(
        torch.equal(weight, model.network.state_dict()[name]) for name, weight in tiny(0).network.state_dict().items()
    )
    model.save(tmp_path / "saved")
    again = open_model(tmp_path / "saved")
    assert again.template.name == "plain"
    assert again.tokenizer.chat_template == model.template.jinja
    assert files == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_opened_models_image_processor_may_have_other_settings(folder: Path, tmp_path: Path) -> None:
    plan = ModelPlan(open=str(folder), image_processor={"image_mean": [0.0, 0.0, 0.0]})
    start_model(plan, seed=0).save(tmp_path / "saved")
    said = json.loads((tmp_path / "saved" / "preprocessor_config.json").read_text())
    assert said["image_mean"] == [0.0, 0.0, 0.0]
    for name in ("preprocessor_config.json", "processor_config.json"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(ModelError, match=r"leave model\.image_processor out"):
        start_model(plan, seed=0)


def test_a_familys_toy_is_found_by_its_name() -> None:
    model = start_model(ModelPlan(family="tiny", sample="mlp"), seed=4)
    assert model.parts()["projector"].get_submodule("act") is not None
    with pytest.raises(NotFoundError, match="family 'tiny' has no toy model 'small'; there are: mlp"):
        start_model(ModelPlan(family="tiny", sample="small"), seed=4)
