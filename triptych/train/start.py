"""The model that a run starts from, as its recipe says: put together from parts, opened, or a family's toy.

Not its training. With ``outline`` it is looked at without its weights, where its family can do without.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from triptych.core import plugins
from triptych.core.config import parse_config
from triptych.core.errors import ConfigError, ModelError, NotFoundError, did_you_mean
from triptych.core.files import cache_folder, hidden_folder
from triptych.core.records import Json
from triptych.data.plan.rendering import Rendering
from triptych.data.template import find_template, stop_id
from triptych.data.text.jinja import IMAGE_MARK
from triptych.models.disk.folder import NOTE, read_note
from triptych.models.disk.locate import Provenance, locate, provenance
from triptych.models.disk.recognise import hub_id_of, published
from triptych.models.family import Family, Model, PartsPlan, assemble, open_model, outline_model, outline_parts
from triptych.models.join import teach_tokenizer
from triptych.models.memory.upcast import to_float32
from triptych.models.parts import load_image_processor
from triptych.train.recipe import ModelPlan

PROCESSORS = ("preprocessor_config.json", "processor_config.json")
"""Where a folder says how images are prepared."""
NO_SETTINGS = {"data_format", "device", "disable_grouping", "input_data_format", "return_tensors"}
"""What an image processor is told with each image, and no folder says."""


def start_model(plan: ModelPlan, *, seed: int) -> Model:
    """Return the model that a run starts from, with weights in float32: smaller steps than bfloat16 has must count.

    Args:
        plan: resolved: with parts it names family and template.
        seed: of the new projector, or of all of a toy's weights.

    Raises:
        NotFoundError, ModelError: a part is not there, or the parts do not fit together.
    """
    if plan.open is not None:
        model = open_model(laid_over(plan))
        if not model.sources:
            model.sources = {"model": _origin(plan.open)}
        if plan.template is not None:
            if model.tokenizer.convert_ids_to_tokens(model.image_token_id) == IMAGE_MARK:
                teach_tokenizer(model.tokenizer, model.template)
            if model.network.generation_config is not None:
                model.network.generation_config.eos_token_id = stop_id(model.template, model.tokenizer)
    elif plan.sample is not None:
        model = toy(plan, seed=seed)
    else:
        assert plan.family is not None
        model = assemble(plan.family, parts_of(plan, seed=seed))
    to_float32(model.network)
    if any(weight.dtype != torch.float32 for weight in model.network.parameters()):
        nn.Module.to(model.network, torch.float32)
    return model


def outline(plan: ModelPlan) -> Rendering:
    """Return how examples become the tokens of the model that a run starts from; raises as `start_model`."""
    if plan.open is not None:
        return outline_model(laid_over(plan))
    if plan.sample is not None:
        return toy(plan, seed=0).rendering
    assert plan.family is not None
    return outline_parts(plan.family, parts_of(plan, seed=0))


def laid_over(plan: ModelPlan) -> str:
    """Return what is opened: ``plan.open``, or a folder of links to its files in which the plan's settings stand.

    Raises:
        NotFoundError: nothing is there.
        ModelError: it has no image processor whose settings could be others, or that has no such setting.
    """
    assert plan.open is not None
    if plan.template is None and not plan.image_processor:
        return plan.open
    folder = locate(plan.open).resolve()
    files = sorted(folder.iterdir())
    said = {path.name: path.read_text(encoding="utf-8") for path in files if path.name in (NOTE, *PROCESSORS)}
    names = [path.name for path in files]
    if plan.image_processor:
        _check_processor(plan, folder)
    template = _template_over(plan, folder)
    told = json.dumps([str(folder), names, said, template, plan.image_processor], sort_keys=True)
    over = cache_folder() / "opened" / hashlib.sha256(told.encode("utf-8")).hexdigest()[:16]
    if over.is_dir():
        return str(over)
    over.parent.mkdir(parents=True, exist_ok=True)
    work = hidden_folder(over)
    for path in files:
        (work / path.name).symlink_to(path)
    if template is not None:
        _rewrite(work / NOTE, lambda said: said | {"template": template})
    if plan.image_processor:
        _rewrite_processor(work, plan)
    try:
        work.rename(over)
    except OSError:
        if not over.is_dir():  # where it is, another process of the run was first
            raise
        shutil.rmtree(work)
    return str(over)


def _template_over(plan: ModelPlan, folder: Path) -> str | None:
    """Return the template that the links must name: the plan's; else a published one's, known by a place they leave."""
    if plan.template is not None:
        return find_template(plan.template).name
    hub_id = hub_id_of(folder)
    return None if hub_id is None or read_note(folder).template is not None else published()[hub_id].template


def _origin(name: str) -> Provenance:
    """Return whence an opened model is that says nothing of its parts."""
    return provenance(name, locate(name))


def _check_processor(plan: ModelPlan, folder: Path) -> None:
    """Refuse a setting that the model's image processor has not: transformers would keep it, and do nothing with it."""
    if not any((folder / name).exists() for name in PROCESSORS):
        raise ModelError(f"{plan.open} holds none of {', '.join(PROCESSORS)}: leave model.image_processor out.")
    processor = load_image_processor(folder)
    taken = getattr(type(processor), "valid_kwargs", None)
    if taken is None:
        return
    known = (set(taken.__annotations__) | set(processor.to_dict())) - NO_SETTINGS
    for key in plan.image_processor:
        if key not in known:
            nearest = did_you_mean(key, known) or f" There are: {', '.join(sorted(known))}."
            raise ModelError(f"model.image_processor: {type(processor).__name__} has no setting {key!r}.{nearest}")


