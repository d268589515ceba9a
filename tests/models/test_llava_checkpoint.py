"""Checkpoints of LLaVA's own code open as classes of transformers: every weight used, features as published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from transformers import AutoModelForImageTextToText, CLIPVisionModel, SiglipVisionModel

from tests.models.originals import language, projector, save_original
from tests.models.pictures import ask, draw_pictures, encoded, logits_of, pixels_of
from tests.models.published import save_tower
from tests.models.test_llava_next import draw
from triptych.core import plugins
from triptych.core.errors import ModelError, NotFoundError
from triptych.data.batch import collate
from triptych.models import toys
from triptych.models.disk.check import check_model, family_of
from triptych.models.disk.projector_file import load_projector
from triptych.models.family import Family, Model, open_model

INTERLEAVE = {
    "image_aspect_ratio": "anyres",
    "mm_patch_merge_type": "spatial_unpad",
    "image_grid_pinpoints": [[16, 32], [32, 16], [32, 32], [48, 16], [16, 48]],
}
MAX = {"image_aspect_ratio": "anyres_max_9"}
ONE_VIEW = {"image_aspect_ratio": "pad"}
KINDS = {
    "interleave": ("LlavaQwenForCausalLM", INTERLEAVE, "siglip", "llava_onevision"),
    "llava-1.6": ("LlavaLlamaForCausalLM", INTERLEAVE, "clip", "llava_next"),
    "llava-1.5": ("LlavaLlamaForCausalLM", ONE_VIEW, "clip", "llava"),
}


def opened(folder: Path) -> Model:
    name, family = family_of(folder)
    model = family.open(folder)
    assert model.family == name
    return model


@pytest.mark.parametrize("with_tower", [True, False])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_weight_of_an_original_checkpoint_is_used(kind: str, with_tower: bool, tmp_path: Path) -> None:
    architecture, settings, tower, family = KINDS[kind]
    state = save_original(tmp_path / "it", architecture, settings, tower=tower, with_tower=with_tower, spare=7)
    model = opened(tmp_path / "it")
    assert model.family == family
    own = model.network.state_dict()
    used = {weight.data_ptr() for weight in own.values()}
    assert len(used) == len(own)
    held = [weight for name, weight in state.items() if "embed_tokens" not in name and "lm_head" not in name]
    for weight in held:
        assert any(weight.shape == other.shape and torch.equal(weight, other) for other in own.values())
    words = state["model.embed_tokens.weight"][:259]
    assert torch.equal(model.network.get_input_embeddings().weight[:259], words)
    assert model.image_token_id == 259
    assert str(model.tokenizer.convert_ids_to_tokens(259)) == "<image>"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_features_are_the_towers_last_hidden_state_but_one(kind: str, tmp_path: Path) -> None:
    """The original code deletes SigLIP's last layer and takes what is last then; of CLIP it takes the last but one."""
    architecture, settings, tower, _ = KINDS[kind]
    state = save_original(tmp_path / "it", architecture, settings, tower=tower)
    model = opened(tmp_path / "it")
    kind_of = SiglipVisionModel if tower == "siglip" else CLIPVisionModel
    whole = kind_of.from_pretrained(tmp_path / "tower").eval()
    picture = model.pixels(draw((40, 30)))
    (seen,) = model.encode([picture])
    views_NCHW = picture.values if picture.values.ndim == 4 else picture.values[None]
    with torch.no_grad():
        expected = whole(views_NCHW, output_hidden_states=True).hidden_states[-2]
    expected = expected[:, 1:] if tower == "clip" else expected
    assert torch.allclose(seen.values.reshape(expected.shape), expected, atol=1e-5)
    if picture.values.ndim == 3:
        first, second = (state[f"model.mm_projector.{layer}.weight"] for layer in (0, 2))
        middle = nn.functional.gelu(expected[0] @ first.T + state["model.mm_projector.0.bias"])
        (tokens,) = model.project([seen])
        assert torch.allclose(tokens, middle @ second.T + state["model.mm_projector.2.bias"], atol=1e-4)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_original_checkpoint_saved_here_opens_in_plain_transformers_with_equal_logits(
    kind: str, tmp_path: Path
) -> None:
    architecture, settings, tower, _ = KINDS[kind]
    save_original(tmp_path / "it", architecture, settings, tower=tower)
    model = opened(tmp_path / "it")
    images = draw_pictures(tmp_path / "pictures", 2)
    batch = collate([[encoded(model, ask("a", "Is ", images[0], " or ", images[1], " old?", reply="no"))]], pad_id=0)
    model.save(tmp_path / "saved")
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "saved").eval()
    with torch.no_grad():
        expected = plain(**model.inputs(batch, pixels_of(model, batch.images))).logits
        assert torch.allclose(logits_of(model, batch), expected, atol=1e-4)
    again = open_model(tmp_path / "saved")
    assert [encoded(again, ask("a", images[0], reply="no"))] == [encoded(model, ask("a", images[0], reply="no"))]


