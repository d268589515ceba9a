"""A model's folder on disk: an ordinary Hugging Face folder, written whole or not at all, and what it says of itself.

Not which network is in it: a family opens that. Beside what Hugging Face folders say, ``triptych.json`` names the
template the model was tuned with and whence its parts are.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from transformers import PreTrainedModel

from triptych.core.errors import ModelError
from triptych.core.files import part_folder, replace_folder
from triptych.core.full_disk import naming
from triptych.data.template import Template
from triptych.data.text.jinja import IMAGE_MARK
from triptych.models.disk.locate import Provenance
from triptych.models.disk.recognise import SAYS, json_object, recognise
from triptych.models.heads import ScoreHead
from triptych.models.parts import quiet

NOTE = SAYS


class Saved(Protocol):
    """What can be written into a folder: a processor, a tokenizer."""

    def save_pretrained(self, save_directory: Path) -> object:
        """Write it."""


@dataclass(frozen=True, slots=True)
class Note:
    """What a folder says of itself."""

    template: str | None = None
    """None: it does not say."""
    parts: Mapping[str, Provenance] = field(default_factory=dict)
    score: Mapping[str, Any] | None = None
    """What its score head says (``data/plan/scoring.py``); None: it has none, or names none."""


def read_note(folder: Path) -> Note:
    """Return what a folder says of itself, nothing where it is not ours.

    Raises:
        ModelError: its note cannot be read.
    """
    said: dict[str, Any] = json_object(folder / NOTE)
    try:
        parts = {name: Provenance(**part) for name, part in said.get("parts", {}).items()}
    except (TypeError, AttributeError) as error:
        raise ModelError(f"{folder / NOTE}: `parts` does not say whence they are ({error}); leave it out.") from error
    return Note(said.get("template"), parts, said.get("score"))


def template_in(folder: Path, jinja: str | Mapping[str, str] | None, *, words: Path | None = None) -> Template:
    """Return the template a folder was tuned with, as ``models/disk/recognise.py`` finds it.

    Args:
        folder: the model's.
        jinja: the chat template of its tokenizer or processor.
        words: where its tokenizer is; None: in the folder.

    Raises:
        ModelError: nothing says which.
    """
    return recognise(folder, jinja, words=words).template


def chat_template_of(template: Template, image_token: str) -> str:
    """Return a template as a folder's chat template, with the image token as its tokenizer spells it."""
    return template.jinja.replace(IMAGE_MARK, image_token)


def save_folder(
    folder: Path,
    network: PreTrainedModel,
    *,
    processors: Sequence[Saved],
    template: Template,
    image_tokens: int | None,
    sources: Mapping[str, Provenance],
    head: ScoreHead | None = None,
) -> None:
    """Write a folder that plain transformers opens; an earlier model in it is replaced.

    Args:
        folder: holds nothing, or a model.
        network: without adapters.
        processors: tokenizer, processor and image processor, saved with the network; a later one overwrites files of
            an earlier one.
        template: what it was tuned with.
        image_tokens: what an image costs, where all cost the same.
        sources: whence its parts are.
        head: its score head, if it has one.

    Raises:
        ModelError: an adapter is not merged yet, or the folder holds other things.
    """
    if any("lora_" in name for name, _ in network.named_parameters()):
        raise ModelError(f"{folder}: an adapter is not merged yet; merge it, or save its state alone.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "config.json").is_file():
        raise ModelError(f"{folder} holds other things than a model. Save to another folder, or empty it.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside the folder first: whoever is killed while writing leaves no half model under the folder's name.
    work = part_folder(folder)
    note: dict[str, Any] = {
        "template": template.name,
        "image_tokens": image_tokens,
        "parts": {name: asdict(source) for name, source in sources.items()},
    }
    try:
        with naming(folder):
            with quiet():
                network.save_pretrained(work)
            for each in processors:
                each.save_pretrained(work)
            if head is not None:
                head.save_pretrained(work)
                note["score"] = head.said()
            (work / NOTE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
            replace_folder(folder, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
