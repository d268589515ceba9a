"""Zips and tars: read in place whatever their names; torn, damaged and lying ones are refused; nothing leads out."""

from __future__ import annotations

import gzip
import io
import multiprocessing
import os
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.packed import PACKED, PNG, in_stored_zip, in_tar, in_zip, png, reason_of
from triptych.core.errors import DataError
from triptych.data.media import locate
from triptych.data.media.images import whole_size
from triptych.data.media.locate import (
    ImageError,
    bytes_of,
    exists,
    index_tar,
    open_source,
    read_bytes,
    tar_at,
    zip_at,
    zip_members,
)


def test_a_zip_that_changed_is_read_anew(tmp_path: Path) -> None:
    source = in_zip(tmp_path, PNG)
    assert read_bytes(source) == PNG
    blue = png("blue", (5, 5))
    in_zip(tmp_path, blue)
    assert read_bytes(source) == blue


def test_members_of_a_zip_are_its_files_but_none_that_leads_out(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.mkdir("folder")
        for name in ("folder/a.png", "b.png", "../c.png", "/d.png", "x/../../e.png", "..\\f.png"):
            archive.writestr(name, PNG)
    members = zip_members(tmp_path / "a.zip")
    assert set(members) == {"folder/a.png", "b.png"}
    assert all(read_bytes(source) == PNG for source in members.values())


@pytest.mark.parametrize("damage", ["no zip at all", "torn", "flipped", "astray"])
def test_a_damaged_zip_is_unreadable(damage: str, tmp_path: Path) -> None:
    source = in_stored_zip(tmp_path, PNG)
    path = tmp_path / "a.zip"
    content = bytearray(path.read_bytes())
    if damage == "no zip at all":
        content = bytearray(b"words")
    elif damage == "torn":
        del content[len(content) // 2 :]
    elif damage == "flipped":
        content[content.index(PNG) + 40] ^= 1
    else:
        content[content.index(b"PK\x03\x04", 10) :][:4] = b"PK\x03\x05"
        at = content.index(b"PK\x03\x04", 10)
        content[at : at + 4] = b"NOPE"
    path.write_bytes(bytes(content))
    assert reason_of(source) == "image unreadable"


def test_encrypted_and_oddly_packed_members_are_unreadable(tmp_path: Path) -> None:
    assert reason_of(in_zip(tmp_path, PNG, method=zipfile.ZIP_LZMA)) == "image unreadable"
    source = in_stored_zip(tmp_path, PNG)
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(bytes(content))
    assert reason_of(source) == "image unreadable"


def test_a_bomb_that_declares_its_size_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate, "MAX_BYTES", 10_000)
    for put in PACKED:
        source = put(tmp_path, bytes(10_001))
        assert reason_of(source) == reason_of(source, whole_size) == "image too large"


def test_a_bomb_that_lies_about_its_size_is_unreadable_and_stays_small(tmp_path: Path) -> None:
    source = in_zip(tmp_path, bytes(50_000_000))
    content = bytearray((tmp_path / "a.zip").read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = (1000).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(bytes(content))
    assert reason_of(source) == "image unreadable"
    with open_source(source) as file, pytest.raises(ImageError):
        file.read()
    with pytest.raises(ImageError), open_source(source) as file:
        file.seek(0, io.SEEK_END)


def test_many_threads_read_one_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        contents = {f"{number}.png": os.urandom(50_000) for number in range(8)}
        for name, content in contents.items():
            archive.writestr(name, content)
    wrong: list[str] = []

    def check(name: str) -> None:
        read = [read_bytes(zip_at(tmp_path / "a.zip", name)) for _ in range(20)]
        wrong.extend(name for content in read if content != contents[name])

    threads = [threading.Thread(target=check, args=(name,)) for name in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.filterwarnings("ignore:This process")
def test_forked_workers_read_the_zip_that_their_parent_has_open(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        contents = {f"{number}.png": os.urandom(20_000) for number in range(4)}
        for name, content in contents.items():
            archive.writestr(name, content)
    sources = {name: zip_at(tmp_path / "a.zip", name) for name in contents}
    assert read_bytes(sources["0.png"]) == contents["0.png"]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for _ in range(3):
            assert pool.map(read_bytes, sources.values()) == list(contents.values())


def packed_tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], *, kind: int = tarfile.PAX_FORMAT) -> None:
    with tarfile.open(path, "w", format=kind) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_and_foreign_names_of_a_tar_are_read(kind: int, tmp_path: Path) -> None:
    names = ["a.jpg", "long/" * 40 + "b.jpg", "ungewöhnlich/猫.jpg", "./here.png"]
    packed_tar(tmp_path / "a.tar", [(tarfile.TarInfo(name), name.encode()) for name in names], kind=kind)
    found = list(index_tar(tmp_path / "a.tar"))
    assert [name for name, _ in found] == [*names[:3], "here.png"]
    assert [read_bytes(source) for _, source in found] == [name.encode() for name in names]


def test_folders_and_empty_files_are_no_trouble(tmp_path: Path) -> None:
    folder = tarfile.TarInfo("folder")
    folder.type = tarfile.DIRTYPE
    packed_tar(tmp_path / "a.tar", [(folder, b""), (tarfile.TarInfo("folder/empty.txt"), b"")])
    [(name, source)] = index_tar(tmp_path / "a.tar")
    assert (name, read_bytes(source), bytes_of(source)) == ("folder/empty.txt", b"", 0)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(kind: bytes, tmp_path: Path) -> None:
    link = tarfile.TarInfo("link.png")
    link.type, link.linkname = kind, "/etc/passwd"
    packed_tar(tmp_path / "a.tar", [(tarfile.TarInfo("a.png"), PNG), (link, b"")])
    with pytest.raises(DataError, match=r"a\.tar: 'link\.png' is a link or no file"):
        list(index_tar(tmp_path / "a.tar"))


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "x/../../a.png"])
def test_names_of_a_tar_that_lead_out_are_refused(name: str, tmp_path: Path) -> None:
    packed_tar(tmp_path / "a.tar", [(tarfile.TarInfo(name), PNG)])
    with pytest.raises(DataError, match="leads out"):
        list(index_tar(tmp_path / "a.tar"))


