"""Linear layers kept in 4 bits, and brought back: the frozen weights under a QLoRA adapter.

Source: Dettmers et al. 2023, arXiv:2305.14314, as bitsandbytes has it: nf4, double quantisation. It is an optional
package. Not the adapters (``adapters.py``). Quantising loses; bringing back gives exactly what the 4 bits stand for, so
an adapter that was learnt over 4 bits is merged into that, never into the weights before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from triptych.core.errors import ModelError

QUANTISED = "Linear4bit"
"""Class of bitsandbytes. By name, so that nothing is imported where nothing is quantised."""
WHOLE_BIAS = "whole_bias"
"""Buffer of a 4-bit layer: its bias as it was saved, which stays frozen. What is written into the bias is lost."""
TOGETHER = 8
"""Weights of 4 bits in a float32 word, in which they lie. A layer whose weights fill no whole words stays as it is."""


def quantise(
    network: nn.Module, module: nn.Module, *, skip: nn.Module | None = None, device: torch.device | None = None
) -> int:
    """Put the linear layers of ``module`` into 4 bits, in place; return how many there are.

    Args:
        network: all of the model; the layers are replaced in it.
        module: a part of it.
        skip: a layer that stays as it is: the head.
        device: where the layers go, one after the other, as all of them before that may not fit; None: they stay.

    Raises:
        ModelError: bitsandbytes is not installed or cannot work here.
    """
    inside = {id(each) for each in module.modules()}
    chosen = [
        (name, each)
        for name, each in network.named_modules()
        if id(each) in inside and type(each) is nn.Linear and each is not skip and not each.weight.numel() % TOGETHER
    ]
    kind = _kind()
    for name, linear in chosen:
        small = kind(
            linear.in_features,
            linear.out_features,
            bias=linear.bias is not None,
            quant_type="nf4",
            compress_statistics=True,
            # Four bits in float32 words: who asks a part for its dtype must not be told that pixels are bytes.
            quant_storage=torch.float32,
        )
        small.load_state_dict(linear.state_dict())
        whole = None if linear.bias is None else linear.bias.detach().float()
        small.register_buffer(WHOLE_BIAS, whole, persistent=False)
        # A CPU with AVX-512 would repack the weights at the first answer, for some shapes only and in bfloat16: other
        # numbers than in training.
        small.support_avx512bf16_for_cpu = False
        small.register_forward_pre_hook(_in_autocast)
        # Moving it to its device is what packs it.
        network.set_submodule(name, small.to(device or linear.weight.device).requires_grad_(False))
    return len(chosen)


def _in_autocast(layer: Any, given: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
    """Give a layer what autocast computes in: its own kind knows none, and would keep and return all in float32.

    That kind rounds its bias in place, for good: each time it is given the whole one.
    """
    values, *rest = given
    kind = values.device.type
    if torch.is_autocast_enabled(kind):
        values = values.to(torch.get_autocast_dtype(kind))
    layer.compute_dtype, layer.compute_type_is_set = values.dtype, True  # else the first input's, for good
    if layer.bias is not None:
        layer.bias.data = getattr(layer, WHOLE_BIAS).to(values.dtype)
    return (values, *rest)


def is_quantised(module: nn.Module) -> bool:
    """Return whether a layer is kept in 4 bits."""
    return any(each.__name__ == QUANTISED and each.__module__.startswith("bitsandbytes") for each in type(module).mro())


def quantised(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers that are kept in 4 bits, by name."""
    for name, module in network.named_modules():
        if is_quantised(module):
            yield name, module


def weight_of(layer: Any) -> Tensor:
    """Return the float32 weight [out, in] that a 4-bit layer stands for."""
    dequantise_weight = import_module("bitsandbytes.functional").dequantize_4bit
    weight: Tensor = dequantise_weight(layer.weight.data, layer.weight.quant_state)
    return weight.float()


def count_weights(tensor: Tensor) -> int:
    """Return how many weights a parameter stands for: one kept in 4 bits has fewer numbers than that."""
    state = getattr(tensor, "quant_state", None)
    return tensor.numel() if state is None else math.prod(state.shape)


def plain(layer: Any, weight: Tensor) -> nn.Linear:
    """Return an ordinary layer with this weight, the 4-bit layer's bias and its device; frozen."""
    outputs, inputs = weight.shape
    linear = nn.Linear(inputs, outputs, bias=layer.bias is not None, device="meta")
    linear.weight = nn.Parameter(weight, requires_grad=False)
    if layer.bias is not None:
        whole = getattr(layer, WHOLE_BIAS, layer.bias)  # a layer that was opened in 4 bits has none
        linear.bias = nn.Parameter(whole.detach().float().clone(), requires_grad=False)
    return linear.train(layer.training)


def dequantise(network: nn.Module, *, device: torch.device | None = None) -> None:
    """Make every 4-bit layer an ordinary one of what it stands for, in place, each on the device; None: they stay."""
    for name, layer in list(quantised(network)):
        with torch.no_grad():
            network.set_submodule(name, plain(layer, weight_of(layer)).to(device))


def _kind() -> Any:
    try:
        return import_module("bitsandbytes.nn").Linear4bit
    except ImportError as error:
        raise ModelError(
            f"train: qlora keeps weights in 4 bits with the package bitsandbytes, which is not here ({error})."
            " Install it (pip install bitsandbytes), or choose train: lora."
        ) from error