def _rewrite_processor(work: Path, plan: ModelPlan) -> None:
    def changed(said: dict[str, Json]) -> dict[str, Json]:
        inner = said.get("image_processor")
        if isinstance(inner, dict):
            return said | {"image_processor": inner | plan.image_processor}
        return said | plan.image_processor

    for name in PROCESSORS:
        if (work / name).exists():
            _rewrite(work / name, changed)


def _rewrite(path: Path, change: Callable[[dict[str, Json]], dict[str, Json]]) -> None:
    said: dict[str, Json] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.unlink(missing_ok=True)  # a link: the file it leads to stays as it is
    path.write_text(json.dumps(change(said), indent=2) + "\n", encoding="utf-8")


def parts_of(plan: ModelPlan, *, seed: int) -> PartsPlan:
    """Return what a new model is put together from; ``plan`` is resolved.

    Raises:
        NotFoundError: no such family.
        ConfigError: it has no such settings.
    """
    parts = plan.parts
    assert parts is not None
    assert plan.family is not None
    family = plugins.find("family", plan.family, expected=Family)
    if family.settings is not None:
        parse_config(json.dumps(parts.settings), model=family.settings, file="model.parts.settings")
    elif parts.settings:
        raise ConfigError(f"model.parts.settings: family {plan.family!r} has none; leave the key out.")
    assert plan.template is not None, "the recipe is not resolved"
    return PartsPlan(
        vision=parts.vision,
        language=parts.language,
        projector=parts.projector,
        projector_weights=parts.projector_weights,
        settings=parts.settings,
        image_tokens=parts.image_tokens,
        template=plan.template,
        seed=seed,
    )


def toy(plan: ModelPlan, *, seed: int) -> Model:
    """Return the family's toy model that the plan names.

    Raises:
        NotFoundError: no such family, or it has no toy of that name.
    """
    assert plan.family is not None
    assert plan.sample is not None
    samples = plugins.find("family", plan.family, expected=Family).samples
    if plan.sample not in samples:
        raise NotFoundError(
            f"model.sample: family {plan.family!r} has no toy model {plan.sample!r}; there are: {', '.join(samples)}."
        )
    return samples[plan.sample](seed)
