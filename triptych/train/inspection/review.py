"""What can be known of a recipe without training: whether its files, family, template, data and lengths are in order.

Not the plan of its steps (``preview.py``) nor its memory and time (``estimate.py``). Nothing is downloaded, and of
weights that are on this disk only names and shapes are read, but for toy models, whose parts are tried out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

from huggingface_hub import try_to_load_from_cache

from triptych.core import plugins
from triptych.core.errors import ModelError, NotFoundError, TriptychError
from triptych.core.records import Example
from triptych.data.format import Format, Refused, read_source, split_source
from triptych.data.plan.rendering import Rendering
from triptych.data.template import find_template
from triptych.models.attention.lengths import NAMES
from triptych.models.disk.llava_checkpoint import model_type_of
from triptych.models.disk.llava_kind import class_of
from triptych.models.disk.locate import HUB_ID, STARTER, locate
from triptych.models.disk.weight_check import Check, Verdict, check_part, check_whole
from triptych.models.family import Family, family_for
from triptych.train.forecast.shapes import LANGUAGES, MODELS
from triptych.train.forecast.volume import datasets_of
from triptych.train.inspection.first_rows import is_here, is_whole_here, parts_named, refused_of, rendering_here
from triptych.train.inspection.twin import drift
from triptych.train.measuring.trackers import check_trackers
from triptych.train.objective import Reply
from triptych.train.packages import missing_packages
from triptych.train.parallel.four_bits import refuse_shared_bits
from triptych.train.recipe import ClosedForm, ModelPlan, Recipe, StagePlan, Tune
from triptych.train.scores import release_stage
from triptych.train.start import parts_of, start_model

Level = Literal["ok", "missing", "unknown", "warning", "wrong"]
RUN = re.compile(r"(?:.*/)?runs/(?P<name>[^/]+)/model/?")
"""Where the model of an earlier recipe is."""
LEVELS: dict[Verdict, Level] = {"ok": "ok", "wrong": "wrong", "not tried": "unknown"}
"""What a check of weights found, as one of these."""
LOOKED_AT = 50
"""Rows of a source that are looked at for labels and images."""
STORYBOARD = "storyboard"
"""Folder of drawn rows, as recipes call it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    """ok; missing: not on this disk; unknown: cannot be told here; warning: odd; wrong: no run can come of it."""
    key: str
    message: str


def review(recipe: Recipe, *, twin: Recipe | None = None) -> list[Finding]:
    """Look at everything that can be known without training.

    Args:
        recipe: resolved.
        twin: its tiny twin, if there is one.
    """
    found = [*_model(recipe.model)]
    positions, rendering = _positions(recipe.model), rendering_here(recipe.model)
    for stage in recipe.stages:
        key = f"stages.{stage.name}"
        for index in range(len(stage.data)):
            found += _source(stage, index, rendering, key=f"{key}.data.{index}")
        if isinstance(stage, Tune):
            for index in range(len(stage.validation.data) if stage.validation else 0):
                found += _source(stage.validating(index), 0, rendering, key=f"{key}.validation.data.{index}")
            found += _lengths(stage, positions, key=key)
    found += [*_together(recipe), *_projector_of(recipe), *_toy(recipe)]
    if twin is not None:
        said = [Finding("wrong", "twin", each) for each in drift(recipe, twin)]
        found += said or [Finding("ok", "twin", "differs in model, data, lengths and sizes alone")]
    return found


def positions_of(config: dict[str, object]) -> int | None:
    """Return the most positions of a configuration's language model; None: it does not say."""
    inner = config.get("text_config", config.get("llm_config"))
    for each in (inner, config):
        if isinstance(each, dict):
            for name in NAMES:
                if isinstance(most := each.get(name), int):
                    return most
    return None


def config_of(name: str) -> dict[str, object] | None:
    """Return what a folder's or hub id's config.json says; None: it is not on this disk. Nothing is downloaded.

    Raises:
        ModelError: it is torn, or no object.
    """
    path: Path | None = None
    folder = Path(name).expanduser()
    if name.startswith(STARTER) or (folder / "config.json").is_file() or (folder / "model" / "config.json").is_file():
        path = locate(name) / "config.json"
    elif HUB_ID.fullmatch(name):
        cached = try_to_load_from_cache(name, "config.json")
        path = Path(cached) if isinstance(cached, str) else None
    if path is None:
        return None
    try:
        said: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error}). Fetch the model again.") from None
    if not isinstance(said, dict):
        raise ModelError(f"{path}: no JSON object. Fetch the model again.")
    return said


