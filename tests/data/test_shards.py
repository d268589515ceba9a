"""Tar shards: samples by key, patterns, pictures where they lie, torn files; and shards that are written alike."""

from __future__ import annotations

import gzip
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.tars import one, packed
from tests.pictures import bare, draw
from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Text, Turn, VideoRef, images_of
from triptych.data.disk.shards import expand, samples_of, shards_of, split_name, write_shards
from triptych.data.format import Refused, load_examples, read_source
from triptych.data.formats import webdataset
from triptych.data.media.locate import name_of, place_of, read_bytes

COLOURS = ("red", "green", "blue")


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, bytes]:
    return {name: Path(draw(tmp_path / f"{name}.png", colour=name).source).read_bytes() for name in COLOURS}


def test_a_picture_is_a_place_in_its_shard(pictures: dict[str, bytes], tmp_path: Path) -> None:
    path = packed(tmp_path / "a.tar", ("s/0.png", pictures["red"]), ("s/0.txt", "Red."))
    before = sorted(path.parent.rglob("*"))
    (image,) = images_of(one(path))
    place = place_of(image.source)
    assert (place.kind, place.container, name_of(image.source)) == ("tar", str(path), "0.png")
    assert path.read_bytes()[place.start : place.start + place.length] == pictures["red"] == read_bytes(image.source)
    loaded = load_examples(f"webdataset:{path}", on_bad="raise")
    assert images_of(loaded.examples[0])[0].size == (32, 24)
    assert sorted(path.parent.rglob("*")) == before, "nothing was unpacked"


def test_a_key_ends_at_the_first_dot_of_the_base_name() -> None:
    assert split_name("a.b/000.0.jpg") == ("a.b/000", "0.jpg")
    assert split_name("000.jpg") == ("000", "jpg")
    assert split_name("a/readme") == ("a/readme", "")


def test_files_about_the_shard_are_no_sample(pictures: dict[str, bytes], tmp_path: Path) -> None:
    path = packed(
        tmp_path / "a.tar", ("__index__/a.json", "{}"), ("__meta__", "x"), ("0.png", pictures["red"]), ("0.txt", "Red.")
    )
    assert [sample.key for sample in samples_of(path)] == ["0"]
    assert len(list(read_source(f"webdataset:{path}"))) == 1


def test_shadow_files_of_a_mac_are_no_sample_and_no_shard(pictures: dict[str, bytes], tmp_path: Path) -> None:
    files = [("a.png", pictures["red"]), ("a.txt", b"Red."), ("d/b.png", pictures["red"]), ("d/b.txt", b"Red too.")]
    shadows = ["__MACOSX/._a.png", "__MACOSX/d/._b.txt", "._a.png", "._a.txt", "d/._b.png", "x/.DS_Store"]
    mixed = [*((name, b"Mac OS X") for name in shadows[:3]), *files[:1], *((name, b"Mac") for name in shadows[3:])]
    packed(tmp_path / "s" / "0.tar", *mixed, *files[1:])
    (tmp_path / "s" / "._0.tar").write_bytes(b"Mac OS X")
    (shard,) = shards_of(tmp_path / "s")
    assert [(sample.key, [name for name, _ in sample.files]) for sample in samples_of(shard)] == [
        ("a", ["png", "txt"]),
        ("d/b", ["png", "txt"]),
    ]
    assert [row.id for row in read_source(f"webdataset:{tmp_path / 's'}")] == ["a", "b"]


