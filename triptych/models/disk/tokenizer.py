"""A folder's tokenizer as its tokenizer.json says: how text is cut, what is put before words, how ids become text.

transformers 5 builds some classes (Llama's, so Idefics2's) from the vocabulary and leaves the rest of that file out. A
space behind an image is then one token less than in what the model learnt: "<image> like" was "<image>▁▁like".

Where there is no such file, the class that tokenizer_config.json names makes it of the older ones (tokenizer.model;
vocab.json and merges.txt). ``AutoTokenizer`` takes another, by the model's type, which puts no space before words, or
cannot read them. Of a SentencePiece model, transformers 5 joins pieces in the order of the vocabulary instead of by
their scores, which tells runs of spaces otherwise, and takes it as not "legacy" where nothing says so: what the model
learnt is as its scores say, and a LlamaTokenizer is "legacy" unless the folder says no. Where no class is named that
is known, it is a LlamaTokenizer if that cuts text as the model does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import Any, TypeVar

import transformers
from tokenizers import AddedToken, Tokenizer
from transformers import AutoTokenizer, LlamaTokenizer, PreTrainedTokenizerBase, TokenizersBackend

from triptych.core.errors import ModelError
from triptych.data.text.tokenise import state_of, with_components
from triptych.models.disk.missing_files import torn_object
from triptych.models.disk.recognise import json_object, tokens_said

T = TypeVar("T", bound=PreTrainedTokenizerBase)

FILE = "tokenizer.json"
SETTINGS = "tokenizer_config.json"
BESIDE = (SETTINGS, "special_tokens_map.json", "added_tokens.json")
"""Files beside it that hold objects of JSON."""
WORDS = "tokenizer.model"
"""A SentencePiece model, all that older folders of Llama's kin hold."""
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
PROBES = ("a  b   a", " a", "  b", "a    b", "\n  a", "What is  in the picture?\n    return", "if a:\n        b = 1")
"""Texts by which a tokenizer is held against its SentencePiece model: runs of spaces, and spaces in front."""
COMPONENTS = ("normalizer", "pre_tokenizer", "decoder")
"""What of the file is compared. Nothing is added around a text here (its post-processor)."""


def open_tokenizer(folder: Path, **more: Any) -> PreTrainedTokenizerBase:
    """Return a folder's tokenizer.

    Args:
        folder: holds its files.
        more: goes to ``AutoTokenizer``.

    Raises:
        ModelError: it is a SentencePiece model alone, and what reads one is not installed; or what a file beside it
            says is torn or no object, or names a class by something that is no name.
        OSError, ValueError, ImportError: as ``AutoTokenizer``.
    """
    for name in BESIDE:
        if problem := torn_object(folder / name):
            raise ModelError(problem)
    if named := _named(folder):
        return _made_of_older(folder, named)
    if unnamed := _made_of_scores(folder):
        return unnamed
    with _asking_for_package(folder):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, **more)
    return as_filed(tokenizer, folder)


def _named(folder: Path) -> type[PreTrainedTokenizerBase] | None:
    """Return the class of transformers that a folder without tokenizer.json names; None: there is none."""
    name = json_object(folder / SETTINGS).get("tokenizer_class")
    if not isinstance(name, str | None):
        raise ModelError(
            f"{folder / SETTINGS}: tokenizer_class is {name!r}, and the name of a class is wanted: leave it out, or "
            "bring the file of the published model."
        )
    found = None if name is None or (folder / FILE).is_file() else getattr(transformers, name, None)
    return found if isinstance(found, type) and issubclass(found, PreTrainedTokenizerBase) else None


def _made_of_older(folder: Path, named: type[PreTrainedTokenizerBase]) -> PreTrainedTokenizerBase:
    with _asking_for_package(folder):
        tokenizer: PreTrainedTokenizerBase = named.from_pretrained(folder)
    _mark_special(tokenizer, folder)
    if (folder / WORDS).is_file():
        _as_scored(tokenizer, folder)
    return tokenizer


@contextmanager
def _asking_for_package(folder: Path) -> Iterator[None]:
    """Say which package reads a SentencePiece model alone, where it is not installed."""
    try:
        yield
    except (ImportError, ValueError) as error:
        if (folder / FILE).is_file() or not (folder / WORDS).is_file() or find_spec("sentencepiece"):
            raise
        raise ModelError(
            f"{folder}: its tokenizer is {WORDS} alone, which the package sentencepiece reads: "
            "pip install sentencepiece protobuf"
        ) from error


def _made_of_scores(folder: Path) -> PreTrainedTokenizerBase | None:
    """Return a LlamaTokenizer of a SentencePiece model alone; None: there is none, or it would cut text otherwise."""
    if (folder / FILE).is_file() or not (folder / WORDS).is_file() or (model := _sentencepiece(folder / WORDS)) is None:
        return None
    # The first conversions of Llama leave these empty; they are the model's own.
    own = {"bos_token": model.bos_id(), "eos_token": model.eos_id(), "unk_token": model.unk_id()}
    said = tokens_said(folder)
    empty = {name: model.id_to_piece(number) for name, number in own.items() if said.get(name) == "" and number >= 0}
    try:
        tokenizer: PreTrainedTokenizerBase = LlamaTokenizer.from_pretrained(folder, **empty)
    except (ImportError, ValueError):
        return None
    _mark_special(tokenizer, folder)
    return tokenizer if _as_scored(tokenizer, folder) else None


