"""Layouts on disk: images in their places, the published rules of each layout, and refusals that name the row."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.data.reading import Row, asked, read, refused, shape, used
from tests.pictures import draw, real_data
from triptych.core.errors import ConfigError, DataError
from triptych.core.records import Example, ImageRef, Json, Text, Turn, VideoRef, images_of, text_of
from triptych.data.format import load_examples, options_of, read_source, split_source
from triptych.data.formats import llava, mantis

# Sources


def test_a_source_is_a_format_and_a_path_and_options() -> None:
    assert split_source("nlvr:/data/dev#directories=0-3#limit=9") == ("nlvr", Path("/data/dev"))
    assert options_of("nlvr:/data/dev#directories=0-3#limit=9") == {"directories": "0-3", "limit": "9"}
    assert split_source("mantis:a#b/c:d.json") == ("mantis", Path("a#b/c:d.json"))


@pytest.mark.parametrize("source", ["", "mantis", "mantis:", ":x.json", "mantis:#limit=3"])
def test_a_malformed_source_is_refused(source: str) -> None:
    with pytest.raises(ConfigError, match="FORMAT:PATH"):
        split_source(source)


@pytest.mark.parametrize("option", ["limit=all", "limit=-1", "limit=", "limit=1#limit=2"])
def test_a_senseless_limit_is_refused(option: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="limit"):
        read_source(f"mantis:{tmp_path}#{option}")


def test_loading_measures_every_image_and_raises_or_refuses(folder: Path) -> None:
    (folder / "pictures" / "c.png").write_bytes(b"no picture")
    rows = [asked("<image>", image="pictures/a.png"), asked("<image>", image="pictures/c.png") | {"id": "broken"}]
    read("llava", folder, *rows)
    source = f"llava:{folder}/rows.jsonl"
    loaded = load_examples(source, on_bad="refuse")
    assert [image.size for image in images_of(loaded.examples[0])] == [(32, 24)]
    assert [each.reason for each in loaded.refused] == ["image unreadable"]
    assert "rows.jsonl: row 1 (id 'broken')" in loaded.refused[0].message
    with pytest.raises(DataError, match=r"rows\.jsonl: row 1 \(id 'broken'\): .*c\.png"):
        load_examples(source, on_bad="raise")
    assert len(load_examples(source, on_bad="raise", verify_images=False).examples) == 2


def test_a_long_list_is_read_piece_by_piece_and_every_row_is_whole(folder: Path) -> None:
    rows = [asked(f"{'é→' * (7000 + 31 * number)} {number}") | {"id": number} for number in range(120)]
    path = folder / "long.json"
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=3), "utf-8")
    assert path.stat().st_size > 4_000_000
    again = list(read_source(f"llava:{path}"))
    assert [(each.id, text_of(each.turns[0])) for each in again if isinstance(each, Example)] == [
        (str(row["id"]), row["conversations"][0]["value"])  # type: ignore[index, call-overload]
        for row in rows
    ]


def test_rows_in_front_of_a_broken_place_of_a_list_are_read(folder: Path) -> None:
    path = folder / "torn.json"
    path.write_text(json.dumps([asked("a"), asked("b"), asked("c")])[:-60])
    rows = read_source(f"llava:{path}")
    assert [type(next(rows)), type(next(rows))] == [Example, Example]
    with pytest.raises(DataError, match=r"torn\.json: no JSON list: .* at character \d+"):
        next(rows)


def test_a_row_without_an_id_is_called_by_its_number(folder: Path) -> None:
    row = asked("a")
    del row["id"]
    assert [each.id for each in read("llava", folder, row, "", row) if isinstance(each, Example)] == ["0", "2"]


# What every layout with marks does


@pytest.mark.parametrize("format_name", ["mantis", "llava"])
def test_images_stand_where_their_marks_stand(format_name: str, folder: Path) -> None:
    row: Row = {
        "id": 7,
        "image": ["pictures/a.png", "pictures/b.png", "pictures/c.png"],
        "conversations": [
            {"from": "human", "value": "Is <image>\nolder than <image>?"},
            {"from": "gpt", "value": "No."},
            {"from": "human", "value": "<image>And this?"},
            {"from": "gpt", "value": "Yes."},
        ],
        "source": "multi_vqa",
        "skills": ["comparison"],
    }
    example = used(format_name, folder, row)
    assert shape(example) == [
        "user: Is [a]\nolder than [b]?",
        "assistant: No.",
        "user: [c]And this?",
        "assistant: Yes.",
    ]
    assert (example.id, example.skills, example.facts) == ("7", ("comparison",), {"source": "multi_vqa"})
    assert example.origin == f"{folder}/rows.jsonl: row 0"


@pytest.mark.parametrize(("value", "expected"), [(7, "7"), (7.0, "7"), ("seven", "seven"), ("", "0"), (None, "0")])
def test_a_row_is_called_by_its_id_and_else_by_its_number(value: Json, expected: str, folder: Path) -> None:
    assert used("mantis", folder, {**asked("Hello"), "id": value}).id == expected


@pytest.mark.parametrize("format_name", ["mantis", "llava"])
@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (asked("Hello") | {"id": 7.5}, "bad row"),
        (asked("<image> <image>", image="pictures/a.png"), "more marks than images"),
        (asked("<image>"), "more marks than images"),
        (asked("<image>", image="pictures/gone.png"), "image file missing"),
        (asked("<image>", image="pictures"), "image file missing"),
        (asked("<image>", image=""), "more marks than images"),
        (asked("<image>", image="pictures/\0.png"), "image file missing"),
        (asked("<image>", image="x" * 5000), "image file missing"),
        (asked("<image>", image="../secret.png"), "path leaves the data folder"),
        (asked("<image>", image="/etc/passwd"), "path leaves the data folder"),
        (asked("<image>", image="pictures/../../secret.png"), "path leaves the data folder"),
        (asked("<image>", image=[3]), "bad row"),
        (asked("Hello", "  \n"), "empty reply"),
        (asked("half \ud800 a pair"), "bad row"),
        ({"id": "x", "conversations": []}, "no assistant turn"),
        ({"id": "x", "conversations": [{"from": "human", "value": "a"}]}, "no assistant turn"),
        ({"id": "x", "conversations": [{"from": "gpt", "value": "a"}]}, "wrong role order"),
        (
            {"id": "x", "conversations": [{"from": "gpt", "value": "a"}, {"from": "human", "value": "b"}]},
            "wrong role order",
        ),
        ({"id": "x", "conversations": [{"from": "robot", "value": "a"}]}, "bad row"),
        ({"id": "x", "conversations": [{"from": "human", "value": 3}]}, "bad row"),
        ({"id": "x", "conversations": "hello"}, "bad row"),
        ({"id": "x"}, "another layout"),
        ({"id": [], "conversations": asked("a")["conversations"]}, "bad row"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(format_name: str, row: Row, reason: str, folder: Path) -> None:
    draw(folder.parent / "secret.png")
    found = refused(format_name, folder, row)
    assert found.reason == reason
    if row["id"] == "x":
        assert "(id 'x')" in found.where


@pytest.mark.parametrize("line", ['{"id": "x"', "\xff", '"words"', "[1]", "null", '{"id": ' + "9" * 5000 + "}"])
def test_a_line_that_is_no_row_is_refused_alone(line: str, folder: Path) -> None:
    assert refused("llava", folder, line).reason == "bad row"


def test_a_link_out_of_the_folder_is_not_followed(folder: Path) -> None:
    secret = draw(folder.parent / "secret.png")
    (folder / "link.png").symlink_to(secret.source)
    (folder / "door").symlink_to(folder.parent)
    (folder / "circle.png").symlink_to(folder / "circle.png")
    (folder / "inside.png").symlink_to(folder / "pictures" / "a.png")
    assert refused("llava", folder, asked("<image>", image="link.png")).reason == "path leaves the data folder"
    assert refused("llava", folder, asked("<image>", image="door/secret.png")).reason == "path leaves the data folder"
    assert refused("llava", folder, asked("<image>", image="circle.png")).reason == "image file missing"
    assert shape(used("llava", folder, asked("<image>", image="inside.png")))[0] == "user: [a]"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_is_no_picture_and_nobody_waits_for_it(folder: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    assert refused("llava", folder, asked("<image>", image="pipe.png")).reason == "image file missing"


# mantis


@pytest.mark.parametrize("key", ["conversation", "conversations"])
@pytest.mark.parametrize("speaker", ["role", "from"])
@pytest.mark.parametrize("text", ["content", "text", "value"])
@pytest.mark.parametrize(
    "images", [{"images": ["pictures/a.png"]}, {"image": "pictures/a.png"}, {"images": [{"path": "pictures/a.png"}]}]
)
def test_mantis_reads_every_published_variation(key: str, speaker: str, text: str, images: Row, folder: Path) -> None:
    turns: Json = [{speaker: "human", text: "<image>What?"}, {speaker: "assistant", text: "This."}]
    assert shape(used("mantis", folder, {"id": "x", key: turns, **images})) == ["user: [a]What?", "assistant: This."]


def test_mantis_puts_missing_marks_in_front_of_the_first_user_turn(folder: Path) -> None:
    row: Row = {
        "id": "x",
        "images": ["pictures/a.png", "pictures/b.png", "pictures/c.png"],
        "conversation": [
            {"role": "system", "content": "Look."},
            {"role": "user", "content": "Compare with <image>."},
            {"role": "assistant", "content": "Done."},
        ],
    }
    assert shape(used("mantis", folder, row)) == ["system: Look.", "user: [a][b]Compare with [c].", "assistant: Done."]


def test_mantis_refuses_two_names_for_one_thing(folder: Path) -> None:
    row = asked("<image>", image="pictures/a.png", images=["pictures/b.png"])
    assert "both 'image' and 'images'" in refused("mantis", folder, row).message


def test_mantis_says_where_a_video_row_belongs_and_fetches_nothing(folder: Path) -> None:
    assert "Read the file as mantis_video" in refused("mantis", folder, asked("Hello", video="a.mp4")).message
    found = refused("mantis", folder, asked("<image>", image="http://example.com/a.png"))
    assert (found.reason, "#urls=allow" in found.message) == ("url not allowed", True)


def test_mantis_reads_the_real_conversations() -> None:
    path = real_data("mantis_examples") / "chat" / "train.json"
    loaded = load_examples(f"mantis:{path}", on_bad="refuse")
    assert (len(loaded.examples), len(loaded.refused)) == (100, 0)
    assert sum(len(images_of(example)) for example in loaded.examples) == 377
    assert shape(loaded.examples[0])[0].startswith("user: [002555092][002274613]If someone were to create a social")


# llava


def test_llava_refuses_images_without_marks(folder: Path) -> None:
    row = asked("<image>", image=["pictures/a.png", "pictures/b.png"])
    assert refused("llava", folder, row).reason == "more images than marks"
    assert refused("llava", folder, asked("No mark", image="pictures/a.png")).reason == "more images than marks"


def test_llava_keeps_the_metadata_of_m4_instruct(folder: Path) -> None:
    row = asked("Hello", sample_id=4756, choice_list=None, metadata={"dataset": "MagicBrush-Diff"})
    del row["id"]
    example = used("llava", folder, row)
    assert (example.id, example.facts) == ("4756", {"choice_list": None, "metadata": {"dataset": "MagicBrush-Diff"}})


@pytest.mark.parametrize("plugin", [mantis, llava])
def test_marked_layouts_say_what_they_cannot_write(plugin: object, tmp_path: Path) -> None:
    image = draw(tmp_path / "a.png")
    reply = Turn("assistant", (Text("Yes."),))
    good = Example("good", (Turn("user", (Text("Hello"),)), reply))
    cannot = [
        Example("x", (Turn("user", (ImageRef(image.source, box=(0, 0, 8, 8)),)), reply)),
        Example("x", (Turn("user", (Text("What does <image> mean?"),)), reply)),
        Example("x", (Turn("user", (Text("<ima"), Text("ge>"))), reply)),
        Example("x", (Turn("user", (VideoRef("a.mp4"),)), reply)),
        Example("x", good.turns, demonstrations=(good,)),
        Example("x", good.turns, labels=(("quality", 1.0),)),
        Example("x", good.turns, facts={"conversations": 1, "images": 2}),
        Example("x", (Turn("user", (Text("\ud800"),)), reply)),
    ]
    for example in cannot:
        with pytest.raises(DataError, match=r"rows\.json: row 1 \(id 'x'\) cannot be written"):
            plugin.FORMAT.write([good, example], tmp_path / "rows.json")  # type: ignore[attr-defined]
    assert not (tmp_path / "rows.json").exists()
