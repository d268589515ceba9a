"""Which format a refusal recommends: one that reads the row with all that it shows, or none; found in little time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data.test_other_layouts import ASKED_OF_PICTURE, FROM, MANTIS, NUMBERED, SAID, SHOWN, first_refusal, written
from triptych.core.records import Example, ImageRef, Json, Text, Turn, parts_of
from triptych.data.disk import rows as rows_file
from triptych.data.disk.json_rows import Row, read_rows
from triptych.data.disk.layouts import fits_layout
from triptych.data.format import read_source

MARKED: list[Json] = [{"role": "user", "content": "<image>What?"}, SAID[1]]
"""Of ms-swift and of ShareGPT's kin: a mark for each picture."""
IN_WORDS: list[Json] = [{"role": "user", "content": "<img>b.png</img>What?"}, SAID[1]]
ROWS: dict[str, tuple[dict[str, Json], int]] = {
    "a mark for each": ({"messages": MARKED, "images": ["a.png"]}, 1),
    "parts and a list": (
        {"messages": [{"role": "user", "content": ASKED_OF_PICTURE}, SAID[1]], "images": ["a.png"]},
        1,
    ),
    "parts with numbers": (NUMBERED, 1),
    "addresses": ({"messages": [{"role": "user", "content": [SHOWN]}, SAID[1]]}, 1),
    "in the words": ({"messages": IN_WORDS}, 1),
    "in parts and in words": ({"messages": [{"role": "user", "content": [SHOWN]}, SAID[1], *IN_WORDS]}, 2),
    "of Mantis": ({"conversation": MARKED, "images": [{"bytes": None, "path": "a.png"}]}, 1),
    "of LLaVA": ({"conversations": [{"from": "human", "value": "<image>a"}, FROM[1]], "image": "a.png"}, 1),
}
FORMATS = ("alpaca", "cauldron", "llava", "mantis", "mantis_eval", "messages", "qwen_vl", "sharegpt", "swift", "trl")


def recommended(told: str) -> list[str]:
    """Return the formats that a refusal recommends."""
    found = re.search(r"The file looks like (\w+)(?: \(or ([^)]*)\))?: write ", told)
    return [found[1], *(found[2].split(", ") if found[2] else [])] if found else []


@pytest.mark.parametrize("kind", ROWS)
def test_a_format_that_is_recommended_reads_the_row_once_its_pictures_are_there(kind: str, tmp_path: Path) -> None:
    row, pictures = ROWS[kind]
    path = written(tmp_path, row, row)
    absent = {name: next(iter(read_source(f"{name}:{path}"))) for name in FORMATS}
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"")
    for read in absent.values():
        for other in [] if isinstance(read, Example) else recommended(read.message):
            seen = next(iter(read_source(f"{other}:{path}")))
            assert isinstance(seen, Example), (other, seen)
            assert sum(isinstance(part, ImageRef) for part in parts_of(seen)) == pictures


def test_rows_whose_pictures_are_not_there_are_recognised_by_what_else_they_say(tmp_path: Path) -> None:
    path = written(tmp_path, {"messages": MARKED, "images": ["coco/1.jpg"]})
    wanted = f"The file looks like sharegpt (or swift): write sharegpt:{path}"
    assert first_refusal(f"llava:{path}").message.endswith(wanted)
    (tmp_path / "coco").mkdir()
    (tmp_path / "coco" / "1.jpg").write_bytes(b"")
    assert first_refusal(f"llava:{path}").message.endswith(wanted)


def test_pictures_that_begin_elsewhere_and_are_not_there_hide_no_layout(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    source = f"{written(tmp_path, {'messages': MARKED, 'images': ['1.jpg']})}#image_dir={tmp_path / 'photos'}"
    assert first_refusal(f"llava:{source}").message.endswith(f"looks like sharegpt (or swift): write sharegpt:{source}")


def test_rows_far_down_a_file_are_read_once_and_not_once_for_every_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{json.dumps(MANTIS)}\n" * 1_000, encoding="utf-8")
    passed = 0

    def counted(path: Path) -> Iterator[Row]:
        nonlocal passed
        for row in read_rows(path):
            passed += 1
            yield row

    monkeypatch.setattr(rows_file, "read_rows", counted)
    assert recommended(first_refusal(f"llava:{path}#rows=900-901").message) == ["mantis", "swift"]
    assert passed < 3 * 1_000, "once for the rows, for what they look like, and for the names of labels"


def test_the_rows_that_are_not_chosen_say_nothing_of_those_that_are(tmp_path: Path) -> None:
    other: dict[str, Json] = {"texts": [{"user": "a", "assistant": "b"}], "images": [], "set": "x"}
    path = written(tmp_path, other, {**MANTIS, "set": "y"}, other)
    source = f"llava:{path}#where=set:y"
    assert recommended(first_refusal(source).message) == ["mantis", "swift"]
    assert recommended(first_refusal(f"llava:{path}").message) == ["cauldron"]


def test_a_row_behind_those_of_the_source_says_nothing_of_them(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    readable: dict[str, Json] = {"messages": [{"role": "user", "content": ASKED_OF_PICTURE}, SAID[1]]}
    path = written(tmp_path, NUMBERED, {**readable, "images": ["a.png"]})
    assert recommended(first_refusal(f"trl:{path}#limit=1").message) == ["messages"]
    assert recommended(first_refusal(f"trl:{path}").message) == []


def test_a_row_that_names_too_many_or_too_few_pictures_is_a_bad_row_whatever_the_others_are(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    path = written(tmp_path, NUMBERED, {"messages": MARKED, "images": ["a.png", "a.png"]}, {"messages": MARKED})
    told = [first_refusal(f"sharegpt:{path}", number) for number in range(3)]
    assert [row.reason for row in told] == ["bad row", "more images than marks", "more marks than images"]
    assert [recommended(row.message) for row in told] == [["messages"], [], []]


def test_of_formats_that_read_a_row_those_that_show_pictures_come_alone(tmp_path: Path) -> None:
    pair: dict[str, Json] = {"sentence": "s", "label": "True", "identifier": "dev-0-0", "directory": "3"}
    path = written(tmp_path, {**pair, "messages": SAID})
    assert isinstance(next(iter(read_source(f"swift:{path}"))), Example), "it reads the words"
    assert recommended(first_refusal(f"llava:{path}").message) == ["nlvr"]


@pytest.mark.parametrize(
    "row",
    [
        {"texts": [{"user": "<image> a", "assistant": "b"}], "images": ["a.png"]},
        {"images": ["a.png"], "messages": [{"role": "user", "content": "<img>a.png</img> a"}, SAID[1]]},
    ],
)
def test_a_format_that_leaves_a_mark_among_the_words_is_not_recommended(row: dict[str, Json], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    assert recommended(first_refusal(f"llava:{written(tmp_path, row)}").message) == []


@pytest.mark.parametrize(("shown", "fits"), [(0, False), (1, False), (2, True)])
@pytest.mark.parametrize("said", ["<image> a <image>", "Picture 1: <img>a.png</img> Picture 2: <img>a.png</img>"])
def test_a_format_that_drops_what_a_row_marks_does_not_fit(said: str, shown: int, fits: bool) -> None:
    read = Example("x", (Turn("user", (*[ImageRef("a.png")] * shown, Text("a"))), Turn("assistant", (Text("b"),))))
    assert fits_layout({"question": said, "answer": "b"}, "mantis_eval", read=read) is fits
