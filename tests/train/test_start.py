"""The model a run starts from: put together, opened as it is or with other settings, or a family's toy."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from pydantic import JsonValue

from triptych.core.errors import ConfigError, ModelError, NotFoundError
from triptych.core.files import sha256_of
from triptych.models import toys
from triptych.models.disk.folder import read_note
from triptych.models.disk.recognise import published
from triptych.models.families.tiny import tiny
from triptych.models.family import Model, open_model
from triptych.train.recipe import ModelPlan, Parts
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


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("image_maen", r"CLIPImageProcessorPil has no setting 'image_maen'\. Did you mean 'image_mean'\?"),
        ("max_pixels", r"has no setting 'max_pixels'\. There are: crop_size, .*, size\.$"),
        ("return_tensors", "has no setting 'return_tensors'"),
    ],
)
def test_a_setting_that_its_image_processor_has_not_is_refused(folder: Path, key: str, told: str) -> None:
    plan = ModelPlan(open=str(folder), image_processor={"size": {"height": 48, "width": 48}, key: 1})
    for look in (outline, partial(start_model, seed=0)):
        with pytest.raises(ModelError, match=told):
            look(plan)


def test_a_published_model_with_other_image_settings_keeps_the_template_it_is_known_for(
    folder: Path, tmp_path: Path
) -> None:
    name = "TIGER-Lab/Mantis-8B-siglip-llama3"
    held = folder.rename(_made(tmp_path / f"hub/models--{name.replace('/', '--')}/snapshots") / "0a1b")
    (held / "triptych.json").unlink()
    plain = ModelPlan(open=str(held))
    other = ModelPlan(open=str(held), image_processor={"image_mean": [0.0, 0.0, 0.0]})
    assert outline(plain).template.name == published()[name].template
    assert outline(other).template.name == published()[name].template
    assert start_model(other, seed=0).template.name == published()[name].template
    (held / "triptych.json").write_text('{"template": "plain"}')
    assert outline(other).template.name == "plain", "what a folder says of itself comes first"


@pytest.mark.parametrize("settings", [{}, {"image_mean": [0.0, 0.0, 0.0]}])
def test_what_is_saved_of_an_opened_model_names_what_was_opened(
    folder: Path, tmp_path: Path, settings: dict[str, JsonValue]
) -> None:
    start_model(ModelPlan(open=str(folder), image_processor=settings), seed=0).save(tmp_path / "ours")
    assert set(read_note(tmp_path / "ours").parts) == {"vision", "language"}, "its parts, where it names them"
    (folder / "triptych.json").write_text('{"template": "chatml"}')
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    start_model(ModelPlan(open=str(folder), image_processor=settings), seed=0).save(tmp_path / "theirs")
    origin = read_note(tmp_path / "theirs").parts["model"]
    assert (origin.name, origin.licence) == (str(folder), "apache-2.0")
    assert origin.sha256 == sha256_of(folder / "model.safetensors")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def test_a_familys_toy_is_found_by_its_name() -> None:
    model = start_model(ModelPlan(family="tiny", sample="mlp"), seed=4)
    assert model.parts()["projector"].get_submodule("act") is not None
    with pytest.raises(NotFoundError, match="family 'tiny' has no toy model 'small'; there are: mlp"):
        start_model(ModelPlan(family="tiny", sample="small"), seed=4)


def of_parts(folder: Path, family: str = "tiny", **more: JsonValue) -> ModelPlan:
    """Return a plan of toy parts; for families that open parts from folders, of the same parts in folders."""
    vision, language = "vit", "llama"
    if family != "tiny":
        vision, language = str(folder / "tower"), str(folder / "language")
        tower, words = toys.TOWERS["vit"](0), toys.LANGUAGES["llama"](0)
        tower.tower.save_pretrained(vision)
        tower.processor.save_pretrained(Path(vision))
        words.network.save_pretrained(language)
        words.tokenizer.save_pretrained(language)
    parts = Parts.model_validate({"vision": vision, "language": language, **more})
    return ModelPlan(family=family, parts=parts, template="chatml")


def projector_of(model: Model) -> dict[str, torch.Tensor]:
    """Return a copy of a model's projector."""
    return {name: weight.clone() for name, weight in model.parts()["projector"].state_dict().items()}


