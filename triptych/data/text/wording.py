"""Words as they are compared: without case, punctuation and marks; their runs, and a sketch of a whole text.

Not tokens of a model. Sources: runs of 13 words as in Brown et al., arXiv:2005.14165, appendix C; sketches as in
Broder, On the resemblance and containment of documents, 1997. Invariant: equal words give equal runs and sketches, in
every process.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from triptych.core.records import Example, Text, Turn

RUN = 13
"""Length of a run, in words."""
_SHINGLE = 4
_SKETCH = 64
_MARK = re.compile(r"<(?:image|video)>", re.IGNORECASE)
_EAST_ASIAN = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_EAST_ASIAN}]|[^\W_{_EAST_ASIAN}]+")
_CHARACTER = re.compile("[\u3005-\u3007\u3040-\u30ff\u3400-\u9fff]")
"""Of Chinese and Japanese, which have no blanks between words."""

Sketch = NDArray[np.uint32]
"""(64,): two texts' share of equal numbers estimates the share of word runs that they have in common."""


def words_in(text: str) -> list[str]:
    """Return a text's words in lower case, marks and punctuation left out; an East Asian character is a word."""
    return _WORD.findall(unicodedata.normalize("NFKC", _MARK.sub(" ", text)).casefold())


def count_words(text: str) -> int:
    """Return how many words a text has by its blanks; each character of Chinese or Japanese is a word of its own."""
    count = 0
    for run in text.split():
        others = sum(any(map(str.isalnum, piece)) for piece in _CHARACTER.split(run))
        count += max(1, len(_CHARACTER.findall(run)) + others)
    return count


def words_of(turn: Turn) -> list[str]:
    """Return a turn's words; an image parts them."""
    return words_in("\n".join(part.text for part in turn.parts if isinstance(part, Text)))


def all_words(example: Example) -> list[str]:
    """Return the words of a whole conversation, demonstrations first, with who speaks."""
    said = [word for shown in example.demonstrations for word in all_words(shown)]
    for turn in example.turns:
        said += [f"{turn.role}:", *words_of(turn)]
    return said


def runs_of(words: Sequence[str], *, length: int = RUN) -> list[str]:
    """Return every run of ``length`` words, as one text each; none where there are fewer words."""
    return [" ".join(words[start : start + length]) for start in range(len(words) - length + 1)]


def sketch_of(words: Sequence[str]) -> Sketch:
    """Return the sketch of a text by its runs of four words; of a shorter text, by the whole of it."""
    runs = set(runs_of(words, length=_SHINGLE)) or {" ".join(words)}
    hashes = np.array([number_of(run) & 0xFFFFFFFF for run in runs], dtype=np.uint64)
    factors, shifts = _lots()
    sketch: Sketch = ((factors[:, None] * hashes[None] + shifts[:, None]) >> np.uint64(32)).astype(np.uint32).min(1)
    return sketch


def number_of(text: str) -> int:
    """Return 64 bits that stand for a text."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


@cache
def _lots() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    draw = np.random.default_rng(0)
    factors = draw.integers(1, 1 << 62, _SKETCH, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    return factors, draw.integers(0, 1 << 63, _SKETCH, dtype=np.uint64)
