"""AdamW with a rate per part, and the schedule that all rates follow.

Not which weights may move: that is the plan per part (``models/adapters.py``). Trained weights are known by their part
and name, ``language.model.layers.0...``, in checkpoints and here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version
from torch.distributed.tensor import DTensor
from torch.optim import AdamW, Optimizer

from triptych.core.errors import ModelError
from triptych.train.recipe import Frozen, Lora, PartPlans

Schedule = Literal["cosine", "linear", "constant"]
MOMENTS = ("exp_avg", "exp_avg_sq")
SECOND = ".lora_B."
"""Occurs in the name of an adapter's second matrix, and of no other weight."""


def make_optimizer(
    weights: Mapping[str, nn.Parameter], plans: PartPlans, *, decay: float, betas: tuple[float, float]
) -> AdamW:
    """Return AdamW with up to three groups a part: matrices, which decay, and vectors, which do not.

    The second matrices of adapters are a group of their own where they learn at another rate. Each group carries
    ``part`` and ``peak_rate``.

    Raises:
        ModelError: a part that is to be trained has no weight to train.
    """
    groups = []
    for part, plan in plans.items():
        if isinstance(plan, Frozen):
            continue
        own = {name: weight for name, weight in weights.items() if name.startswith(f"{part}.")}
        if not own:
            raise ModelError(f"part {part!r} is to be trained ({plan.train}), but has no weights to train.")
        own_decay = decay if plan.decay is None else plan.decay
        times = plan.rate_b if isinstance(plan, Lora) else 1.0
        second = {name: weight for name, weight in own.items() if times != 1 and SECOND in name}
        first = [weight for name, weight in own.items() if name not in second]
        matrices, vectors = ([each for each in first if (each.ndim < 2) == low] for low in (False, True))
        for chosen, rate, weight_decay in (
            (matrices, plan.rate, own_decay),
            (list(second.values()), plan.rate * times, own_decay),
            (vectors, plan.rate, 0.0),
        ):
            if chosen:
                group = {"params": chosen, "part": part, "peak_rate": rate, "lr": rate}
                groups.append(group | {"weight_decay": weight_decay})
    # One kernel for all of a tensor's arithmetic: a third of the time of the plain loop on a CPU.
    optimizer = AdamW(groups, betas=betas, fused=True)
    # That kernel does not count that it changed them: who keeps what depends on a weight would never learn of it.
    optimizer.register_step_post_hook(_count_change)
    return optimizer


def _count_change(optimizer: Optimizer, _args: object, _more: object) -> None:
    weights: list[Tensor] = [weight for group in optimizer.param_groups for weight in group["params"]]
    increment_version([weight for weight in weights if not isinstance(weight, DTensor)])


def schedule_factor(step: float, *, total: float, warmup: float, schedule: Schedule, floor: float = 0.0) -> float:
    """Return what rates are multiplied by in step ``step`` of ``total``, from 0: up in a line, then down to ``floor``.

    The first step of a warm-up and the last step of a descent still move: neither factor is 0. All three may be counted
    in rows or tokens instead. A warm-up rises from nothing, whatever the floor.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "constant":
        return 1.0
    left = (total - step) / max(1, total - warmup)
    return floor + (1 - floor) * (left if schedule == "linear" else 0.5 - 0.5 * math.cos(math.pi * left))


def set_rates(optimizer: AdamW, factor: float, *, own: Mapping[str, float] | None = None) -> dict[str, float]:
    """Give every group its rate of this step, by its part's own factor where it has one; return them by part.

    Of an adapter whose second matrix has another rate, the first's is returned.
    """
    rates: dict[str, float] = {}
    for group in optimizer.param_groups:
        group["lr"] = group["peak_rate"] * (own or {}).get(group["part"], factor)
        rates.setdefault(group["part"], group["lr"])
    return rates


def clip_gradients(weights: Iterable[nn.Parameter], *, largest: float) -> float:
    """Scale all gradients together to a norm of at most ``largest``; return the norm before, over all shares."""
    moving = list(weights)
    norm = nn.utils.get_total_norm([weight.grad for weight in moving if weight.grad is not None])
    whole = norm.full_tensor() if isinstance(norm, DTensor) else norm
    nn.utils.clip_grads_with_norm_(moving, largest, whole)
    return float(whole)


def optimizer_tensors(optimizer: AdamW, weights: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return the optimizer's state as tensors, ``exp_avg/NAME`` and so on; none for a weight never moved yet."""
    states = {name: optimizer.state[weight] for name, weight in weights.items() if weight in optimizer.state}
    return {f"{key}/{name}": state[key] for name, state in states.items() for key in (*MOMENTS, "step")}


def restore_optimizer(optimizer: AdamW, weights: Mapping[str, nn.Parameter], *, tensors: Mapping[str, Tensor]) -> None:
    """Give the optimizer the state that `optimizer_tensors` returned."""
    for key, saved in tensors.items():
        kind, _, name = key.partition("/")
        weight = weights[name]
        state = optimizer.state[weight]
        # A copy of torch's own: memory of one alignment, as in a run that was never stopped.
        state[kind] = torch.empty_like(saved, device=weight.device).copy_(saved)
