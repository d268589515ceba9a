"""Let a model's parts move as a stage says, and settle them when it is done. Frozen, full and adapted are values.

Not the adapters themselves (``models/adapters.py``) nor their rates (``optim.py``).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from triptych.core.errors import ModelError
from triptych.models.adapters import HOST, AdapterPlan, add_adapter, merge
from triptych.models.family import Model
from triptych.models.memory.placement import place
from triptych.train.determinism import derive_seed
from triptych.train.recipe import Frozen, Full, Lora, PartPlans


def release_parts(
    model: Model, plans: PartPlans, *, seed: int, device: torch.device | None = None
) -> dict[str, nn.Parameter]:
    """Freeze, free or adapt each part, in place; return the weights that may move, by part and name.

    Args:
        model: without an adapter.
        plans: what each part does.
        seed: of an adapter's first weights.
        device: where layers that are kept in 4 bits go; None: where they are.

    Raises:
        ModelError: the model has no such part, or the part not what is to move.
    """
    parts = model.parts_and_head()
    for part, plan in plans.items():
        if part not in parts:
            if isinstance(plan, Frozen):
                continue
            raise ModelError(f"parts.{part}: a model of family {model.family!r} has no such part; leave the key out.")
        _free(parts[part], plan, part=part)
        # Dropout only where something learns. A tower's batch statistics never move: ``Model.encode`` sees to that.
        parts[part].train(not isinstance(plan, Frozen) and part != "vision")
        if isinstance(plan, Lora):
            chosen = AdapterPlan(
                rank=plan.rank,
                alpha=plan.alpha,
                targets=plan.targets,
                dropout=plan.dropout,
                from_layer=plan.from_layer,
                decomposed=plan.decomposed,
                quantised=plan.quantised,
                gaussian=plan.first_weights == "gaussian",
                rooted=plan.scale == "root",
                seed=derive_seed(seed, part, "adapter"),
            )
            add_adapter(model, chosen, part=part, device=device)
    return moving_weights(model)


def moving_weights(model: Model) -> dict[str, nn.Parameter]:
    """Return the weights that may move, by part and name."""
    return {
        f"{part}.{name}": weight
        for part, module in model.parts_and_head().items()
        for name, weight in module.named_parameters()
        if weight.requires_grad
    }


def _free(module: nn.Module, plan: Frozen | Full | Lora, *, part: str) -> None:
    if not (isinstance(plan, Full) and plan.only):
        module.requires_grad_(isinstance(plan, Full))
        return
    module.requires_grad_(False)
    named = [(name.rpartition(".")[2], each) for name, each in module.named_modules() if name]
    if missing := sorted(set(plan.only) - {name for name, _ in named}):
        known = sorted({name for name, each in named if next(each.parameters(), None) is not None})
        raise ModelError(f"parts.{part}.only: it has no module {missing[0]!r}; there are: {', '.join(known)}.")
    for name, each in named:
        if name in plan.only:
            each.requires_grad_(True)


def settle_parts(model: Model) -> None:
    """Merge adapters and freeze everything: what is left is a plain model in the host's memory, as it is saved.

    Raises:
        ModelError: merged weights are not finite.
    """
    merge(model)
    place(model, HOST)
    for each in (model.network, model.score_head):
        if each is not None:
            each.requires_grad_(False)
            each.train(False)


def load_weights(weights: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Give weights the values that were saved under the same names, in place.

    Raises:
        ModelError: names or shapes differ.
    """
    if weights.keys() != saved.keys():
        strange = min(weights.keys() ^ saved.keys())
        raise ModelError(f"the checkpoint is of another model: weight {strange!r} is only in one of the two.")
    with torch.no_grad():
        for name, weight in weights.items():
            if weight.shape != saved[name].shape:
                found, wanted = tuple(saved[name].shape), tuple(weight.shape)
                raise ModelError(f"the checkpoint is of another model: {name!r} is {found} there, {wanted} here.")
            weight.copy_(saved[name])
