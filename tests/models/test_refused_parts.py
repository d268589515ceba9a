"""Towers and language models that would fail in a later pass are refused in a line when they are put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    BloomConfig,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    FalconConfig,
    OPTConfig,
    PixtralImageProcessorPil,
    PixtralVisionConfig,
    PreTrainedConfig,
    Siglip2ImageProcessorPil,
    Siglip2VisionConfig,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    ViTMAEConfig,
)

from tests.models.published import BODY, LANGUAGES, SIZE, VIT, release, save_language, save_tower
from triptych.core.errors import ModelError
from triptych.models import toys
from triptych.models.family import PartsPlan, assemble, open_model, outline_model

PLAN = PartsPlan(vision="", language="", projector="mlp", image_tokens=None, template="chatml", seed=0)
SHARED = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
SQUARE = SiglipImageProcessorPil(size=SIZE)
PIXTRAL = PixtralVisionConfig(**SHARED, head_dim=8, image_size=64, patch_size=16)
NAFLEX = Siglip2VisionConfig(**SHARED, num_patches=4, patch_size=16)
TOWERS: dict[str, tuple[PreTrainedConfig, object, str]] = {
    "siglip2": (
        NAFLEX,
        Siglip2ImageProcessorPil(patch_size=16, max_num_patches=4),
        "does not take the image processor",
    ),
    "dinov3_convnext": (
        AutoConfig.for_model("dinov3_convnext", hidden_sizes=[8, 12, 16, 24], depths=[1] * 4, image_size=32),
        SQUARE,
        "does not take the image processor",
    ),
    "pixtral": (
        PIXTRAL,
        PixtralImageProcessorPil(size={"longest_edge": 64}, patch_size={"height": 16, "width": 16}),
        "gives two pictures 1 rows, not one each",
    ),
    "vit_mae": (ViTMAEConfig(**VIT), SQUARE, "sees the same picture otherwise each time"),
}


@pytest.mark.parametrize("tower", sorted(TOWERS))
def test_a_tower_that_cannot_see_for_a_llava_is_refused(tower: str, tmp_path: Path) -> None:
    config, processor, said = TOWERS[tower]
    network = toys.seeded(0, lambda: AutoModel.from_config(config))
    toys.enliven(network, seed=0)
    network.save_pretrained(tmp_path / "tower")
    processor.save_pretrained(tmp_path / "tower")  # type: ignore[attr-defined]
    language = save_language(tmp_path / "language", LANGUAGES["llama-tied"])
    with pytest.raises(ModelError, match=said) as refusal:
        assemble("llava", replace(PLAN, vision=str(tmp_path / "tower"), language=str(language)))
    assert str(refusal.value).startswith(f"{tmp_path / 'tower'}: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("vision", "images"),
    [
        (CLIPVisionConfig(**VIT), CLIPImageProcessorPil(size={"height": 32, "width": 48}, do_center_crop=False)),
        (SiglipVisionConfig(**VIT), SiglipImageProcessorPil(size={"height": 48, "width": 48})),
        (NAFLEX, SQUARE),
    ],
)
def test_a_folder_whose_tower_does_not_take_its_pictures_is_refused_when_it_is_opened(
    vision: PreTrainedConfig, images: object, tmp_path: Path
) -> None:
    release(tmp_path, vision=vision, images=images, vision_feature_select_strategy="full")
    with pytest.raises(ModelError, match="does not take the image processor's pictures") as refusal:
        open_model(tmp_path / "released")
    assert str(refusal.value).startswith(f"{tmp_path / 'released'}: ")
    assert "Take the image processor that it was published with" in str(refusal.value)
    with pytest.raises(ModelError, match="does not take the image processor's pictures"):
        _ = outline_model(tmp_path / "released").cost


def test_a_folder_is_tried_without_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a large tower would take many seconds on a CPU."""
    seen: list[str] = []
    release(tmp_path)
    forward = torch.nn.Conv2d.forward

    def watched(layer: torch.nn.Conv2d, pixels: torch.Tensor) -> torch.Tensor:
        seen.append(pixels.device.type)
        return forward(layer, pixels)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", watched)
    model = open_model(tmp_path / "released")
    assert model.cost.tokens((64, 48)) == 4
    assert seen == ["meta"]
    assert all(weight.device.type == "cpu" for weight in model.network.parameters())


def opt(size: int) -> PreTrainedConfig:
    shared = {"hidden_size": 48, "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    return OPTConfig(**shared, vocab_size=size, word_embed_proj_dim=24)


def bloom(size: int) -> PreTrainedConfig:
    return BloomConfig(vocab_size=size, hidden_size=48, n_layer=2, n_head=4)


def falcon(size: int) -> PreTrainedConfig:
    return FalconConfig(vocab_size=size, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, alibi=True)


def gemma_4(size: int) -> PreTrainedConfig:
    """Each layer looks up an embedding of its own, of the word that an embedding is of."""
    kinds = ["sliding_attention", "full_attention"]
    more = {"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": size, "layer_types": kinds}
    heads = {"head_dim": 12, "global_head_dim": 12, "num_key_value_heads": 2, "sliding_window": 8}
    return AutoConfig.for_model("gemma4_text", **BODY, **heads, **more, vocab_size=size, pad_token_id=0)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (opt, "whose words have 24 numbers and whose layers have 48"),
        (bloom, "'bloom' cannot be a part here: it takes a mask of which tokens are padding"),
        (falcon, "'falcon' cannot be a part here: it takes a mask of which tokens are padding"),
        (gemma_4, "'gemma4_text' cannot be a part here"),
    ],
)
def test_a_language_model_that_takes_no_pictures_among_its_words_is_refused(
    language: Callable[[int], PreTrainedConfig], said: str, tmp_path: Path
) -> None:
    clip = save_tower(tmp_path / "clip", "clip")
    folder = save_language(tmp_path / "language", lambda size: AutoModelForCausalLM.from_config(language(size)))
    with pytest.raises(ModelError, match=said) as refusal:
        assemble("llava", replace(PLAN, vision=str(clip), language=str(folder)))
    assert "\n" not in str(refusal.value)
