"""LLaVA's rows and M4-Instruct's: images and videos at their marks, the metadata kept, what is no rule of a file."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tests.data.reading import Row, asked, read, refused, shape, used
from tests.pictures import bare, draw, real_data
from triptych.core.errors import ConfigError
from triptych.core.records import Example, ImageRef, Json, Text, Turn, VideoRef, images_of, videos_of
from triptych.data.format import Refused, read_source
from triptych.data.formats import llava


@pytest.fixture
def film(folder: Path) -> Path:
    """A video as M4-Instruct has some: a folder of frames."""
    for number in range(3):
        draw(folder / "train_300k" / "v_1" / f"c01_{number:04d}.jpeg", colour=(number * 80, 0, 0))
    return folder / "train_300k" / "v_1"


def said(example: Example) -> list[str]:
    """Return what is said, with [name] for images and {name} for videos."""

    def one(part: object) -> str:
        match part:
            case Text(text):
                return text
            case ImageRef(source):
                return f"[{Path(source).stem}]"
            case VideoRef(source):
                return f"{{{Path(source).name}}}"
        raise AssertionError(part)

    return [f"{turn.role}: {''.join(map(one, turn.parts))}" for turn in example.turns]


def test_a_row_of_m4_instruct_is_read_with_its_metadata(folder: Path) -> None:
    row: Row = {
        "sample_id": 4756,
        "conversations": [
            {"from": "human", "value": "<image><image>\nWhat's the detailed difference…"},
            {"from": "gpt", "value": "The sign."},
        ],
        "image": ["pictures/a.png", "pictures/b.png"],
        "choice_list": None,
        "metadata": {"dataset": "MagicBrush-Diff", "split": "train", "num_sample": 4511, "question_type": "open-ended"},
    }
    example = used("llava", folder, row)
    assert example.id == "4756"
    assert shape(example) == ["user: [a][b]\nWhat's the detailed difference…", "assistant: The sign."]
    assert example.facts == {"choice_list": None, "metadata": row["metadata"]}


def test_the_steps_of_a_task_stand_among_their_pictures(folder: Path) -> None:
    value = "Your Main Goal: Rinse. Step Details: <image>Step#1: go <image>Step#2: take <image> Current Step:"
    row = asked(value, "Rinse it.", image=[f"pictures/{name}.png" for name in "abc"])
    assert shape(used("llava", folder, row))[0] == (
        "user: Your Main Goal: Rinse. Step Details: [a]Step#1: go [b]Step#2: take [c] Current Step:"
    )


def test_a_row_with_both_names_of_the_id_keeps_the_other_as_a_fact(folder: Path) -> None:
    example = used("llava", folder, asked("Hello", sample_id=7))
    assert (example.id, example.facts) == ("x", {"sample_id": 7})


@pytest.mark.parametrize("image", ["pictures/a.png", ["pictures/a.png"], {"path": "pictures/a.png"}])
def test_one_image_is_a_text_or_a_list(image: Json, folder: Path) -> None:
    assert shape(used("llava", folder, asked("<image>\nWhat?", image=image)))[0] == "user: [a]\nWhat?"


@pytest.mark.parametrize("image", [None, [], ""])
def test_a_row_of_words_alone_has_no_image(image: Json, folder: Path) -> None:
    assert shape(used("llava", folder, asked("Hello", image=image))) == ["user: Hello", "assistant: Yes."]


@pytest.mark.parametrize("value", ["What is <image> this?", "What?\n<image>", "<image> What?", "<image>\nWhat?"])
def test_a_mark_stays_where_the_file_has_it(value: str, folder: Path) -> None:
    row = asked(value, image="pictures/a.png")
    assert shape(used("llava", folder, row))[0] == f"user: {value.replace('<image>', '[a]')}"


def test_the_published_rule_for_a_single_mark_is_not_the_readers(folder: Path) -> None:
    golden = json.loads((real_data("golden") / "llava_interleave.json").read_text())["preprocess_multimodal"]
    assert len(golden) == 5
    for value, _ in golden:
        names: Json = [f"pictures/{name}.png" for name, _ in zip("abc", range(value.count("<image>")), strict=False)]
        example = used("llava", folder, asked(value, image=names))
        marked = "".join(part.text if isinstance(part, Text) else "<image>" for part in example.turns[0].parts)
        assert marked == value


def test_turns_of_role_and_content_are_read_as_llava_next_does(folder: Path) -> None:
    said_too: Json = [{"role": "user", "content": "<image>\nWhat?"}, {"role": "assistant", "content": "A square."}]
    row: Row = {"id": "x", "image": "pictures/a.png", "conversations": said_too}
    assert shape(used("llava", folder, row)) == ["user: [a]\nWhat?", "assistant: A square."]


def test_a_part_of_a_video_is_refused_and_not_taken_for_all_of_it(film: Path, folder: Path) -> None:
    row = asked("<video>\nWhat?", video="train_300k/v_1", clip=[0.5, 1.0])
    assert "'clip' asks for a part" in refused("llava", folder, row).message
    assert used("llava", folder, asked("<image>", image="pictures/a.png", clip=[1, 2])).facts == {"clip": [1, 2]}


def test_packed_rows_say_what_to_do(folder: Path) -> None:
    assert "Write each object of it as a row" in refused("llava", folder, json.dumps([asked("a"), asked("b")])).message


# Marks that are missing or too many


def test_a_row_of_one_image_without_a_mark_is_refused_or_mended_as_asked(folder: Path) -> None:
    rows: list[Row] = [
        asked("What?", image="pictures/a.png"),
        asked("And <image>?", image=["pictures/a.png", "pictures/b.png"]) | {"id": "y"},
        asked("<image><image>", image="pictures/a.png") | {"id": "z"},
        {"id": "w", "image": "pictures/a.png", "conversations": [{"from": "gpt", "value": "Hello."}]},
    ]
    first, second, third, fourth = read("llava", folder, *rows)
    assert isinstance(first, Refused)
    assert isinstance(second, Refused)
    assert (first.reason, second.reason) == ("more images than marks", "more images than marks")
    assert "add #missing_marks=front" in first.message
    source = f"llava:{folder}/rows.jsonl#missing_marks=front"
    first, second, third, fourth = read_source(source)
    assert isinstance(first, Example)
    assert isinstance(second, Example)
    assert (shape(first)[0], shape(second)[0]) == ("user: [a]What?", "user: [a]And [b]?")
    assert isinstance(third, Refused)
    assert third.reason == "more marks than images"
    assert isinstance(fourth, Refused)
    assert "no user turn" in fourth.message
    lined = next(read_source(f"llava:{folder}/rows.jsonl#missing_marks=line"))
    assert isinstance(lined, Example)
    assert shape(lined)[0] == "user: [a]\nWhat?", "as InternVL has it"
    with pytest.raises(ConfigError, match="missing_marks"):
        list(read_source(f"llava:{folder}/rows.jsonl#missing_marks=guess"))


def test_two_marks_and_four_files_are_a_defect_of_the_release(folder: Path) -> None:
    names: Json = [f"pictures/{name}.png" for name in "abca"]
    assert refused("llava", folder, asked("<image><image>What?", image=names)).reason == "more images than marks"


@pytest.mark.parametrize("speakers", [("gpt", "human"), ("gpt", "human", "gpt"), ("human", "human", "gpt")])
def test_swapped_speakers_are_refused_and_not_turned(speakers: tuple[str, ...], folder: Path) -> None:
    row: Row = {"id": "x", "conversations": [{"from": who, "value": "words"} for who in speakers]}
    assert refused("llava", folder, row).reason == "wrong role order"


@pytest.mark.parametrize("key", ["images", "videos"])
def test_a_key_of_another_layout_is_refused(key: str, folder: Path) -> None:
    message = refused("llava", folder, asked("Hello") | {key: ["pictures/a.png"]}).message
    assert f"Call it {key[:-1]!r}" in message


# Videos


@pytest.mark.parametrize("mark", ["<image>", "<video>"])
@pytest.mark.parametrize("as_list", [False, True])
def test_one_mark_stands_for_a_video(mark: str, as_list: bool, film: Path, folder: Path) -> None:
    name = "train_300k/v_1"
    row = asked(f"{mark}\nWhat happens?", video=[name] if as_list else name)
    example = used("llava", folder, row)
    assert said(example)[0] == "user: {v_1}\nWhat happens?"
    assert videos_of(example) == (VideoRef(str(film)),)


def test_a_video_beside_images_has_a_mark_of_its_own(film: Path, folder: Path) -> None:
    both: Row = {"image": "pictures/a.png", "video": "train_300k/v_1"}
    example = used("llava", folder, asked("Is <image> in <video>?") | both)
    assert said(example)[0] == "user: Is [a] in {v_1}?"
    assert "Write <video>" in refused("llava", folder, asked("Is <image> in <image>?") | both).message
    assert refused("llava", folder, asked("Is <image> in it?") | both).reason == "more videos than marks"


@pytest.mark.parametrize(
    ("value", "video", "reason"),
    [
        ("<image>", "train_300k/gone", "video file missing"),
        ("<image>", "../../secret", "path leaves the data folder"),
        ("<image><image>", "train_300k/v_1", "more marks than videos"),
        ("No mark", "train_300k/v_1", "more videos than marks"),
        ("<video> and <image>", "train_300k/v_1", "more marks than images"),
        ("<image>", 7, "bad row"),
    ],
)
def test_a_video_that_does_not_fit_is_refused(value: str, video: Json, reason: str, film: Path, folder: Path) -> None:
    assert refused("llava", folder, asked(value, video=video)).reason == reason


def test_a_missing_mark_of_a_video_is_put_in_front_too(film: Path, folder: Path) -> None:
    read("llava", folder, asked("What happens?", video="train_300k/v_1"))
    (example,) = read_source(f"llava:{folder}/rows.jsonl#missing_marks=front")
    assert isinstance(example, Example)
    assert said(example)[0] == "user: {v_1}What happens?"


def test_without_a_video_its_mark_is_words(folder: Path) -> None:
    assert shape(used("llava", folder, asked("What does <video> mean?")))[0] == "user: What does <video> mean?"


# Folders, and writing


def test_paths_may_begin_elsewhere(film: Path, folder: Path, tmp_path: Path) -> None:
    rows = [asked("<image>", image="a.png"), asked("<image>", video="v_1") | {"id": "y"}]
    path = tmp_path / "elsewhere" / "rows.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = list(read_source(f"llava:{path}#image_dir={folder}/pictures#video_dir={film.parent}"))
    assert [said(row)[0] for row in found if isinstance(row, Example)] == ["user: [a]", "user: {v_1}"]
    with pytest.raises(ConfigError, match="image_dir"):
        list(read_source(f"llava:{path}#image_dir={folder}/nowhere"))


def test_a_row_is_written_as_it_is_published(film: Path, folder: Path) -> None:
    image, video = ImageRef(str(folder / "pictures" / "a.png")), VideoRef(str(film))
    reply = Turn("assistant", (Text("Yes."),))
    examples = [
        Example("one", (Turn("user", (image, Text("\nWhat?"))), reply), facts={"metadata": {"dataset": "NLVR2"}}),
        Example("two", (Turn("user", (Text("Is "), image, Text(" "), image, Text("?"))), reply)),
        Example("film", (Turn("user", (video, Text("\nWhat?"))), reply)),
        Example("both", (Turn("user", (image, video, Text("?"))), reply)),
        Example("words", (Turn("user", (Text("<video>?"),)), reply)),
    ]
    path = folder / "written.json"
    assert llava.write(examples, path) == 5
    one, two, only, both, words = json.loads(path.read_text())
    assert one == {
        "id": "one",
        "image": "pictures/a.png",
        "conversations": [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "Yes."}],
        "metadata": {"dataset": "NLVR2"},
    }
    assert (two["image"], two["conversations"][0]["value"]) == (["pictures/a.png"] * 2, "Is <image> <image>?")
    assert (only["video"], only["conversations"][0]["value"]) == ("train_300k/v_1", "<image>\nWhat?")
    assert both["conversations"][0]["value"] == "<image><video>?"
    assert words["conversations"][0]["value"] == "<video>?"
    again = [row for row in read_source(f"llava:{path}") if isinstance(row, Example)]
    assert [bare(row) for row in again] == [bare(row) for row in examples]
    assert [len(images_of(row)) for row in again] == [1, 2, 0, 1, 0]


def test_pictures_are_found_in_whichever_of_many_zips_has_them(folder: Path) -> None:
    zips = folder / "zips"
    zips.mkdir()
    for name, members in (("A", ["A/1.png", "same.png"]), ("B", ["B/1.png", "same.png"])):
        with zipfile.ZipFile(zips / f"{name}.zip", "w") as archive:
            for member in members:
                archive.write(folder / "pictures" / "a.png", member)
    path = folder / "rows.jsonl"
    names = ["A/1.png", "B/1.png", "same.png", "C/1.png"]
    path.write_text("".join(f"{json.dumps(asked('<image> What?', image=name))}\n" for name in names))
    source = f"llava:{path}#image_dir={zips}/*.zip"

    def found() -> list[str]:
        rows = read_source(source)
        return [Path(images_of(row)[0].source).name if isinstance(row, Example) else row.message for row in rows]

    one, other, twice, missing = found()
    assert (one, other) == ("1.png", "1.png")
    assert "image 'same.png' is in A.zip and in B.zip. Say which one (#image_dir=ZIP)." in twice
    assert "is no file under" in missing
    (zips / "split.zip").write_bytes(b"a part of a zip")
    one, other, twice, missing = found()
    assert (one, other) == ("1.png", "1.png"), "a zip that cannot be read stops no row of another"
    assert "split.zip" in missing
    with pytest.raises(ConfigError, match=r"image_dir is '.*/none/\*\.zip', there is no zip\."):
        list(read_source(f"llava:{path}#image_dir={folder}/none/*.zip"))
