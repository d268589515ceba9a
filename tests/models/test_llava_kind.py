"""Folders of LLaVA's own code as its trainer leaves them: projectors alone, merged and unmerged LoRA, other classes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.models.originals import language, projector, save_original
from tests.models.pictures import ask, draw_pictures, encoded, logits_of, pixels_of
from triptych.core.errors import ModelError
from triptych.data.batch import collate
from triptych.data.template import find_template
from triptych.models import toys
from triptych.models.disk.check import check_model, inform
from triptych.models.disk.llava_kind import language_of
from triptych.models.family import Model, open_model

PAD = {"image_aspect_ratio": "pad"}
TILES = {
    "image_aspect_ratio": "anyres",
    "mm_patch_merge_type": "spatial_unpad",
    "image_grid_pinpoints": [[16, 32], [32, 16], [32, 32]],
}
KINDS = {
    "siglip": ("LlavaQwenForCausalLM", PAD, "siglip", "qwen2"),
    "siglip-tiles": ("LlavaQwenForCausalLM", TILES, "siglip", "qwen2"),
    "clip": ("LlavaLlamaForCausalLM", PAD, "clip", "llama"),
    "clip-tiles": ("LlavaLlamaForCausalLM", TILES, "clip", "llama"),
}


def say(folder: Path, **settings: object) -> None:
    said = json.loads((folder / "config.json").read_text()) | settings
    (folder / "config.json").write_text(json.dumps(said))


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("*token*"):
        path.unlink()


def stage_one(whole: Path, state: dict[str, Tensor], kind: str) -> Path:
    """Return a folder with the whole one's projector alone, beside a language model with the whole one's weights."""
    folder, spoken = whole.with_name("stage_one"), language(kind, toys.toy_tokenizer())
    spoken.load_state_dict({name: state[name] for name in spoken.state_dict()})
    spoken.save_pretrained(whole.with_name("spoken"))
    shutil.copytree(whole, folder)
    (folder / "model.safetensors").unlink()
    torch.save({name: state[name] for name in projector() if name in state}, folder / "mm_projector.bin")
    say(folder, _name_or_path=str(whole.with_name("spoken")))
    return folder


def wrong(folder: Path) -> list[str]:
    return [check.said for check in check_model(str(folder)) if check.verdict == "wrong"]


def logits(model: Model, pictures: Path) -> Tensor:
    example = ask("a", "Is ", *draw_pictures(pictures, 2), " old?", reply="no")
    with torch.no_grad():
        return logits_of(model, collate([[encoded(model, example)]], pad_id=0))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_projector_alone_opens_as_the_whole_model_does_and_is_saved_so(kind: str, tmp_path: Path) -> None:
    architecture, settings, tower, speaks = KINDS[kind]
    state = save_original(tmp_path / "it", architecture, settings, tower=tower)
    whole, model = open_model(tmp_path / "it"), open_model(stage_one(tmp_path / "it", state, speaks))
    assert model.network.state_dict().keys() == whole.network.state_dict().keys()
    (pixels,) = pixels_of(whole, draw_pictures(tmp_path / "pictures", 1))
    (seen,), (expected,) = model.encode([pixels]), whole.encode([pixels])
    assert torch.equal(seen.values, expected.values)
    assert torch.allclose(logits(model, tmp_path / "two"), logits(whole, tmp_path / "two"), atol=1e-5)
    model.save(tmp_path / "saved")
    assert wrong(tmp_path / "saved") == []
    assert torch.allclose(logits(open_model(tmp_path / "saved"), tmp_path), logits(whole, tmp_path), atol=1e-5)


@pytest.mark.parametrize("model_type", ["llava_llama", "llava"])
@pytest.mark.parametrize("alone", [True, False], ids=["stage_one", "merged"])
def test_a_folder_that_names_its_language_models_class_is_known_by_its_other_settings(
    alone: bool, model_type: str, tmp_path: Path
) -> None:
    state = save_original(tmp_path / "it", "LlavaLlamaForCausalLM", PAD, tower="clip")
    expected = logits(open_model(tmp_path / "it"), tmp_path)
    folder = stage_one(tmp_path / "it", state, "llama") if alone else tmp_path / "it"
    say(folder, architectures=["LlamaForCausalLM"], model_type=model_type)
    assert wrong(folder) == []
    assert inform(str(folder)).original == "LlavaLlamaForCausalLM"
    assert torch.allclose(logits(open_model(folder), tmp_path), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("said", "language"),
    [
        ({"architectures": ["LlavaQwenForCausalLM"]}, "qwen2"),
        ({"architectures": ["MistralForCausalLM"], "model_type": "llava", "mm_vision_tower": "a/b"}, "mistral"),
        ({"model_type": "llava_mistral", "mm_projector_type": "linear"}, "mistral"),
        ({"architectures": ["Qwen2ForCausalLM"], "model_type": "llava_qwen", "mm_vision_tower": "a/b"}, "qwen2"),
        ({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}, None),
        ({"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", "mm_vision_tower": "a/b"}, None),
        ({"architectures": ["LlavaMptForCausalLM"], "model_type": "llava_mpt", "mm_vision_tower": "a/b"}, None),
        ({"model_type": "llava", "mm_vision_tower": "a/b"}, None),
    ],
)
def test_which_settings_are_of_the_original_code(said: dict[str, object], language: str | None) -> None:
    assert language_of(said) == language


def test_a_projector_alone_takes_tokenizer_and_template_from_its_language_model(tmp_path: Path) -> None:
    state = save_original(tmp_path / "it", "LlavaLlamaForCausalLM", PAD, tower="clip")
    expected = logits(open_model(tmp_path / "it"), tmp_path)
    folder = stage_one(tmp_path / "it", state, "llama")
    no_tokenizer(folder)
    (folder / "triptych.json").unlink()
    tokenizer = toys.toy_tokenizer()
    tokenizer.save_pretrained(tmp_path / "spoken")
    with pytest.raises(ModelError, match=f"{folder}: it has no chat template"):
        open_model(folder)
    tokenizer.chat_template = find_template("chatml").jinja
    tokenizer.save_pretrained(tmp_path / "spoken")
    assert wrong(folder) == []
    model = open_model(folder)
    assert model.template.name == "chatml"
    assert torch.allclose(logits(model, tmp_path), expected, atol=1e-5)


def test_a_whole_folder_that_lost_its_tokenizer_takes_none_from_elsewhere(tmp_path: Path) -> None:
    state = save_original(tmp_path / "it", "LlavaLlamaForCausalLM", PAD, tower="clip")
    stage_one(tmp_path / "it", state, "llama")
    toys.toy_tokenizer().save_pretrained(tmp_path / "spoken")
    say(tmp_path / "it", _name_or_path=str(tmp_path / "spoken"))
    no_tokenizer(tmp_path / "it")
    with pytest.raises(ModelError, match="its tokenizer is missing"):
        open_model(tmp_path / "it")


@pytest.mark.parametrize("layer", [0, 4, -4, "last", None])
def test_a_layer_that_the_tower_does_not_have_is_refused(layer: object, tmp_path: Path) -> None:
    save_original(tmp_path / "it", "LlavaLlamaForCausalLM", PAD | {"mm_vision_select_layer": layer}, tower="clip")
    with pytest.raises(ModelError, match=r"mm_vision_select_layer is .*: its tower has the layers 1 to 3"):
        open_model(tmp_path / "it")


@pytest.mark.parametrize("layer", [1, 3, -1, -3])
def test_every_layer_that_the_tower_has_can_be_taken(layer: int, tmp_path: Path) -> None:
    save_original(tmp_path / "it", "LlavaLlamaForCausalLM", PAD | {"mm_vision_select_layer": layer}, tower="clip")
    assert open_model(tmp_path / "it").cost.tokens((40, 30)) == 16


def test_an_adapter_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    (said,) = wrong(tmp_path)
    assert f"is an adapter (adapter_config.json), no whole model: `triptych merge {tmp_path} --out DIR`" in said
    with pytest.raises(ModelError, match="triptych merge"):
        inform(str(tmp_path))
    (tmp_path / "config.json").write_text('{"architectures": ["Idefics2ForConditionalGeneration"]}')
    assert "triptych merge" in wrong(tmp_path)[0]


@pytest.mark.parametrize("name", ["adapter_model.bin", "adapter_model.safetensors"])
def test_an_adapter_of_llavas_own_trainer_is_said_to_want_its_base(name: str, tmp_path: Path) -> None:
    save_original(tmp_path / "it", "LlavaLlamaForCausalLM", PAD, tower="clip")
    (tmp_path / "it" / "model.safetensors").rename(tmp_path / "it" / name)
    (tmp_path / "it" / "adapter_config.json").write_text("{}")
    say(tmp_path / "it", architectures=["LlamaForCausalLM"])
    (said,) = wrong(tmp_path / "it")
    assert f"LLaVA's own trainer (adapter_config.json), no whole model: `triptych merge {tmp_path}/" in said
    with pytest.raises(ModelError, match="--base MODEL --out DIR"):
        open_model(tmp_path / "it")
