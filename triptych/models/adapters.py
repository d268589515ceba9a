"""LoRA and DoRA on any part of a model: small trained matrices beside frozen ones, put in place and merged back.

Source: Hu et al. 2021, arXiv:2106.09685; Liu et al. 2024, arXiv:2402.09353; Kalajdzievski 2023, arXiv:2312.03732; as
peft has them. The network keeps its class and its names; only linear layers gain an adapter, so ``Model.hidden`` works
as before. The weights beside may be kept in 4 bits (``quantise.py``); what is merged then is the adapter into what
these stand for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from triptych.core.errors import ModelError
from triptych.core.log import say
from triptych.models.family import Model
from triptych.models.memory.half_precision import upcast_frozen
from triptych.models.memory.quantise import dequantise, is_quantised, plain, quantise, weight_of

ALL_LINEAR: Literal["all-linear"] = "all-linear"
MARK = "lora_"
"""Occurs in the name of every adapter weight, and of no other."""
HOST = torch.device("cpu")
PART = "part"
"""What a part is called in the module that peft is given: a part may be one linear layer itself."""
EXPERTS_SHARE = 0.1
"""Of a part's weights; more of them in experts is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterPlan:
    """What adapter a part is given."""

    rank: int
    alpha: int
    """The adapter is scaled by ``alpha / rank``, or with ``rooted`` by ``alpha / sqrt(rank)``."""
    targets: Literal["all-linear"] | Sequence[str]
    """Every linear layer of the part but the head, or layers by the last word of their name, e.g. ``q_proj``."""
    dropout: float
    seed: int
    """Seed of the adapter's initial weights."""
    from_layer: int = 0
    """First layer that gains one; those below need no backward pass. 0: all."""
    decomposed: bool = False
    """DoRA: each row's magnitude is learnt separately from its direction."""
    quantised: bool = False
    """QLoRA: the part's linear layers are kept in 4 bits."""
    gaussian: bool = False
    """How the first matrix is drawn: normal, not uniform as Kaiming. The second is zero."""
    rooted: bool = False
    """Scaled by the root of the rank (rank-stabilised LoRA), so that a large rank does not count less."""


def add_adapter(model: Model, plan: AdapterPlan, *, part: str = "language", device: torch.device | None = None) -> None:
    """Put an adapter into a part and freeze the rest of it. At first it changes nothing, but for lost bits of weights.

    Args:
        model: without an adapter in that part.
        plan: of the adapter.
        part: of the model.
        device: where layers that are kept in 4 bits go; None: where they are.

    Raises:
        ModelError: there is one already, a target or layer is not there or shares its weight, a row of a target has no
            direction, or 4 bits are not to be had.
    """
    if adapter_state(model, part=part):
        raise ModelError(f"the {part} part has an adapter already; merge it first.")
    head = model.network.get_output_embeddings()
    targets = _targets(model.parts()[part], head, plan, part=part)
    _check_own(model.network, model.parts()[part], targets, part=part)
    if plan.decomposed:
        _check_directions(model.parts()[part], targets, part=part)
    _tell_experts(model.parts()[part], plan, part=part)
    if plan.quantised:
        quantise(model.network, model.parts()[part], skip=head, device=device)
    config = LoraConfig(
        r=plan.rank,
        lora_alpha=plan.alpha,
        lora_dropout=plan.dropout,
        target_modules=[f"{PART}.{name}" if name else PART for name in targets],
        use_dora=plan.decomposed,
        use_rslora=plan.rooted,
        init_lora_weights="gaussian" if plan.gaussian else True,
        bias="none",
    )
    module = model.parts()[part]
    holder = nn.ModuleDict({PART: module})
    # A family may gather its part anew each time it is asked: what peft replaces must be replaced in the network.
    places = {id(each): name for name, each in model.network.named_modules()}
    homes = {name: places[id(module.get_submodule(name))] for name in targets}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        inject_adapter_in_model(config, holder)
    for name, home in homes.items():
        adapted = holder.get_submodule(f"{PART}.{name}" if name else PART)
        assert isinstance(adapted, LoraLayer), f"peft left {name} as it was"
        model.network.set_submodule(home, adapted)
    assert adapter_state(model, part=part), f"family {model.family} does not show the adapter in its {part} part"


