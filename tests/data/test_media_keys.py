"""Pictures under a key that no layout has, and what is said of one beside its name: refused, never lost."""

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


SPOKEN = {
    "mantis": ("conversation", "role", "content"),
    "mantis_video": ("conversation", "role", "content"),
    "llava": ("conversations", "from", "value"),
    "qwen_vl": ("conversations", "from", "value"),
    "sharegpt": ("conversations", "from", "value"),
    "swift": ("messages", "role", "content"),
    "trl": ("messages", "role", "content"),
    "messages": ("messages", "role", "content"),
}


def one_turn(folder: Path, layout: str, **more: Json) -> Example | Refused:
    """Return what is read of a row whose first turn has more keys."""
    key, who, what = SPOKEN[layout]
    user, gpt = ("human", "gpt") if who == "from" else ("user", "assistant")
    turns = [{who: user, what: "What is in this picture?", **more}, {who: gpt, what: "A cat."}]
    draw(folder / "b.png")
    (folder / "rows.json").write_text(json.dumps([{"id": "one", key: turns}]))
    (found,) = read_source(f"{layout}:{folder / 'rows.json'}")
    return found


@pytest.mark.parametrize("layout", SPOKEN)
@pytest.mark.parametrize("key", ["image", "images", "video", "img_path"])
def test_a_picture_that_a_turn_names_is_not_lost(layout: str, key: str, tmp_path: Path) -> None:
    found = one_turn(tmp_path, layout, **{key: ["b.png"] if key == "images" else "b.png"})
    assert isinstance(found, Refused)
    assert repr(key) in found.message
    assert isinstance(one_turn(tmp_path, layout, **{key: None}), Example)


def test_a_picture_that_a_text_of_the_cauldron_names_is_not_lost(tmp_path: Path) -> None:
    draw(tmp_path / "b.png")
    for more, kept in (({"image": "b.png"}, False), ({"image": None, "source": "vqa"}, True)):
        row = {"images": ["b.png"], "texts": [{"user": "What?", "assistant": "A cat.", **more}]}
        (tmp_path / "rows.json").write_text(json.dumps([row]))
        (found,) = read_source(f"cauldron:{tmp_path / 'rows.json'}")
        assert isinstance(found, Example) == kept, found


@pytest.mark.parametrize("layout", ["llava", "mantis", "sharegpt", "swift", "alpaca", "trl", "cauldron", "messages"])
def test_a_picture_with_a_box_is_never_shown_whole(layout: str, tmp_path: Path) -> None:
    key = "image" if layout == "llava" else "images"
    said: dict[str, Json] = {
        "llava": {"conversations": [{"from": "human", "value": "<image>?"}, TURNS[1]]},
        "mantis": {"conversations": TURNS},
        "sharegpt": {"conversations": [{"from": "human", "value": "<image>?"}, TURNS[1]]},
        "swift": {"query": "What?", "response": "A cat."},
        "alpaca": {"instruction": "<image>?", "output": "A cat."},
        "trl": {"prompt": "What?", "completion": "A cat."},
        "cauldron": {"texts": [{"user": "What?", "assistant": "A cat."}]},
        "messages": {
            "messages": [
                {"role": "user", "content": [{"type": "image", "image": 0}]},
                {"role": "assistant", "content": "A cat."},
            ]
        },
    }[layout]  # type: ignore[assignment]
    draw(tmp_path / "a.png")
    entries: list[tuple[Json, bool]] = [
        ({"path": "a.png", "bytes": None, "box": None}, True),
        ({"url": "a.png"}, True),
        ({"path": "a.png", "box": [0, 0, 4, 4]}, layout == "messages"),
        ({"path": "a.png", "crop": [0, 0, 4, 4]}, False),
    ]
    for entry, kept in entries:
        if layout == "messages" and entry == entries[0][0]:
            continue  # bytes are a Parquet column's there
        (tmp_path / "rows.json").write_text(json.dumps([{"id": "one", key: [entry], **said}]))
        (found,) = read_source(f"{layout}:{tmp_path / 'rows.json'}")
        assert isinstance(found, Example) == kept, found
        if isinstance(found, Example):
            (image,) = images_of(found)
            assert (image.box is not None) == ("box" in entry and entry["box"] is not None)  # type: ignore[operator, call-overload, index]
