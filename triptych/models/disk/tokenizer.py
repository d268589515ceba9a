"""A folder's tokenizer as its tokenizer.json says: how text is cut, what is put before words, how ids become text.

transformers 5 builds some classes (Llama's, so Idefics2's) from the vocabulary and leaves the rest of that file out. A
space behind an image is then one token less than in what the model learnt: "<image> like" was "<image>▁▁like".

Where there is no such file, the class that tokenizer_config.json names makes it of the older ones (tokenizer.model;
vocab.json and merges.txt). ``AutoTokenizer`` takes another, by the model's type, which puts no space before words, or
cannot read them.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import transformers
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase, TokenizersBackend

from triptych.core.errors import ModelError
from triptych.data.text.tokenise import state_of

T = TypeVar("T", bound=PreTrainedTokenizerBase)

FILE = "tokenizer.json"
WORDS = "tokenizer.model"
"""A SentencePiece model, all that older folders of Llama's kin hold."""
COMPONENTS = ("normalizer", "pre_tokenizer", "decoder")
"""What of the file is compared. Nothing is added around a text here (its post-processor)."""


def open_tokenizer(folder: Path, **more: Any) -> PreTrainedTokenizerBase:
    """Return a folder's tokenizer.

    Args:
        folder: holds its files.
        more: goes to ``AutoTokenizer``.

    Raises:
        ModelError: it is a SentencePiece model alone, and what reads one is not installed.
        OSError, ValueError, ImportError: as ``AutoTokenizer``.
    """
    if named := _named(folder):
        return _made_of_older(folder, named)
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, **more)
    return as_filed(tokenizer, folder)


def _named(folder: Path) -> type[PreTrainedTokenizerBase] | None:
    """Return the class of transformers that a folder without tokenizer.json names; None: there is none."""
    file = folder / "tokenizer_config.json"
    if (folder / FILE).is_file() or not file.is_file():
        return None
    found = getattr(transformers, str(json.loads(file.read_text(encoding="utf-8")).get("tokenizer_class")), None)
    return found if isinstance(found, type) and issubclass(found, PreTrainedTokenizerBase) else None


def _made_of_older(folder: Path, named: type[PreTrainedTokenizerBase]) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = named.from_pretrained(folder)
    except (ImportError, ValueError) as error:
        if not (folder / WORDS).is_file() or find_spec("sentencepiece"):
            raise
        raise ModelError(
            f"{folder}: its tokenizer is {WORDS} alone, which the package sentencepiece reads: "
            "pip install sentencepiece protobuf"
        ) from error
    return tokenizer


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
