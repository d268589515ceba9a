"""Released checkpoints and current bases: what they are, what memory they take, what was tried of them here.

Not their files (``models/disk/hub.py``) and not networks: facts from ``zoo.yaml``, read without torch. Parameters are
counted from the shapes that stand there; memory follows from both.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from triptych.core.config import Settings, load_config
from triptych.core.errors import NotFoundError, did_you_mean

CATALOGUE = Path(__file__).with_name("zoo.yaml")
HALF_BYTES = 2
"""Bytes of a number in bfloat16 or float16."""
TOKENS = 8192
"""Tokens of the conversation that memory is told for: some ten images of 729 tokens, and words."""
NOT_RUN = "no weights from the hub have been run here"

Work = Literal["mantis", "interleave", "mimicit", "videoscore", "base"]
Tried = Literal["layout", "prompt", "scores"]
MEANS: Mapping[Tried, str] = {
    "layout": "a tiny checkpoint of this layout opens; logits are those of transformers' class or of its own code",
    "prompt": "ids and mask of a conversation are those of its own code or processor",
    "scores": "a tiny checkpoint with such a score head opens and reads where its own code did",
}
"""What tests did, with random weights."""
WORKS: Mapping[Work, str] = {
    "mantis": "Mantis, arXiv:2405.01483",
    "interleave": "LLaVA-NeXT-Interleave, arXiv:2407.07895",
    "mimicit": "MIMIC-IT and Otter, arXiv:2306.05425, arXiv:2305.03726; OtterHD, arXiv:2311.04219",
    "videoscore": "VideoScore, arXiv:2406.15252",
    "base": "bases to tune",
}


class Entry(Settings):
    """A released checkpoint."""

    hub_id: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: str | None = None
    """A branch, tag or commit; null: the branch main."""
    work: Work
    family: str
    template: str | None
    """Null: its own chat template tells."""
    shapes: str | None
    parameters: int | None
    licence: str | None
    """Licence as its publisher declares it; null: not known here."""
    gated: bool = False
    tried: tuple[Tried, ...]
    about: str


class Catalogue(Settings):
    """All of ``zoo.yaml``."""

    checkpoints: dict[str, Entry]
    parts: dict[str, dict[str, JsonValue]]
    """Shapes that several networks share."""
    shapes: dict[str, dict[str, JsonValue]]
    """Network sizes by name, with the keys of config.json."""


@cache
def catalogue() -> Catalogue:
    """Return what is known."""
    return load_config(CATALOGUE, model=Catalogue)


def select(*, family: str | None = None, work: str | None = None) -> dict[str, Entry]:
    """Return the checkpoints of a family and a work, by name; None: of all.

    Raises:
        NotFoundError: nothing is of that family, or of that work.
    """
    known = catalogue().checkpoints
    for asked, has in ((family, {each.family for each in known.values()}), (work, set(WORKS))):
        if asked is not None and asked not in has:
            raise NotFoundError(f"no released checkpoint is of {asked!r}; there are: {', '.join(sorted(has))}.")
    return {name: each for name, each in known.items() if family in (None, each.family) and work in (None, each.work)}


def find(name: str) -> tuple[str, Entry] | None:
    """Return a checkpoint and its name, by this or by its hub id; None: it is none that is known."""
    known = catalogue().checkpoints
    if name in known:
        return name, known[name]
    return next(((own, each) for own, each in known.items() if each.hub_id == name), None)


def hub_id_of(name: str) -> str:
    """Return the hub id behind a name of the zoo; whatever else was named, as it is."""
    found = find(name)
    return name if found is None else found[1].hub_id


def nearest(name: str) -> str:
    """Return a sentence that names what was perhaps meant, or nothing."""
    return did_you_mean(name, catalogue().checkpoints)


def weight_bytes(entry: Entry) -> int | None:
    """Return what its weights take in 16 bits, on disk and in memory; None: not known."""
    return None if entry.parameters is None else entry.parameters * HALF_BYTES


def cache_bytes(entry: Entry, tokens: int = TOKENS) -> int | None:
    """Return what keys and values of so many tokens take in 16 bits; None: not known.

    Two vectors for each layer, token and head that keys and values have. Images of a Flamingo take no tokens.
    """
    if entry.shapes is None:
        return None
    text = catalogue().shapes[entry.shapes]["text_config"]
    assert isinstance(text, dict)

    def number(*names: str) -> int:
        return next(value for name in names if isinstance(value := text.get(name), int))

    heads = number("num_attention_heads", "n_heads")
    size = text.get("head_dim") or number("hidden_size", "d_model") // heads
    assert isinstance(size, int)
    shared = number("num_key_value_heads", "num_attention_heads", "n_heads")
    return 2 * HALF_BYTES * tokens * number("num_hidden_layers", "n_layers") * shared * size


def memory_bytes(entry: Entry, tokens: int = TOKENS) -> int | None:
    """Return what answering takes in 16 bits: weights, and keys and values of so many tokens; None: not known.

    Without what a tower and a layer need in passing.
    """
    weights, kept = weight_bytes(entry), cache_bytes(entry, tokens)
    return None if weights is None or kept is None else weights + kept
