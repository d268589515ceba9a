"""Which template a folder was tuned with, and how that is known: said, published, or told by what its own one writes.

Not a folder's other facts (``models/disk/folder.py``). Asked in this order, never by a word in a path:
``triptych.json``; ``published.yaml``, by a checkpoint's exact hub id; a chat template that is one of ours to the
letter; a chat template that writes a set of conversations as one of ours does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml
from huggingface_hub.file_download import repo_folder_name
from jinja2 import TemplateError
from transformers.utils.chat_template_utils import render_jinja_template

from triptych.core.errors import ModelError
from triptych.data.plan.costs import AROUND
from triptych.data.template import Template, find_template, plainest, template_names, template_of_jinja
from triptych.data.text.jinja import IMAGE_MARK

SAYS = "triptych.json"
"""What our own folders say of themselves (``models/disk/folder.py``)."""
PUBLISHED = Path(__file__).with_name("published.yaml")

ADDED = {"idefics2": (AROUND,)}
"""What a family's processor writes around images itself, so that a folder's chat template leaves it out."""
STANDS_FOR = {"gemma3": "<start_of_image>"}
"""What a family's chat templates write for an image, where its processor makes of it all that stands there."""

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of a published checkpoint."""

    family: str
    template: str
    source: str


@dataclass(frozen=True, slots=True)
class Recognised:
    """A folder's template."""

    template: Template
    how: str
    """By what the template was recognised, for people."""


@cache
def published() -> Mapping[str, Fact]:
    """Return the checkpoints that are known, by hub id."""
    return {name: Fact(**said) for name, said in yaml.safe_load(PUBLISHED.read_text(encoding="utf-8")).items()}


def hub_id_of(folder: Path) -> str | None:
    """Return which of the known checkpoints this folder of the hub's cache holds; None: none of them."""
    holder = folder.parent.parent.name if folder.parent.name == "snapshots" else ""
    return next((name for name in published() if repo_folder_name(repo_id=name, repo_type="model") == holder), None)


def recognise(folder: Path, jinja: str | Mapping[str, str] | None, *, words: Path | None = None) -> Recognised:
    """Return the template a folder was tuned with.

    Args:
        folder: the model's.
        jinja: the chat template of its tokenizer or processor; of several by name the one called ``default``.
        words: where its tokenizer is; None: in the folder.

    Raises:
        ModelError: nothing says which.
    """
    name = _noted(folder)
    jinja = _default(jinja) or _beside_processor(folder)
    if name in template_names():
        return Recognised(find_template(name), f"{SAYS} says so")
    what = f"template {name!r} is not known"
    if name is None:
        if hub_id := hub_id_of(folder):
            fact = published()[hub_id]
            return Recognised(find_template(fact.template), f"published so: {hub_id} ({fact.source})")
        if jinja is not None and (exact := template_of_jinja(jinja)):
            return Recognised(exact, "its chat template is this one's")
        if jinja is not None and (alike := template_that_writes(jinja, words or folder)):
            return Recognised(alike, "its chat template writes what this one writes")
        what = "its chat template is none that is known" if jinja else "it has no chat template"
    raise ModelError(
        f"{folder}: {what}. Name its template: `model.template: NAME` in a recipe, or "
        f'{{"template": NAME}} in {folder / SAYS}; there are: {", ".join(template_names())}.'
    )


def template_that_writes(jinja: str, folder: Path) -> Template | None:
    """Return the template that writes every conversation of ``PROBES`` as this chat template does; None: none does.

    Args:
        jinja: somebody's chat template.
        folder: says what its image token, beginning and end are called.
    """
    marks = special_tokens(folder)
    theirs = written(jinja, marks)
    if theirs is None:
        return None
    image = image_token(folder) or IMAGE_MARK
    model_type = str(json_object(folder / "config.json").get("model_type"))
    alike = _those_that_write(theirs, marks, image=image, model_type=model_type)
    if alike is None and (begin := marks["bos_token"]) and _begins_texts(folder, begin):
        return _those_that_write([begin + text for text in theirs], marks, image=image, model_type=model_type)
    return alike


def _those_that_write(
    theirs: Sequence[str], marks: Mapping[str, str], *, image: str, model_type: str
) -> Template | None:
    return plainest(
        template
        for template in map(find_template, template_names())
        if any(written(each, marks) == theirs for each in _as_saved(template, image, model_type))
    )


def _as_saved(template: Template, image: str, model_type: str) -> Iterator[str]:
    jinja = template.jinja.replace(IMAGE_MARK, image)
    yield jinja
    for mark in ADDED.get(model_type, ()):
        yield jinja.replace(mark, "")
    if (whole := STANDS_FOR.get(model_type)) and whole in template.image_before:
        yield for_processor(template, whole)


