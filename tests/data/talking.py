"""Conversations written as strings for the tests of transforms: ``talk("[a] What is this?", "A cat.")``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from triptych.core.records import Example, ImageRef, Json, Part, Text, Turn, VideoRef
from triptych.data.format import Refused
from triptych.data.transform import NOTES, TransformPlan, apply

_MARK = re.compile(r"\[([a-z0-9]+)\]")


def talk(*said: str, name: str = "x", skills: Sequence[str] = (), **facts: Json) -> Example:
    """Return a conversation; user and assistant take turns, ``[a]`` is an image and ``[film]`` a video."""
    turns = [Turn("user" if at % 2 == 0 else "assistant", _parts(text)) for at, text in enumerate(said)]
    return Example(name, tuple(turns), origin="rows.jsonl: row 0", skills=tuple(skills), facts=facts)


def made(kind: str, *examples: Example, seed: int = 0, **settings: Json) -> list[Example]:
    """Return what one step makes of rows, none of which it may refuse."""
    rows = list(apply([TransformPlan.parse({"kind": kind, **settings})], examples, seed=seed))
    assert [row for row in rows if isinstance(row, Refused)] == []
    return [row for row in rows if isinstance(row, Example)]


def refused(kind: str, *examples: Example, **settings: Json) -> Refused:
    """Return the one refusal of a step."""
    rows = apply([TransformPlan.parse({"kind": kind, **settings})], examples, seed=0)
    (found,) = [row for row in rows if isinstance(row, Refused)]
    return found


def said(example: Example) -> list[str]:
    """Return what is said, as ``talk`` takes it."""
    return ["".join(_shown(part) for part in turn.parts) for turn in example.turns]


def note(example: Example) -> dict[str, Json]:
    """Return the last note of what was done to a row, without its kind."""
    notes = example.facts[NOTES]
    assert isinstance(notes, list)
    last = notes[-1]
    assert isinstance(last, dict)
    return {key: value for key, value in last.items() if key != "kind"}


def _parts(text: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    for at, piece in enumerate(_MARK.split(text)):
        if at % 2:
            parts.append(VideoRef(f"/{piece}.mp4") if piece == "film" else ImageRef(f"/{piece}.png"))
        elif piece:
            parts.append(Text(piece))
    return tuple(parts)


def _shown(part: Part) -> str:
    return part.text if isinstance(part, Text) else f"[{part.source.rpartition('/')[2].partition('.')[0]}]"
