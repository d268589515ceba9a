"""The size index tells what a header says, remembers it until the file changes, and is never torn."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.pictures import draw
from triptych.core.errors import RunError
from triptych.core.files import CACHE_VARIABLE
from triptych.data.media import index as indexing
from triptych.data.media.images import ImageError, whole_size
from triptych.data.media.index import FEW, SizeIndex, index_of
from triptych.data.media.locate import zip_members

SPAWNED = multiprocessing.get_context("spawn")


def jpeg(size: tuple[int, int], *, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = io.BytesIO()
    Image.new("RGB", size, "blue").save(content, "JPEG", exif=exif)
    return content.getvalue()


def many(folder: Path, count: int) -> list[str]:
    """Write ``count`` small JPEGs of differing sizes; every other lies on its side."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = [jpeg((8 + kind, 9), orientation=6 if kind % 2 else 1) for kind in range(8)]
    paths = [folder / f"{number:05}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(kinds[number % 8])
    return [str(path) for path in paths]


def tables(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npy"))


def measure_anew(sources: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make an index count the headers it reads; return the list that they will be put into."""
    read: list[str] = []

    def counted(source: str) -> tuple[int, int]:
        read.append(source)
        return whole_size(source)

    monkeypatch.setattr(indexing, "whole_size", counted)
    return read


def test_sizes_are_those_of_upright_pictures_in_order(tmp_path: Path) -> None:
    sources = many(tmp_path / "data", 20)
    sources = [*sources, sources[3], draw(tmp_path / "flat.png", size=(70, 5)).source]
    assert SizeIndex(tmp_path / "index").sizes(sources) == [whole_size(source) for source in sources]
    assert SizeIndex(tmp_path / "index").sizes(sources)[1] == (9, 9)
    assert SizeIndex(tmp_path / "index").sizes([]) == []


def test_many_headers_are_read_by_several_processes(tmp_path: Path) -> None:
    sources = many(tmp_path / "data", FEW + 300)
    (tmp_path / "data" / "00700.jpg").write_bytes(b"\xff\xd8\xff no picture")
    done: list[int] = []
    sizes = SizeIndex(tmp_path / "index", processes=2).sizes(sources, advance=done.append)
    assert sizes[:9] == [whole_size(source) for source in sources[:9]]
    assert [index for index, size in enumerate(sizes) if isinstance(size, ImageError)] == [700]
    assert sum(done) == len(sources)


def test_what_cannot_be_used_is_named_and_tried_again(tmp_path: Path) -> None:
    whole = draw(tmp_path / "a.png", size=(4, 3)).source
    torn, none = tmp_path / "torn.jpg", tmp_path / "none.png"
    torn.write_bytes(jpeg((50, 60))[:30])
    index = SizeIndex(tmp_path / "index")
    first, second, third = index.sizes([whole, str(torn), str(none)])
    assert first == (4, 3)
    assert isinstance(second, ImageError)
    assert second.reason == "image unreadable"
    assert str(torn) in str(second)
    assert isinstance(third, ImageError)
    assert third.reason == "image file missing"
    torn.write_bytes(jpeg((50, 60)))
    draw(none, size=(6, 7))
    assert index.sizes([str(torn), str(none)]) == [(50, 60), (6, 7)]


def test_a_header_is_read_once_until_its_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = many(tmp_path / "data", 6)
    read = measure_anew(sources, monkeypatch)
    SizeIndex(tmp_path / "index").sizes(sources)
    SizeIndex(tmp_path / "index").sizes(sources)
    assert read == sources
    changed, touched = Path(sources[2]), Path(sources[4])
    changed.write_bytes(jpeg((33, 44)))
    state = touched.stat()
    touched.write_bytes(touched.read_bytes())
    os.utime(touched, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert SizeIndex(tmp_path / "index").sizes(sources)[2] == (33, 44)
    assert read[6:] == [sources[2], sources[4]]


def test_members_of_an_archive_are_measured_anew_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "a.zip"
    for sizes in (((5, 6), (7, 8)), ((9, 10), (7, 8))):
        with zipfile.ZipFile(archive, "w") as file:
            for name, size in zip("ab", sizes, strict=True):
                file.writestr(f"{name}.jpg", jpeg(size))
        sources = list(zip_members(archive).values())
        assert SizeIndex(tmp_path / "index").sizes(sources) == list(sizes)
    read = measure_anew(sources, monkeypatch)
    SizeIndex(tmp_path / "index").sizes(sources)
    assert read == []


def test_many_small_tables_become_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = many(tmp_path / "data", 300)
    expected = [whole_size(source) for source in sources]
    index = SizeIndex(tmp_path / "index")
    for start in range(0, len(sources), 5):
        index.sizes(sources[start : start + 5])
        assert len(tables(tmp_path / "index")) <= 6
    read = measure_anew(sources, monkeypatch)
    assert SizeIndex(tmp_path / "index").sizes(sources) == expected
    assert read == []


def test_a_window_at_a_time_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = many(tmp_path / "data", 25) * 2
    monkeypatch.setattr(indexing, "WINDOW", 10)
    assert list(SizeIndex(tmp_path / "index").stream(iter(sources))) == [whole_size(source) for source in sources]


@pytest.mark.parametrize("spoilt", [b"", b"not a table", None])
def test_a_spoilt_table_is_measured_again(tmp_path: Path, spoilt: bytes | None) -> None:
    sources = many(tmp_path / "data", 10)
    expected = SizeIndex(tmp_path / "index").sizes(sources)
    (table,) = tables(tmp_path / "index")
    table.write_bytes(table.read_bytes()[:-7] if spoilt is None else spoilt)
    assert SizeIndex(tmp_path / "index").sizes(sources) == expected


def test_a_table_of_another_shape_is_left_alone(tmp_path: Path) -> None:
    sources = many(tmp_path / "data", 3)
    (tmp_path / "index").mkdir()
    for name, foreign in {
        "a": np.zeros((2, 5), np.uint64),
        "b": np.zeros(3, np.float32),
        "c": np.zeros((3, 0), np.uint64),
    }.items():
        np.save(tmp_path / "index" / f"sizes-1-{name}.npy", foreign)
    assert SizeIndex(tmp_path / "index").sizes(sources) == [whole_size(source) for source in sources]


def index_for_ever(folder: Path, sources: list[str]) -> None:
    """Index in small steps, over and over, with nothing remembered between rounds."""
    while True:
        for start in range(0, len(sources), 7):
            SizeIndex(folder, processes=1).sizes(sources[start : start + 7])
        for table in tables(folder):
            table.unlink(missing_ok=True)


def test_killed_writers_and_two_at_once_leave_nothing_wrong(tmp_path: Path) -> None:
    sources = many(tmp_path / "data", 70)
    expected = [whole_size(source) for source in sources]
    writers = [SPAWNED.Process(target=index_for_ever, args=(tmp_path / "index", sources)) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        deadline = time.monotonic() + 20
        while not tables(tmp_path / "index") and time.monotonic() < deadline:
            time.sleep(0.01)
        for _ in range(20):
            assert SizeIndex(tmp_path / "index", processes=1).sizes(sources) == expected
    finally:
        for writer in writers:
            os.kill(writer.pid or 0, signal.SIGKILL)
            writer.join()
    assert SizeIndex(tmp_path / "index").sizes(sources) == expected


def die(sources: list[str]) -> list[tuple[int, int]]:
    os.kill(os.getpid(), signal.SIGKILL)
    return []


def test_a_process_that_dies_names_the_files_it_was_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = many(tmp_path / "data", FEW + 1)
    monkeypatch.setattr(indexing, "_measure_all", die)
    with pytest.raises(RunError, match=r"a process that reads image headers died between .*00000\.jpg and"):
        SizeIndex(tmp_path / "index", processes=2).sizes(sources)


def test_each_data_set_has_its_own_part_of_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    for name in ("one", "two"):
        source = draw(tmp_path / name / "a.png", size=(3, len(name))).source
        assert index_of(tmp_path / name).sizes([source]) == [(3, len(name))]
        assert index_of(tmp_path / name) is index_of(tmp_path / name)
    folders = sorted((tmp_path / "cache" / "sizes").iterdir())
    assert [folder.name.rpartition("-")[0] for folder in folders] == ["one", "two"]


@settings(max_examples=30)
@given(batches=st.lists(st.lists(st.integers(0, 39), max_size=12), max_size=8))
def test_in_whatever_batches_it_is_asked_it_says_the_same(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "batches"
    sources = many(folder, 40) if not folder.exists() else [str(path) for path in sorted(folder.glob("*.jpg"))]
    index = SizeIndex(tmp_path_factory.mktemp("index"))
    for batch in batches:
        asked = [sources[number] for number in batch]
        assert index.sizes(asked) == [whole_size(source) for source in asked]
