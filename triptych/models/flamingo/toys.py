"""Toy Flamingos with random weights from a seed and open gates: a Llama, an MPT, and one that knows frames."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from transformers import MptConfig, MptForCausalLM

from triptych.data.template import Template
from triptych.models import toys
from triptych.models.flamingo.join import join
from triptych.models.flamingo.language import cross_attention_of
from triptych.models.flamingo.network import FlamingoForConditionalGeneration
from triptych.models.parts import ImageProcessor, Language

SMALL: Mapping[str, object] = MappingProxyType(
    {"resampler_depth": 2, "resampler_latents": 4, "cross_attn_heads": 2, "cross_attn_head_dim": 16}
)
FILMS: Mapping[str, object] = MappingProxyType(
    {"max_num_frames": 8, "max_num_media": 8, "adjacent_images_are_frames": True}
)


def toy_mpt(seed: int) -> Language:
    """Return an MPT of four layers, hidden size 48; head and embeddings are one."""
    tokenizer = toys.toy_tokenizer()
    config = MptConfig(
        vocab_size=len(tokenizer), d_model=48, n_heads=4, n_layers=4, max_seq_len=2048, initializer_range=0.2
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Language(MptForCausalLM(config).float().eval(), tokenizer)


def toy_network(
    language: Language, template: Template, *, seed: int, settings: Mapping[str, object]
) -> tuple[FlamingoForConditionalGeneration, ImageProcessor]:
    """Return a Flamingo of toy parts and its image preparation. Its gates are open: closed, no image would show.

    Args:
        language: a toy.
        template: of its conversations.
        seed: of all its weights but the language model's.
        settings: of ``FlamingoConfig``, beside the small sizes.
    """
    vision = toys.toy_vit(seed)
    network = join(vision, language, template=template, seed=seed, settings={**SMALL, **settings})
    with torch.no_grad():
        for gated in cross_attention_of(network.lang_encoder):
            gated.get_parameter("attn_gate").fill_(1.0)
            gated.get_parameter("ff_gate").fill_(0.5)
    return network, vision.processor