def for_processor(template: Template, mark: str) -> str:
    """Return a template as a chat template that writes a mark for each image, and leaves the rest to a processor."""
    return replace(template, image_before="", image_after="", image_between=None).jinja.replace(IMAGE_MARK, mark)


def written(jinja: str, marks: Mapping[str, str]) -> Sequence[str] | None:
    """Return what a chat template makes of ``PROBES``, each closed and asking for a reply; None: it refuses one."""
    said: list[str] = []
    for probe in PROBES:
        asks = probe[-1]["role"] == "user"
        try:
            texts, _ = cast(
                tuple[list[str], object],
                render_jinja_template(
                    [probe],
                    chat_template=jinja,
                    add_generation_prompt=asks,
                    **cast(dict[str, Any], marks),
                ),
            )
        except (TemplateError, TypeError, LookupError, ValueError, ArithmeticError, AttributeError, RecursionError):
            return None
        said += texts
    return said


def image_token(folder: Path) -> str | None:
    """Return what a folder's image token is called, by its config.json and tokenizer.json; None: they do not say."""
    config, tokenizer = json_object(folder / "config.json"), json_object(folder / "tokenizer.json")
    number = config.get("image_token_id", config.get("image_token_index"))
    added = tokenizer.get("added_tokens")
    tokens = added if isinstance(added, list) else []
    return next((str(token["content"]) for token in tokens if token.get("id") == number), None)


def special_tokens(folder: Path) -> Mapping[str, str]:
    """Return ``bos_token`` and ``eos_token`` of a folder's tokenizer, empty where it has none."""
    said = tokens_said(folder)
    found: dict[str, str] = {}
    for name in ("bos_token", "eos_token"):
        token = said.get(name)
        found[name] = str(token.get("content", "")) if isinstance(token, dict) else str(token or "")
    return found


def tokens_said(folder: Path) -> dict[str, object]:
    """Return what the files beside a folder's tokenizer say of its tokens. Raises ModelError: one cannot be read."""
    return json_object(folder / "special_tokens_map.json") | json_object(folder / "tokenizer_config.json")


def _begins_texts(folder: Path, begin: str) -> bool:
    """Return whether a folder's tokenizer puts its beginning before a text by itself."""
    said = json_object(folder / "tokenizer_config.json").get("add_bos_token")
    around = json_object(folder / "tokenizer.json").get("post_processor")
    return said if isinstance(said, bool) else json.dumps(begin) in json.dumps(around)


def _noted(folder: Path) -> str | None:
    name = json_object(folder / SAYS).get("template")
    return name if isinstance(name, str) else None


def _beside_processor(folder: Path) -> str | None:
    """Return the chat template that belongs to a processor alone."""
    for name in ("chat_template.json", "processor_config.json"):
        if jinja := _default(json_object(folder / name).get("chat_template")):
            return jinja
    return None


def _default(jinja: object) -> str | None:
    """Return a chat template, of several by name the one called ``default``; None: there is none."""
    if isinstance(jinja, list):
        jinja = {each.get("name"): each.get("template") for each in jinja if isinstance(each, dict)}
    if isinstance(jinja, dict):
        jinja = jinja.get("default")
    return jinja if isinstance(jinja, str) and jinja else None


def json_object(path: Path) -> dict[str, object]:
    """Return what a file of JSON says, nothing where it is not there or holds no object.

    Raises:
        ModelError: it cannot be read.
    """
    if not path.is_file():
        return {}
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    return said if isinstance(said, dict) else {}


def _said(role: str, *parts: str) -> Message:
    """Return a message; an empty part is an image."""
    content = [{"type": "text", "text": part} if part else {"type": "image"} for part in parts]
    return {"role": role, "content": content}


PROBES: Sequence[list[Message]] = (
    [_said("user", "Hello.")],
    [_said("user", "What is ", "", " here?"), _said("assistant", "A cat."), _said("user", "And now?")],
    [_said("system", "Be brief."), _said("user", "", "", "Which is older?"), _said("assistant", "The first.")],
    [
        _said("system", "Be brief."),
        _said("user", "One ", "", " and two ", ""),
        _said("assistant", "Yes."),
        _said("user", "", "", "\nNow three. "),
        _said("assistant", "No, four."),
        _said("user", "", "Why?"),
    ],
)
"""Conversations that tell our templates apart: images alone, together and late, several turns, with and without a
system turn, asking for a reply and closed."""
