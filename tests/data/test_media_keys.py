"""Pictures under a key that no layout has: the row is refused, never learnt from its words alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pictures import draw
from triptych.core.records import Example, Json, images_of
from triptych.data.format import Refused, read_source

TURNS = [{"from": "human", "value": "What is it?"}, {"from": "gpt", "value": "A cat."}]


def read(folder: Path, layout: str, **said: Json) -> Example | Refused:
    draw(folder / "a.png")
    row = {"id": "one", "conversations": TURNS, **said}
    if layout == "alpaca":
        row = {"instruction": "What is it?", "output": "A cat.", **said}
    (folder / "rows.json").write_text(json.dumps([row]))
    (found,) = read_source(f"{layout}:{folder / 'rows.json'}")
    return found


@pytest.mark.parametrize("layout", ["llava", "mantis", "sharegpt", "alpaca"])
@pytest.mark.parametrize(
    ("key", "value"),
    [("image_path", "a.png"), ("imgs", ["a.png"]), ("imgae", "a.PNG"), ("video_file", "b.mp4"), ("picture", "a.jpg")],
)
def test_a_picture_under_another_key_is_not_lost(layout: str, key: str, value: Json, tmp_path: Path) -> None:
    found = read(tmp_path, layout, **{key: value})
    assert isinstance(found, Refused)
    assert f"'{key}' names {value[0] if isinstance(value, list) else value}" in found.message
    assert "the row would have words alone" in found.message


@pytest.mark.parametrize("layout", ["llava", "mantis", "sharegpt"])
@pytest.mark.parametrize(
    "said",
    [
        {"image_note": "a photo of a cat.png or so"},
        {"pictures_seen": 3},
        {"source": "a.png"},
        {"image_path": ""},
        {"image_path": None},
    ],
)
def test_words_and_numbers_under_such_a_key_are_facts(layout: str, said: dict[str, Json], tmp_path: Path) -> None:
    assert isinstance(read(tmp_path, layout, **said), Example)


def test_a_row_with_its_picture_may_name_another(tmp_path: Path) -> None:
    marked = [{"from": "human", "value": "<image>\nWhat is it?"}, TURNS[1]]
    found = read(tmp_path, "llava", image="a.png", original_image="b.png", conversations=marked)
    assert isinstance(found, Example)
    assert len(images_of(found)) == 1
