"""A LLaVA divided for llama.cpp: its language model, its CLIP tower, its projector, each as converters want it.

Not GGUF files: llama.cpp's scripts write these, from what lies here. ``language/`` is a causal language model of
transformers; ``vision/`` a CLIP tower under the names that its released checkpoints have; ``llava.projector`` a pickled
mapping of weights under the names of LLaVA's own code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from triptych.models.family import Model
from triptych.models.parts import quiet
from triptych.train.export.serving import refuse_words

PROJECTOR = "llava.projector"
LAYERS = {"linear_1": "model.mm_projector.0", "linear_2": "model.mm_projector.2"}
"""Layers of transformers' projector -> their names in LLaVA's own code."""


def take_apart(model: Model, folder: Path) -> None:
    """Write the three pieces of a LLaVA with a CLIP tower.

    Raises:
        ModelError: its language model is none that llama.cpp converts.
    """
    network = model.network
    with torch.device("meta"):
        language = cast(PreTrainedModel, AutoModelForCausalLM.from_config(network.config.get_text_config()))
    refuse_words(type(language).__name__)
    language.set_submodule(language.base_model_prefix, network.get_submodule("model.language_model"))
    language.set_submodule("lm_head", network.get_submodule("lm_head"))
    language.generation_config = network.generation_config
    with quiet():
        language.save_pretrained(folder / "language")
    model.tokenizer.save_pretrained(folder / "language")

    tower = network.get_submodule("model.vision_tower")
    seen = network.config.vision_config.to_dict() | {
        "architectures": ["CLIPVisionModel"],
        "vision_feature_layer": network.config.vision_feature_layer,
    }
    (folder / "vision").mkdir()
    (folder / "vision" / "config.json").write_text(json.dumps(seen, indent=2, default=str) + "\n", encoding="utf-8")
    named = {f"vision_model.{name.removeprefix('vision_model.')}": weight for name, weight in _state(tower).items()}
    save_file(named, folder / "vision" / "model.safetensors", metadata={"format": "pt"})

    between = _state(network.get_submodule("model.multi_modal_projector"))
    torch.save(
        {f"{LAYERS[name.partition('.')[0]]}.{name.partition('.')[2]}": weight for name, weight in between.items()},
        folder / PROJECTOR,
    )


def _state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: weight.detach().cpu().float().contiguous()
        for name, weight in module.state_dict().items()
        if weight.is_floating_point()
    }
