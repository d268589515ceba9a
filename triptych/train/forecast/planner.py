"""A plan of a recipe on so many GPUs: what fits, how long it takes, and what to change where it does not fit.

Not the run. Shapes are read from configurations on the disk, else from the table of published ones (``shapes.py``); an
epoch is counted from the catalogue's facts (``volume.py``). Nothing is downloaded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from triptych.core.errors import ModelError
from triptych.core.machine import GIB
from triptych.models import zoo
from triptych.models.disk.llava_checkpoint import translated
from triptych.models.disk.llava_kind import language_of, part_name
from triptych.models.disk.locate import STARTER, locate
from triptych.train.forecast.configs import shape_of_config
from triptych.train.forecast.estimate import (
    FLOAT,
    Assumed,
    Memory,
    StepOperations,
    memory_of,
    most_packs,
    not_told,
    packs_of,
    waiting_for_packs,
    waiting_gpus,
    work_of,
)
from triptych.train.forecast.gpus import Gpu
from triptych.train.forecast.shapes import LANGUAGES, MODELS, TOWERS, Shape, Stack, joined, stack_of, tower_of
from triptych.train.forecast.volume import REPLIES, Volume, volume_of
from triptych.train.inspection.review import RUN, config_of
from triptych.train.parallel.four_bits import kept_in_four_bits, refuse_shared_bits
from triptych.train.recipe import Frozen, Full, Lora, ModelPlan, PartPlans, Recipe, Tune, load_recipe

MOST_GPUS = 1024
LARGE_PACK, SMALL_PACK = 8192, 4096
"""Tokens of a pack that are tried where a larger one does not fit; rows that are longer are refused then."""
UNPACKED_MFU = (0.15, 0.25)
"""MFU of a trainer that holds one conversation a GPU at a time, where each step waits for its longest. Learnt from one
run, not measured: Mantis's 36 hours on 16 A100s come to 0.17 and 0.20 for its two models of LLaVA's kind, by the
operations that are counted here."""


@dataclass(frozen=True, slots=True)
class Change:
    """What could be otherwise, and what a GPU would then hold."""

    what: str
    total_gib: float


@dataclass(frozen=True, slots=True)
class Features:
    """What a frozen tower makes of images, kept beside the run (``train/feature_cache.py``): bytes of disk."""

    picture: float
    """Bytes of one image's features."""
    total: float | None
    """Bytes of all, if none is shown twice; None: it is not known how many there are."""
    kept: bool | None
    """Whether the rows are few enough; None: nobody tells how many there are. The disk must have room too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEstimate:
    """What a stage takes."""

    stage: str
    memory: Memory
    fits: bool
    changes: tuple[Change, ...]
    """What to change until it fits, one on top of the other; empty where it fits."""
    work: StepOperations
    """Operations of a step."""
    step_s: float
    """Until the GPU that has most packs of the step is done."""
    packs: int
    """Packs of a step."""
    busy_gpus: float
    """GPUs that these keep at work, on average over the step."""
    busy_gpus_unpacked: float
    """GPUs that have a conversation of the step, where conversations are dealt and not packs."""
    waiting_gpus: int
    """GPUs that have a pack less than others, or none."""
    waiting: str | None
    """What to tell of them; None: no GPU waits."""
    steps: int | None
    """None: how much the data hold is not known."""
    epoch_tokens: float | None
    features: Features | None
    """None: the tower moves, or there is none."""
    assumed: Assumed
    counted_as_all: Mapping[str, tuple[str, ...]]
    """Parts of which ``only`` names what shapes do not tell, and those names."""

    @property
    def hours(self) -> float | None:
        """How long the stage takes; None: not known."""
        return None if self.steps is None else self.steps * self.step_s / 3600

    def hours_unpacked_at(self, mfu: float) -> float | None:
        """Return how long a trainer that does not pack takes at its own MFU, in which its waiting is; None: not known.

        It deals conversations, of which a step has far more than packs: no GPU is without, until these are fewer too.
        """
        if self.hours is None:
            return None
        return self.hours * self.busy_gpus / self.busy_gpus_unpacked * self.assumed.mfu / mfu


def plan_stages(
    recipe: Recipe, shape: Shape, *, gpu: Gpu, gpus: int, mfu: float | None = None, epoch_tokens: float | None = None
) -> list[StageEstimate]:
    """Return what each tune stage takes.

    Args:
        recipe: resolved.
        shape: of its model.
        gpu: kind of GPU.
        gpus: how many.
        mfu: share of its operations that are the model's; None: `Assumed`.
        epoch_tokens: positions of an epoch; None: counted from what is known of the data.

    Raises:
        ConfigError: several GPUs cannot train it so.
    """
    if gpus > 1:
        refuse_shared_bits(recipe)
    return [
        _stage(stage, recipe.parallel.kind, shape, gpu=gpu, gpus=gpus, mfu=mfu, epoch_tokens=epoch_tokens)
        for stage in recipe.stages
        if isinstance(stage, Tune)
    ]


def shape_of(plan: ModelPlan, *, recipes: Path | None = None) -> Shape:
    """Return the shape of the model that a recipe starts from.

    Args:
        plan: resolved.
        recipes: a folder in which the recipe of ``runs/NAME/model`` is ``NAME.yaml``; None: they are not looked for.

    Raises:
        ModelError: neither the disk nor the table tells it.
    """
    if plan.sample is not None or plan.family == "tiny":
        raise ModelError("a toy model needs no plan: it fits anywhere. Plan the recipe whose twin this is.")
    if plan.parts is not None:
        parts = plan.parts
        tower = TOWERS.get(parts.vision) or _tower(parts.vision)
        language = LANGUAGES.get(parts.language) or _language(parts.language)
        return joined(tower, language, image_tokens=parts.image_tokens, two_layers=parts.projector == "mlp")
    assert plan.open is not None
    if plan.open in MODELS:
        return MODELS[plan.open]
    config = config_of(plan.open)
    if config and language_of(config) is None:
        return shape_of_config(plan.open, config, processor=plan.image_processor)
    if (found := zoo.find(plan.open)) is not None and found[1].shapes is not None:
        return shape_of_config(plan.open, zoo.catalogue().shapes[found[1].shapes], processor=plan.image_processor)
    if config:
        return _of_original(plan.open, config)
    if (run := RUN.fullmatch(plan.open)) and recipes is not None and (recipes / f"{run['name']}.yaml").is_file():
        return shape_of(load_recipe(recipes / f"{run['name']}.yaml").model, recipes=recipes)
    raise _unknown(plan.open)


def _of_original(name: str, config: Mapping[str, object]) -> Shape:
    """Return the shape of a model of LLaVA's own code, whose tower may be elsewhere.

    Raises:
        NotFoundError: its folder names another that is not there.
        ModelError: it does not say enough, or its tower is neither here nor in the table.
    """
    tower = part_name(config, "mm_vision_tower", folder=Path(name))
    if Path(name).expanduser().is_dir() and (tower.startswith(STARTER) or Path(tower).expanduser().is_dir()):
        return shape_of_config(name, translated(locate(name)).to_dict())
    if str(config.get("image_aspect_ratio")).startswith("anyres"):
        raise ModelError(
            f"{name}: what a picture takes depends on its tower, and {tower} is no folder. Fetch it, and name its"
            " folder as mm_vision_tower in config.json."
        )
    try:
        language = stack_of(config)
    except KeyError as error:
        raise ModelError(f"{name}: its configuration does not tell its size (no {error}).") from error
    two = config.get("mm_projector_type", "linear") != "linear"
    return joined(TOWERS.get(tower) or _tower(tower), language, image_tokens=None, two_layers=two)


def _stage(
    stage: Tune, kind: str, shape: Shape, *, gpu: Gpu, gpus: int, mfu: float | None, epoch_tokens: float | None
) -> StageEstimate:
    assumed = _assumed(stage, shape, mfu=mfu)
    volume = volume_of(stage)
    tokens = epoch_tokens if epoch_tokens is not None else None if volume is None else volume.tokens(shape)
    parallel = kind if gpus > 1 else "none"
    parallel = "ddp" if gpus > 1 and parallel == "none" else parallel
    memory = memory_of(stage, shape, gpus=gpus, parallel=parallel, assumed=assumed)
    work = work_of(stage, shape, tokens=stage.step_tokens, assumed=assumed)
    fits = memory.total <= gpu.memory_gib * GIB
    packs = packs_of(stage)
    busy = packs / most_packs(stage, gpus)
    conversations = stage.step_tokens / min(assumed.conversation_tokens, stage.pack_tokens)
    return StageEstimate(
        stage=stage.name,
        memory=memory,
        fits=fits,
        changes=() if fits else tuple(_changes(stage, parallel, shape, gpu=gpu, gpus=gpus, assumed=assumed)),
        work=work,
        step_s=work.total / (gpu.tflops * 1e12 * assumed.mfu * busy),
        packs=packs,
        busy_gpus=busy,
        busy_gpus_unpacked=min(gpus, conversations),
        waiting_gpus=waiting_gpus(stage, gpus),
        waiting=waiting_for_packs(stage, gpus, of="GPUs"),
        steps=_steps(stage, tokens),
        epoch_tokens=tokens,
        features=_features(stage, shape, volume),
        assumed=assumed,
        counted_as_all={part: names for part, plan in stage.parts.items() if (names := not_told(plan, part))},
    )


def _features(stage: Tune, shape: Shape, volume: Volume | None) -> Features | None:
    if shape.vision is None or not isinstance(stage.parts.vision, Frozen):
        return None
    picture = shape.feature_numbers * FLOAT
    if volume is None:
        return Features(picture, None, None)
    return Features(picture, volume.images * picture, volume.rows <= stage.in_memory_rows)


def _assumed(stage: Tune, shape: Shape, *, mfu: float | None) -> Assumed:
    assumed = Assumed() if mfu is None else Assumed(mfu=mfu)
    volume = volume_of(stage)
    if volume is None:
        return assumed
    tokens = volume.tokens(shape)
    return replace(
        assumed,
        image_share=volume.images * shape.image_tokens / tokens,
        supervised_share=REPLIES * volume.words / tokens,
        conversation_tokens=round(tokens / volume.rows),
    )


def _steps(stage: Tune, epoch_tokens: float | None) -> int | None:
    length = stage.length
    if length.unit == "steps":
        return int(length.amount)
    if length.unit == "tokens":
        return math.ceil(length.amount / stage.step_tokens)
    return None if epoch_tokens is None else math.ceil(length.amount * epoch_tokens / stage.step_tokens)


def _changes(stage: Tune, parallel: str, shape: Shape, *, gpu: Gpu, gpus: int, assumed: Assumed) -> Iterator[Change]:
    """Yield changes until all fits: first those that lose nothing, each on top of those before it, then other runs."""
    for what, changed, kind, count in _possible_changes(stage, parallel, gpus):
        found = memory_of(changed, shape, gpus=count, parallel=kind, assumed=assumed).total / GIB
        fits = found <= gpu.memory_gib
        if fits or count == gpus:  # more GPUs are told once, when they are enough
            yield Change(what, found)
        if fits and changed.parts == stage.parts:
            return


def _possible_changes(stage: Tune, parallel: str, gpus: int) -> Iterator[tuple[str, Tune, str, int]]:
    """Yield possible changes: in words, as a stage, how processes share, how many GPUs."""
    if not stage.checkpoint_activations:
        stage = stage.model_copy(update={"checkpoint_activations": True})
        yield "checkpoint_activations: true", stage, parallel, gpus
    if stage.forward_tokens != stage.pack_tokens:
        stage = stage.model_copy(update={"forward_tokens": stage.pack_tokens})
        yield f"forward_tokens: {stage.pack_tokens}", stage, parallel, gpus
    if stage.precision == "float32":
        stage = stage.model_copy(update={"precision": "bfloat16"})
        yield "precision: bfloat16", stage, parallel, gpus
    shareable = kept_in_four_bits(stage) is None
    if parallel != "fsdp" and gpus > 1 and shareable:
        parallel = "fsdp"
        yield "parallel: {kind: fsdp}", stage, parallel, gpus
    if isinstance(stage.parts.language, Full):
        for train in ("lora", "qlora"):
            # Weights in 4 bits cannot be shared out.
            kind = "ddp" if train == "qlora" and gpus > 1 else parallel
            lighter = stage.model_copy(update={"parts": _adapted(stage.parts, train)})
            beside = f", parallel: {{kind: {kind}}}" if gpus > 1 else ""
            yield f"instead parts.language: {{train: {train}, rank: 64, ...}}{beside}", lighter, kind, gpus
    if isinstance(language := stage.parts.language, Lora) and stage.pack_tokens > LARGE_PACK:
        said, smaller = _in_packs(stage, LARGE_PACK)
        yield f"instead {said}", smaller, parallel, gpus
    if isinstance(language, Lora) and not language.quantised:
        train, kind = "qdora" if language.decomposed else "qlora", "ddp" if gpus > 1 else parallel
        quantised = language.model_copy(update={"train": train})
        lighter = stage.model_copy(update={"parts": stage.parts.model_copy(update={"language": quantised})})
        beside = f", parallel: {{kind: {kind}}}" if gpus > 1 else ""
        yield f"instead parts.language: {{train: {train}, ...}}{beside}", lighter, kind, gpus
        if stage.pack_tokens > SMALL_PACK:
            said, lighter = _in_packs(lighter, SMALL_PACK)
            yield f"and with it {said}", lighter, kind, gpus
    for count in _doubled(gpus) if shareable else ():
        yield f"or {count} GPUs, parallel: {{kind: fsdp}}", stage, "fsdp", count


def _in_packs(stage: Tune, tokens: int) -> tuple[str, Tune]:
    """Return a stage in packs of so many tokens, one at once, and in words what that changes."""
    step = stage.step_tokens // tokens * tokens
    beside = "" if step == stage.step_tokens else f", step_tokens: {step}"
    less = {"pack_tokens": tokens, "forward_tokens": tokens, "step_tokens": step}
    return f"pack_tokens and forward_tokens: {tokens}{beside}", stage.model_copy(update=less)


def _adapted(parts: PartPlans, train: str) -> PartPlans:
    language = Lora.model_validate({"train": train, "rate": 1e-4, "rank": 64, "alpha": 128})
    return parts.model_copy(update={"language": language, "vision": Frozen()})


def _doubled(gpus: int) -> Iterator[int]:
    while (gpus := gpus * 2) <= MOST_GPUS:
        yield gpus


def _tower(name: str) -> tuple[Stack, int]:
    config = config_of(name)
    if config is None:
        raise _unknown(name)
    inner = config.get("vision_config", config)
    assert isinstance(inner, dict)
    return tower_of(inner)


def _language(name: str) -> Stack:
    config = config_of(name)
    if config is None:
        raise _unknown(name)
    return stack_of(config)


def _unknown(name: str) -> ModelError:
    return ModelError(
        f"the size of {name} is not known: it is not on this disk and not in the table of published models. Fetch its"
        " config.json into a folder and name that folder."
    )