def test_wherever_a_tar_is_cut_off_it_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    packed_tar(path, [(tarfile.TarInfo(f"{number}.txt"), bytes(700)) for number in range(3)])
    whole = path.read_bytes()
    end = 3 * (512 + 1024)
    for cut in range(0, end, 64):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match="no whole tar"):
            list(index_tar(path))
    path.write_bytes(whole[: end + 512])
    assert len(list(index_tar(path))) == 3


def test_a_damaged_header_in_the_middle_does_not_end_a_tar_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    packed_tar(path, [(tarfile.TarInfo(f"{number}.txt"), b"x") for number in range(3)])
    content = bytearray(path.read_bytes())
    content[1024 + 150] ^= 0x55
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="no whole tar"):
        list(index_tar(path))


def test_a_packed_tar_is_refused_with_what_to_do(tmp_path: Path) -> None:
    packed_tar(tmp_path / "a.tar", [(tarfile.TarInfo("a.png"), PNG)])
    (tmp_path / "a.tar").write_bytes(gzip.compress((tmp_path / "a.tar").read_bytes()))
    with pytest.raises(DataError, match=r"packed with gzip\. Unpack it"):
        list(index_tar(tmp_path / "a.tar"))
    with pytest.raises(DataError, match="cannot be read"):
        list(index_tar(tmp_path / "gone.tar"))


def test_a_span_beyond_the_end_is_unreadable(tmp_path: Path) -> None:
    in_tar(tmp_path, PNG)
    size = (tmp_path / "a.tar").stat().st_size
    for start, length in ((size - 10, 20), (size + 10, 5)):
        source = tar_at(tmp_path / "a.tar", "a.png", start=start, length=length)
        assert reason_of(source) == "image unreadable"
        assert not exists(source)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.tuples(st.integers(0, 3000), st.binary(min_size=1, max_size=12)), min_size=1, max_size=4))
def test_any_damage_to_a_tar_or_zip_gives_bytes_or_a_refusal(cuts: list[tuple[int, bytes]], tmp_path: Path) -> None:
    for path in (tmp_path / "a.tar", tmp_path / "a.zip"):
        path.unlink(missing_ok=True)
    in_tar(tmp_path, PNG), in_zip(tmp_path, PNG)
    for path, look in ((tmp_path / "a.tar", index_tar), (tmp_path / "a.zip", lambda path: zip_members(path).items())):
        content = bytearray(path.read_bytes())
        for place, put in cuts:
            start = place % len(content)
            content[start : start + len(put)] = put
        path.write_bytes(bytes(content))
        try:
            found = list(look(path))
        except DataError:
            continue
        for _, source in found:
            try:
                read_bytes(source)
            except ImageError:
                continue
