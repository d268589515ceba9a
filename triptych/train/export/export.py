"""Write a model for others: merged or an adapter alone, its card, and then perhaps to the hub.

Not the pieces of it, which are the files beside. The order is: what can be refused without opening anything, opening,
writing beside the folder's name, checking what was written, renaming, the hub.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from triptych.core.errors import ConfigError, ModelError, NotFoundError
from triptych.core.log import say
from triptych.models.disk.check import check_model
from triptych.models.family import Model
from triptych.train.export import serving
from triptych.train.export.adapter import BASE, Learnt, can_be_pushed, read_adapter, write_adapter
from triptych.train.export.card import CARD, Subject, card
from triptych.train.export.facts import RunFacts, read_run
from triptych.train.export.pieces import take_apart
from triptych.train.export.plan import ExportPlan
from triptych.train.export.push import check_hub, push_folder
from triptych.train.export.source import bytes_of, open_source, run_of
from triptych.train.export.written import check_empty, forget_places, new_folder
from triptych.train.recipe import RECIPE

OPEN = (
    "from transformers import AutoModelForImageTextToText, AutoProcessor",
    "",
    'model = AutoModelForImageTextToText.from_pretrained("{name}", dtype="auto")',
    'processor = AutoProcessor.from_pretrained("{name}", backend="pil")',
)
OPEN_WITH_VIDEOS = (
    *OPEN[:3],
    'processor = AutoProcessor.from_pretrained("{name}")  # its part for videos needs torchvision',
)
OPEN_FLAMINGO = (
    "import triptych.models.flamingo.network  # transformers has no such network: Triptych brings it",
    "from transformers import AutoModelForImageTextToText",
    "",
    'model = AutoModelForImageTextToText.from_pretrained("{name}", dtype="auto")',
)
OPEN_PEFT = (
    "from peft import PeftModel",
    "from transformers import AutoModelForImageTextToText",
    "",
    'base = AutoModelForImageTextToText.from_pretrained("{base}", dtype="float32")',
    'model = PeftModel.from_pretrained(base, "{name}")',
)
OPENINGS: Mapping[str, tuple[str, ...]] = {
    "flamingo": OPEN_FLAMINGO,
    "internvl": OPEN_WITH_VIDEOS,
    "llava_onevision": OPEN_WITH_VIDEOS,
    "qwen_vl": OPEN_WITH_VIDEOS,
}
"""How plain transformers opens a family, where it is not by ``OPEN``."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    folder: Path
    size_bytes: int
    lines: tuple[str, ...]
    """Commands to go on with."""
    address: str | None
    """On the hub; None: it was not put there."""


def export(
    model: str, folder: Path, *, plan: ExportPlan, endpoint: str | None = None, token: str | None = None
) -> Exported:
    """Write a model into a new folder, whole or not at all.

    Args:
        model: a run's folder, a model's, an adapter's of peft, or a hub id.
        folder: where to; it holds nothing.
        plan: what is written.
        endpoint: the hub's address, for ``plan.push``; None: as the environment says.
        token: who we are there; None: as the environment says.

    Raises:
        RunError: the folder holds something, the disk is full, or the hub refuses.
        ConfigError, NotFoundError, ModelError: the model cannot be opened, or not be written so.
    """
    check_empty(folder)
    run = run_of(model, plan)
    facts = None if run is None else read_run(run)
    if plan.push is not None:
        check_hub(plan.push, private=plan.private, endpoint=endpoint, token=token)
    write = _export_adapter if plan.adapter else _export_model
    lines = write(model, folder, plan, facts)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    address = None
    if plan.push is not None:
        address = push_folder(folder, plan.push, private=plan.private, endpoint=endpoint, token=token)
    return Exported(folder, size, tuple(lines), address)


def _export_model(source: str, folder: Path, plan: ExportPlan, facts: RunFacts | None) -> list[str]:
    model = open_source(source, plan).model
    config = json.loads(model.network.config.to_json_string(use_diff=False))
    config["architectures"] = [type(model.network).__name__]
    if plan.layout == "vllm":
        serving.refuse_vllm(config)
    split = plan.layout == "gguf" and model.family == "llava"
    if plan.layout == "gguf":
        serving.refuse_gguf(model.family, config, projector=str(config.get("projector_hidden_act", "")))
    if plan.layout != "transformers" and model.score_head is not None:
        raise ModelError(
            f"layout={plan.layout}: a score head is known to neither vLLM nor llama.cpp: leave layout out."
        )
    with new_folder(folder, needed_bytes=bytes_of(model)) as work:
        if split:
            take_apart(model, work)
        else:
            model.save(work)
            _settle(work, plan)
        (work / CARD).write_text(card(_subject(model, source, folder, plan, facts), facts), encoding="utf-8")
    if plan.layout == "vllm":
        return serving.vllm_lines(folder, images=plan.images)
    if plan.layout == "gguf":
        return serving.gguf_lines(folder, split=split, **(_pixels(model) if split else {}))
    return [f"triptych {'chat' if model.score_head is None else 'score'} {quote(str(folder))} IMAGE..."]


