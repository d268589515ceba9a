"""A folder's tokenizer as its tokenizer.json says: how text is cut, what is put before words, how ids become text.

transformers 5 builds some classes (Llama's, so Idefics2's) from the vocabulary and leaves the rest of that file out. A
space behind an image is then one token less than in what the model learnt: "<image> like" was "<image>▁▁like".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase, TokenizersBackend

T = TypeVar("T", bound=PreTrainedTokenizerBase)

FILE = "tokenizer.json"
COMPONENTS = ("normalizer", "pre_tokenizer", "decoder")
"""What of the file is compared. Nothing is added around a text here (its post-processor)."""


def open_tokenizer(folder: Path, **more: Any) -> PreTrainedTokenizerBase:
    """Return a folder's tokenizer; ``more`` goes to ``AutoTokenizer``, and what that raises is raised."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, **more)
    return as_filed(tokenizer, folder)


def as_filed(tokenizer: T, folder: Path) -> T:
    """Let a tokenizer that transformers opened cut text as the folder's tokenizer.json says, and return it.

    Where it did not, it becomes one of the class that takes a file by its word: saved, it opens so everywhere.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not (folder / FILE).is_file():
        return tokenizer
    filed = Tokenizer.from_file(str(folder / FILE))
    differing = [name for name in COMPONENTS if _state(getattr(filed, name)) != _state(getattr(backend, name))]
    for name in differing:
        setattr(backend, name, getattr(filed, name))
    if differing:
        tokenizer.__class__ = TokenizersBackend  # type: ignore[assignment]
    return tokenizer


def _state(component: Any) -> Any:
    return None if component is None else json.loads(component.__getstate__())
