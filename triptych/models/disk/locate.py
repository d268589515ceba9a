"""Where a model or a part of one is, by what a user calls it: a folder, a hub id, a name of the zoo, ``starter:NAME``.

Not what is in it (``recognise``). All four end as an ordinary Hugging Face folder; its licence is what its model card
(README.md) declares. Knows no torch, so that a name with a slip is told of before seconds of loading.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from huggingface_hub import metadata_load, snapshot_download

from triptych.core.errors import NotFoundError
from triptych.core.files import sha256_of
from triptych.models import zoo
from triptych.models.disk.hub_errors import HUB_ERRORS, told
from triptych.starter import weights

STARTER = "starter:"
ADAPTER = "adapter_config.json"
"""What peft calls the settings of an adapter."""
FACTS = "part.json"
"""What a starter part says of itself."""

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
HUB_FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "README.md")
OLD_WEIGHTS = ("pytorch_model*.bin", "mm_projector.bin")
"""Fetched where a model has no ``*.safetensors``."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a part came from."""

    name: str
    """The part as a recipe names it: a folder, a hub id, ``starter:NAME``."""
    origin: str
    """Where its authors published it, as far as the part says so itself."""
    licence: str
    """What the part declares; ``unknown`` where it does not."""
    sha256: str
    """Digest of its weight file; where there are several, of their digests."""


def how_to_merge(folder: str) -> str:
    """Return what to do with an adapter's folder where a whole model is wanted."""
    return f"`triptych merge {quote(folder)} --out DIR` makes one of it and of the model it was learnt on"


def locate(name: str, *, image_tokens: int | None = None) -> Path:
    """Return the folder of a part or model, fetched first where it is on the hub.

    Args:
        name: a folder, that of a run of ``train`` included, a hub id, a name of the zoo or ``starter:NAME``.
        image_tokens: tokens an image costs, for a starter tower that lets one choose.

    Raises:
        NotFoundError: nothing is there, or the hub does not give it.
        RunError: the disk is full.
    """
    here = on_disk(name, image_tokens=image_tokens)
    if here is not None:
        return here
    name = zoo.hub_id_of(name)
    try:
        fetched = Path(snapshot_download(name, allow_patterns=list(HUB_FILES)))
        if not any(fetched.glob("*.safetensors")):
            fetched = Path(snapshot_download(name, allow_patterns=[*HUB_FILES, *OLD_WEIGHTS]))
        return fetched
    except HUB_ERRORS as error:
        raise told(error, name, before="no such folder, and ") from error


def on_disk(name: str, *, image_tokens: int | None = None) -> Path | None:
    """Return the folder of a part or model that is on this disk; None where its name is one of the hub.

    Raises:
        NotFoundError: the name is neither, or there is no model in the folder.
    """
    if name.startswith(STARTER):
        if image_tokens is None:
            return weights.folder(name.removeprefix(STARTER))
        return weights.folder(name.removeprefix(STARTER), image_tokens=image_tokens)
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if HUB_ID.fullmatch(zoo.hub_id_of(name)):
            return None
        raise NotFoundError(f"{name}: no such folder. Give a folder, a hub id (OWNER/NAME) or {STARTER}NAME.")
    if (folder / "config.json").is_file():
        return folder
    if (folder / "model" / "config.json").is_file():
        return folder / "model"  # of a run of train
    if (folder / ADAPTER).is_file():
        raise NotFoundError(f"{name} is an adapter ({ADAPTER}), no whole model: {how_to_merge(name)}.")
    raise NotFoundError(f"{name}: the folder holds no config.json, so it is no Hugging Face model.")


def provenance(name: str, folder: Path) -> Provenance:
    """Return where a part came from: what its ``part.json`` says, else its model card and its weight files."""
    if (folder / FACTS).is_file():
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        return Provenance(name, origin=facts["source"], licence=facts["licence"], sha256=facts["sha256"])
    card = folder / "README.md"
    declared = (metadata_load(card) if card.is_file() else None) or {}
    digests = [sha256_of(path) for path in sorted(folder.glob("*.safetensors"))]
    sha256 = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode("ascii")).hexdigest()
    return Provenance(name, origin="", licence=str(declared.get("license", "unknown")), sha256=sha256)
