"""Shapes of networks: how wide, how deep, how many weights. From a config.json, or from a table of published ones.

Not weights. The table holds what recipes that ship start from, so that a plan needs no hub. Source of each row: the
config.json of that repository on the Hugging Face hub, and for towers the card's number of patches.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from triptych.core.errors import ModelError

EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")
"""How configurations call the number of their experts."""
QUERY, KEY, VALUE, OUT = "query", "key", "value", "out"
GATE, UP, DOWN = "gate", "up", "down"
TABLE, HEAD = "table", "head"
ATTENTION, FEED_FORWARD = frozenset({QUERY, KEY, VALUE, OUT}), frozenset({GATE, UP, DOWN})
BLOCK = ATTENTION | FEED_FORWARD
MODULES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "q_proj": frozenset({QUERY}),
        "k_proj": frozenset({KEY}),
        "v_proj": frozenset({VALUE}),
        **dict.fromkeys(("Wqkv", "query_key_value", "qkv"), frozenset({QUERY, KEY, VALUE})),
        **dict.fromkeys(("o_proj", "out_proj", "dense"), frozenset({OUT})),
        "gate_proj": frozenset({GATE}),
        **dict.fromkeys(("up_proj", "dense_h_to_4h", "fc1"), frozenset({UP})),
        **dict.fromkeys(("down_proj", "dense_4h_to_h", "fc2"), frozenset({DOWN})),
        **dict.fromkeys(("self_attn", "attn"), ATTENTION),
        **dict.fromkeys(("mlp", "ffn"), FEED_FORWARD),
        **dict.fromkeys(("layers", "blocks", "encoder"), BLOCK),
        **dict.fromkeys(("model", "transformer"), BLOCK | {TABLE}),
        **dict.fromkeys(("embed_tokens", "wte"), frozenset({TABLE})),
        "lm_head": frozenset({HEAD}),
    }
)
"""Modules by the last word of their name, as Llama, MPT, Persimmon and towers call them -> the matrices in them."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack of transformer blocks."""

    layers: int
    hidden: int
    inner: int
    """Width inside the feed-forward half."""
    gated: bool = True
    """Three matrices in there, not two."""
    kv_share: float = 1.0
    """Key and value heads over query heads."""
    heads_share: float = 1.0
    """Width of all query heads over the hidden width."""
    vocabulary: int = 0
    tied: bool = False
    """Whether table and head are one matrix."""
    positions: int = 0
    """Most positions; 0: not told."""

    @property
    def block_weights(self) -> int:
        """Weights of one block."""
        attention = self.hidden * self.hidden * self.heads_share * (2 + 2 * self.kv_share)
        return int(attention + (3 if self.gated else 2) * self.hidden * self.inner)

    def block_share(self, matrices: Collection[str]) -> float:
        """Return the share of a block's weights that these of its matrices have."""
        attention, feed = self.hidden * self.hidden * self.heads_share, self.hidden * self.inner
        sizes = dict.fromkeys((QUERY, OUT), attention) | dict.fromkeys((KEY, VALUE), attention * self.kv_share)
        sizes |= dict.fromkeys((GATE, UP, DOWN) if self.gated else (UP, DOWN), float(feed))
        return sum(size for name, size in sizes.items() if name in matrices) / sum(sizes.values())

    def tables_in(self, matrices: Collection[str]) -> int:
        """Return how many of table and head are among these matrices; where they are tied, they are one."""
        if not self.vocabulary:
            return 0
        found = (TABLE in matrices) + (HEAD in matrices)
        return min(found, 1) if self.tied else found

    def head_in(self, matrices: Collection[str]) -> bool:
        """Return whether the head is among these matrices; where they are tied, the table is the head."""
        return HEAD in matrices or (self.tied and TABLE in matrices)

    def weights_in(self, matrices: Collection[str]) -> int:
        """Return the weights of these matrices in all blocks, and of table and head where they are among them."""
        blocks = round(self.layers * self.block_weights * self.block_share(matrices))
        return blocks + self.tables_in(matrices) * self.table_weights

    @property
    def table_weights(self) -> int:
        """Weights of the embeddings, without the head."""
        return self.vocabulary * self.hidden

    @property
    def weights(self) -> int:
        """Weights of all blocks, the embeddings and the head."""
        return self.layers * self.block_weights + self.table_weights * (1 if self.tied or not self.vocabulary else 2)


@dataclass(frozen=True, slots=True)
class Shape:
    """A multi-image model."""

    vision: Stack | None
    """None: there is no tower."""
    patches: int
    """Positions of an image in the tower."""
    image_tokens: int
    """Positions of an image in the language model; where it depends on the size, of a usual image."""
    projector_weights: int
    language: Stack
    cross_attention: int = 0
    """Weights of blocks that belong to the projector and work for every token: gated cross-attention."""
    averaged: int = 0
    """Positions of an image's features where patches are averaged before they are kept; 0: they are not."""

    @property
    def feature_numbers(self) -> int:
        """Numbers of an image's features, as they are kept; 0 without a tower."""
        return 0 if self.vision is None else (self.averaged or self.patches) * self.vision.hidden

    @property
    def part_weights(self) -> dict[str, int]:
        """Weights of each part."""
        vision = self.vision.weights if self.vision is not None else 0
        return {
            "vision": vision,
            "projector": self.projector_weights + self.cross_attention,
            "language": self.language.weights,
        }


