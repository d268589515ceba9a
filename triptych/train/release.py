"""Let a model's parts move as a stage says, and settle them when it is done. Frozen, full and LoRA are values here.

Not the adapters themselves (``models/adapters.py``) nor their rates (``optim.py``).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from triptych.core.errors import ModelError
from triptych.models.adapters import AdapterPlan, add_adapter, merge
from triptych.models.family import Model
from triptych.train.determinism import derive_seed
from triptych.train.recipe import Frozen, Full, Lora, PartPlans


def release_parts(model: Model, plans: PartPlans, *, seed: int) -> dict[str, nn.Parameter]:
    """Freeze, free or adapt each part, in place; return the weights that may move, by part and name.

    Args:
        model: without an adapter.
        plans: what each part does.
        seed: of an adapter's first weights.
    """
    parts = model.parts()
    for part, plan in plans.items():
        parts[part].requires_grad_(isinstance(plan, Full))
        # Dropout only where something learns. A tower's batch statistics never move: ``Model.encode`` sees to that.
        parts[part].train(not isinstance(plan, Frozen) and part != "vision")
        if isinstance(plan, Lora):
            assert part == "language", f"the recipe lets {part} have an adapter"
            chosen = AdapterPlan(
                rank=plan.rank,
                alpha=plan.alpha,
                targets=plan.targets,
                dropout=plan.dropout,
                from_layer=plan.from_layer,
                seed=derive_seed(seed, part, "adapter"),
            )
            add_adapter(model, chosen)
    return {
        f"{part}.{name}": weight
        for part, module in model.parts().items()
        for name, weight in module.named_parameters()
        if weight.requires_grad
    }


def settle_parts(model: Model) -> None:
    """Merge adapters and freeze everything: what is left is a plain model, as it is saved.

    Raises:
        ModelError: merged weights are not finite.
    """
    merge(model)
    model.network.requires_grad_(False)
    model.network.train(False)


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
