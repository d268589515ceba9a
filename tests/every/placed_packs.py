"""How packs are attended on one device: which kernel is believed, and what a language model makes of it.

Run in a process of its own (``tests/every/test_packs_on_devices.py``).
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import LlamaConfig, LlamaModel, MistralConfig, MistralModel

from tests.pack_kernel import counted, planted
from tests.pretended import waiting
from triptych.data.batch import PADDING
from triptych.models.attention.packs import PackAttention
from triptych.models.attention.segments import kernel_agrees
from triptych.models.memory.placement import device_of
from triptych.train.determinism import deterministic
from triptych.train.parallel.blocks import attending_again

SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 11}
ROWS = ([5, 9, 2], [1, 15], [13])
"""Lengths of the conversations of each row; padded to 16."""


def believes(fault: str, *, size: int = 8, windowed: bool = False, dtype: torch.dtype = torch.bfloat16) -> bool:
    """Return whether the kernel is used that has a fault; empty: none."""
    kernel_agrees.cache_clear()
    try:
        with planted(fault):
            return kernel_agrees(torch.device("cuda", 0), dtype, heads=4, shared=2, size=size, windowed=windowed)
    finally:
        kernel_agrees.cache_clear()


def learn(
    device: str, *, window: int | None, bfloat16: bool, size: int = 8, again: bool = False
) -> tuple[Tensor, Tensor, list[str], list[str]]:
    """Return hidden states, their slopes, calls of the kernel, and what the host waited for.

    Args:
        device: where.
        window: of the language model's attention.
        bfloat16: under autocast.
        size: of a head.
        again: activations are computed again on the way back.
    """
    torch.manual_seed(0)
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": size}
    network: nn.Module = (
        LlamaModel(LlamaConfig(**SIZES, **heads))
        if window is None
        else MistralModel(MistralConfig(**SIZES, **heads, sliding_window=window))
    )
    where = device_of(device)
    packs = PackAttention(network.to(where), network.config)
    for layer in network.layers if again else ():  # type: ignore[union-attr]
        context = partial(attending_again, network.config)
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False, context_fn=context)
    segments_BT, positions_BT = torch.full((3, 16), PADDING), torch.zeros(3, 16, dtype=torch.int64)
    for row, lengths in enumerate(ROWS):
        at = 0
        for number, length in enumerate(lengths):
            segments_BT[row, at : at + length] = number
            positions_BT[row, at : at + length] = torch.arange(length)
            at += length
    drawn = torch.randn(3, 16, 32, generator=torch.Generator().manual_seed(1))
    weights = torch.randn(3, 16, 32, generator=torch.Generator().manual_seed(2)).to(where)
    real = (segments_BT != PADDING)[..., None].to(where)
    calls: list[str] = []
    for _ in range(2):  # what is tried once is tried in the first
        with deterministic(), waiting() as heard, counted() as called:
            embeds_BTH = drawn.clone().to(where, non_blocking=True).requires_grad_()
            with torch.autocast(where.type, torch.bfloat16, enabled=bfloat16):
                hidden_BTH = packs.hidden(
                    embeds_BTH, segments_BT, positions_ABT=positions_BT[None].to(where, non_blocking=True)
                )
            (hidden_BTH.float() * weights * real).sum().backward()
            calls = list(called)
    assert not torch.are_deterministic_algorithms_enabled()
    assert embeds_BTH.grad is not None
    return (hidden_BTH * real).detach().float().cpu(), (embeds_BTH.grad * real).cpu(), calls, heard