def _model(plan: ModelPlan) -> Iterator[Finding]:
    if plan.family is not None:
        yield _tried("model.family", lambda: plugins.find("family", plan.family or "", expected=Family).about)
    if plan.template is not None:
        yield _tried("model.template", lambda: find_template(plan.template or "").name)
    if plan.parts is not None and plan.family != "tiny":
        yield _where("model.parts.vision", plan.parts.vision)
        yield _where("model.parts.language", plan.parts.language)
    if plan.parts is not None and plan.parts.settings:
        yield _tried("model.parts.settings", lambda: ", ".join(parts_of(plan, seed=0).settings))
    if plan.parts is not None and plan.parts.projector_weights is not None:
        yield _projector(plan.parts.projector_weights)
    if plan.open is not None:
        yield _where("model.open", plan.open)
        try:
            config = config_of(plan.open)
        except ModelError as error:
            yield Finding("wrong", "model.open", str(error))
            return
        if config:
            yield from (_where("model.open", part) for part in parts_named(plan.open))
            opened = _opened_by(plan.open, config)
            yield opened
            if opened.level == "wrong":
                return
    yield from _weights(plan)


def _where(key: str, name: str) -> Finding:
    if is_here(name):
        return _tried(key, lambda: str(locate(name)))
    if run := RUN.fullmatch(name):
        return Finding("missing", key, f"{name} is not there: train the recipe {run['name']}.yaml first")
    if not HUB_ID.fullmatch(name):
        return Finding("missing", key, f"{name}: no such folder, and no hub id (OWNER/NAME)")
    try:
        fetched = config_of(name) is not None
    except ModelError as error:
        return Finding("wrong", key, str(error))
    if not fetched:
        return Finding(
            "missing", key, f"{name} is not on this disk: a run fetches it from the model hub, or is refused"
        )
    return Finding("ok", key, f"{name}, fetched before")


def _weights(plan: ModelPlan) -> Iterator[Finding]:
    """Compare the weights that are on this disk with what their networks want, without reading them."""
    checks: dict[str, Callable[[Path], Iterable[Check]]] = {}
    if plan.open is not None:
        checks[plan.open] = check_whole
    elif plan.parts is not None and plan.family != "tiny":
        checks[plan.parts.vision] = lambda folder: [check_part(folder, sees=True)]
        checks[plan.parts.language] = lambda folder: [check_part(folder, sees=False)]
    for name, check in checks.items():
        if is_whole_here(name):
            with suppress(NotFoundError):  # told of with the folder
                for found in check(locate(name)):
                    yield Finding(LEVELS[found.verdict], "model.weights", f"{name}: {found.said}")


def _projector(name: str) -> Finding:
    key = "model.parts.projector_weights"
    if Path(name).expanduser().exists():
        return Finding("ok", key, name)
    asks = ": no file or folder; a run asks the model hub for it"
    return Finding("missing", key, name + (asks if HUB_ID.fullmatch(name) else " is not there"))


def _opened_by(name: str, config: dict[str, object]) -> Finding:
    if (original := class_of(config)) and not is_whole_here(name):
        return Finding("ok", "model.open", f"{original} of LLaVA's own code, which opens as a class of transformers")
    said = config.get("model_type")
    if not original and not isinstance(said, str):
        odd = "says no model_type" if said is None else f"says of model_type {said!r}, which is no name"
        return Finding("wrong", "model.open", f"{name}: config.json {odd}. Bring the published model's config.json.")
    try:
        model_type = model_type_of(locate(name)) if original else str(said)
        family, _ = family_for(model_type, where=name)
    except TriptychError as error:
        return Finding("wrong", "model.open", str(error))
    return Finding("ok", "model.open", f"model_type {model_type!r} is opened by family {family!r}")


def _source(stage: StagePlan, index: int, rendering: Rendering | None, *, key: str) -> Iterator[Finding]:
    source = stage.data[index].source
    try:
        name, path = split_source(source)
        plugins.find("format", name, expected=Format)
    except TriptychError as error:
        yield Finding("wrong", key, str(error))
        return
    if not path.exists():
        published = datasets_of(source)
        how = f": triptych data get {published[0].name}" if published else f" ({source})"
        if path.parent.name == STORYBOARD:
            how = f": triptych starter draw {path.parent}"
        yield Finding("missing", key, f"{path} is not there{how}")
        return
    try:
        rows = list(islice(read_source(source), LOOKED_AT))
    except TriptychError as error:
        yield Finding("wrong", key, str(error))
        return
    good = [row for row in rows if isinstance(row, Example)]
    refused = [row for row in rows if isinstance(row, Refused)]
    if not good:
        why = f": {refused[0].message}" if refused else ""
        if len(rows) == LOOKED_AT and stage.on_bad == "refuse":
            yield Finding("warning", key, f"none of the first {LOOKED_AT} rows of {source} can be used{why}")
        else:
            yield Finding("wrong", key, f"{source} has no row that can be used{why}")
        return
    yield Finding("ok", key, f"{source}: of the first {len(rows)} rows {len(good)} can be read")
    yield _learnable(stage, index, rows, rendering, key=key)
    if isinstance(stage, Tune) and not isinstance(stage.objective, Reply):
        known = {name for row in good for name, _ in row.labels}
        if missing := [name for name in stage.objective.targets if name not in known]:
            labels = ", ".join(sorted(known)) or "none"
            yield Finding("wrong", key, f"its rows have no label {missing[0]!r}, a target; there are: {labels}")
    elif not any(turn.role == "assistant" and turn.learnt for row in good for turn in row.turns):
        yield Finding("wrong", key, "its rows have no reply to learn from")


