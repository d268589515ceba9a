"""Files of rows being written: what a target may be called, and that a failure leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from triptych.core.errors import ConfigError, DataError
from triptych.core.plugins import find, names
from triptych.core.records import Example, ImageRef, Text, Turn, VideoRef
from triptych.data.disk.writing import LeavingOut, target_of
from triptych.data.format import Format

BLANK = Text("blank")


def example(name: str, *parts: ImageRef | VideoRef | Text) -> Example:
    return Example(name, (Turn("user", parts), Turn("assistant", (Text("yes"),))))


@pytest.fixture
def pictures(tmp_path: Path) -> list[ImageRef]:
    from PIL import Image

    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (8 + number, 8)).save(folder / f"p{number}.png")
    return [ImageRef(str(path)) for path in sorted(folder.iterdir())]


def below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("name", ["llava", "mantis", "sharegpt", "swift", "trl"])
def test_a_failed_file_takes_the_pictures_it_had_copied_away_again(
    name: str, pictures: list[ImageRef], tmp_path: Path
) -> None:
    bad = example("bad", pictures[1], Text("a"), ImageRef(pictures[2].source, box=(0, 0, 4, 4)))
    write = find("format", name, expected=Format).write
    assert write is not None
    with pytest.raises(DataError, match="row 1"):
        write([example("good", pictures[0], BLANK), bad], tmp_path / "new" / "deep" / "rows.jsonl")
    assert not (tmp_path / "new").exists()


def test_sigterm_takes_away_what_an_unfinished_file_had_copied(pictures: list[ImageRef], tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from triptych.core.records import Example, ImageRef, Text, Turn
from triptych.data.formats import llava

def rows():
    for name in {[image.source for image in pictures]}:
        yield Example(name, (Turn("user", (ImageRef(name),)), Turn("assistant", (Text("yes"),))))
    os.kill(os.getpid(), signal.SIGTERM)
    yield Example("never", ())

llava.FORMAT.write(rows(), Path({str(tmp_path / "new" / "rows.jsonl")!r}))
"""
    ended = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert ended.returncode == 128 + signal.SIGTERM
    assert not (tmp_path / "new").exists()


HALF = "x \ud83d"
"""Half of a surrogate pair, as JSON may hold it: no character, and no file can."""


@pytest.mark.parametrize("file", ["rows.jsonl", "rows.json", "rows.parquet", "rows.tar"])
@pytest.mark.parametrize(
    "odd",
    [
        Example("odd", example("odd", BLANK).turns, facts={"source": HALF}),
        Example("odd", example("odd", BLANK).turns, facts={"deep": [{HALF: 1}]}),
        Example("odd", example("odd", BLANK).turns, facts={HALF: 1}),
        Example("odd", example("odd", BLANK).turns, skills=(HALF,)),
        Example("odd", example("odd", BLANK).turns, labels=((HALF, 1.0),)),
        Example("odd", (Turn("user", (BLANK,)), Turn("assistant", (Text(HALF),)))),
    ],
    ids=["fact", "key in a fact", "key", "skill", "label", "words"],
)
def test_half_of_a_surrogate_pair_is_refused_by_name_in_every_kind_of_file(
    odd: Example, file: str, tmp_path: Path
) -> None:
    write = find("format", "webdataset" if file.endswith(".tar") else "messages", expected=Format).write
    assert write is not None
    with pytest.raises(DataError, match=r"row 1 \(id 'odd'\) .*half of a surrogate pair") as refused:
        write([example("good", BLANK), odd], tmp_path / "new" / file)
    assert str(refused.value).isprintable()
    assert not (tmp_path / "new").exists()
    rows = LeavingOut([odd, example("good", BLANK)])
    assert write(rows, tmp_path / file) == 1
    assert [each.reason for each in rows.left_out] == ["bad row"]


ASKED, SAID = Turn("user", (Text("Which?"),)), Turn("assistant", (Text("that"),))
ORDERS = {
    "empty reply": (ASKED, Turn("assistant", (Text(" "),))),
    "no assistant turn": (ASKED,),
    "reply first": (SAID, ASKED, SAID),
    "one speaker twice": (ASKED, SAID, SAID),
    "system late": (ASKED, SAID, Turn("system", (BLANK,))),
}


@pytest.mark.parametrize(
    "name", sorted(name for name in names("format") if find("format", name, expected=Format).write)
)
@pytest.mark.parametrize("turns", ORDERS.values(), ids=list(ORDERS))
def test_a_conversation_that_no_reader_takes_is_not_written(turns: tuple[Turn, ...], name: str, tmp_path: Path) -> None:
    plugin = find("format", name, expected=Format)
    assert plugin.write is not None
    ending = plugin.endings[0] if plugin.endings else ""
    with pytest.raises(DataError, match=r"row 0 \(id 'odd'\) cannot be written"):
        plugin.write([Example("odd", turns)], tmp_path / f"x{ending}")
    assert below(tmp_path) == []


