"""The tokenizers of released models, where ``get_tokenizers.py`` has brought them; tests that need them skip else."""

from __future__ import annotations

import re
from functools import cache
from itertools import count
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from tests.released.get_tokenizers import COMMAND, cached
from tests.released.hard_words import SAID
from triptych.core.records import Example, ImageRef, Part, Text, Turn
from triptych.models.disk.tokenizer import open_tokenizer


def folder_of(name: str) -> Path:
    """Return the folder of a tokenizer, or skip the test."""
    folder = cached() / name
    if not folder.is_dir():
        pytest.skip(f"the tokenizer {name} is not in {cached()}: run `{COMMAND}`")
    return folder


def opened(name: str, *more: str) -> PreTrainedTokenizerBase:
    """Return a tokenizer as a released folder is opened, the same one each time, or skip the test.

    Args:
        name: of its folder.
        more: special tokens that it is given beside its own.
    """
    return _opened(folder_of(name), more)


@cache
def _opened(folder: Path, more: tuple[str, ...]) -> PreTrainedTokenizerBase:
    tokenizer = open_tokenizer(folder)
    tokenizer.add_tokens(list(more), special_tokens=True)
    return tokenizer


def hard_example(name: str, turns: int | None = None) -> Example:
    """Return one of the hard conversations, its first so many turns, with pictures that are not there."""
    numbers = count()
    made = []
    for at, said in enumerate(SAID[name][:turns]):
        parts: list[Part] = [
            ImageRef(f"/pictures/{next(numbers)}.png", size=(45, 30)) if part == "<image>" else Text(part)
            for part in re.split("(<image>)", said)
            if part
        ]
        made.append(Turn("assistant" if at % 2 else "user", tuple(parts)))
    return Example(name, tuple(made))
