"""Make a plain model of what has adapters: a run that is not at its end, or a folder that peft wrote.

Not the end of a run, which merges by itself. What a run has learnt so far is in its latest checkpoint, what it had
learnt before in those that stayed; a folder of peft holds the adapter alone and names the model it was learnt on.
"""

from __future__ import annotations

import json
import re
import struct
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from peft import PeftConfig, PeftModel, PeftType, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils import load_peft_weights
from safetensors import SafetensorError
from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightRenaming

from triptych.core.config import parse_config
from triptych.core.errors import ConfigError, ModelError, NotFoundError, RunError
from triptych.core.log import say
from triptych.models.adapters import settle_tie, tied_settings, untie_adapted
from triptych.models.disk.llava_checkpoint import NAMES
from triptych.models.disk.locate import ADAPTER, on_disk
from triptych.models.family import Model
from triptych.models.parts import reason
from triptych.train.adapter_words import Words, open_base, take_words, words_in
from triptych.train.checkpoint import Checkpoint, stages_done, stages_until
from triptych.train.determinism import derive_seed
from triptych.train.recipe import RECIPE, Recipe, StagePlan, Tune, resolve
from triptych.train.release import load_weights, settle_parts
from triptych.train.scores import release_stage
from triptych.train.start import start_model

BESIDE = "non_lora_trainables.bin"
"""Where LLaVA's and Mantis's trainers put what they trained beside the adapter."""
PREFIX = "base_model.model."
"""How peft begins every name, before the network's own."""
ONE_LAYER = ("model.mm_projector.weight", "model.mm_projector.bias")
"""What the original code calls a projector of one layer."""


def merged_model(path: Path, *, base: str | None = None, step: int | None = None, stage: str | None = None) -> Model:
    """Return the plain model of a run's folder, or of an adapter's.

    Args:
        path: of a run (it holds a recipe.yaml), or of an adapter (an adapter_config.json).
        base: with an adapter, the model it was learnt on; None: the one that it names.
        step: with a run, as it stood after this step of a stage; None: after its latest checkpoint.
        stage: whose step that is; None: the last one that has a checkpoint after it.

    Raises:
        NotFoundError: it is neither, or the base model is not there.
        RunError: the run has no checkpoint yet, or none after this step.
        ConfigError: the run's recipe cannot be read.
        ModelError: the adapter does not fit its base, or a file of it is damaged.
    """
    if (path / ADAPTER).is_file():
        if step is not None or stage is not None:
            raise ModelError(f"{path} is an adapter, which has no stages nor steps: leave --step and --stage out.")
        return _of_adapter(path, base=base)
    if (path / RECIPE).is_file():
        if base is not None:
            raise ModelError(f"{path} is a run, which names its model itself: leave --base out.")
        return _of_run(path, step=step, stage=stage)
    raise NotFoundError(f"{path}: neither a run's folder ({RECIPE}) nor an adapter's ({ADAPTER}).")


def check_apart(path: Path, out: Path, *, base: str | None = None) -> None:
    """Refuse to write a merged model over what it is made of, for a second time would add all of it once more.

    Args:
        path: a run's folder, or an adapter's.
        out: where the merged model is to go.
        base: with an adapter, the model it was learnt on; None: the one that it names.

    Raises:
        ModelError: that is where the adapter, its base or a part of it is, or the file that names the base is damaged.
        ConfigError: the run's recipe cannot be read.
        NotFoundError: the base is not there.
    """
    named, parts = base, list[str | None]()
    if (path / ADAPTER).is_file():
        if out.resolve() == path.resolve():
            raise ModelError(f"--out: {out} is the adapter's own folder: give a new folder.")
        named = base or _base_of(path / ADAPTER)
    elif (path / RECIPE).is_file():
        plan = _recipe_of(path).model
        named = plan.open
        parts = [] if plan.parts is None else [plan.parts.vision, plan.parts.language, plan.parts.projector_weights]
    said = [Path(each).expanduser() for each in (named, *parts) if each is not None]
    inside = [Path(each).expanduser() / "model" for each in parts if each is not None]  # where the part is a run's
    places = [None if named is None else on_disk(named), *said, *inside]
    if out.is_dir() and out.resolve() in [place.resolve() for place in places if place is not None]:
        raise ModelError(
            f"--out: {out} is the model that it was learnt on, or a part of it, which would be lost: give a new folder."
        )


