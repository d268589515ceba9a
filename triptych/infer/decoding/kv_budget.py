"""How many positions a model that answers may hold at once, where nobody has said it: by its memory.

An estimate, and a careful one: less than half of what is free; keys and values in float32, which they are in some
passes; and what a layer makes of each position. On a CPU, whose memory is for everything else too, it is a number.
"""

from __future__ import annotations

from typing import Protocol

import torch
from transformers import PreTrainedModel

BATCH = 4096
"""Positions of a batch on a CPU."""
SHARE = 0.4
"""Share of the free memory that is taken; a server may hold two models."""
MOST = 262_144
"""Positions at most, however much is free."""


class Placed(Protocol):
    """What is used of a model that was placed."""

    network: PreTrainedModel


def positions_that_fit(model: Placed, *, otherwise: int) -> int:
    """Return most positions of prompts and replies together, padding included.

    Args:
        model: where it answers.
        otherwise: where it is not on a GPU; never less.
    """
    device = model.network.device
    if device.type != "cuda":
        return otherwise
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return max(otherwise, min(MOST, int(SHARE * free) // bytes_a_position(model)))


def bytes_a_position(model: Placed) -> int:
    """Return what a position costs: keys and values of all layers, and what stands in one layer at once."""
    text = model.network.config.get_text_config()
    heads = getattr(text, "num_attention_heads", 1)
    size = getattr(text, "head_dim", None) or text.hidden_size // heads
    shared = getattr(text, "num_key_value_heads", None) or heads
    kept = 2 * text.num_hidden_layers * shared * size
    inner = getattr(text, "intermediate_size", None) or 4 * text.hidden_size
    return int(4 * kept + 4 * (6 * text.hidden_size + 3 * inner))
