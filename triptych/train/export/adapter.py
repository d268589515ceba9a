"""The adapter of a run alone, as peft has it: ``PeftModel.from_pretrained(base, DIR)`` is the tuned model.

Not a merged model. What the last stage moved becomes LoRA matrices, and whole layers where it moved these. The base is
what the stage began with: the model that the recipe opens, where nothing was changed before and plain transformers
opens it; else ``DIR/base``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from triptych.core.config import parse_config
from triptych.core.errors import ModelError, RunError
from triptych.core.log import say
from triptych.models.disk.llava_kind import is_original
from triptych.models.disk.locate import HUB_ID, STARTER, locate
from triptych.models.family import Model
from triptych.models.memory.quantise import dequantise
from triptych.models.zoo import hub_id_of
from triptych.train.checkpoint import Checkpoint, stages_done
from triptych.train.determinism import derive_seed
from triptych.train.export.written import forget_places
from triptych.train.merging import settle_stage
from triptych.train.recipe import RECIPE, Lora, Recipe, StagePlan, Tune, resolve
from triptych.train.release import load_weights
from triptych.train.scores import release_stage
from triptych.train.start import start_model

BASE = "base"
"""Folder, in the exported one, of a base that is nowhere else."""
ADAPTER_NAME = "default"
"""Name that peft gives to a single adapter."""


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """What a run's last stage has learnt, over the model it began with."""

    base: Model
    """Without adapters, whole weights as they were before the stage."""
    plans: Mapping[str, Lora]
    """The plan of each layer with an adapter, by the layer's name in the network."""
    weights: Mapping[str, Tensor]
    """Trained weights by their names in the network, the adapter's with its own names."""
    whole: Sequence[str]
    """Modules that moved as they are."""
    opened: str | None
    """What the recipe opens, if nothing was changed of it before the stage and plain transformers opens it; None: the
    base is nowhere else."""


def read_adapter(run: Path) -> Learnt:
    """Return the adapter of a run's last stage that has a checkpoint, and its base.

    Raises:
        RunError: it has no whole checkpoint.
        ModelError: that stage has no adapter, or what it moved cannot lie beside one.
    """
    path = run / RECIPE
    recipe = resolve(parse_config(path.read_text(encoding="utf-8"), model=Recipe, file=str(path)))
    done = stages_done(recipe, run)
    if not done:
        raise RunError(f"{run} has no whole checkpoint yet: there is no adapter.")
    *before, (stage, last) = done
    if not isinstance(stage, Tune) or not any(isinstance(plan, Lora) for _, plan in stage.parts.items()):
        raise ModelError(
            f"{run}: its last stage, {stage.name!r}, has no adapter: leave adapter out for the whole model."
        )
    if stage.objective.kind != "reply":
        raise ModelError(f"{run}: its score head has no place in the network, and peft none for it: leave adapter out.")
    model = _before(recipe, before)
    opened = None if before or recipe.model.image_processor else _base_of(recipe.model.open)
    return _learnt(model, stage, last, seed=derive_seed(recipe.seed, "stage", stage.name), opened=opened)