def adapter_state(model: Model, *, part: str = "language") -> dict[str, Tensor]:
    """Return the weights of a part's adapter by name, not copies; empty without an adapter."""
    named = model.parts()[part].named_parameters()
    return {name: weight for name, weight in named if MARK in name}


def untie_adapted(network: PreTrainedModel) -> None:
    """Give head and embeddings a weight each where they are one and either has an adapter, which would go into both.

    Raises:
        ModelError: another adapted layer shares its weight.
    """
    homes = _homes(network)
    ends = [network.get_input_embeddings(), network.get_output_embeddings()]
    ends += [getattr(end, "token_adapter", None) for end in ends]  # rows that were trained alone
    for name, layer in list(network.named_modules()):
        if not isinstance(layer, BaseTunerLayer):
            continue
        own = layer.get_base_layer()
        assert isinstance(own, nn.Module)
        if len(places := homes.get(id(getattr(own, "weight", None)), ())) < 2:
            continue
        if not any(layer is end for end in ends):
            raise ModelError(f"{' and '.join(places)} are one weight: the adapter of {name} would go into both.")
        own.weight = nn.Parameter(own.get_parameter("weight").detach().clone(), requires_grad=False)


def tied_settings(network: PreTrainedModel) -> list[PreTrainedConfig]:
    """Return the configurations in a network that say that head and embeddings are one weight."""
    settings = [module.config for module in network.modules() if isinstance(module, PreTrainedModel)]
    return [each for each in settings if getattr(each, "tie_word_embeddings", False)]


def settle_tie(network: PreTrainedModel, tied: Sequence[PreTrainedConfig]) -> None:
    """Make head and embeddings one weight again where they are equal, or let the configurations say that they are two.

    Args:
        network: without adapters.
        tied: its configurations that said so before it was adapted.
    """
    first, head = network.get_input_embeddings(), network.get_output_embeddings()
    if not tied or head is None:
        return
    same = torch.equal(first.get_parameter("weight"), head.get_parameter("weight"))
    if same:
        head.register_parameter("weight", first.get_parameter("weight"))
    for each in tied:
        each.tie_word_embeddings = same


def merge(model: Model) -> Model:
    """Add all adapters into the weights beside them, in place; return the model, which then is a plain one.

    It is float32 and in the host's memory, as whole weights may not fit where adapters were learnt. Weights in 4 bits
    become ordinary ones: what the bits stand for, and the adapter on top.

    Raises:
        ModelError: the merged weights are not finite.
    """
    network = model.network
    adapted = [(name, module) for name, module in network.named_modules() if isinstance(module, LoraLayer)]
    small = [(name, module) for name, module in adapted if is_quantised(module.get_base_layer())]
    for name, module in small:
        network.set_submodule(name, _merged(name, module).to(HOST))
    dequantise(network, device=HOST)
    nn.Module.to(network, HOST)
    upcast_frozen(network)
    for name, module in adapted:
        if (name, module) in small:
            continue
        try:
            module.merge(safe_merge=True)
        except ValueError as error:
            raise ModelError(f"the adapter of {name} cannot be merged: {error}") from error
        network.set_submodule(name, module.get_base_layer())
    return model


def _merged(name: str, module: Any) -> nn.Linear:
    """Return the ordinary layer that a 4-bit layer and its adapter make. peft would put the sum into 4 bits again."""
    layer = module.get_base_layer()
    (adapter,) = module.active_adapters
    with torch.no_grad():
        weight, change = weight_of(layer), module.get_delta_weight(adapter).float()
        if adapter in module.lora_magnitude_vector:
            magnitude = module.lora_magnitude_vector[adapter]
            norm = magnitude.get_weight_norm(weight, change, scaling=1)
            weight = (magnitude.weight / norm)[:, None] * (weight + change)
        else:
            weight = weight + change
    if not torch.isfinite(weight).all():
        raise ModelError(f"the adapter of {name} cannot be merged: weights are not finite.")
    return plain(layer, weight)


