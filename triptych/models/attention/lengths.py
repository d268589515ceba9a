"""What a language model's configuration says of lengths: how much it takes, and where its layers compute otherwise.

Not found out by a trial, as what is short enough to be tried does not show it. Rotary positions may change for all
conversations of a pass once one of them is long (``dynamic``, ``longrope``); windows and chunks end; some layers count
along the row and not along the conversation; a table of learned positions has an end.

Shapes: B rows, T tokens a row, A axes of positions.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedConfig

from triptych.core.errors import ModelError
from triptych.models.attention.segments import Segment, window_of

NAMES = ("max_position_embeddings", "max_seq_len", "n_positions", "seq_length", "max_sequence_length", "context_length")
"""What configurations call the most positions: MPT has the second, folders of BLOOM may have the fourth."""
ENDLESS = sys.maxsize
"""Positions of a model whose configuration names none, as BLOOM's: they are no part of what it learnt."""
CHUNKED = "chunked_attention"
"""What transformers calls a layer that sees its own chunk of so many positions."""
_TABLES = ("wpe", "embed_positions", "position_embeddings")
"""What transformers calls them."""
_BEFORE_A_TABLE = 8
"""Most rows a table may have beyond its positions (OPT has 2, RoBERTa's kind as many as its padding token says)."""


def longest_of(config: PreTrainedConfig) -> int:
    """Return how many positions a language model takes, prompt and reply together; ``ENDLESS`` where nothing says it.

    Args:
        config: of a whole model, or of a language model alone.
    """
    text = config.get_text_config()
    said = (getattr(text, name, None) for name in NAMES)
    return next((each for each in said if isinstance(each, int) and each > 0), ENDLESS)


def rope_changes(text: PreTrainedConfig) -> list[tuple[str, int]]:
    """Return how rotary positions change and beyond how many positions, those of each kind of layer; empty: never."""
    said = getattr(text, "rope_parameters", None) or {}
    kinds = [said] if "rope_type" in said else [each for each in said.values() if isinstance(each, dict)]
    found = set()
    for each in kinds:
        kind = each.get("rope_type")
        if kind == "dynamic":
            found.add((kind, int(text.max_position_embeddings)))
        elif kind == "longrope":
            found.add((kind, int(each.get("original_max_position_embeddings") or text.max_position_embeddings)))
    return sorted(found)


def chunk_of(text: PreTrainedConfig) -> int | None:
    """Return how many positions the chunks have within which some layers look; None: there are none."""
    size: int | None = getattr(text, "attention_chunk_size", None)
    return size if CHUNKED in (getattr(text, "layer_types", None) or []) else None


def counted_along(text: PreTrainedConfig) -> int | None:
    """Return up to which column a row is computed alike wherever in it a conversation stands; None: all of it.

    Llama 4 scales what it asks by the column, MiniMax M3 chooses blocks of columns: the first of them are alike. Doge
    chooses columns once there are many; which of two alike it takes depends on how many there are.
    """
    scale = getattr(text, "floor_scale", None) if getattr(text, "attn_temperature_tuning", None) else None
    names = ("index_block_size", "keep_window_size")
    most = [scale - 1 if scale else None, *(getattr(text, name, None) for name in names)]
    return min((each for each in most if each is not None), default=None)


def reach_of(text: PreTrainedConfig) -> int | None:
    """Return how long a conversation may be for every layer to see all before it, and by its own length; None: any.

    Up to it rows can be computed together however they stand in a cache; what is longer is computed alone.
    """
    local = "local" in (getattr(text, "attention_layers", None) or [])  # of GPT-Neo
    most = [
        window_of(text),
        chunk_of(text),
        counted_along(text),
        getattr(text, "window_size", None) if local else None,
        *(limit for _, limit in rope_changes(text)),
    ]
    return min((each for each in most if each is not None), default=None)


def batchable_length(text: PreTrainedConfig) -> int | None:
    """Return up to how many tokens rows can be computed in one batch; None: always.

    Beyond it a row's numbers depend on the rows beside it, or on the padding before it.
    """
    most = [counted_along(text), *(limit for _, limit in rope_changes(text))]
    return min((each for each in most if each is not None), default=None)