def test_interleave_shows_several_pictures_in_a_view_and_a_new_line_each(tmp_path: Path) -> None:
    architecture, settings, tower, _ = KINDS["interleave"]
    save_original(tmp_path / "it", architecture, settings, tower=tower)
    model = opened(tmp_path / "it")
    assert model.cost.tokens((40, 30)) == 16 + 6 * (8 + 1)  # 2 x 2 tiles, two rows of padding cut off
    assert model.cost.among(2).tokens((40, 30)) == 16 + 1


def test_llava_1_5_pads_pictures_to_a_square(tmp_path: Path) -> None:
    architecture, settings, tower, _ = KINDS["llava-1.5"]
    save_original(tmp_path / "it", architecture, settings, tower=tower)
    model = opened(tmp_path / "it")
    wide = model.pixels(Image.new("RGB", (64, 16), "white")).values
    assert wide.shape == (3, 16, 16)
    assert torch.equal(wide[:, 0], wide[:, -1])  # padding above and below
    assert not torch.allclose(wide[:, 0], wide[:, 8])


def test_an_original_checkpoint_is_outlined_without_its_weights(tmp_path: Path) -> None:
    architecture, settings, tower, family = KINDS["interleave"]
    save_original(tmp_path / "it", architecture, settings, tower=tower)
    expected = opened(tmp_path / "it").rendering
    (tmp_path / "it" / "model.safetensors").unlink()
    outline = plugins.find("family", family, expected=Family).outline
    assert outline is not None
    assert outline(tmp_path / "it").digest == expected.digest


def test_a_projector_of_stage_one_is_put_between_the_tower_and_the_language_model_it_names(tmp_path: Path) -> None:
    architecture, settings, tower, family = KINDS["llava-1.5"]
    state = save_original(tmp_path / "it", architecture, settings, tower=tower)
    (tmp_path / "it" / "model.safetensors").unlink()
    torch.save({name: state[name] for name in projector() if name in state}, tmp_path / "it" / "mm_projector.bin")
    spoken = language("llama", toys.toy_tokenizer())
    spoken.save_pretrained(tmp_path / "spoken")
    said = json.loads((tmp_path / "it" / "config.json").read_text()) | {"_name_or_path": str(tmp_path / "spoken")}
    (tmp_path / "it" / "config.json").write_text(json.dumps(said))
    model = opened(tmp_path / "it")
    assert model.family == family
    own = model.network.state_dict()
    assert torch.equal(own["model.multi_modal_projector.linear_2.weight"], state["model.mm_projector.2.weight"])
    assert torch.equal(own["model.language_model.norm.weight"], spoken.state_dict()["model.norm.weight"])
    images = draw_pictures(tmp_path / "pictures", 2)
    batch = collate([[encoded(model, ask("a", "Is ", *images, " old?", reply="no"))]], pad_id=0)
    with torch.no_grad():
        expected = model.network(**model.inputs(batch, pixels_of(model, batch.images))).logits
        assert torch.allclose(logits_of(model, batch), expected, atol=1e-4)
    assert [check.verdict for check in check_model(str(tmp_path / "it"))].count("wrong") == 0


def test_a_checkpoint_whose_projector_is_one_linear_map_opens(tmp_path: Path) -> None:
    settings = ONE_VIEW | {"mm_projector_type": "linear"}
    state = save_original(tmp_path / "it", "LlavaLlamaForCausalLM", settings, tower="clip")
    kept = {name: weight for name, weight in state.items() if ".mm_projector." not in name}
    weight, bias = torch.randn(48, 32), torch.randn(48)
    linear = {"model.mm_projector.weight": weight, "model.mm_projector.bias": bias}
    save_file({name: each.contiguous() for name, each in (kept | linear).items()}, tmp_path / "it/model.safetensors")
    assert [check.said for check in check_model(str(tmp_path / "it")) if check.verdict == "wrong"] == []
    model = opened(tmp_path / "it")
    features = model.encode(pixels_of(model, draw_pictures(tmp_path / "pictures", 1)))
    with torch.no_grad():
        (tokens_KH,) = model.project(features)
    assert torch.allclose(tokens_KH, features[0].values @ weight.T + bias, atol=1e-5)


