"""Pictures for tests: drawn ones, the real input where somebody has it, and Examples compared by what they show."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from triptych.core.records import Example, ImageRef, Part, Turn

REPOSITORY = Path(__file__).resolve().parents[1]


def draw(path: Path, *, size: tuple[int, int] = (32, 24), colour: str | tuple[int, ...] = "red") -> ImageRef:
    """Draw a picture of one colour and return where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return ImageRef(str(path))


def real_data(name: str) -> Path:
    """Return a folder of the real input, or skip the test: it never travels with the project."""
    named = os.environ.get("TRIPTYCH_SHARED")
    for root in [Path(named)] if named else [REPOSITORY.parent / "shared"]:
        for folder in (root / "data" / name, root / name):
            if folder.exists():
                return folder
    pytest.skip(f"real input {name!r} is not here: set TRIPTYCH_SHARED, or put a folder 'shared' beside the repository")


def bare(example: Example) -> Example:
    """Return the example as any copy of it must be: images by content, origin and sizes unknown."""

    def part(said: Part) -> Part:
        if not isinstance(said, ImageRef):
            return said
        return ImageRef(hashlib.sha256(Path(said.source).read_bytes()).hexdigest(), box=said.box)

    turns = tuple(Turn(turn.role, tuple(map(part, turn.parts))) for turn in example.turns)
    return replace(example, origin="", turns=turns, demonstrations=tuple(map(bare, example.demonstrations)))