def test_a_row_with_labels_needs_no_reply_in_a_file(tmp_path: Path) -> None:
    write = find("format", "messages", expected=Format).write
    assert write is not None
    assert write([Example("scored", (ASKED,), labels=(("beauty", 0.5),))], tmp_path / "rows.jsonl") == 1


def test_a_failure_leaves_the_pictures_of_others_in_place(pictures: list[ImageRef], tmp_path: Path) -> None:
    write = find("format", "llava", expected=Format).write
    assert write is not None
    write([example("first", pictures[0], BLANK)], tmp_path / "new" / "first.jsonl")
    before = below(tmp_path / "new")
    bad = example("bad", ImageRef(pictures[1].source, box=(0, 0, 4, 4)))
    with pytest.raises(DataError):
        write([example("a", *pictures, BLANK), bad], tmp_path / "new" / "second.jsonl")
    assert below(tmp_path / "new") == before


def test_a_row_that_is_left_out_leaves_no_picture(pictures: list[ImageRef], tmp_path: Path) -> None:
    write = find("format", "llava", expected=Format).write
    assert write is not None
    literal = example("literal", pictures[0], pictures[1], Text("a literal <image>"))
    rows = LeavingOut([literal, example("good", pictures[1], BLANK)])
    assert write(rows, tmp_path / "new" / "rows.jsonl") == 1
    assert [refused.where for refused in rows.left_out] != []
    (kept,) = (tmp_path / "new" / "images").iterdir()
    assert kept.name.startswith("p1-")


def test_a_source_that_breaks_off_leaves_nothing_either(pictures: list[ImageRef], tmp_path: Path) -> None:
    def rows() -> Iterator[Example]:
        yield example("good", pictures[0], BLANK)
        raise KeyboardInterrupt

    for name, file in (("messages", "r.jsonl"), ("messages", "r.parquet"), ("webdataset", "shards")):
        write = find("format", name, expected=Format).write
        assert write is not None
        with pytest.raises(KeyboardInterrupt):
            write(rows(), tmp_path / "new" / file)
        assert not (tmp_path / "new").exists()


def test_a_video_that_was_copied_for_a_parquet_file_goes_with_it(pictures: list[ImageRef], tmp_path: Path) -> None:
    film = tmp_path / "elsewhere"
    rows = [example("film", VideoRef(str(film)), BLANK), example("gone", ImageRef(str(tmp_path / "gone.png")))]
    write = find("format", "messages", expected=Format).write
    assert write is not None
    with pytest.raises(DataError):
        write(rows, tmp_path / "new" / "rows.parquet")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("to", "told"),
    [
        ("messages:x.csv", "files that end in .jsonl or .json or .parquet. Write messages:x.jsonl."),
        ("llava:x.parquet", "files that end in .jsonl or .json. Write llava:x.jsonl."),
        ("mantis:folder/x", "Write mantis:folder/x.jsonl."),
        ("mimicit:x.json", "Write mimicit:x_instructions.json."),
        ("mantis_hub:x.json", "Write mantis_hub:x.parquet."),
        ("nlvr:x.json", "can only be read. Write messages:"),
        ("messages:x.jsonl#limit=3", "'limit' is an option of reading"),
    ],
)
def test_a_target_that_its_format_does_not_write_is_refused_with_one_that_it_does(to: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        target_of(to)
    assert told in str(refused.value)


@pytest.mark.parametrize("to", ["messages:x.jsonl", "messages:x.parquet", "webdataset:x.tar", "webdataset:folder"])
def test_a_target_that_its_format_writes_is_taken(to: str) -> None:
    path, _ = target_of(to, ["messages:other.jsonl"])
    assert str(path) == to.partition(":")[2]


def test_what_a_killed_writer_left_half_written_goes_when_that_file_is_written_again(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    left = tmp_path / f".rows.jsonl.{ended.pid}.1.part"
    left.write_text('{"id": "half')
    os.utime(left, (time.time() - 2 * 86_400,) * 2)
    write = find("format", "messages", expected=Format).write
    assert write is not None
    write([example("a", BLANK)], tmp_path / "rows.jsonl")
    assert below(tmp_path) == ["rows.jsonl"]


def test_a_source_is_no_target() -> None:
    with pytest.raises(ConfigError, match="is the source itself"):
        target_of("messages:x.jsonl", ["mantis:./x.jsonl#limit=3"])
