"""Make a plain model of what has adapters: a run that is not at its end, or a folder that peft wrote.

Not the end of a run, which merges by itself. What a run has learnt so far is in its latest checkpoint; a folder of peft
holds the adapter alone and names the model it was learnt on.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from pickle import UnpicklingError

import torch
from peft import PeftModel, get_peft_model_state_dict
from peft.utils import load_peft_weights
from safetensors import SafetensorError
from transformers import PreTrainedModel

from triptych.core.config import parse_config
from triptych.core.errors import ConfigError, ModelError, NotFoundError, RunError
from triptych.core.log import say
from triptych.models.family import Model, open_model
from triptych.train.checkpoint import Checkpoint, latest_checkpoint
from triptych.train.determinism import derive_seed
from triptych.train.recipe import RECIPE, Recipe, StagePlan, Tune, resolve
from triptych.train.release import load_weights, settle_parts
from triptych.train.scores import release_stage
from triptych.train.start import start_model

ADAPTER = "adapter_config.json"
BESIDE = "non_lora_trainables.bin"
"""Where LLaVA's and Mantis's trainers put what they trained beside the adapter."""


def merged_model(path: Path, *, base: str | None = None) -> Model:
    """Return the plain model of a run's folder, or of an adapter's.

    Args:
        path: of a run (it holds a recipe.yaml), or of an adapter (an adapter_config.json).
        base: with an adapter, the model it was learnt on; None: the one that it names.

    Raises:
        NotFoundError: it is neither, or the base model is not there.
        RunError: the run has no checkpoint yet.
        ConfigError: the run's recipe cannot be read.
        ModelError: the adapter does not fit its base, or a file of it is damaged.
    """
    if (path / ADAPTER).is_file():
        return _of_adapter(path, base=base)
    if (path / RECIPE).is_file():
        if base is not None:
            raise ModelError(f"{path} is a run, which names its model itself: leave --base out.")
        return _of_run(path)
    raise NotFoundError(f"{path}: neither a run's folder ({RECIPE}) nor an adapter's ({ADAPTER}).")


def stages_done(recipe: Recipe, run: Path) -> list[tuple[StagePlan, Checkpoint]]:
    """Return the stages of a run up to where it stands, each with its latest whole checkpoint.

    What lies there of stages after one that is not finished was learnt from weights that are no more: it is left out.
    """
    done: list[tuple[StagePlan, Checkpoint]] = []
    for stage in recipe.stages:
        last = latest_checkpoint(run, stage.name)
        if last is None:
            break
        done.append((stage, last))
        if not last.position.finished:
            break
    return done


def settle_stage(model: Model, stage: StagePlan, last: Checkpoint, *, seed: int) -> None:
    """Give the model what a checkpoint of the stage holds, and settle it."""
    if isinstance(stage, Tune):
        weights = dict(release_stage(model, stage, seed=seed))
    else:
        projector = model.parts()["projector"]
        weights = {f"projector.{name}": weight for name, weight in projector.named_parameters()}
    load_weights(weights, last.weights())
    settle_parts(model)


def _of_run(run: Path) -> Model:
    path = run / RECIPE
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}.") from None
    recipe = resolve(parse_config(text, model=Recipe, file=str(path)))
    done = stages_done(recipe, run)
    if not done:
        raise RunError(f"{run} has no whole checkpoint yet: there is nothing to merge.")
    model = start_model(recipe.model, seed=derive_seed(recipe.seed, "model"))
    for stage, last in done:
        settle_stage(model, stage, last, seed=derive_seed(recipe.seed, "stage", stage.name))
        state = "finished" if last.position.finished else f"after step {last.position.step}, not finished"
        say(f"{stage.name}: {state}, from {last.folder}")
    return model


def _of_adapter(folder: Path, *, base: str | None) -> Model:
    named = base or _base_of(folder / ADAPTER)
    model = open_model(named)
    if model.network.dtype != torch.float32:
        torch.nn.Module.to(model.network, torch.float32)
    try:
        adapted = PeftModel.from_pretrained(model.network, folder)
    except (ValueError, RuntimeError, KeyError, OSError, TypeError, SafetensorError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{folder}: the adapter does not fit {named}, or is torn: {reason}") from error
    _all_taken(folder, adapted, base=named)
    network = adapted.merge_and_unload(safe_merge=True)
    assert network is model.network
    if (folder / BESIDE).is_file():
        _lay_beside(folder / BESIDE, model.network)
    settle_parts(model)
    return model


def _base_of(path: Path) -> str:
    """Return the base model that an adapter names.

    Raises:
        ModelError: the file is damaged, or names none.
    """
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path}: not JSON ({error}). Is it torn? Bring the adapter here once more.") from None
    named = said.get("base_model_name_or_path") if isinstance(said, dict) else None
    if not isinstance(named, str) or not named:
        raise ModelError(f"{path} names no base model: say which with --base.")
    return named


def _all_taken(folder: Path, adapted: PeftModel, *, base: str) -> None:
    """peft leaves out, with a warning, what it finds no place for; a merged model would then be another one."""
    own, there = set(get_peft_model_state_dict(adapted)), set(load_peft_weights(str(folder), device="cpu"))
    if strange := sorted(own ^ there):
        raise ModelError(
            f"{folder}: the adapter does not fit {base}: weight {strange[0]!r} is only in one of the two"
            f" ({len(strange)} such). Was it learnt on another model? Say which with --base."
        )


def _lay_beside(path: Path, network: PreTrainedModel) -> None:
    """Set weights that were trained whole beside the adapter."""
    try:
        there = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, ValueError, EOFError, LookupError, struct.error) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{path}: cannot be read, perhaps it is torn: {reason}") from error
    if not isinstance(there, dict) or not all(isinstance(value, torch.Tensor) for value in there.values()):
        raise ModelError(f"{path}: holds something else than weights by name.")
    own = network.state_dict(keep_vars=True)
    for long, value in there.items():
        name = long.removeprefix("base_model.model.")
        if name not in own or own[name].shape != value.shape:
            raise ModelError(f"{path}: weight {long!r} has no place in {type(network).__name__}.")
        with torch.no_grad():
            own[name].copy_(value)
