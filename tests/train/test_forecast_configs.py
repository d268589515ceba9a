"""The planner knows the size of every released model, and what a picture takes of it, without a download."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.models.originals import save_original
from triptych.core.errors import ModelError
from triptych.models import zoo
from triptych.models.family import open_model
from triptych.train.forecast.configs import shape_of_config
from triptych.train.forecast.planner import shape_of
from triptych.train.recipe import ModelPlan

KNOWN = {name: entry for name, entry in zoo.catalogue().checkpoints.items() if entry.shapes is not None}


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_a_released_model_has_as_many_weights_as_its_network(name: str) -> None:
    for asked in (name, KNOWN[name].hub_id):
        if KNOWN[name].family == "flamingo" and asked == name:
            continue  # of these the table has hub ids alone
        shape = shape_of(ModelPlan(open=asked))
        assert sum(shape.part_weights.values()) == pytest.approx(KNOWN[name].parameters, rel=0.01)
        assert shape.image_tokens > 0


@pytest.mark.parametrize(
    ("name", "settings", "tokens"),
    [
        ("qwen2.5-vl-7b", {}, 17 * 23),
        ("qwen2.5-vl-7b", {"max_pixels": 28 * 28 * 100}, 8 * 11),
        ("qwen3-vl-4b", {}, 15 * 20),
        ("idefics3-8b", {}, 13 * 169),
        ("idefics3-8b", {"do_image_splitting": False}, 169),
        ("smolvlm-256m", {}, 13 * 64),
        ("internvl3-1b", {}, 13 * 256),
        ("internvl3.5-8b", {"max_patches": 6}, 7 * 256),
        ("internvl3.5-8b", {"max_patches": 1}, 256),
        ("llava-1.6-vicuna-7b", {}, 576 + 36 * 48 + 36),
        ("onevision-7b", {}, 729 + 1),
        ("llava-1.5-7b", {}, 576),
        ("gemma-3-4b", {}, 256),
    ],
)
def test_a_usual_picture_takes_what_its_processor_makes_of_it(
    name: str, settings: dict[str, int | bool], tokens: int
) -> None:
    assert shape_of(ModelPlan(open=name, image_processor=settings)).image_tokens == tokens


def test_patches_that_are_averaged_are_kept_as_their_averages() -> None:
    gemma, llava = (shape_of(ModelPlan(open=name)) for name in ("gemma-3-4b", "llava-1.5-7b"))
    assert (gemma.patches, gemma.feature_numbers) == (64 * 64, 256 * 1152)
    assert llava.feature_numbers == 576 * 1024


@pytest.mark.parametrize("kind", ["mixtral", "qwen3_moe", "deepseek_v3"])
def test_a_mixture_of_experts_is_not_planned_as_if_it_had_one(kind: str) -> None:
    config = {"model_type": "llava", "text_config": {"model_type": kind}}
    with pytest.raises(ModelError, match=r"mixture of \d+ experts, for which there is no plan"):
        shape_of_config("mine", config | {"vision_config": {"model_type": "clip_vision_model"}})


def test_the_folder_of_a_run_is_planned_by_its_model(tmp_path: Path) -> None:
    words = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9}
    config = {
        "model_type": "fast_vlm",
        "image_seq_length": 4,
        "projector_hidden_act": "linear",
        "vision_config": {"model_type": "efficientnet", "hidden_dim": 1280, "image_size": 128},
        "text_config": {**words, "model_type": "llama", "num_key_value_heads": 3, "vocab_size": 49153},
        "tie_word_embeddings": True,
    }
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    shape = shape_of(ModelPlan(open=str(tmp_path)))
    assert (shape.image_tokens, shape.language.layers, shape.language.tied) == (4, 30, True)
    assert shape.part_weights["language"] == pytest.approx(134.5e6, rel=0.01)
    assert shape.projector_weights == 1280 * 576


@pytest.mark.parametrize(
    "config", [{"model_type": "bicycle"}, {"model_type": "llava", "text_config": 3}, {"model_type": "bert"}]
)
def test_a_configuration_that_tells_no_size_is_named(config: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=r"^mine: its configuration does not tell its size"):
        shape_of_config("mine", config)


@pytest.mark.parametrize("said", ["llava_llama", "llava"])
@pytest.mark.parametrize("shape", ["pad", "anyres"])
def test_a_folder_of_llavas_own_code_is_planned_by_its_own_sizes(shape: str, said: str, tmp_path: Path) -> None:
    settings = {"image_aspect_ratio": shape, "image_grid_pinpoints": [[16, 32], [32, 16], [32, 32]]}
    settings |= {"mm_patch_merge_type": "spatial_unpad"} if shape == "anyres" else {}
    save_original(tmp_path / "whole", "LlavaLlamaForCausalLM", {**settings, "model_type": said}, tower="clip")
    network = open_model(tmp_path / "whole").network
    found = shape_of(ModelPlan(open=str(tmp_path / "whole")))
    assert sum(found.part_weights.values()) == pytest.approx(network.num_parameters(), rel=0.05)
    assert found.image_tokens < 200


@pytest.mark.parametrize("said", ["llava_llama", "llava"])
def test_a_larger_folder_of_llavas_own_code_is_larger_and_nothing_is_fetched_for_it(said: str, tmp_path: Path) -> None:
    settings = {
        "model_type": said,
        "hidden_size": 5120,
        "intermediate_size": 13824,
        "num_hidden_layers": 40,
        "num_attention_heads": 40,
        "num_key_value_heads": 40,
        "head_dim": 128,
        "vocab_size": 32000,
        "mm_vision_tower": "openai/clip-vit-large-patch14-336",
    }
    save_original(tmp_path / "large", "LlavaLlamaForCausalLM", settings, tower="clip")
    plan = ModelPlan(open=str(tmp_path / "large"))
    assert shape_of(plan).part_weights["language"] == pytest.approx(13.0e9, rel=0.01)
    assert shape_of(plan).image_tokens == 576
    path = tmp_path / "large" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"image_aspect_ratio": "anyres"}))
    with pytest.raises(ModelError, match="openai/clip-vit-large-patch14-336 is no folder"):
        shape_of(plan)


@pytest.mark.parametrize("said", [{}, {"hidden_size": 48, "num_hidden_layers": 2}], ids=["nothing", "another size"])
def test_a_configuration_without_its_language_model_is_not_filled(said: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=r"^mine: its configuration does not tell its size.*text_config"):
        shape_of_config("mine", {"model_type": "llava", **said})


@pytest.mark.parametrize("kind", ["qwen2_vl", "fuyu"])
def test_a_flat_configuration_as_released_is_read(kind: str) -> None:
    """Qwen2-VL's and Fuyu's released folders have the language model's settings at the top."""
    sizes = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 3, "num_attention_heads": 16}
    found = shape_of_config("mine", {"model_type": kind, **sizes, "vocab_size": 1000})
    assert (found.language.layers, found.language.hidden, found.language.vocabulary) == (3, 1024, 1000)