def write_adapter(learnt: Learnt, work: Path, *, folder: Path) -> str:
    """Write ``adapter_config.json`` and ``adapter_model.safetensors``, and the base where it is nowhere else.

    Args:
        learnt: what a run has learnt.
        work: where it is written.
        folder: what that will be called.

    Returns:
        What the base is called.
    """
    base = learnt.opened
    if base is None:
        learnt.base.save(work / BASE)
        forget_places(work / BASE)
        base = str(folder.absolute() / BASE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of names in transformers that peft still uses
        _save(learnt, work, base)
    (work / "README.md").unlink(missing_ok=True)  # peft's form, which nobody has filled in
    return base


def _save(learnt: Learnt, work: Path, base: str) -> None:
    plans = list(learnt.plans.values())
    usual = plans[0]
    adapted = get_peft_model(
        learnt.base.network,
        LoraConfig(
            r=usual.rank,
            lora_alpha=usual.alpha,
            lora_dropout=usual.dropout,
            use_dora=usual.decomposed,
            use_rslora=usual.scale == "root",
            target_modules=list(learnt.plans),
            rank_pattern={_exactly(name): plan.rank for name, plan in learnt.plans.items() if plan.rank != usual.rank},
            alpha_pattern={
                _exactly(name): plan.alpha for name, plan in learnt.plans.items() if plan.alpha != usual.alpha
            },
            modules_to_save=list(learnt.whole) or None,
            bias="none",
        ),
    )
    assert isinstance(adapted, PeftModel)
    adapted.peft_config[ADAPTER_NAME].base_model_name_or_path = base
    state = {f"base_model.model.{_as_saved(name)}": weight for name, weight in learnt.weights.items()}
    left = cast(Any, set_peft_model_state_dict(adapted, state))
    assert not left.unexpected_keys, f"peft has no place for {left.unexpected_keys[:3]}"
    adapted.save_pretrained(str(work), save_embedding_layers=False)


def can_be_pushed(base: str) -> bool:
    """Return whether others find a base: by a hub id, not by a folder here."""
    return HUB_ID.fullmatch(base) is not None and not Path(base).exists()


def _base_of(name: str | None) -> str | None:
    """Return what plain transformers opens of what a recipe opens, from any folder; None: nothing."""
    if name is None or is_original(folder := locate(name)):
        return None
    here = Path(name).expanduser().exists() or name.startswith(STARTER)
    return str(folder.absolute()) if here else hub_id_of(name)


def _before(recipe: Recipe, stages: Sequence[tuple[StagePlan, Checkpoint]]) -> Model:
    model = start_model(recipe.model, seed=derive_seed(recipe.seed, "model"))
    for stage, last in stages:
        settle_stage(model, stage, last, seed=derive_seed(recipe.seed, "stage", stage.name))
    return model


def _learnt(model: Model, stage: Tune, last: Checkpoint, *, seed: int, opened: str | None) -> Learnt:
    plans = dict(stage.parts.items())
    kinds = {plan.decomposed for plan in plans.values() if isinstance(plan, Lora)}
    if len(kinds) > 1:
        raise ModelError(f"{stage.name}: peft's adapter is LoRA or DoRA in all parts, not both: leave adapter out.")
    if len({plan.scale for plan in plans.values() if isinstance(plan, Lora)}) > 1:
        raise ModelError(f"{stage.name}: peft's adapter has one scale, rank or root, in all parts: leave adapter out.")
    # A base that is written besides is what the 4 bits stand for.
    if opened is not None and any(isinstance(plan, Lora) and plan.quantised for plan in plans.values()):
        say(f"{stage.name}: learnt over 4 bits; over a base that is not in these, replies differ")
    moved = release_stage(model, stage, seed=seed)
    network = model.network
    names = {id(weight): name for name, weight in network.named_parameters()}
    kept = {id(weight): weight.detach().clone() for name, weight in moved.items() if "lora_" not in name}
    load_weights(moved, last.weights())
    weights = {names[id(weight)]: weight.detach().cpu().clone() for weight in moved.values()}
    adapted = {name: layer for name, layer in network.named_modules() if isinstance(layer, LoraLayer)}
    part_of = {names[id(weight)]: part.partition(".")[0] for part, weight in moved.items()}
    with torch.no_grad():
        for weight in moved.values():
            if id(weight) in kept:
                weight.copy_(kept[id(weight)])
    whole = _owners(network, [name for name in weights if "lora_" not in name])
    of_layer: dict[str, Lora] = {}
    for name, layer in adapted.items():
        plan = plans[next(part for long, part in part_of.items() if long.startswith(f"{name}.lora_"))]
        assert isinstance(plan, Lora)
        of_layer[name] = plan
        network.set_submodule(name, layer.get_base_layer())
    dequantise(network)
    network.requires_grad_(False)
    network.eval()
    return Learnt(model, of_layer, weights, whole, opened)


def _owners(network: nn.Module, names: Sequence[str]) -> list[str]:
    """Return the innermost modules of weights that moved as they are; peft saves modules, not weights.

    Raises:
        ModelError: one holds other modules too, or shares its weights with another.
    """
    owners = sorted({name.rpartition(".")[0] for name in names})
    all_names = [(name, weight) for name, weight in network.named_parameters(remove_duplicate=False)]
    for owner in owners:
        module = network.get_submodule(owner)
        if any(True for _ in module.children()):
            raise ModelError(
                f"{owner or 'the network'} moved a weight of its own, and peft keeps whole layers: leave adapter out."
            )
        own = {id(weight) for weight in module.parameters()}
        if others := [name for name, weight in all_names if id(weight) in own and name.rpartition(".")[0] != owner]:
            raise ModelError(
                f"{owner} moved and shares its weights with {others[0]}, which peft would part: leave adapter out."
            )
    return owners


def _as_saved(name: str) -> str:
    """Return how peft calls an adapter's weight in its file: without the adapter's name."""
    return name.replace(f".{ADAPTER_NAME}.", ".").replace("lora_magnitude_vector.weight", "lora_magnitude_vector")


def _exactly(name: str) -> str:
    """Return a pattern that only this module matches."""
    return "^" + name.replace(".", r"\.")