def settle_stage(model: Model, stage: StagePlan, last: Checkpoint, *, seed: int) -> None:
    """Give the model what a checkpoint of the stage holds, and settle it."""
    if isinstance(stage, Tune):
        weights = dict(release_stage(model, stage, seed=seed))
    else:
        projector = model.parts()["projector"]
        weights = {f"projector.{name}": weight for name, weight in projector.named_parameters()}
    load_weights(weights, last.weights())
    settle_parts(model)


def _recipe_of(run: Path) -> Recipe:
    path = run / RECIPE
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}.") from None
    return resolve(parse_config(text, model=Recipe, file=str(path)))


def _of_run(run: Path, *, step: int | None, stage: str | None) -> Model:
    recipe = _recipe_of(run)
    names = [each.name for each in recipe.stages]
    if stage is not None and (step is None or stage not in names):
        what = "says whose step it is: say --step too" if step is None else f"is none of {', '.join(names)}"
        raise RunError(f"--stage: {stage} {what}.")
    done = stages_done(recipe, run) if step is None else stages_until(recipe, run, step=step, stage=stage)
    if not done:
        raise RunError(f"{run} has no whole checkpoint yet: there is nothing to merge.")
    model = start_model(recipe.model, seed=derive_seed(recipe.seed, "model"))
    for plan, last in done:
        settle_stage(model, plan, last, seed=derive_seed(recipe.seed, "stage", plan.name))
        state = "finished" if last.position.finished else f"after step {last.position.step}, not finished"
        if last.position.finished and isinstance(plan, Tune) and plan.validation and plan.validation.keep == "lowest":
            state += ", with the weights of its lowest validation loss"
        say(f"{plan.name}: {state}, from {last.folder}")
    return model


def _of_adapter(folder: Path, *, base: str | None) -> Model:
    named = base or _base_of(folder / ADAPTER)
    words = words_in(folder, named)
    model = _opened(folder, named, words, chosen=base is not None)
    if model.network.dtype != torch.float32:
        torch.nn.Module.to(model.network, torch.float32)
    tied = tied_settings(model.network)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what peft warns of is refused here, or dealt with
            adapted = _adapted(folder, model, words, base=named)
            untie_adapted(model.network)
            network = adapted.merge_and_unload(safe_merge=True)
    except ModelError:
        raise
    except NotImplementedError as error:
        raise ModelError(
            f"{folder}: peft cannot merge an adapter of its kind ({ADAPTER}): use it with peft."
        ) from error
    except (ValueError, RuntimeError, LookupError, OSError, TypeError, SafetensorError, UnpicklingError) as error:
        raise ModelError(f"{folder}: the adapter does not fit {named}, or is torn: {reason(error)}") from error
    assert network is model.network
    settle_tie(network, tied)
    if (folder / BESIDE).is_file():
        _lay_beside(folder / BESIDE, model.network)
    settle_parts(model)
    return model


def _opened(folder: Path, base: str, words: Words, *, chosen: bool) -> Model:
    """Return the base model. Raises ModelError: no family opens it; LLaVA's trainer names the language model alone."""
    try:
        return open_base(base, words)
    except ModelError as error:
        if chosen:
            raise
        raise ModelError(
            f"{folder}: the model that it names does not open: {error} If it is the language model alone, as LLaVA's"
            " own trainer writes it, say the whole model with --base."
        ) from error


def _adapted(folder: Path, model: Model, words: Words, *, base: str) -> PeftModel:
    """Put a folder's adapter on the model, whichever names its weights have.

    Raises:
        ModelError: it does not fit.
        ValueError, RuntimeError, LookupError, OSError, TypeError, SafetensorError, UnpicklingError: as peft.
    """
    settings = PeftConfig.from_pretrained(str(folder))
    if settings.is_prompt_learning or settings.is_adaption_prompt:
        raise ModelError(
            f"{folder}: an adapter of peft_type {PeftType(settings.peft_type).value} changes no weights, so there is"
            f" nothing to merge: use it with peft, or learn one that does (LORA)."
        )
    settings.inference_mode = True
    there = load_peft_weights(str(folder), device="cpu")
    names = current_names(model.network, there)
    current = {names[name]: value for name, value in there.items()}
    take_words(model, words, weights=current, folder=folder, base=base)
    _aim(settings, model, names)
    ends = (model.network.get_input_embeddings(), model.network.get_output_embeddings())
    tables = {id(getattr(end, "weight", None)) for end in ends}
    adapted: PeftModel = get_peft_model(model.network, settings)
    # peft saves head and embeddings as they are beside an adapter of either.
    beside = {name for name, each in adapted.named_parameters(remove_duplicate=False) if id(each) in tables}
    own = get_peft_model_state_dict(adapted, save_embedding_layers=False).keys()
    _all_taken(folder, own ^ (set(names.values()) - beside), base=base)
    set_peft_model_state_dict(adapted, current)
    adapted.eval()
    return adapted


