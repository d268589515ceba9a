"""Messages: all of an Example survives, in JSON Lines and in Parquet, and what does not fit is refused."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from zipfile import ZipFile

import pytest
from pyarrow import parquet

from tests.data.reading import Row, read, refused
from tests.pictures import bare, draw
from triptych.core.errors import ConfigError, DataError
from triptych.core.records import Example, ImageRef, Json, Part, Text, Turn, VideoRef, images_of, replace_parts
from triptych.data.format import Refused, load_examples, read_source
from triptych.data.formats.messages import write
from triptych.data.media.images import load_image


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def rich_examples(folder: Path) -> list[Example]:
    a, b = (ImageRef(str(folder / "pictures" / f"{name}.png")) for name in "ab")
    left, right = ImageRef(a.source, box=(0, 0, 16, 24)), ImageRef(a.source, box=(16, 0, 32, 24))
    video, small = VideoRef(str(folder / "pictures")), ImageRef(a.source, resize=(8, 6))
    frames = (replace(a, video="film"), replace(b, video="film"), replace(a, video="another"))
    shown = Example(
        "shown", (Turn("user", (b, Text("What?"))), Turn("assistant", (Text("A square."),))), facts={"k": [1, None]}
    )
    return [
        Example(
            "rich",
            (
                Turn("system", (Text("A literal <image> is text."),)),
                Turn("user", (a, Text(" or "), left, Text("?"), Text(" Or "), right, a)),
                Turn("assistant", (Text("The first, "), b)),
                Turn("user", (video, Text("Is it in there? "), small, video, *frames)),
                Turn("assistant", (Text("No."),)),
            ),
            demonstrations=(shown, shown),
            labels=(("visual quality", 2.67), ("consistency", 3.0)),
            skills=("temporal", "co-reference"),
            facts={
                "source": "drawn",
                "scenario": "frames",
                "options": ["a", "b"],
                "chance": 0.5,
                "nested": {"deep": [True, None]},
            },
        ),
        Example("plain", (Turn("user", (Text("Hello"),)), Turn("assistant", (Text("Hi"),)))),
    ]


@pytest.mark.parametrize(
    "file", ["rows.jsonl", "rows.json", "rows.parquet", "elsewhere/rows.jsonl", "elsewhere/rows.parquet"]
)
def test_messages_keep_everything(file: str, folder: Path) -> None:
    examples = rich_examples(folder)
    assert write(iter(examples), folder / file) == 2
    again = load_examples(f"messages:{folder / file}", on_bad="raise").examples
    assert [bare(each) for each in again] == [bare(each) for each in examples]
    assert [image.size for image in images_of(again[0])][2:5] == [(32, 24), (16, 24), (16, 24)]
    for each in images_of(again[0]):
        assert load_image(each).size == each.size


def test_an_image_that_recurs_is_listed_once(folder: Path) -> None:
    write(rich_examples(folder), folder / "rows.jsonl")
    row = json.loads((folder / "rows.jsonl").read_text("utf-8").splitlines()[0])
    assert row["images"] == [
        "pictures/b.png",
        "pictures/a.png",
        {"path": "pictures/a.png", "box": [0, 0, 16, 24]},
        {"path": "pictures/a.png", "box": [16, 0, 32, 24]},
        {"path": "pictures/a.png", "resize": [8, 6]},
        {"path": "pictures/a.png", "video": "film"},
        {"path": "pictures/b.png", "video": "film"},
        {"path": "pictures/a.png", "video": "another"},
    ]
    assert (row["videos"], row["source"], "source" in row["facts"]) == (["pictures"], "drawn", False)


def test_a_copied_picture_lies_beside_the_file_once(folder: Path, tmp_path: Path) -> None:
    twin = draw(tmp_path / "twin" / "a.png")
    (tmp_path / "other").mkdir()
    blue = draw(tmp_path / "other" / "a.png", colour="blue")
    parts = (twin, blue, ImageRef(str(folder / "pictures" / "a.png")))
    example = Example("x", (Turn("user", parts), Turn("assistant", (Text("Yes."),))))
    out = tmp_path / "out" / "rows.jsonl"
    write([example], out)
    assert len(list((out.parent / "images").iterdir())) == 2
    first = (out.parent / "images").stat().st_mtime_ns
    (again,) = load_examples(f"messages:{out}", on_bad="raise").examples
    write([again], out)
    assert (out.parent / "images").stat().st_mtime_ns == first
    assert bare(again) == bare(example)


def test_parquet_holds_the_pictures_and_reading_unpacks_each_once(folder: Path, cache: Path) -> None:
    path = folder / "rows.parquet"
    write(rich_examples(folder) * 60, path)
    for name in "abc":
        (folder / "pictures" / f"{name}.png").write_bytes(b"spoilt")
    loaded = load_examples(f"messages:{path}", on_bad="raise")
    assert len(loaded.examples) == 120
    assert loaded.examples[119].origin == f"{path}: row 119"
    unpacked = [file for file in cache.rglob("*") if file.is_file()]
    assert len(unpacked) == 1, "a and b are equal pictures, so they are one file"
    assert {Path(image.source) for image in images_of(loaded.examples[0])} == set(unpacked)


def test_parquet_is_what_the_datasets_library_calls_a_list_of_images(folder: Path) -> None:
    import pyarrow.parquet as pq

    write(rich_examples(folder), folder / "rows.parquet")
    schema = pq.read_schema(folder / "rows.parquet")
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["images"] == {"feature": {"_type": "Image"}, "_type": "List"}
    assert list(features) == schema.names
    assert {field.name for field in schema.field("images").type.value_type} == {"bytes", "path"}


def test_a_bad_row_of_parquet_is_refused_alone(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    said = [
        {"role": "user", "content": [{"type": "image", "image": 0}]},
        {"role": "assistant", "content": [{"type": "text", "text": "a"}]},
    ]
    png = (folder / "pictures" / "a.png").read_bytes()
    rows = [
        {"id": "inside", "messages": said, "images": [{"bytes": png, "path": "../../evil.sh"}]},
        {"id": "beside", "messages": said, "images": [{"bytes": None, "path": "pictures/a.png"}]},
        {"id": "neither", "messages": said, "images": [{"bytes": None, "path": None}]},
        {"id": "outside", "messages": said, "images": [{"bytes": None, "path": "/etc/passwd"}]},
        {"id": "broken", "messages": said, "images": [{"bytes": b"no picture", "path": "a.png"}]},
        {"id": "none", "messages": said, "images": None},
        {"id": "facts", "messages": said, "images": [{"bytes": png, "path": None}], "facts": "{"},
    ]
    pq.write_table(
        pa.Table.from_pylist(rows, schema=pa.Table.from_pylist([rows[6], rows[1]]).schema),
        folder / "rows.parquet",
    )
    loaded = load_examples(f"messages:{folder}/rows.parquet", on_bad="refuse")
    assert [example.id for example in loaded.examples] == ["inside", "beside"]
    assert Path(images_of(loaded.examples[0])[0].source).suffix == ""
    assert [(each.where.partition("parquet: ")[2], each.reason) for each in loaded.refused] == [
        ("row 2 (id 'neither')", "image file missing"),
        ("row 3 (id 'outside')", "path leaves the data folder"),
        ("row 4 (id 'broken')", "image unreadable"),
        ("row 5 (id 'none')", "more marks than images"),
        ("row 6 (id 'facts')", "bad row"),
    ]


@pytest.mark.parametrize("keep", [0, 4, 400])
def test_a_torn_parquet_file_is_an_error_of_the_file(keep: int, folder: Path) -> None:
    path = folder / "rows.parquet"
    write(rich_examples(folder), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"rows\.parquet: cannot be read as Parquet"):
        list(read_source(f"messages:{path}"))


def messages_row(*content: Json, **others: Json) -> Row:
    said: Json = [{"role": "user", "content": list(content)}, {"role": "assistant", "content": "Yes."}]
    return {"id": "x", "messages": said, **others}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (messages_row({"type": "image", "image": 1}, images=["pictures/a.png"]), "more marks than images"),
        (messages_row({"type": "image", "image": -1}, images=["pictures/a.png"]), "more marks than images"),
        (messages_row({"type": "image", "image": 0}), "more marks than images"),
        (messages_row({"type": "text", "text": "<image>"}, images=["pictures/a.png"]), "more images than marks"),
        (messages_row({"type": "image", "image": 0}, images=["pictures/gone.png"]), "image file missing"),
        (messages_row({"type": "image", "image": 0}, images=["../secret.png"]), "path leaves the data folder"),
        (messages_row({"type": "image"}, images=["pictures/a.png"]), "bad row"),
        (messages_row({"type": "image", "image": True}, images=["pictures/a.png"]), "bad row"),
        (messages_row({"type": "image", "image": 0}, images=[{"path": "pictures/a.png", "box": [0, 0, 8]}]), "bad row"),
        (messages_row({"type": "image_url", "image_url": {"url": "http://x/a.png"}}), "url not allowed"),
        (messages_row({"type": "image_url", "image_url": {"url": "data:image/png;base64,?"}}), "image unreadable"),
        (messages_row({"type": "image_url"}), "bad row"),
        (messages_row({"type": "audio", "audio": 0}), "bad row"),
        (messages_row({"type": "video", "video": 0}), "more marks than videos"),
        (messages_row("words", videos=["gone.mp4"]), "video file missing"),
        (messages_row({"type": "text", "text": "a"}, videos=["pictures"]), "more videos than marks"),
        (messages_row({"type": "text", "text": "a"}, source="x", facts={"source": "y"}), "bad row"),
        (messages_row({"type": "image", "image": 0}, images=[{"path": "pictures/a.png", "resize": [0, 9]}]), "bad row"),
        (messages_row("words"), "bad row"),
        (messages_row(image="pictures/a.png"), "bad row"),
        (messages_row(labels={"quality": "good"}), "bad row"),
        (messages_row(labels={"quality": int("9" * 401)}), "bad row"),
        (messages_row(facts=[1]), "bad row"),
        (messages_row(skills="temporal"), "bad row"),
        (messages_row(demonstrations=[{"messages": []}]), "no assistant turn"),
        (messages_row(demonstrations=[messages_row(demonstrations=[])]), "bad row"),
        (messages_row({"type": "image", "image": 0, "box": [0, 0, 8, 8]}, images=["pictures/a.png"]), "bad row"),
        (messages_row({"type": "image", "image": {"path": "pictures/a.png", "bx": [0, 0, 8, 8]}}), "bad row"),
        (messages_row({"type": "image", "image": "pictures/a.png", "max_pixels": 784}), "bad row"),
        (messages_row({"type": "image_url", "image_url": {"url": "pictures/a.png", "box": [0, 0, 8, 8]}}), "bad row"),
        (messages_row({"type": "video", "video": "pictures", "fps": 2.0}), "bad row"),
        ({"messages": [{"role": "user", "content": "a", "name": "b"}]}, "bad row"),
        ({"messages": [{"role": "assistant", "content": "a", "tool_calls": [{}]}]}, "bad row"),
        ({"id": "x"}, "another layout"),
    ],
)
def test_messages_refuse_what_does_not_fit(row: Row, reason: str, folder: Path) -> None:
    draw(folder.parent / "secret.png")
    assert refused("messages", folder, row).reason == reason


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "image": "pictures/a.png", "text": None},
        {"type": "image", "path": "pictures/a.png", "text": ""},
        {"type": "image", "url": "pictures/a.png"},
        {"type": "image", "image": "file://{folder}/pictures/a.png"},
        {"type": "image_url", "image_url": {"url": "pictures/a.png", "detail": "low"}},
    ],
)
def test_an_image_stands_in_its_part_as_others_write_it(part: dict[str, Json], folder: Path) -> None:
    row = json.loads(json.dumps(messages_row(part)).replace("{folder}", str(folder)))
    (example,) = read("messages", folder, row)
    assert isinstance(example, Example), example
    assert images_of(example) == (ImageRef(str(folder / "pictures" / "a.png")),)


def test_a_box_of_an_image_in_its_part_is_kept(folder: Path) -> None:
    image: Json = {"path": "pictures/a.png", "box": [0, 0, 8, 8]}
    (example,) = read("messages", folder, messages_row({"type": "image", "image": image}))
    assert isinstance(example, Example), example
    assert images_of(example)[0].box == (0, 0, 8, 8)


def test_a_picture_that_is_not_found_says_which_option_says_where_names_begin(folder: Path) -> None:
    for name, option in (("gone.png", "#image_dir=FOLDER"), ("/gone.png", "#outside=allow")):
        row = messages_row({"type": "image", "image": name})
        assert option in refused("messages", folder, row).message


def test_an_unknown_key_of_messages_is_refused_with_the_nearest(folder: Path) -> None:
    assert "Did you mean 'images'?" in refused("messages", folder, messages_row(image="pictures/a.png")).message


def test_a_box_outside_its_picture_refuses_the_row_when_measured(folder: Path) -> None:
    image: Json = {"path": "pictures/a.png", "box": [0, 0, 99, 8]}
    read("messages", folder, messages_row({"type": "image", "image": 0}, images=[image]))
    (found,) = load_examples(f"messages:{folder}/rows.jsonl", on_bad="refuse").refused
    assert (found.reason, "row 0 (id 'x')" in found.message) == ("box outside picture", True)


def test_an_image_may_stand_in_its_part_as_a_data_uri(folder: Path, cache: Path) -> None:
    content = base64.b64encode((folder / "pictures" / "a.png").read_bytes()).decode()
    part: Json = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{content}", "detail": "high"}}
    read("messages", folder, messages_row(part, {"type": "text", "text": "What?"}))
    (example,) = load_examples(f"messages:{folder}/rows.jsonl", on_bad="raise").examples
    (image,) = images_of(example)
    assert (image.size, Path(image.source).is_relative_to(cache)) == ((32, 24), True)


def test_a_url_is_fetched_only_where_the_source_allows_it(folder: Path) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/pictures/a.png"
    read("messages", folder, messages_row({"type": "image", "image": 0}, images=[url]))
    source = f"messages:{folder}/rows.jsonl"
    try:
        found = [load_examples(f"{source}{option}", on_bad="refuse") for option in ("", "#urls=allow", "#urls=private")]
    finally:
        server.shutdown()
        server.server_close()
    assert [[refused.reason for refused in each.refused] for each in found] == [["url not allowed"]] * 2 + [[]]
    assert images_of(found[2].examples[0])[0].size == (32, 24)
    with pytest.raises(ConfigError, match="urls is 'yes'"):
        list(read_source(f"{source}#urls=yes"))


def test_pictures_may_lie_in_another_folder_or_in_a_zip_that_the_source_names(folder: Path) -> None:
    (folder / "rows").mkdir()
    read("messages", folder / "rows", messages_row({"type": "image", "image": 0}, images=["pictures/a.png"]))
    source = f"messages:{folder}/rows/rows.jsonl"
    with ZipFile(folder / "all.zip", "w") as packed:
        packed.write(folder / "pictures" / "a.png", "pictures/a.png")
    assert [row.reason for row in read_source(source) if isinstance(row, Refused)] == ["image file missing"]
    for place in (folder, folder / "all.zip"):
        (example,) = load_examples(f"{source}#image_dir={place}", on_bad="raise").examples
        assert images_of(example)[0].size == (32, 24)
    read("messages", folder / "rows", messages_row({"type": "image", "image": 0}, images=["../pictures/a.png"]))
    assert [row.reason for row in read_source(source) if isinstance(row, Refused)] == ["path leaves the data folder"]
    assert len(load_examples(f"{source}#outside=allow", on_bad="raise").examples) == 1


def test_the_datasets_library_opens_the_parquet_file_with_decoded_images(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    path = folder / "rows.parquet"
    write(rich_examples(folder), path)
    loaded = datasets.load_dataset("parquet", data_files=str(path), cache_dir=str(tmp_path / "hf"), split="train")
    assert [image.size for image in loaded[0]["images"]] == [(32, 24)] * 8
    assert loaded[0]["labels"][0] == {"name": "visual quality", "value": 2.67}


def test_a_parquet_file_from_before_frames_said_their_video_is_read_as_ever(folder: Path) -> None:
    path, examples = folder / "rows.parquet", rich_examples(folder)
    write(examples, path)
    table = parquet.read_table(path)
    assert "frames" in table.column_names
    parquet.write_table(table.drop_columns(["frames"]), path)
    again = load_examples(f"messages:{path}", on_bad="raise").examples
    without = [replace_parts(each, lambda part: [_as_picture(part)]) for each in examples]
    assert [bare(each) for each in again] == [bare(each) for each in without]


def _as_picture(part: Part) -> Part:
    return replace(part, video="") if isinstance(part, ImageRef) else part
