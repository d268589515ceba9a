"""Parts and checkpoints as others publish them: tiny, random, in the layout of the real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from transformers import (
    BitImageProcessorPil,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPVisionConfig,
    ConvNextConfig,
    ConvNextImageProcessorPil,
    ConvNextModel,
    Dinov2Config,
    Dinov2Model,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    ResNetConfig,
    ResNetModel,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from triptych.data.templates.chatml import TEMPLATE as CHATML
from triptych.models import toys

SIZE = {"height": 32, "width": 32}
VIT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 16,
}
BODY = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def _clip() -> tuple[PreTrainedModel, object]:
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(vision_config=VIT, text_config={**text, "vocab_size": 50}, projection_dim=8)
    return CLIPModel(config), CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SIZE)


TOWERS: dict[str, tuple[Callable[[], tuple[PreTrainedModel, object]], tuple[int, int]]] = {
    "clip": (_clip, (4, 32)),
    "siglip": (lambda: (SiglipVisionModel(SiglipVisionConfig(**VIT)), SiglipImageProcessorPil(size=SIZE)), (4, 32)),
    "dinov2": (
        lambda: (
            Dinov2Model(Dinov2Config(**VIT, mlp_ratio=2)),
            BitImageProcessorPil(size={"shortest_edge": 36}, crop_size=SIZE),
        ),
        (4, 32),
    ),
    "resnet": (
        lambda: (
            ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])),
            ConvNextImageProcessorPil(size={"shortest_edge": 32}),
        ),
        (16, 16),
    ),
    "convnext": (
        lambda: (
            ConvNextModel(ConvNextConfig(hidden_sizes=[8, 24], depths=[1, 1], num_stages=2)),
            ConvNextImageProcessorPil(size={"shortest_edge": 32}),
        ),
        (16, 24),
    ),
}

LANGUAGES: dict[str, Callable[[int], PreTrainedModel]] = {
    "llama-tied": lambda size: LlamaForCausalLM(LlamaConfig(**BODY, vocab_size=size, tie_word_embeddings=True)),
    "llama-untied": lambda size: LlamaForCausalLM(LlamaConfig(**BODY, vocab_size=size, tie_word_embeddings=False)),
    "qwen2-with-spare-rows": lambda size: Qwen2ForCausalLM(
        Qwen2Config(**BODY, num_key_value_heads=2, vocab_size=size + 9, tie_word_embeddings=True)
    ),
    "gpt2-table-elsewhere": lambda size: GPT2LMHeadModel(GPT2Config(n_embd=48, n_layer=2, n_head=4, vocab_size=size)),
}


def save_tower(folder: Path, name: str) -> Path:
    """Save a tower and its picture preparation."""
    torch.manual_seed(0)
    tower, processor = TOWERS[name][0]()
    tower.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def save_language(folder: Path, make: Callable[[int], PreTrainedModel], *, image_token: bool = False) -> Path:
    """Save a language model for the toy tokenizer, and that."""
    torch.manual_seed(0)
    tokenizer = toys.toy_tokenizer()
    if image_token:
        tokenizer.add_tokens(["<image>"], special_tokens=True)
    make(len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def release(
    folder: Path,
    *,
    chat_template: str = CHATML.jinja,
    text: Callable[[int], PreTrainedConfig] | None = None,
    vision: PreTrainedConfig | None = None,
    images: object = None,
    dtype: torch.dtype = torch.float32,
    **settings: object,
) -> LlavaForConditionalGeneration:
    """Save a checkpoint as others publish theirs: centre crop, class token, nothing of ours beside it.

    Args:
        folder: gets a folder ``released``.
        chat_template: of its tokenizer.
        text: returns the language model's configuration for a number of tokens; None: a Llama.
        vision: the tower's configuration; None: a CLIP.
        images: the picture preparation; None: the CLIP's.
        dtype: of all numbers.
        settings: of the configuration.
    """
    torch.manual_seed(0)
    tokenizer = toys.toy_tokenizer()
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    tokenizer.chat_template = chat_template
    words = LlamaConfig(**BODY, vocab_size=len(tokenizer), initializer_range=0.2)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**VIT, initializer_factor=3.0) if vision is None else vision,
        text_config=words if text is None else text(len(tokenizer)),
        image_token_index=len(tokenizer) - 1,
        **settings,
    )
    network = LlavaForConditionalGeneration(config).eval().to(dtype)
    network.save_pretrained(folder / "released")
    strategy = config.vision_feature_select_strategy
    images = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SIZE) if images is None else images
    LlavaProcessor(
        images, tokenizer, patch_size=16, vision_feature_select_strategy=strategy, num_additional_image_tokens=1
    ).save_pretrained(folder / "released")
    return network
