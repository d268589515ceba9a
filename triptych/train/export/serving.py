"""What vLLM and llama.cpp make of our families: facts about other programs, and the lines that start them.

Not run here: neither is installed. What vLLM has was read off the model registry in its wheel 0.33.0 (Gemma 3 and
InternVL off one of its repository), what llama.cpp has off ``conversion/`` and ``tools/mtmd/README.md`` of its
repository in 2026. Both change: look before you rely on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from triptych.core.errors import ModelError
from triptych.core.records import Json

VLLM = "0.33.0"
VLLM_CLASSES = frozenset(
    {
        "LlavaForConditionalGeneration",
        "LlavaNextForConditionalGeneration",
        "LlavaOnevisionForConditionalGeneration",
        "Gemma3ForConditionalGeneration",
        "Idefics3ForConditionalGeneration",
        "InternVLForConditionalGeneration",
        "SmolVLMForConditionalGeneration",
        "Qwen2VLForConditionalGeneration",
        "Qwen2_5_VLForConditionalGeneration",
        "Qwen3VLForConditionalGeneration",
    }
)
VLLM_LAST = {"FuyuForCausalLM": "0.25.0"}
"""What it had once -> its last release that did."""
VLLM_TOWERS = frozenset({"clip_vision_model", "siglip_vision_model", "pixtral"})
"""Towers that vLLM's LLaVA knows, by their ``model_type``."""
NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")
PROCESSORS = ("processor_config.json", "preprocessor_config.json")

MMPROJ = frozenset(
    {
        "Idefics3ForConditionalGeneration",
        "SmolVLMForConditionalGeneration",
        "Qwen2VLForConditionalGeneration",
        "Qwen2_5_VLForConditionalGeneration",
        "Qwen3VLForConditionalGeneration",
    }
)
"""Classes whose tower ``convert_hf_to_gguf.py --mmproj`` converts from a folder as it is."""
WORDS = frozenset(
    {
        "LlamaForCausalLM",
        "MistralForCausalLM",
        "MixtralForCausalLM",
        "Qwen2ForCausalLM",
        "Qwen3ForCausalLM",
        "GPTNeoXForCausalLM",
    }
)
"""Causal language models that both sides have."""
NO_GGUF: Mapping[str, str] = {
    "flamingo": "it has no cross-attention between the layers of a language model that sees pictures beside its words",
    "fuyu": "it has no converter for FuyuForCausalLM",
    "gemma3": "its converter reads Gemma's words from a tokenizer.model, which is not written here",
    "idefics2": "it has no converter for Idefics2's resampler; it has Idefics3's",
    "internvl": "its converter reads folders of InternVL's own code, and here that of transformers is written",
    "llava_next": "its old scripts want LLaVA-1.6 in the layout of LLaVA's own code, which is not written here",
    "llava_onevision": "it has no converter for LlavaOnevisionForConditionalGeneration",
}


def refuse_vllm(config: Mapping[str, Any]) -> None:
    """Raise ModelError unless vLLM's registry has a config.json's network and its tower."""
    named = str((config.get("architectures") or ["?"])[0])
    if named not in VLLM_CLASSES:
        last = f"; {VLLM_LAST[named]} was the last that had it" if named in VLLM_LAST else ""
        raise ModelError(
            f"vLLM {VLLM} has no {named}{last}. It has {', '.join(sorted(VLLM_CLASSES))}. Leave layout out, and serve"
            " it with `triptych serve`."
        )
    tower = config.get("vision_config", {}).get("model_type")
    if named == "LlavaForConditionalGeneration" and tower not in VLLM_TOWERS:
        raise ModelError(
            f"vLLM {VLLM}'s LLaVA knows no tower {tower!r}, only {', '.join(sorted(VLLM_TOWERS))}. Leave layout out,"
            " and serve it with `triptych serve`."
        )


def missing_for_vllm(folder: Path) -> list[str]:
    """Return what a folder lacks of what vLLM reads."""
    lacks = [name for name in NEEDED if not (folder / name).is_file()]
    return lacks if any((folder / name).is_file() for name in PROCESSORS) else [*lacks, PROCESSORS[0]]


