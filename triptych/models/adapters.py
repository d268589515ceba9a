"""LoRA on the language model: small trained matrices beside frozen ones, put in place and merged back.

Source: Hu et al. 2021, arXiv:2106.09685, as peft has it. The network keeps its class and its names; only linear layers
gain an adapter, so ``Model.hidden`` works as before. Not for tower and projector: these are trained whole or frozen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from triptych.core.errors import ModelError
from triptych.models.family import Model

ALL_LINEAR: Literal["all-linear"] = "all-linear"
MARK = "lora_"
"""In the name of every adapter weight, and of no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterPlan:
    """What adapter a language model is given."""

    rank: int
    alpha: int
    """The adapter is scaled by ``alpha / rank``."""
    targets: Literal["all-linear"] | Sequence[str]
    """Every linear layer of the body, or layers by the last word of their name, e.g. ``q_proj``."""
    dropout: float
    seed: int
    """Of the adapter's first weights."""
    from_layer: int = 0
    """First layer that gains one; those below need no backward pass. 0: all."""


def add_adapter(model: Model, plan: AdapterPlan) -> None:
    """Put an adapter into the language model and freeze the rest of it. At first it changes nothing.

    Raises:
        ModelError: there is one already, or a target or layer is not there.
    """
    language = model.parts()["language"]
    if adapter_state(model):
        raise ModelError("the language model has an adapter already; merge it first.")
    targets = _targets(model, language, plan)
    config = LoraConfig(
        r=plan.rank, lora_alpha=plan.alpha, lora_dropout=plan.dropout, target_modules=targets, bias="none"
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        inject_adapter_in_model(config, language)


def adapter_state(model: Model) -> dict[str, Tensor]:
    """Return the adapter's weights by name, not copies; empty without an adapter."""
    state = model.parts()["language"].state_dict(keep_vars=True)
    return {name: weight for name, weight in state.items() if MARK in name}


def load_adapter(model: Model, state: Mapping[str, Tensor]) -> None:
    """Set the adapter's weights to ``state``, from an ``adapter_state`` of the same plan.

    Raises:
        ModelError: the names or shapes differ.
    """
    own = adapter_state(model)
    if own.keys() != state.keys() or any(own[name].shape != state[name].shape for name in own):
        raise ModelError(f"an adapter of {len(state)} weights does not fit one of {len(own)}; was the plan another?")
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(state[name])


def merge(model: Model) -> Model:
    """Add the adapter into the weights beside it, in place; return the model, which then is a plain one.

    Raises:
        ModelError: the merged weights are not finite.
    """
    language = model.parts()["language"]
    adapted = [(name, module) for name, module in language.named_modules() if isinstance(module, LoraLayer)]
    for name, module in adapted:
        try:
            module.merge(safe_merge=True)
        except ValueError as error:
            raise ModelError(f"the adapter of {name} cannot be merged: {error}") from error
        language.set_submodule(name, module.get_base_layer())
    return model


def _targets(model: Model, language: nn.Module, plan: AdapterPlan) -> list[str]:
    """Return the full names of the layers that gain an adapter; the head never does."""
    head = model.network.get_output_embeddings()
    linear = [
        name
        for name, module in language.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not head
    ]
    if plan.targets != ALL_LINEAR:
        known = {name.rpartition(".")[2] for name in linear}
        if unknown := sorted(set(plan.targets) - known):
            raise ModelError(f"the language model has no linear layer {unknown[0]!r}; there are {sorted(known)}.")
        linear = [name for name in linear if name.rpartition(".")[2] in plan.targets]
    numbers = {name: _layer(name) for name in linear}
    if plan.from_layer > max(numbers.values()) and plan.from_layer > 0:
        raise ModelError(f"the language model has no layer {plan.from_layer}; the last is {max(numbers.values())}.")
    return [name for name in linear if plan.from_layer == 0 or numbers[name] >= plan.from_layer]


def _layer(name: str) -> int:
    """Return the number in a name like ``model.layers.3.mlp.up_proj``; -1 for a layer outside of the stack."""
    found = re.search(r"\.(\d+)\.", name)
    return int(found.group(1)) if found else -1
