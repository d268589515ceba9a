"""Toy parts with random weights from a seed: two towers, a language model, a tokenizer. They need no files.

Not for answers: for tests, and to see in a second that a recipe fits together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar, cast

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    EfficientNetConfig,
    LlamaConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from triptych.models.disk.locate import Provenance
from triptych.models.parts import ImageProcessor, Language, Vision

M = TypeVar("M")

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
IMAGE_PX = 32
PROVENANCE = Provenance("toy", origin="", licence="none: random weights", sha256="")


def toy_tokenizer() -> PreTrainedTokenizerBase:
    """Return a tokenizer of one token a byte, and ChatML's special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate((*SPECIALS, *alphabet))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    end, _, stop = SPECIALS
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=end, eos_token=stop, pad_token=end, clean_up_tokenization_spaces=False
    )


def toy_language(seed: int) -> Language:
    """Return a Llama of two layers, hidden size 48, tied embeddings."""
    tokenizer = toy_tokenizer()
    config = toy_llama(tokenizer, tied=True)
    network = seeded(seed, lambda: AutoModelForCausalLM.from_config(config))
    return Language(network.float().eval(), tokenizer)


def toy_llama(tokenizer: PreTrainedTokenizerBase, *, tied: bool) -> LlamaConfig:
    """Return the sizes of a Llama of two layers, hidden size 48, for this tokenizer."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=tied,
        initializer_range=0.2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def toy_vit(seed: int) -> Vision:
    """Return a CLIP-like tower: 32 px in patches of 16, hidden size 32."""
    config = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=IMAGE_PX,
        patch_size=16,
        initializer_factor=5.0,
    )
    tower = seeded(seed, lambda: AutoModel.from_config(config))
    return Vision(tower.float().eval(), _processor())


def toy_convolutional(seed: int) -> Vision:
    """Return an EfficientNet of three blocks: 32 px, a map of 80 x 2 x 2."""
    config = EfficientNetConfig(
        width_coefficient=1 / 16,
        depth_coefficient=1.0,
        kernel_sizes=[3, 3, 3],
        in_channels=[32, 16, 24],
        out_channels=[16, 24, 40],
        strides=[2, 2, 2],
        num_block_repeats=[1, 1, 1],
        expand_ratios=[1, 2, 2],
        hidden_dim=80,
        image_size=IMAGE_PX,
        initializer_range=0.5,
    )
    tower = seeded(seed, lambda: AutoModel.from_config(config))
    return Vision(tower.float().eval(), _processor())


TOWERS: Mapping[str, Callable[[int], Vision]] = MappingProxyType({"vit": toy_vit, "convolutional": toy_convolutional})
LANGUAGES: Mapping[str, Callable[[int], Language]] = MappingProxyType({"llama": toy_language})


def _processor() -> ImageProcessor:
    size = {"height": IMAGE_PX, "width": IMAGE_PX}
    processor = CLIPImageProcessorPil(size=size, do_center_crop=False, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    return cast(ImageProcessor, processor)


def enliven(network: nn.Module, *, seed: int) -> None:
    """Give a network random matrices, in place, so that what it says depends on all it is given.

    As networks are usually begun, two images would change a toy's words by nothing that a test could see.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim > 1:
                spread = 1 / weight[0].numel() ** 0.5
                weight.copy_(torch.randn(weight.shape, generator=generator) * spread)


def seeded(seed: int, make: Callable[[], M]) -> M:
    """Return what ``make`` gives under this seed; the caller's random numbers go on as if nothing had happened."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()
