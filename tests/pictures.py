"""Pictures for tests: drawn ones, the real input where somebody has it, and Examples compared by what they show."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from triptych.core.records import Example, ImageRef, Part, Turn, VideoRef
from triptych.data.media.locate import read_bytes

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
    """Return the example as any copy of it must be: images and videos by content, origin and sizes unknown."""

    def part(said: Part) -> Part:
        if isinstance(said, ImageRef):
            return replace(said, source=hashlib.sha256(read_bytes(said.source)).hexdigest(), size=None)
        return VideoRef(_digest(Path(said.source))) if isinstance(said, VideoRef) else said

    turns = tuple(Turn(turn.role, tuple(map(part, turn.parts))) for turn in example.turns)
    return replace(example, origin="", turns=turns, demonstrations=tuple(map(bare, example.demonstrations)))


def _digest(path: Path) -> str:
    """Return the content of a video's file, or of its folder of frames."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    whole = hashlib.sha256()
    for file in files:
        whole.update(file.name.encode() if path.is_dir() else b"")
        whole.update(file.read_bytes())
    return whole.hexdigest()
