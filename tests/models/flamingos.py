"""Small Flamingos for tests: over every kind of language model, their gates open."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import (
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    MptConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from tests.models.pictures import encoded
from triptych.core.records import Example
from triptych.data.batch import Batch, collate
from triptych.models.families.flamingo import FAMILY, FlamingoModel
from triptych.models.flamingo.config import FlamingoConfig
from triptych.models.flamingo.language import cross_attention_of
from triptych.models.flamingo.network import FlamingoForConditionalGeneration
from triptych.models.flamingo.toys import SMALL

WIDE = {"hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4, "vocab_size": 40, "intermediate_size": 64}
VISION = {
    "model_type": "clip_vision_model",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 16,
}
TEXTS: dict[str, PreTrainedConfig] = {
    "gpt_neox": GPTNeoXConfig(**WIDE, initializer_range=0.2),
    "llama": LlamaConfig(**WIDE, initializer_range=0.2),
    "mistral": MistralConfig(**WIDE, num_key_value_heads=2, initializer_range=0.2),
    "mpt": MptConfig(d_model=48, n_layers=4, n_heads=4, vocab_size=40, max_seq_len=12, initializer_range=0.2),
    "qwen2": Qwen2Config(**WIDE, num_key_value_heads=2, initializer_range=0.2),
    "qwen3": Qwen3Config(**WIDE, num_key_value_heads=2, head_dim=12, initializer_range=0.2),
}
IMAGE = 5


def sample(name: str, seed: int = 0) -> FlamingoModel:
    model = FAMILY.samples[name](seed)
    assert isinstance(model, FlamingoModel)
    return model


def network_of(text: PreTrainedConfig, **settings: object) -> FlamingoForConditionalGeneration:
    """Return a network over a small language model, its gates open."""
    chosen = {"cross_attn_every_n_layers": 2, "image_token_id": IMAGE} | dict(SMALL) | settings
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = FlamingoForConditionalGeneration(
            FlamingoConfig(vision_config=dict(VISION), text_config=text.to_dict(), **chosen)
        )
    with torch.no_grad():
        for gated in cross_attention_of(network.lang_encoder):
            gated.attn_gate.fill_(1.0)
            gated.ff_gate.fill_(0.5)
    return network.eval()


def shown(count: int, *, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def batch_of(model: FlamingoModel, rows: Sequence[Sequence[Example]], *, open_reply: bool = False) -> Batch:
    return collate([[encoded(model, each, open_reply=open_reply) for each in row] for row in rows], pad_id=0)
