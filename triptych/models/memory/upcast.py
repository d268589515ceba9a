"""A network in 16 bits brought to float32: its weights converted, and numbers that it computed itself computed anew.

Not frozen matrices kept small and brought back (``half_precision.py``). What a network computes as it is made is in no
file, and has the precision it was opened in: Gemma's factor of embeddings, the root of the hidden size, is 6.9375 in
bfloat16 and 6.9282 in float32. A saved folder opens with the second; so must what trains or answers in float32.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.initialization import guard_torch_init_functions

from triptych.models.memory.half_precision import KINDS

LOADED = "_is_hf_initialized"
"""Attribute by which transformers knows tensors that were loaded, and are not to be initialised."""


def to_float32(network: PreTrainedModel) -> None:
    """Bring all numbers in 16 bits to float32, in place, as if the folder had been opened in float32."""
    computed = list(_computed_in_16_bits(network, network))
    for each in (*network.parameters(), *network.buffers()):
        if each.dtype in KINDS:
            each.data = each.data.to(torch.float32)
    with torch.no_grad(), guard_torch_init_functions():
        for maker, module, names in computed:
            for each in (*module.parameters(), *module.buffers()):
                setattr(each, LOADED, True)
            for name in names:
                # Without the mark; it stays as converted where its maker does not know it.
                module._buffers[name] = module.get_buffer(name).clone()
            maker._init_weights(module)


def _computed_in_16_bits(
    module: nn.Module, maker: PreTrainedModel
) -> Iterator[tuple[PreTrainedModel, nn.Module, list[str]]]:
    """Yield modules with buffers that no file holds, which those are, and the network whose code computes them."""
    maker = module if isinstance(module, PreTrainedModel) else maker
    own = module._non_persistent_buffers_set
    names = [name for name, each in module.named_buffers(recurse=False) if name in own and each.dtype in KINDS]
    if names:
        yield maker, module, names
    for child in module.children():
        yield from _computed_in_16_bits(child, maker)
