"""Mantis's other layouts: videos, labels, evaluation questions, and the files on the hub; rules and real input."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from zipfile import ZipFile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.reading import Row, read, shape
from tests.pictures import bare, draw, real_data
from triptych.core.errors import ConfigError, DataError
from triptych.core.records import Example, ImageRef, Json, Text, Turn, VideoRef, images_of, videos_of
from triptych.data.format import Refused, load_examples, read_source
from triptych.data.formats import mantis_classification, mantis_eval, mantis_hub, mantis_video
from triptych.data.media.locate import container_of, read_bytes


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))


def one(format_name: str, folder: Path, row: Row) -> Example:
    (example,) = read(format_name, folder, row)
    assert isinstance(example, Example), example
    return example


def reasons(format_name: str, folder: Path, *rows: Row) -> list[str]:
    return [row.reason if isinstance(row, Refused) else "" for row in read(format_name, folder, *rows)]


# mantis_video


def filmed(text: str = "What?", **others: Json) -> Row:
    said: Json = [{"role": "user", "content": text}, {"role": "assistant", "content": "This."}]
    return {"id": "x", "conversation": said, **others}


def test_a_video_stands_at_its_mark_and_else_in_front_of_the_first_user_turn(folder: Path) -> None:
    assert shape(one("mantis_video", folder, filmed("In <video>, what?", video="pictures")))[0] == (
        "user: In [pictures], what?"
    )
    assert shape(one("mantis_video", folder, filmed(video="pictures")))[0] == "user: [pictures] What?"


def test_image_marks_are_stripped_and_frames_stand_at_the_video(folder: Path) -> None:
    row = filmed("<image><image>\nSee <video>.", images=["pictures/b.png", "pictures/a.png"])
    assert shape(one("mantis_video", folder, row))[0] == "user: \nSee [b][a]."
    assert videos_of(one("mantis_video", folder, filmed("<image>Hm", video="pictures/a.png"))) == (
        VideoRef(str(folder / "pictures" / "a.png")),
    )


def test_a_video_row_that_makes_no_sense_is_refused(folder: Path) -> None:
    assert reasons(
        "mantis_video",
        folder,
        filmed(video="gone.mp4"),
        filmed(video="../data2"),
        filmed("<video> <video>", video="pictures"),
        filmed("<video>"),
        filmed(video="pictures", images=["pictures/a.png"]),
        filmed(video=3),
        filmed(images=["gone.png"]),
    ) == [
        "video file missing",
        "path leaves the data folder",
        "more marks than videos",
        "more marks than videos",
        "bad row",
        "bad row",
        "image file missing",
    ]


def test_videos_may_lie_in_another_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a.mp4").write_bytes(b"a film")
    read("mantis_video", folder, filmed(video="a.mp4"))
    (example,) = read_source(f"mantis_video:{folder}/rows.jsonl#video_dir={tmp_path}/films")
    assert isinstance(example, Example)
    assert videos_of(example) == (VideoRef(str(tmp_path / "films" / "a.mp4")),)
    with pytest.raises(ConfigError, match="video_dir"):
        list(read_source(f"mantis_video:{folder}/rows.jsonl#video_dir={tmp_path}/nowhere"))


def test_frames_are_written_as_frames_and_what_is_in_two_places_is_refused(folder: Path) -> None:
    a, b = (ImageRef(str(folder / "pictures" / f"{name}.png")) for name in "ab")
    reply = Turn("assistant", (Text("Yes."),))
    frames = Example("x", (Turn("user", (Text("See "), a, b, Text("."))), reply))
    mantis_video.write([frames], folder / "new.json")
    assert json.loads((folder / "new.json").read_text())[0]["images"] == ["pictures/a.png", "pictures/b.png"]
    (again,) = read_source(f"mantis_video:{folder}/new.json")
    assert isinstance(again, Example)
    assert bare(again) == bare(frames)
    for parts in ((a, Text("and"), b), (a, VideoRef(str(folder / "pictures")))):
        with pytest.raises(DataError, match="one video, or frames in one place"):
            mantis_video.write([Example("x", (Turn("user", parts), reply))], folder / "new.json")


def test_the_real_videos_are_used_where_they_are_and_each_missing_one_is_named() -> None:
    path = real_data("mantis_examples") / "chat_video" / "train.json"
    loaded = load_examples(f"mantis_video:{path}", on_bad="refuse")
    assert len(loaded.examples) == 3
    assert Counter(refused.reason for refused in loaded.refused) == {"video file missing": 17}
    missing = [row["video"] for row in json.loads(path.read_text()) if not (path.parent / row["video"]).exists()]
    assert [name in refused.message for name, refused in zip(missing, loaded.refused, strict=True)] == [True] * 17


# mantis_classification


def rated(prompt: str = "How good? ", **others: Json) -> Row:
    return {"id": "x", "images": [], "prompt": prompt, "labels": {"good": 1, "true": 2.5}, **others}


def test_missing_marks_are_appended_to_a_prompt_each_with_a_space(folder: Path) -> None:
    images: Json = ["pictures/a.png", "pictures/b.png", "pictures/c.png"]
    example = one("mantis_classification", folder, rated("See <image>. ", images=images))
    assert example.turns[0].parts[-4:] == (
        example.turns[0].parts[-4],
        Text(" "),
        example.turns[0].parts[-2],
        Text(" "),
    )
    assert shape(example) == ["user: See [a]. [b] [c] "]


def test_labels_stand_in_the_order_of_the_first_row_and_other_labels_are_refused(folder: Path) -> None:
    rows = read(
        "mantis_classification",
        folder,
        {"id": "no labels"},
        rated(),
        rated(labels={"true": 3, "good": 4}),
        rated(labels={"true": 3}),
        rated(labels={"true": 3, "good": 4, "new": 5}),
        rated(labels={"true": "high", "good": 4}),
        rated(labels={}),
        rated("<image>"),
    )
    assert [row.labels for row in rows if isinstance(row, Example)] == [
        (("good", 1.0), ("true", 2.5)),
        (("good", 4.0), ("true", 3.0)),
    ]
    reasons = [row.reason for row in rows if isinstance(row, Refused)]
    assert reasons == ["another layout", *["bad row"] * 4, "more marks than images"]


def test_all_rows_of_a_written_classification_have_the_same_labels(folder: Path) -> None:
    turns = (Turn("user", (Text("How?"),)),)
    good, other = Example("a", turns, labels=(("x", 1.0),)), Example("b", turns, labels=(("y", 1.0),))
    with pytest.raises(DataError, match=r"row 1 \(id 'b'\)"):
        mantis_classification.write([good, other], folder / "new.jsonl")
    chat = Example("a", (*turns, Turn("assistant", (Text("So."),))), labels=(("x", 1.0),))
    with pytest.raises(DataError, match="no reply"):
        mantis_classification.write([chat], folder / "new.jsonl")


def test_the_real_classification_rows_are_read(tmp_path: Path) -> None:
    path = real_data("mantis_examples") / "classification" / "train.json"
    loaded = load_examples(f"mantis_classification:{path}", on_bad="refuse")
    assert (len(loaded.examples), len(loaded.refused)) == (100, 0)
    assert sum(len(images_of(example)) for example in loaded.examples) == 1368
    first = tuple(json.loads(path.read_text())[0]["labels"])
    assert {tuple(name for name, _ in example.labels) for example in loaded.examples} == {first}
    assert len(first) == 5


# mantis_eval


def asked(**others: Json) -> Row:
    row: Row = {
        "id": "cw_19",
        "question_type": "multi-choice",
        "question": "<image> <image> Which?",
        "images": ["pictures/a.png", "pictures/b.png"],
        "options": ["(A) Image 1", "Image 2"],
        "answer": "B",
        "data_source": "somewhere",
        "category": "compare",
    }
    return {**row, **others}


def test_a_question_has_its_options_and_its_last_turn_is_the_answer(folder: Path) -> None:
    example = one("mantis_eval", folder, asked())
    assert shape(example) == ["user: [a] [b] Which?\n(A) Image 1\n(B) Image 2", "assistant: B"]
    assert example.facts == {
        "question_type": "multi-choice",
        "question": "<image> <image> Which?",
        "options": ["(A) Image 1", "Image 2"],
        "answer": "B",
        "choice": 1,
        "chance": 0.5,
        "data_source": "somewhere",
        "category": "compare",
    }


@pytest.mark.parametrize(("answer", "choice"), [("A", 0), ("(B)", 1), ("B. Image 2", 1), ("Image 2", 1)])
def test_an_answer_is_a_letter_or_an_option(answer: str, choice: int, folder: Path) -> None:
    assert one("mantis_eval", folder, asked(answer=answer)).facts["choice"] == choice


def test_a_short_answer_has_no_choice_and_missing_marks_stand_in_front(folder: Path) -> None:
    row = asked(question_type="short-answer", question="How many?", options=[], answer="two")
    example = one("mantis_eval", folder, row)
    assert shape(example) == ["user: [a][b]How many?", "assistant: two"]
    assert not {"choice", "chance"} & example.facts.keys()


def test_a_question_that_makes_no_sense_is_refused(folder: Path) -> None:
    rows = [asked(answer="C"), asked(answer="Neither"), asked(options=["one"]), asked(question_type="essay")]
    rows += [asked(choice=0), asked(images=["pictures/a.png"]), asked(answer=None)]
    assert reasons("mantis_eval", folder, *rows) == [*["bad row"] * 5, "more marks than images", "bad row"]


def test_questions_survive_a_round_trip_and_other_examples_are_refused(folder: Path) -> None:
    short = asked(question_type="short-answer", question="How many?", options=[], answer="two", category=None)
    examples = [row for row in read("mantis_eval", folder, asked(), short) if isinstance(row, Example)]
    mantis_eval.write(examples, folder / "new.json")
    again = [row for row in read_source(f"mantis_eval:{folder}/new.json") if isinstance(row, Example)]
    assert [bare(row) for row in again] == [bare(row) for row in examples]
    assert len(again) == 2
    asked_else = Turn("user", (*examples[0].turns[0].parts, Text(" Or else?")))
    changed = Example("x", (asked_else, examples[0].turns[1]), facts=examples[0].facts)
    with pytest.raises(DataError, match="hold no question"):
        mantis_eval.write([changed], folder / "new.json")


# mantis_hub


def hub_rows(folder: Path, split: str = "train", *, names: list[str], inside: bool = False) -> None:
    said = [{"role": "user", "content": "<image> What?"}, {"role": "assistant", "content": "A square."}]
    content = (folder / "pictures" / "a.png").read_bytes() if inside else None
    rows = [
        {
            "id": f"{split}{number}",
            "images": [{"bytes": content, "path": name}],
            "conversation": said,
            "source": "drawn",
        }
        for number, name in enumerate(names)
    ]
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    turn = pa.struct([("role", pa.string()), ("content", pa.string())])
    columns = [("id", pa.string()), ("images", pa.list_(image)), ("conversation", pa.list_(turn))]
    schema = pa.schema([*columns, ("source", pa.string())])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / f"{split}-00000-of-00001.parquet")


def zipped(path: Path, **files: Path) -> None:
    with ZipFile(path, "w") as packed:
        for name, file in files.items():
            packed.write(file, f"{name}.png")


def test_pictures_of_the_hub_are_read_from_zips_in_place(folder: Path) -> None:
    blue = draw(folder.parent / "blue.png", colour="blue")
    hub_rows(folder, names=["one.png", "two.png", "three.png"])
    zipped(folder / "train_images_part1.zip", one=Path(blue.source), two=folder / "pictures" / "a.png")
    zipped(folder / "train_images_part2.zip", other=Path(blue.source))
    rows = list(read_source(f"mantis_hub:{folder}"))
    used = [row for row in rows if isinstance(row, Example)]
    assert [(row.id, row.facts) for row in used] == [("train0", {"source": "drawn"}), ("train1", {"source": "drawn"})]
    (image,) = images_of(used[0])
    assert container_of(image.source) == folder / "train_images_part1.zip"
    assert read_bytes(image.source) == Path(blue.source).read_bytes()
    assert [row.reason for row in rows if isinstance(row, Refused)] == ["image file missing"]
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["pictures"], "nothing was extracted"


@pytest.mark.parametrize("home", ["train_images.zip", "train_images", ".", "inside"])
def test_pictures_of_the_hub_may_lie_in_every_published_place(home: str, folder: Path) -> None:
    hub_rows(folder, names=["one.png"], inside=home == "inside")
    picture = folder / "pictures" / "a.png"
    if home.endswith(".zip"):
        zipped(folder / home, one=picture)
    elif home != "inside":
        draw(folder / home / "one.png")
    for path in (folder, folder / "train-00000-of-00001.parquet"):
        (example,) = load_examples(f"mantis_hub:{path}", on_bad="raise").examples
        assert images_of(example)[0].size == (32, 24)


def test_a_zip_and_parts_of_it_are_of_two_versions(folder: Path) -> None:
    hub_rows(folder, names=["one.png"])
    for name in ("train_images.zip", "train_images_part1.zip"):
        zipped(folder / name, one=folder / "pictures" / "a.png")
    with pytest.raises(DataError, match=r"holds train_images\.zip and train_images_part1\.zip"):
        list(read_source(f"mantis_hub:{folder}"))


def test_a_config_with_several_splits_wants_to_know_which(folder: Path) -> None:
    for split in ("train", "val"):
        hub_rows(folder, split, names=["pictures/a.png"])
    with pytest.raises(DataError, match="holds train, val"):
        list(read_source(f"mantis_hub:{folder}"))
    (example,) = read_source(f"mantis_hub:{folder}#split=val")
    assert isinstance(example, Example)
    assert example.id == "val0"
    with pytest.raises(DataError, match="no Parquet file of split test"):
        list(read_source(f"mantis_hub:{folder}#split=test"))


def test_a_torn_or_a_missing_zip_and_a_torn_parquet_file_are_one_error(folder: Path) -> None:
    hub_rows(folder, names=["one.png"] * 5)
    zipped(folder / "train_images_part1.zip", one=folder / "pictures" / "a.png")
    (folder / "train_images_zips.txt").write_text("train_images_part1.zip\ntrain_images_part2.zip\n")
    with pytest.raises(DataError, match=r"train_images_part2\.zip: no such file"):
        list(read_source(f"mantis_hub:{folder}"))
    whole = (folder / "train_images_part1.zip").read_bytes()
    (folder / "train_images_part2.zip").write_bytes(whole[:-30])
    with pytest.raises(DataError, match=r"train_images_part2\.zip"):
        list(read_source(f"mantis_hub:{folder}"))
    (folder / "train_images_part2.zip").write_bytes(whole)
    assert len(load_examples(f"mantis_hub:{folder}", on_bad="raise").examples) == 5
    file = folder / "train-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        list(read_source(f"mantis_hub:{folder}"))


def test_the_hub_layout_is_written_with_the_pictures_inside(folder: Path) -> None:
    image = ImageRef(str(folder / "pictures" / "a.png"))
    turns = (Turn("user", (image, Text("What?"), image)), Turn("assistant", (Text("So."),)))
    examples = [Example("a", turns, facts={"source": "drawn"}), Example("b", turns)]
    mantis_hub.write(examples, folder / "new" / "train.parquet")
    assert [path.name for path in (folder / "new").iterdir()] == ["train.parquet"]
    again = load_examples(f"mantis_hub:{folder}/new", on_bad="raise").examples
    assert [bare(row) for row in again] == [bare(row) for row in examples]
