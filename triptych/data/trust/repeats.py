"""Rows that repeat or contradict each other, and pictures that stand in several rows under different names.

Not about one row: ``doubts``. Every row is compared with those before it, of all sources together, at a cost that does
not grow with their number: rows with the same pictures by a sketch of their words, questions by pictures and words.
Replies contradict each other only where both are short enough to be compared: yes or no, a letter, a number, a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from triptych.core.records import Example, ImageRef, Turn, VideoRef, parts_of
from triptych.data.text.wording import Sketch, all_words, number_of, sketch_of, words_in, words_of
from triptych.data.trust.doubts import Doubt, doubt

ALIKE = 0.85
"""Share of word runs that two rows with the same pictures have in common."""
_BANDS, _BAND = 8, 8
_VERDICT_WORDS = 4
_OWN_WORDS = 6
"""A question with fewer words is only the same in the same dialogue: "And the other one?"."""
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_FILLERS = frozenset({"a", "an", "the", "is", "it", "there", "are", "option", "answer"})
Keys = Mapping[ImageRef, str]
"""Picture -> what stands for its looks. Pictures that are the same have the same."""


@dataclass(frozen=True, slots=True)
class _Row:
    where: str
    sketch: Sketch


class Repeats:
    """Compares rows with those before. State: what they asked, replied and looked like."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._rows: dict[tuple[object, ...], _Row] = {}
        self._replies: dict[int, tuple[str, str, str]] = {}
        self._labels: dict[int, tuple[tuple[tuple[str, float], ...], str]] = {}

    def doubts(self, example: Example) -> Iterator[Doubt]:
        """Yield what is odd about a row beside the rows before, at most one doubt of each reason."""
        if like := self._like(example):
            yield doubt(
                example,
                "near-duplicate row",
                message=f"{like} has the same pictures and nearly the same words. Leave one out if that is not wanted.",
            )
        if other := self._contradicted(example):
            yield doubt(example, "contradictory answers", message=other)

    def _like(self, example: Example) -> str | None:
        """Return where a row with the same pictures and words is, and remember this one."""
        sketch = sketch_of(all_words(example))
        where = f"{example.origin} (id {example.id!r})"
        pictures = number_of(_looks(example, self._keys))
        found: str | None = None
        for band in range(_BANDS):
            key = (pictures, band, sketch[band * _BAND : (band + 1) * _BAND].tobytes())
            other = self._rows.setdefault(key, _Row(where, sketch))
            if found is None and other.where != where and float(np.mean(other.sketch == sketch)) >= ALIKE:
                found = other.where
        return found

    def _contradicted(self, example: Example) -> str | None:
        """Return what contradicts the row, and remember what it says."""
        found: str | None = None
        where = f"{example.origin} (id {example.id!r})"
        if example.labels:
            asked = number_of(f"{_looks(example, self._keys)}\n{' '.join(all_words(example))}")
            labels, first = self._labels.setdefault(asked, (example.labels, where))
            if labels != example.labels:
                found = f"{first} has the same pictures and words and other labels. Keep the right ones."
        for asked, said in _questions(example, self._keys):
            verdict = verdict_of(said)
            if verdict is None:
                continue
            known, words, first = self._replies.setdefault(asked, (verdict, said, where))
            if known != verdict and found is None:
                found = f"{first} asks the same of the same pictures; there the reply is {words!r}, here {said!r}. "
                found += "Keep the right one."
        return found


def verdict_of(reply: str) -> str | None:
    """Return what a short reply says, so that two can be compared; None where it is longer.

    ``Yes, it is.`` and ``yes`` say the same, and so do ``(B)`` and ``B.``, ``two`` and ``2``.
    """
    if option := re.match(r"\s*(?:answer:?\s*)?\(?([A-Z])[).:](?:\s|$)", reply):
        return option[1].lower()
    words = words_in(reply)
    if words and words[0] in {"yes", "no"}:
        return words[0]
    told = [word for word in words if word not in _FILLERS] or words
    if not told or len(told) > _VERDICT_WORDS:
        return None
    return " ".join(str(_NUMBERS.index(word)) if word in _NUMBERS else word for word in told)


def _questions(example: Example, keys: Keys) -> Iterator[tuple[int, str]]:
    """Yield (what stands for a question with its pictures, reply) of each exchange."""
    looks = [_looks(shown, keys) for shown in example.demonstrations]
    before: list[str] = []
    for turn, reply in zip(example.turns, example.turns[1:], strict=False):
        looks += [_look(part, keys) for part in turn.parts if isinstance(part, ImageRef | VideoRef)]
        if turn.role != "user" or reply.role != "assistant":
            continue
        words = words_of(turn)
        asked = " ".join(words)
        told = [asked] if len(words) >= _OWN_WORDS else [*before, asked]
        before.append(asked)
        yield number_of("\n".join([*looks, *_places(turn), "", *told])), _said(reply)


def _places(turn: Turn) -> Iterator[str]:
    """Yield how many words stand before each image: the same words mean another thing where images are elsewhere."""
    count = 0
    for part in turn.parts:
        if isinstance(part, ImageRef | VideoRef):
            yield str(count)
        else:
            count += len(words_in(part.text))


def _said(turn: Turn) -> str:
    return " ".join(" ".join(part.text for part in turn.parts if not isinstance(part, ImageRef | VideoRef)).split())


def _looks(example: Example, keys: Keys) -> str:
    shown: Sequence[str] = [_look(part, keys) for part in parts_of(example) if isinstance(part, ImageRef | VideoRef)]
    return "\n".join(shown)


def _look(part: ImageRef | VideoRef, keys: Keys) -> str:
    if isinstance(part, VideoRef):
        return f"video {part.source}"
    return keys.get(part) or f"{part.source} {part.box}"