def current_names(network: PreTrainedModel, names: Iterable[str]) -> dict[str, str]:
    """Return what the network calls each weight that a trainer saved, by the name it was saved under.

    Older names are those of transformers before 4.52, as transformers itself translates them, and of LLaVA's own code.
    A name for which there is no place stays as it is.
    """
    layers = {name: module for name, module in network.named_modules() if next(module.children(), None) is None}
    own = layers.keys() | dict(network.named_parameters(remove_duplicate=False)).keys()
    moves = [each for each in get_model_conversion_mapping(network) if isinstance(each, WeightRenaming)]
    linear = getattr(network.config, "projector_hidden_act", None) == "linear"
    found = {}
    for long in names:
        name = long.removeprefix(PREFIX)
        fitting = (each for each in _possible_names(name, moves, linear=linear) if _has_place(each, own))
        found[long] = long.removesuffix(name) + next(fitting, name)
    return found


def _possible_names(name: str, moves: Iterable[WeightRenaming], *, linear: bool) -> Iterator[str]:
    """Yield a name as it is, as transformers translates it, and as LLaVA's own code means it."""
    yield name
    moved = name
    for move in moves:
        moved, _ = move.rename_source_key(moved)
    yield moved
    # One layer of the original code is two of ours, and the second is the identity only where the model says so.
    if linear or name not in ONE_LAYER:
        yield from (re.sub(pattern, new, name) for pattern, new in NAMES.items())


def _has_place(name: str, own: Iterable[str]) -> bool:
    words = name.split(".")
    return any(".".join(words[:count]) in own for count in range(1, len(words) + 1))


def _aim(settings: PeftConfig, model: Model, names: Mapping[str, str]) -> None:
    """Let an adapter in older names go where its trainer had put it; one in today's says it itself.

    LLaVA's trainer puts one on layers by the last word of their name before there is a tower, which has such words too.

    Raises:
        ValueError: a scale or rank is of a layer that has no adapter.
    """
    targets, network = getattr(settings, "target_modules", None), model.network
    layers = {name.removeprefix(PREFIX).partition(".lora_")[0] for name in names.values() if ".lora_" in name}
    if not targets or not layers or all(old == new for old, new in names.items()):
        return
    if not isinstance(targets, str) and not any("." in word for word in targets):
        layers = {name for name in _of_same_parts(model, layers) if check_target_module_exists(settings, name) is True}
    aim: dict[str, object] = {"target_modules": layers, "layers_to_transform": None, "layers_pattern": None}
    for key, value in aim.items():
        setattr(settings, key, value)
    for key in ("rank_pattern", "alpha_pattern"):
        said = getattr(settings, key, None) or {}
        current = current_names(network, said)
        setattr(settings, key, {current[name]: value for name, value in said.items()})
        for name in current.values():
            if not any(re.match(rf"(.*\.)?({name})$", layer) for layer in layers):
                raise ValueError(f"{key} names {name!r}, which is no layer that has an adapter.")


def _of_same_parts(model: Model, layers: Iterable[str]) -> set[str]:
    """Return the names of all layers of the parts that some of these are in."""
    named = dict(model.network.named_modules())
    ours = {id(named[name]) for name in layers if name in named}
    inside = [{id(each) for each in part.modules()} for part in model.parts().values()]
    touched = set[int]().union(*(part for part in inside if part & ours))
    return {name for name, each in named.items() if id(each) in touched and next(each.children(), None) is None}


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


def _all_taken(folder: Path, strange: Iterable[str], *, base: str) -> None:
    """peft leaves out, with a warning, what it finds no place for; a merged model would then be another one."""
    if names := sorted(strange):
        raise ModelError(
            f"{folder}: the adapter does not fit {base}: weight {names[0]!r} is only in one of the two"
            f" ({len(names)} such). Was it learnt on another model? Say which with --base."
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
    current = current_names(network, there)
    for long, value in there.items():
        name = current[long].removeprefix(PREFIX)
        if name not in own or own[name].shape != value.shape:
            raise ModelError(f"{path}: weight {long!r} has no place in {type(network).__name__}.")
        with torch.no_grad():
            own[name].copy_(value)
