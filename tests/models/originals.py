"""Checkpoints in the layouts of LLaVA's own code: tiny, random, with its settings and weight names."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen2Config,
    Qwen2ForCausalLM,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from triptych.models import toys

TILE = {"height": 16, "width": 16}
VIT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 16,
    "patch_size": 4,
}
BACK = (
    (r"^model\.vision_tower\.", "model.vision_tower.vision_tower.vision_model."),
    (r"^model\.multi_modal_projector\.linear_1\.", "model.mm_projector.0."),
    (r"^model\.multi_modal_projector\.linear_2\.", "model.mm_projector.2."),
    (r"^model\.language_model\.", "model."),
)
"""Names of transformers -> those of the original code."""


def save_tower(folder: Path, kind: str) -> PreTrainedModel:
    """Save a tower of three layers with its picture preparation, as its authors publish it."""
    torch.manual_seed(0)
    if kind == "siglip":
        tower: PreTrainedModel = SiglipVisionModel(SiglipVisionConfig(**VIT))
        images: object = SiglipImageProcessorPil(size=TILE)
    else:
        tower = CLIPVisionModel(CLIPVisionConfig(**VIT))
        images = CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=TILE)
    toys.enliven(tower, seed=1)
    tower.save_pretrained(folder)
    images.save_pretrained(folder)  # type: ignore[attr-defined]
    return tower.eval()


def language(kind: str, tokenizer: PreTrainedTokenizerBase, *, spare: int = 0) -> PreTrainedModel:
    """Return a language model with random weights."""
    llama = toys.toy_llama(tokenizer, tied=False)
    if kind == "llama":
        network: PreTrainedModel = LlamaForCausalLM(llama)
    else:
        kept = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
        sizes = {name: getattr(llama, name) for name in kept}
        ends = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0, "rope_theta": 5e5}
        network = Qwen2ForCausalLM(Qwen2Config(**sizes, **ends, vocab_size=len(tokenizer) + spare))
    toys.enliven(network, seed=2)
    return network.eval()


def projector(width: int = 48) -> dict[str, Tensor]:
    """Return random weights of two layers, as the original code names them, and a new line."""
    draw = torch.Generator().manual_seed(3)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw) / shape[-1] ** 0.5

    return {
        "model.mm_projector.0.weight": random(width, 32),
        "model.mm_projector.0.bias": random(width),
        "model.mm_projector.2.weight": random(width, width),
        "model.mm_projector.2.bias": random(width),
        "model.image_newline": random(width),
    }


def save_original(
    folder: Path,
    architecture: str,
    settings: Mapping[str, object],
    *,
    tower: str,
    with_tower: bool = True,
    spare: int = 0,
) -> dict[str, Tensor]:
    """Save a checkpoint of the original code; return its weights by its names.

    Args:
        folder: to write into; its tower goes beside it.
        architecture: a class of the original code.
        settings: of its config.json.
        tower: ``clip`` or ``siglip``.
        with_tower: whether the checkpoint has the tower's weights.
        spare: rows of the vocabulary beyond the tokenizer's.
    """
    tokenizer = toys.toy_tokenizer()
    kind = {"LlavaQwenForCausalLM": "qwen2", "LlavaLlamaForCausalLM": "llama"}[architecture]
    spoken = language(kind, tokenizer, spare=spare)
    seen = save_tower(folder.with_name("tower"), tower)
    state = dict(spoken.state_dict()) | projector()
    if "anyres" not in str(settings.get("image_aspect_ratio")):
        del state["model.image_newline"]
    if with_tower:
        kept = {name: weight for name, weight in seen.state_dict().items() if not _left_out(name, tower)}
        state |= {f"model.vision_tower.vision_tower.vision_model.{name}": weight for name, weight in kept.items()}
    folder.mkdir()
    save_file({name: weight.contiguous() for name, weight in state.items()}, folder / "model.safetensors")
    tokenizer.save_pretrained(folder)
    config = {
        **{name: value for name, value in spoken.config.to_dict().items() if name != "rope_parameters"},
        "rope_theta": spoken.config.rope_parameters["rope_theta"],
        "architectures": [architecture],
        "model_type": "llava_qwen" if kind == "qwen2" else "llava_llama",
        "mm_vision_tower": str(folder.with_name("tower")),
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch",
        "mm_hidden_size": 32,
        **settings,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "triptych.json").write_text('{"template": "chatml"}')
    return state


def _left_out(name: str, tower: str) -> bool:
    """Return whether the original code deletes this weight: of a SigLIP the last layer and the pooler."""
    return tower == "siglip" and bool(re.match(r"(vision_model\.)?(encoder\.layers\.2\.|head\.)", name))