CLIP_L = Stack(24, 1024, 4096, gated=False)
SO400M = Stack(27, 1152, 4304, gated=False)
LLAMA_3 = Stack(32, 4096, 14336, kv_share=0.25, vocabulary=128256, positions=8192)
MISTRAL = Stack(32, 4096, 14336, kv_share=0.25, vocabulary=32003, positions=32768)
QWEN_05 = Stack(24, 1024, 2816, vocabulary=151936, tied=True, positions=32768)
QWEN_7 = Stack(32, 4096, 11008, vocabulary=151936, positions=32768)
PERSIMMON = Stack(36, 4096, 16384, gated=False, vocabulary=262144, positions=16384)
MPT = Stack(32, 4096, 16384, gated=False, vocabulary=50432, tied=True, positions=2048)

TOWERS: Mapping[str, tuple[Stack, int]] = MappingProxyType(
    {"openai/clip-vit-large-patch14-336": (CLIP_L, 576), "google/siglip-so400m-patch14-384": (SO400M, 729)}
)
"""Known towers by hub id, each with the patches of an image."""
LANGUAGES: Mapping[str, Stack] = MappingProxyType(
    {
        "meta-llama/Meta-Llama-3-8B-Instruct": LLAMA_3,
        "Qwen/Qwen1.5-0.5B-Chat": QWEN_05,
        "Qwen/Qwen1.5-7B-Chat": QWEN_7,
    }
)
# Idefics2: images up to 980 px in patches of 14, of which a usual one fills about 1,400; three resampler blocks.
_IDEFICS2 = Shape(SO400M, 1400, 64, 743_000_000, MISTRAL)
# 63.0 M in the resampler, 8 blocks of 139.5 M between those of the language model; no token for an image.
_OTTER = Shape(CLIP_L, 256, 1, 63_000_000, MPT, cross_attention=8 * 139_500_000)
MODELS: Mapping[str, Shape] = MappingProxyType(
    {
        "HuggingFaceM4/idefics2-8b": _IDEFICS2,
        "TIGER-Lab/Mantis-8B-Idefics2": _IDEFICS2,
        "adept/fuyu-8b": Shape(None, 0, 450, 2700 * 4096, PERSIMMON),
        "luodian/OTTER-MPT7B-Init": _OTTER,
        "luodian/OTTER-Image-MPT7B": _OTTER,
    }
)


def joined(tower: tuple[Stack, int], language: Stack, *, image_tokens: int | None, two_layers: bool) -> Shape:
    """Return the shape of a tower and a language model with a projector of one or two layers between."""
    stack, patches = tower
    projector = stack.hidden * language.hidden + (language.hidden**2 if two_layers else 0)
    return Shape(stack, patches, image_tokens or patches, projector, language)


def tower_of(config: Mapping[str, object]) -> tuple[Stack, int]:
    """Return the shape of a tower and the patches of an image; raises KeyError where its configuration says none."""
    side, patch = config.get("image_size"), config.get("patch_size")
    if isinstance(side, int) and isinstance(patch, int):
        return stack_of(config), (side // patch) ** 2
    # A convolutional tower: small beside the rest. Its map is taken as its patches.
    hidden = config.get("hidden_dim", 1280)
    return Stack(1, hidden if isinstance(hidden, int) else 1280, 1280, gated=False), 49


def stack_of(config: Mapping[str, object]) -> Stack:
    """Return the shape that a configuration of a transformer says.

    Raises:
        KeyError: it says none.
        ModelError: it is a mixture of experts, whose weights and work are others.
    """
    experts = [count for key in EXPERTS if isinstance(count := config.get(key), int) and count > 1]
    if experts:
        raise ModelError(f"its language model is a mixture of {max(experts)} experts, for which there is no plan.")

    def number(*names: str) -> int:
        for name in names:
            if isinstance(value := config.get(name), int):
                return value
        raise KeyError(names[0])

    hidden, heads = number("hidden_size", "d_model", "n_embd"), number("num_attention_heads", "n_heads", "n_head")
    kv = config.get("num_key_value_heads")
    inner = config.get("intermediate_size")
    gated = str(config.get("hidden_act", "")) in ("silu", "swish") or "rms_norm_eps" in config
    stack = Stack(
        number("num_hidden_layers", "n_layers", "n_layer"),
        hidden,
        inner if isinstance(inner, int) else 4 * hidden,
        gated=gated,
        kv_share=kv / heads if isinstance(kv, int) else 1.0,
        heads_share=heads * size / hidden if isinstance(size := config.get("head_dim"), int) else 1.0,
    )
    vocabulary, positions = config.get("vocab_size"), config.get("max_position_embeddings")
    return replace(
        stack,
        vocabulary=vocabulary if isinstance(vocabulary, int) and "patch_size" not in config else 0,
        tied=bool(config.get("tie_word_embeddings", False)),
        positions=positions if isinstance(positions, int) else 0,
    )