def vllm_lines(folder: Path, *, images: int) -> list[str]:
    """Return the command that serves a folder, and one that asks it."""
    limit = json.dumps({"image": images})
    return [
        f"vllm serve {quote(str(folder))} --limit-mm-per-prompt {quote(limit)}",
        f"triptych chat http://localhost:8000/v1#{quote(str(folder))} IMAGE...",
    ]


def refuse_gguf(family: str, config: Mapping[str, Any], *, projector: str) -> None:
    """Raise ModelError unless llama.cpp has a way for a network.

    Args:
        family: of the model.
        config: its config.json.
        projector: for a LLaVA, what is between its projector's layers.
    """
    if family in NO_GGUF:
        raise ModelError(f"llama.cpp cannot take this model: {NO_GGUF[family]}. Leave layout out.")
    named = str((config.get("architectures") or ["?"])[0])
    if family != "llava":
        if named not in MMPROJ:
            raise ModelError(f"llama.cpp cannot take this model: it has no converter for {named}. Leave layout out.")
        return
    tower = config.get("vision_config", {}).get("model_type")
    reasons = {
        f"its LLaVA converter knows the network {named} not": named != "LlavaForConditionalGeneration",
        f"its LLaVA converter is tried with a CLIP tower, this one is a {tower!r}": tower != "clip_vision_model",
        f"its LLaVA projector has a GELU between two layers, this one has {projector!r}": projector != "gelu",
        "it leaves out the tower's class token, and this model keeps it": (
            config.get("vision_feature_select_strategy", "default") != "default"
        ),
        "it takes one layer of the tower, and this model several": not isinstance(
            config.get("vision_feature_layer", -2), int
        ),
    }
    if found := next((reason for reason, holds in reasons.items() if holds), None):
        raise ModelError(f"llama.cpp cannot take this model: {found}. Leave layout out.")


def refuse_words(network: str) -> None:
    """Raise ModelError unless llama.cpp converts a causal language model of this class."""
    if network not in WORDS:
        raise ModelError(f"llama.cpp cannot take this model: its language model is a {network}. Leave layout out.")


def gguf_lines(folder: Path, *, split: bool, mean: Sequence[float] = (), deviation: Sequence[float] = ()) -> list[str]:
    """Return the commands that convert a folder and run it, from a checkout of llama.cpp.

    Args:
        folder: what was exported.
        split: whether tower, projector and language model lie in it as separate folders.
        mean: of pixels, by channel, where they do.
        deviation: likewise.
    """
    here = quote(str(folder))
    words, seen = quote(str(folder / "model.gguf")), quote(str(folder / "mmproj.gguf"))
    if not split:
        return [
            f"python convert_hf_to_gguf.py {here} --outfile {words}",
            f"python convert_hf_to_gguf.py {here} --mmproj --outfile {seen}",
            f"llama-mtmd-cli -m {words} --mmproj {seen} --jinja --image IMAGE -p 'What is this?'",
        ]
    numbers = " ".join(map(str, mean)), " ".join(map(str, deviation))
    made = quote(str(folder / "vision" / "mmproj-model-f16.gguf"))
    return [
        f"python convert_hf_to_gguf.py {quote(str(folder / 'language'))} --outfile {words}",
        f"python tools/mtmd/legacy-models/convert_image_encoder_to_gguf.py -m {quote(str(folder / 'vision'))}"
        f" --llava-projector {quote(str(folder / 'llava.projector'))} --clip-model-is-vision"
        f" --image-mean {numbers[0]} --image-std {numbers[1]}",
        f"llama-mtmd-cli -m {words} --mmproj {made} --jinja --image IMAGE -p 'What is this?'",
    ]


def name_text_class(config: dict[str, Any]) -> dict[str, Json]:
    """Return a config.json whose language model says its class, by which llama.cpp finds its converter."""
    text = config.get("text_config")
    if not isinstance(text, dict) or text.get("model_type") != "llama":
        return config
    return {**config, "text_config": {**text, "architectures": ["LlamaForCausalLM"]}}