def _settle(work: Path, plan: ExportPlan) -> None:
    """Look at what was written before it gets its name, and add what a layout wants.

    Raises:
        ModelError: it is not what it should be.
    """
    if plan.layout == "gguf":
        path = work / "config.json"
        said = serving.name_text_class(json.loads(path.read_text(encoding="utf-8")))
        path.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    forget_places(work)
    wrong = [f"{check.name}: {check.said}" for check in check_model(str(work)) if check.verdict == "wrong"]
    if wrong:
        raise ModelError(f"what was written is not what it should be, so nothing is left of it: {wrong[0]}")
    if plan.layout == "vllm" and (lacks := serving.missing_for_vllm(work)):
        raise ModelError(f"vLLM would miss {', '.join(lacks)}: this family writes no such file. Leave layout out.")


def _export_adapter(source: str, folder: Path, plan: ExportPlan, facts: RunFacts | None) -> list[str]:
    run = Path(source)
    if not (run / RECIPE).is_file():
        raise NotFoundError(f"adapter: {source} is no run's folder ({RECIPE}), which alone knows its adapter.")
    learnt = read_adapter(run)
    if plan.push is not None and (learnt.opened is None or not can_be_pushed(learnt.opened)):
        raise ConfigError("push: an adapter whose base is not on the hub helps nobody there: leave adapter out.")
    needed = sum(weight.numel() * weight.element_size() for weight in learnt.weights.values())
    needed += bytes_of(learnt.base) if learnt.opened is None else 0
    with new_folder(folder, needed_bytes=needed) as work:
        base = write_adapter(learnt, work, folder=folder)
        subject = _adapter_subject(learnt, folder, base, plan, facts)
        (work / CARD).write_text(card(subject, facts), encoding="utf-8")
    if learnt.opened is None:
        say(f"its base is nowhere else, so it was written too: {folder / BASE}")
    return [f"triptych merge {quote(str(folder))} --out DIR"]


def _subject(model: Model, source: str, folder: Path, plan: ExportPlan, facts: RunFacts | None) -> Subject:
    name = plan.push or folder.name
    opening = OPENINGS.get(model.family, OPEN)
    notes = []
    if model.family == "fuyu":
        notes.append(
            "transformers' processor of Fuyu puts one picture in front of the words and writes no conversations: ask"
            " with `triptych chat` or `triptych.load`."
        )
    if model.score_head is not None:
        targets = ", ".join(model.score_head.scoring.targets)
        notes.append(f"It scores ({targets}): its head is in `score_head.safetensors`, read by `triptych score`.")
    if plan.layout == "gguf":
        notes.append("Written for llama.cpp's conversion scripts; no GGUF file was made, and none was run.")
    if plan.layout == "gguf" and model.family == "llava":
        name = f"{name}/language"
        opening = (
            "from transformers import AutoModelForCausalLM",
            "",
            'words = AutoModelForCausalLM.from_pretrained("{name}")',
        )
    return Subject(
        name=plan.name or (facts.name if facts is not None else folder.name),
        family=model.family,
        template=model.template.name,
        classes=type(model.network).__name__,
        parameters=sum(weight.numel() for weight in model.network.parameters()),
        sources=model.sources,
        licence=plan.licence,
        use=[line.format(name=name) for line in opening],
        notes=notes,
    )


def _adapter_subject(learnt: Learnt, folder: Path, base: str, plan: ExportPlan, facts: RunFacts | None) -> Subject:
    whole = f"; and {len(learnt.whole)} layers as a whole" if learnt.whole else ""
    return Subject(
        name=plan.name or (facts.name if facts is not None else folder.name),
        family=learnt.base.family,
        template=learnt.base.template.name,
        classes=type(learnt.base.network).__name__,
        parameters=sum(weight.numel() for weight in learnt.weights.values()),
        sources=learnt.base.sources,
        licence=plan.licence,
        use=[line.format(name=plan.push or folder.name, base=_told(base, folder)) for line in OPEN_PEFT],
        notes=[
            f"An adapter alone, of {len(learnt.plans)} layers{whole}; tokens and pictures are prepared by its base."
        ],
        adapter_of=_told(base, folder),
        base_is_published=learnt.opened is not None and can_be_pushed(learnt.opened),
    )


def _told(base: str, folder: Path) -> str:
    """Return a base as the card names it: one in the folder itself by its place there."""
    return f"{folder.name}/{BASE}" if base == str(folder.absolute() / BASE) else base


def _pixels(model: Model) -> dict[str, Any]:
    settings = getattr(model, "processor").to_dict()  # noqa: B009 - a family's own, of which the contract says nothing
    return {"mean": settings["image_mean"], "deviation": settings["image_std"]}