def test_a_projector_trained_alone_goes_into_a_new_model(tmp_path: Path) -> None:
    learnt = projector_of(tiny(9, projector="mlp"))
    names = {"linear_1": "0", "linear_2": "2"}
    original = {
        f"model.mm_projector.{names[name.split('.')[0]]}.{name.split('.')[1]}": weight
        for name, weight in learnt.items()
    }
    torch.save(original, tmp_path / "mm_projector.bin")
    for place in (tmp_path, tmp_path / "mm_projector.bin"):
        model = start_model(of_parts(tmp_path, projector="mlp", projector_weights=str(place)), seed=0)
        assert all(torch.equal(weight, learnt[name]) for name, weight in projector_of(model).items())
        assert model.sources["projector"].sha256 == sha256_of(tmp_path / "mm_projector.bin")


def test_a_saved_model_lends_its_projector(tmp_path: Path) -> None:
    tiny(9).save(tmp_path / "saved")
    model = start_model(of_parts(tmp_path, projector_weights=str(tmp_path / "saved")), seed=0)
    learnt = projector_of(tiny(9))
    assert all(torch.equal(weight, learnt[name]) for name, weight in projector_of(model).items())


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"mm_projector.weight": torch.ones(8, 3), "mm_projector.bias": torch.ones(8)}, "its projector has the weight"),
        ({"mm_projector.0.weight": torch.ones(8, 3), "mm_projector.2.bias": torch.ones(8)}, "say projector: mlp"),
    ],
)
def test_a_projector_of_another_shape_or_kind_is_refused(
    tmp_path: Path, held: dict[str, torch.Tensor], said: str
) -> None:
    torch.save(held, tmp_path / "mm_projector.bin")
    with pytest.raises(ModelError, match=said):
        start_model(of_parts(tmp_path, projector_weights=str(tmp_path)), seed=0)
    (tmp_path / "mm_projector.bin").unlink()
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(NotFoundError, match=r"a folder should hold mm_projector\.bin"):
        start_model(of_parts(tmp_path, projector_weights=str(tmp_path)), seed=0)


def test_a_family_takes_its_own_settings_of_what_stands_between_parts(tmp_path: Path) -> None:
    settings: JsonValue = {"cross_attn_every_n_layers": 2, "resampler_depth": 1, "cross_attn_heads": 2}
    model = start_model(of_parts(tmp_path, "flamingo", settings=settings), seed=0)
    said = model.network.config
    assert (said.cross_attn_every_n_layers, said.resampler_depth, said.cross_attn_heads) == (2, 1, 2)
    assert said.resampler_latents == 64


@pytest.mark.parametrize(
    ("family", "settings", "said"),
    [
        ("flamingo", {"cross_attn_every": 2}, "model.parts.settings: cross_attn_every: unknown key. Did you mean"),
        ("flamingo", {"resampler_depth": 0}, "model.parts.settings: resampler_depth: should be greater than"),
        ("flamingo", {"resampler_depth": "six"}, "model.parts.settings: resampler_depth: should be a valid integer"),
        ("tiny", {"resampler_depth": 2}, "model.parts.settings: family 'tiny' has none; leave the key out"),
    ],
)
def test_settings_that_a_family_does_not_have_are_refused(
    tmp_path: Path, family: str, settings: JsonValue, said: str
) -> None:
    plan = of_parts(tmp_path, family, settings=settings)
    for look in (outline, lambda plan: start_model(plan, seed=0)):
        with pytest.raises(ConfigError, match=re.escape(said)):
            look(plan)


def test_a_flamingo_has_no_projector_to_be_given(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="a flamingo has a resampler, no projector"):
        start_model(of_parts(tmp_path, "flamingo", projector_weights=str(tmp_path)), seed=0)