def test_a_projector_alone_goes_into_a_model_of_parts(tmp_path: Path) -> None:
    connects = nn.Module()
    connects.linear_1, connects.linear_2 = nn.Linear(32, 48), nn.Linear(48, 48)
    torch.save(projector(), tmp_path / "mm_projector.bin")
    rest = load_projector(connects, tmp_path / "mm_projector.bin")
    assert torch.equal(connects.linear_1.weight, projector()["model.mm_projector.0.weight"])
    assert torch.equal(rest["image_newline"], projector()["model.image_newline"])
    linear = {"mm_projector.weight": torch.ones(48, 32), "mm_projector.bias": torch.ones(48)}
    torch.save(linear, tmp_path / "linear.bin")
    load_projector(connects, tmp_path / "linear.bin")
    assert torch.equal(connects.linear_2(connects.linear_1(torch.zeros(32))), torch.ones(48))


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"mm_projector.0.weight": torch.ones(2, 2)}, "its projector has the weights"),
        ({"other": torch.ones(2)}, "its projector has the weights"),
        ([torch.ones(2)], "something else than weights"),
    ],
)
def test_a_file_without_such_a_projector_is_refused(held: object, said: str, tmp_path: Path) -> None:
    connects = nn.Module()
    connects.linear_1, connects.linear_2 = nn.Linear(32, 48), nn.Linear(48, 48)
    torch.save(held, tmp_path / "mm_projector.bin")
    with pytest.raises(ModelError, match=said):
        load_projector(connects, tmp_path / "mm_projector.bin")
    (tmp_path / "mm_projector.bin").write_bytes(b"not a pickle")
    with pytest.raises(ModelError, match="no weights that can be read"):
        load_projector(connects, tmp_path / "mm_projector.bin")


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"mm_projector_type": "mlp4x_gelu"}, ModelError, "mm_projector_type 'mlp4x_gelu' is not known"),
        ({"mm_patch_merge_type": "maxpool2x2"}, ModelError, "mm_patch_merge_type 'maxpool2x2' is not known"),
        ({"image_grid_pinpoints": "all of them"}, ModelError, "a range like '\\(1x1\\),"),
        ({"mm_use_im_start_end": True}, ModelError, "mm_use_im_start_end is true"),
        ({"image_aspect_ratio": None}, ModelError, "'spatial_unpad' with image_aspect_ratio 'None'"),
        (MAX | {"mm_newline_position": "line"}, ModelError, "mm_newline_position 'line' is not known; there are: one_"),
        (MAX | {"mm_spatial_pool_mode": "min"}, ModelError, "mm_spatial_pool_mode 'min' is not known; there are: bil"),
        (MAX | {"add_faster_video": True}, ModelError, "add_faster_video is true"),
        ({"mm_vision_tower": None}, ModelError, "does not say mm_vision_tower"),
        ({"mm_vision_tower": "nowhere at all"}, NotFoundError, "nowhere at all: no such folder"),
    ],
)
def test_what_is_not_known_of_the_original_code_is_refused_in_one_line(
    settings: dict[str, object], error: type[Exception], said: str, tmp_path: Path
) -> None:
    save_original(tmp_path / "it", "LlavaQwenForCausalLM", INTERLEAVE | settings, tower="siglip")
    with pytest.raises(error, match=said) as refusal:
        opened(tmp_path / "it")
    assert "\n" not in str(refusal.value)


def test_the_published_range_of_grids_is_spelled_out(tmp_path: Path) -> None:
    ranged = INTERLEAVE | {"image_grid_pinpoints": "(1x1),...,(2x3)", "image_aspect_ratio": "anyres_max_9"}
    save_original(tmp_path / "it", "LlavaQwenForCausalLM", ranged, tower="siglip")
    config = opened(tmp_path / "it").network.config
    # (width, height) in ascending order there, (height, width) here.
    assert config.image_grid_pinpoints == [[16, 16], [32, 16], [48, 16], [16, 32], [32, 32], [48, 32]]
    assert config.vision_aspect_ratio == "anyres_max_9"


def test_a_tower_of_another_kind_is_refused(tmp_path: Path) -> None:
    save_original(tmp_path / "it", "LlavaQwenForCausalLM", INTERLEAVE, tower="siglip")
    save_tower(tmp_path / "resnet", "resnet")
    said = json.loads((tmp_path / "it" / "config.json").read_text()) | {"mm_vision_tower": str(tmp_path / "resnet")}
    (tmp_path / "it" / "config.json").write_text(json.dumps(said))
    with pytest.raises(ModelError, match="its tower is a 'resnet'"):
        opened(tmp_path / "it")