def table_of(body: nn.Module, text: PreTrainedConfig) -> int | None:
    """Return how many positions a language model's table of positions has; None: it has none."""
    said = getattr(text, "max_position_embeddings", None)
    if not said:
        return None
    sizes = []
    for name, module in body.named_modules():
        if isinstance(module, nn.Embedding) and name.rpartition(".")[2] in _TABLES:
            sizes.append((module.num_embeddings, int(getattr(module, "offset", 0))))
    for name, buffer in body.named_buffers():
        if name.rpartition(".")[2] in _TABLES and buffer.dim() == 2:
            sizes.append((buffer.shape[0], 0))
    # What has another size is something else, as the positions of images.
    return min((size - offset for size, offset in sizes if said <= size <= said + _BEFORE_A_TABLE), default=None)


def check_lengths(text: PreTrainedConfig, segments: Sequence[Segment], *, positions_ABT: Tensor) -> None:
    """Raise ModelError where the longest conversation would change the rotary positions of all the others.

    Args:
        text: of a language model.
        segments: of a step.
        positions_ABT: of its tokens; images may take fewer positions than tokens.
    """
    changes = rope_changes(text)
    if not changes or not segments:
        return
    reach_BT = positions_ABT.amax(dim=0).cpu() + 1
    lengths = {int(reach_BT[each.row, each.start : each.stop].max()) for each in segments}
    for kind, most in changes:
        # Beyond it all are alike in longrope; in dynamic each length has positions of its own.
        if max(lengths) > most and (min(lengths) <= most or (kind == "dynamic" and len(lengths) > 1)):
            raise ModelError(
                f"conversations of {min(lengths)} and of {max(lengths)} positions stand together: beyond {most} this "
                f"language model has other rotary positions ({kind}), for all of them. Leave out those beyond {most} "
                "tokens: lower pack_tokens."
            )


def check_columns(text: PreTrainedConfig, segments: Sequence[Segment], *, width: int) -> None:
    """Raise ModelError where a conversation's numbers would not be its own for what stands in its row besides.

    Args:
        text: of a language model.
        segments: of a step.
        width: of its rows, padding included.
    """
    most = counted_along(text)
    if most is None:
        return
    chosen = getattr(text, "keep_window_size", None) is not None  # then padding behind it counts too
    last = max((each.stop for each in segments if each.start), default=0)
    last = width if chosen and any(each.stop - each.start < width for each in segments) else last
    if last > most:
        raise ModelError(
            f"a pack of {last} tokens: a language model of type {text.model_type!r} counts along the pack, and beyond "
            f"{most} tokens a conversation among others is not what it is alone. Lower pack_tokens to {most}."
        )


def check_table(most: int | None, segments: Sequence[Segment]) -> None:
    """Raise ModelError where a conversation has more tokens than ``table_of`` has positions."""
    longest = max((each.stop - each.start for each in segments), default=0)
    if most is not None and longest > most:
        raise ModelError(
            f"a conversation of {longest} tokens: this language model has a table of {most} positions and knows no "
            f"others. Leave out what is longer, or shorten it: lower pack_tokens to {most}, or take fewer images."
        )


def forget_lengths(network: nn.Module, text: PreTrainedConfig) -> None:
    """Let ``dynamic`` rotary positions depend on the pass they are for, and not on the longest one before it.

    Args:
        network: whose rotary modules keep that; every pass from here on begins as the first did.
        text: configuration of its language model.
    """
    if not any(kind == "dynamic" for kind, _ in rope_changes(text)):
        return
    for module in network.modules():
        known = hasattr(module, "max_seq_len_cached") and hasattr(module, "original_max_seq_len")
        if known and _begin_anew not in module._forward_pre_hooks.values():
            module.register_forward_pre_hook(_begin_anew)


def _begin_anew(module: Any, _given: object) -> None:
    kinds = module.rope_type  # one, or that of each kind of layer
    each = {"": kinds} if isinstance(kinds, str) else {f"{name}_": kind for name, kind in kinds.items()}
    for prefix in [prefix for prefix, kind in each.items() if kind == "dynamic"]:
        # Once it has grown it is a tensor, perhaps on a GPU: it is not asked for its value.
        if getattr(module, f"{prefix}max_seq_len_cached", module.original_max_seq_len) is module.original_max_seq_len:
            continue
        first, now = getattr(module, f"{prefix}original_inv_freq"), getattr(module, f"{prefix}inv_freq")
        module.register_buffer(f"{prefix}inv_freq", first.to(now.device), persistent=False)
        setattr(module, f"{prefix}max_seq_len_cached", module.original_max_seq_len)