def _targets(module: nn.Module, head: nn.Module | None, plan: AdapterPlan, *, part: str) -> list[str]:
    """Return the full names of the layers that gain an adapter; the head never does."""
    linear = [name for name, each in module.named_modules() if each is not head and _is_linear(each)]
    if not linear:
        raise ModelError(f"the {part} part has no linear layer, which alone can have an adapter: train it whole.")
    if plan.targets != ALL_LINEAR:
        known = {name.rpartition(".")[2] for name in linear}
        if unknown := sorted(set(plan.targets) - known):
            raise ModelError(f"the {part} part has no linear layer {unknown[0]!r}; there are {sorted(known)}.")
        linear = [name for name in linear if name.rpartition(".")[2] in plan.targets]
    numbers = {name: _layer(name) for name in linear}
    if plan.from_layer > max(numbers.values()) and plan.from_layer > 0:
        raise ModelError(f"the {part} part has no layer {plan.from_layer}; the last is {max(numbers.values())}.")
    return [name for name in linear if plan.from_layer == 0 or numbers[name] >= plan.from_layer]


def _is_linear(layer: nn.Module) -> bool:
    """Return whether a layer gives what a linear one does; its class alone does not say.

    Falcon's subclass does. A router may be one and return scores and indices; ``nn.MultiheadAttention`` reads the
    weight of its own past the layer, where no adapter would ever be asked.
    """
    if type(layer) in (nn.Linear, Conv1D) or is_quantised(layer):
        return True
    if not isinstance(layer, nn.Linear) or type(layer).forward is nn.Linear.forward:
        return False
    with torch.no_grad():
        ones = layer.weight.new_ones(1, 1, layer.in_features)
        wanted = functional.linear(ones, layer.weight, layer.bias)
        try:
            found = layer(ones)
            return isinstance(found, Tensor) and torch.allclose(found, wanted, atol=1e-3)
        except (TypeError, ValueError, RuntimeError):
            return False


def _check_own(network: nn.Module, module: nn.Module, names: Sequence[str], *, part: str) -> None:
    """Raise ModelError where a weight is another layer's too: an adapter of one would be merged into both."""
    homes = _homes(network)
    shared = {name: homes[id(module.get_submodule(name).weight)] for name in names}
    shared = {name: places for name, places in shared.items() if len(places) > 1}
    if not shared:
        return
    words = {name.rpartition(".")[2] for name in names} - {name.rpartition(".")[2] for name in shared}
    what = f"choose targets among {sorted(words)}" if words else "train it whole"
    one, other = next(iter(shared.values()))[:2]
    raise ModelError(
        f"in the {part} part, {one} and {other} are one weight: an adapter of either would be merged into both; {what}."
    )


def _check_directions(module: nn.Module, names: Sequence[str], *, part: str) -> None:
    """Raise ModelError where a row is all zeros: DoRA divides by its length."""
    for name in names:
        layer = module.get_submodule(name)
        weight = layer.get_parameter("weight").detach()
        rows = torch.linalg.vector_norm(weight, dim=0 if isinstance(layer, Conv1D) else 1)
        if len(found := (rows == 0).nonzero()):
            raise ModelError(
                f"row {int(found[0])} of {name!r} in the {part} part is zero, so DoRA finds no direction in it. Use"
                " lora, or targets without it."
            )


def _tell_experts(module: nn.Module, plan: AdapterPlan, *, part: str) -> None:
    """Say what share of a part's weights are experts of a mixture, many matrices in one tensor, out of its reach."""
    experts = {
        f"{name}.{own}": weight.numel()
        for name, layer in module.named_modules()
        if not isinstance(layer, _ConvNd)
        for own, weight in layer.named_parameters(recurse=False)
        if weight.ndim > 2
    }
    share = sum(experts.values()) / sum(weight.numel() for weight in module.parameters())
    if share > EXPERTS_SHARE:
        bits = ", and none of them is kept in 4 bits" if plan.quantised else ""
        say(
            f"{part}: {share:.0%} of its weights are experts in tensors such as {next(iter(experts))}, which no adapter"
            f" reaches; they stay as they are{bits}"
        )


def _homes(network: nn.Module) -> dict[int, list[str]]:
    """Return the names of the layers that each weight is in, by the weight's id."""
    homes: dict[int, list[str]] = {}
    for name, weight in network.named_parameters(remove_duplicate=False):
        homes.setdefault(id(weight), []).append(name.removesuffix(".weight").removesuffix(".base_layer"))
    return homes


def _layer(name: str) -> int:
    """Return the number in a name like ``model.layers.3.mlp.up_proj``; -1 for a layer outside of the stack."""
    found = re.search(r"\.(\d+)\.", name)
    return int(found.group(1)) if found else -1