def _learnable(
    stage: StagePlan, index: int, rows: Sequence[Example | Refused], rendering: Rendering | None, *, key: str
) -> Finding:
    """Say whether a run learns from these rows: transformed, their images looked at, within budget and pack."""
    try:
        told = refused_of(stage, index, rows=rows, rendering=rendering)
    except TriptychError as error:
        return Finding("wrong", key, str(error))
    refused = [each for each in told if each is not None]
    how = "transformed" if rendering is None and isinstance(stage, Tune) else "as the stage takes them"
    if not refused:
        said = f"{how}, all of these can be learnt" if how != "transformed" else "transformed, none is refused"
        unknown = "; the model is not on this disk, so their tokens are not counted" if how == "transformed" else ""
        return Finding("ok", key, said + unknown)
    many = f"{how}, {len(refused)} of {len(told)} are refused, the first: {refused[0].message}"
    wrong = len(refused) == len(told) or stage.on_bad == "raise"
    return Finding("wrong" if wrong else "warning", key, many)


def _lengths(stage: Tune, positions: int | None, *, key: str) -> Iterator[Finding]:
    longest = min(stage.pack_tokens, (stage.budget and stage.budget.example_tokens) or stage.pack_tokens)
    if positions is None:
        yield Finding("unknown", f"{key}.pack_tokens", "how many positions the language model has is not on this disk")
    elif longest > positions:
        yield Finding(
            "wrong",
            f"{key}.pack_tokens",
            f"an example may have {longest} tokens, the language model has {positions} positions: lower pack_tokens or"
            " budget.example_tokens",
        )
    else:
        yield Finding("ok", f"{key}.pack_tokens", f"{longest} tokens of an example within {positions} positions")
    for what in ("warmup", "checkpoint_every"):
        own = getattr(stage, what)
        if own.unit == stage.length.unit and own.amount > stage.length.amount:
            yield Finding("warning", f"{key}.{what}", f"'{own}' is more than the whole stage, '{stage.length}'")


def _positions(plan: ModelPlan) -> int | None:
    """Return the most positions of the language model; None: it cannot be told here."""
    if plan.sample is not None or plan.family == "tiny":
        try:
            return positions_of(start_model(plan, seed=0).network.config.to_dict())
        except TriptychError:
            return None
    name = plan.open if plan.parts is None else plan.parts.language
    assert name is not None
    try:
        config = config_of(name)
    except TriptychError:
        return None
    if config is None:
        published = LANGUAGES.get(name) or (MODELS[name].language if name in MODELS else None)
        return published.positions if published is not None else None
    return positions_of(config)


def _together(recipe: Recipe) -> Iterator[Finding]:
    """Look for the packages that are optional here and that this recipe needs, and for what cannot go together."""
    for key, check in (("log", partial(check_trackers, recipe.log)), ("parallel", partial(refuse_shared_bits, recipe))):
        try:
            check()
        except TriptychError as error:
            yield Finding("wrong", key, str(error))
    for key, why in missing_packages(recipe):
        yield Finding("missing", key, why)


def _projector_of(recipe: Recipe) -> Iterator[Finding]:
    """Say where a stage in closed form has a projector that is no linear map."""
    parts = recipe.model.parts
    for stage in (each for each in recipe.stages if isinstance(each, ClosedForm)):
        if parts is not None and parts.projector == "mlp":
            why = "closed_form computes a linear projector, and model.parts.projector is mlp: make it linear"
            yield Finding("wrong", f"stages.{stage.name}", why)


def _toy(recipe: Recipe) -> Iterator[Finding]:
    """Try the plans of the parts on a toy model, which costs nothing."""
    if recipe.model.sample is None and recipe.model.family != "tiny":
        return
    for stage in (each for each in recipe.stages if isinstance(each, Tune)):

        def free(stage: Tune = stage) -> str:
            moved = release_stage(start_model(recipe.model, seed=0), stage, seed=0)
            return f"{len(moved)} weights move"

        yield _tried(f"stages.{stage.name}.parts", free)


def _tried(key: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding("ok", key, look())
    except TriptychError as error:
        return Finding("wrong", key, str(error))