def test_a_folder_and_a_pattern_name_several_shards(pictures: dict[str, bytes], tmp_path: Path) -> None:
    for number in range(3):
        packed(
            tmp_path / "s" / f"train-{number:05d}.tar",
            (f"{number}.png", pictures["red"]),
            (f"{number}.txt", f"{number}"),
        )
    assert [row.id for row in read_source(f"webdataset:{tmp_path}/s") if isinstance(row, Example)] == ["0", "1", "2"]
    found = [row for row in webdataset.read(tmp_path / "s" / "train-{00001..00002}.tar") if isinstance(row, Example)]
    assert [row.origin for row in found] == [f"{tmp_path}/s/train-{n}.tar: row 0" for n in ("00001", "00002")]
    with pytest.raises(DataError, match=r"train-00003\.tar: no such shard, of 4"):
        list(webdataset.read(tmp_path / "s" / "train-{00000..00003}.tar"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no \.tar file"):
        list(webdataset.read(tmp_path / "empty"))


def test_braces_count_and_list() -> None:
    assert [path.name for path in expand(Path("x-{8..11}.tar"))] == ["x-8.tar", "x-9.tar", "x-10.tar", "x-11.tar"]
    assert [str(path) for path in expand(Path("{a,b}/x-{00..01}.tar"))] == [
        "a/x-00.tar", "a/x-01.tar", "b/x-00.tar", "b/x-01.tar",
    ]  # fmt: skip
    for pattern in ("x-{3..1}.tar", "x-{}.tar", "x-{a..c}.tar", "x-{0..999999999}.tar", "{0..99999}-{0..99999}.tar"):
        with pytest.raises(DataError):
            expand(Path(pattern))


@pytest.mark.parametrize("cut", [700, 1024, 1500])
def test_a_torn_shard_is_an_error_of_the_file(cut: int, pictures: dict[str, bytes], tmp_path: Path) -> None:
    path = packed(tmp_path / "a.tar", ("0.png", pictures["red"]), ("0.txt", "Red."), ("1.txt", "x" * 600))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"a\.tar"):
        list(read_source(f"webdataset:{path}"))


def test_a_packed_shard_says_so(pictures: dict[str, bytes], tmp_path: Path) -> None:
    path = packed(tmp_path / "a.tar", ("0.png", pictures["red"]), ("0.txt", "Red."))
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(DataError, match="gzip"):
        list(read_source(f"webdataset:{path}"))


def test_thirty_megabytes_of_pictures_are_read_in_one(tmp_path: Path) -> None:
    files: list[tuple[str, bytes | str]] = []
    for number in range(300):
        files += [(f"{number:05d}.jpg", bytes(100_000)), (f"{number:05d}.txt", "Words.")]
    path = packed(tmp_path / "a.tar", *files)
    del files
    list(read_source(f"webdataset:{path}#limit=1"))
    tracemalloc.start()
    try:
        count = sum(isinstance(row, Example) for row in read_source(f"webdataset:{path}"))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 300
    assert most < 1_000_000


# Writing


def test_shards_are_written_by_size_and_are_the_same_bytes_again(tmp_path: Path) -> None:
    images = [draw(tmp_path / "in" / f"{name}.png", size=(64, 64), colour=name) for name in COLOURS]
    reply = Turn("assistant", (Text("Yes."),))
    shown = Example("shown", (Turn("user", (images[0], Text("?"))), reply))
    examples = [
        Example(f"row {number}", (Turn("user", (images[0], Text(f"{number}"), images[number % 3])), reply), (shown,))
        for number in range(20)
    ]
    for folder in ("one", "two"):
        rows = (webdataset._files(example) for example in examples)
        assert write_shards(rows, tmp_path / folder, shard_bytes=20_000) == 20
    shards = sorted((tmp_path / "one").iterdir())
    assert [shard.name for shard in shards] == [f"{number:05d}.tar" for number in range(len(shards))]
    assert len(shards) > 2
    assert all(shard.stat().st_size < 40_000 for shard in shards)
    assert all(list(samples_of(shard)) for shard in shards), "none is empty"
    assert [shard.read_bytes() for shard in shards] == [
        shard.read_bytes() for shard in sorted((tmp_path / "two").iterdir())
    ]
    again = [row for row in read_source(f"webdataset:{tmp_path}/one") if isinstance(row, Example)]
    assert [bare(row) for row in again] == [bare(row) for row in examples]


def test_a_picture_of_a_sample_is_written_once(tmp_path: Path) -> None:
    image = draw(tmp_path / "a.png")
    boxed = ImageRef(image.source, box=(0, 0, 8, 8))
    example = Example("x", (Turn("user", (image, boxed, image)), Turn("assistant", (Text("Yes."),))))
    path = tmp_path / "out" / "x.tar"
    assert webdataset.write([example], path) == 1
    with tarfile.open(path) as tar:
        assert [(entry.name, entry.mtime, entry.uname) for entry in tar] == [
            ("000000000.json", 0, ""),
            ("000000000.0.png", 0, ""),
        ]
    assert bare(one(path)) == bare(example)


def test_a_folder_that_holds_other_things_is_not_replaced(tmp_path: Path) -> None:
    example = Example("x", (Turn("user", (Text("Hi"),)), Turn("assistant", (Text("Yes."),))))
    folder = tmp_path / "out"
    assert webdataset.write([example, example], folder) == 2
    assert webdataset.write([example], folder) == 1
    assert [file.name for file in folder.iterdir()] == ["00000.tar"]
    (folder / "notes.md").write_text("mine")
    with pytest.raises(DataError, match="holds other things"):
        webdataset.write([example], folder)
    (folder / "notes.md").unlink()
    film = Example("film", (Turn("user", (VideoRef("a.mp4"),)), example.turns[1]))
    before = (folder / "00000.tar").read_bytes()
    with pytest.raises(DataError, match=r"row 1 \(id 'film'\)"):
        webdataset.write([example, film], folder)
    assert [file.read_bytes() for file in folder.iterdir()] == [before]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    with pytest.raises(DataError, match="pattern"):
        webdataset.write([example], tmp_path / "x-{00..01}")


names = st.text("abc./_0", min_size=1, max_size=8)


@given(files=st.lists(names, max_size=6))
def test_every_file_of_a_shard_belongs_to_one_sample(
    files: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.tar"
    packed(path, *((name, b"x") for name in files))
    try:
        samples = list(samples_of(path))
        rows = list(read_source(f"webdataset:{path}"))
    except DataError:
        return  # A name that leads out, or is a folder's.
    shadows = [name for name in files if len(base := Path(name).name) > 2 and base.startswith("._")]
    assert sum(len(sample.files) for sample in samples) == len(files) - len(shadows)
    assert len(rows) == len(samples)
    assert all(isinstance(row, Refused) for row in rows)
