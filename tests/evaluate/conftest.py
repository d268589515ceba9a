"""A small drawn benchmark on disk, in the layout of storyboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from triptych.core.records import Example, ImageRef, Json, Text, Turn
from triptych.data.formats.messages import FORMAT

COLOURS = ("red", "green", "blue", "yellow")
SKILLS = ("co-reference", "comparison", "reasoning", "temporal")
SCENARIOS = ("images", "frames", "views", "patches")


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A folder with held_in.jsonl and held_out.jsonl, 16 questions each, every other one a choice of two."""
    folder = tmp_path / "board"
    pictures = [draw(folder / f"{colour}.png", colour) for colour in COLOURS]
    for part in ("held_in", "held_out"):
        assert FORMAT.write is not None
        FORMAT.write((colour_question(part, number, pictures) for number in range(16)), folder / f"{part}.jsonl")
    return folder


def draw(path: Path, colour: str) -> ImageRef:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 32), colour).save(path)
    return ImageRef(str(path), (32, 32))


def colour_question(part: str, number: int, pictures: list[ImageRef]) -> Example:
    right, other = number % 4, (number + 1) % 4
    asked = Turn("user", (Text("Image 1: "), pictures[right], Text(" Image 2: "), pictures[other], Text(" Image 1?")))
    facts: dict[str, Json] = {"scenario": SCENARIOS[number // 4 % 4], "kind": "name", "chance": 0.25}
    facts["story"] = f"{part}-{number}"  # else those that show the same images would count as one
    if number % 2:
        facts |= {"choice": True, "options": [f"the {COLOURS[right]}", f"the {COLOURS[other]}"], "chance": 0.5}
    reply = Turn("assistant", (Text(f"the {COLOURS[right]}"),))
    return Example(f"{part}-{number}", (asked, reply), skills=(SKILLS[right],), facts=facts)