def _mark_special(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Let added tokens be no words that a folder calls special, and the image token of its config.json.

    Older folders name them in one file and number them in another (added_tokens.json), which says no more of them.
    """
    said, config = tokens_said(folder), json_object(folder / "config.json")
    listed = said.get("additional_special_tokens") or said.get("extra_special_tokens") or []
    tokens = listed.values() if isinstance(listed, dict) else listed if isinstance(listed, list) else []
    own = [token for name, token in said.items() if name.endswith("_token")]
    named = {str(token.get("content") if isinstance(token, dict) else token) for token in (*tokens, *own)}
    image = config.get("image_token_id", config.get("image_token_index"))
    added = [
        AddedToken(token.content, lstrip=token.lstrip, rstrip=token.rstrip, normalized=False, special=True)
        for number, token in tokenizer.added_tokens_decoder.items()
        if not token.special and (number == image or token.content in named)
    ]
    if added:
        tokenizer.add_tokens(added, special_tokens=True)


def _as_scored(tokenizer: PreTrainedTokenizerBase, folder: Path) -> bool:
    """Let a tokenizer join the pieces of a folder's SentencePiece model by their scores, and put spaces as it does.

    Only where that makes ``PROBES`` what the model makes of them, and the tokenizer as it is does not, and tokens that
    were added are found in running text. Return whether it now makes them so.
    """
    backend, model = getattr(tokenizer, "backend_tokenizer", None), _sentencepiece(folder / WORDS)
    if model is None or backend is None or state_of(backend.model)["type"] != "BPE":
        return False
    said = json_object(folder / SETTINGS)
    spaced = type(tokenizer).__name__ == "LlamaTokenizer" and said.get("legacy") is not False
    spaced = spaced and said.get("add_prefix_space") is not False
    known = {number: token for number, token in tokenizer.added_tokens_decoder.items() if number < len(model)}
    cut = [token.content for token in known.values() if not token.special]
    probes = [probe for probe in (*PROBES, *(f"a {piece}a" for piece in cut[:100])) if spaced or probe[0] != " "]
    # Tokens that were added later stand above the model, which knows none of them: lines and runs of spaces, say.
    later = [token.content for number, token in tokenizer.added_tokens_decoder.items() if number >= len(model)]
    probes = [probe for probe in probes if not any(token in probe for token in later if token)]
    if not probes:
        return False
    wanted = [model.encode(probe) for probe in probes]

    def right(each: Tokenizer) -> bool:
        return all(
            each.encode(text, add_special_tokens=False).ids == ids for text, ids in zip(probes, wanted, strict=True)
        )

    if right(backend):
        return True
    scores = {model.id_to_piece(number): model.get_score(number) for number in range(len(model))}
    state = state_of(backend.model)
    state["merges"] = sorted(state["merges"], key=lambda pair: -scores.get("".join(pair), -inf))
    states: dict[str, Any] = {"model": state}
    if spaced:
        space = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
        states["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE}, space]}
        states["pre_tokenizer"] = None
    found = with_components(backend, states)
    # What is put before a text would be put before these as well, were they looked for in the text that it makes.
    added = _as_written(tokenizer, above=len(model) - 1) if spaced else []
    found.add_tokens([token for token in added if not token.special])
    found.add_special_tokens([token for token in added if token.special])
    if not right(found) or not _finds(found, added):
        return False
    for token in added:
        tokenizer.add_tokens(token, special_tokens=token.special)
    backend.model, backend.normalizer, backend.pre_tokenizer = found.model, found.normalizer, found.pre_tokenizer
    tokenizer.__class__ = TokenizersBackend  # its own class would be made anew, in its own way, once saved
    return True


def _as_written(tokenizer: PreTrainedTokenizerBase, *, above: int) -> list[AddedToken]:
    """Return a tokenizer's added tokens, to be looked for in a text as it is: special ones, and all ``above`` a number.

    Others are the SentencePiece model's own pieces, which it finds as ``PROBES`` say.
    """
    return [
        AddedToken(token.content, lstrip=token.lstrip, rstrip=token.rstrip, normalized=False, special=token.special)
        for number, token in tokenizer.added_tokens_decoder.items()
        if token.normalized and (token.special or number > above)
    ]


def _finds(backend: Tokenizer, added: Sequence[AddedToken]) -> bool:
    """Return whether a tokenizer finds each of these tokens between letters, and between words."""

    def count(text: str, number: int | None) -> int:
        return sum(each == number for each in backend.encode(text, add_special_tokens=False).ids)

    return all(
        count(text, backend.token_to_id(token.content)) == 1
        for token in added
        for text in (f"a{token.content}a", f"a {token.content} a")
    )


def _sentencepiece(file: Path) -> Any:
    """Return the SentencePiece model in a file; None: it is of another kind, or nothing here reads it."""
    try:
        return import_module("sentencepiece").SentencePieceProcessor(model_file=str(file))
    except (ImportError, RuntimeError, OSError):
        return None


def as_filed(tokenizer: T, folder: Path) -> T:
    """Let a tokenizer that transformers opened cut text as the folder's tokenizer.json says, and return it.

    Where it did not, it becomes one of the class that takes a file by its word: saved, it opens so everywhere.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not (folder / FILE).is_file():
        return tokenizer
    filed = Tokenizer.from_file(str(folder / FILE))
    differing = [name for name in COMPONENTS if state_of(getattr(filed, name)) != state_of(getattr(backend, name))]
    for name in differing:
        setattr(backend, name, getattr(filed, name))
    if differing:
        tokenizer.__class__ = TokenizersBackend  # type: ignore[assignment]
    return tokenizer
