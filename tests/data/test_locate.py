"""Where bytes are: each form of locator reads what was put there; nothing leads elsewhere or unpacks without end."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.packed import FORMS, PNG, in_base64, in_file, in_tar, in_zip, png, reason_of
from triptych.core.files import sha256_of
from triptych.core.records import ImageRef
from triptych.data.media.images import load_image, whole_size
from triptych.data.media.locate import (
    ImageError,
    base64_at,
    bytes_of,
    container_of,
    digest_of,
    exists,
    frame_at,
    name_of,
    open_source,
    place_of,
    read_bytes,
    stamp_of,
    tar_at,
    zip_at,
)


@pytest.mark.parametrize("put", FORMS)
def test_each_form_gives_the_bytes_and_the_pixels(put: Callable[[Path, bytes], str], tmp_path: Path) -> None:
    source = put(tmp_path, PNG)
    assert read_bytes(source) == PNG
    assert whole_size(source) == (32, 24)
    assert load_image(ImageRef(source)).getpixel((31, 23)) == (255, 0, 0)
    assert digest_of(source) == hashlib.sha256(PNG).hexdigest()
    assert exists(source)
    assert container_of(source).parent == tmp_path
    path, size_bytes, mtime_ns = stamp_of(source)
    assert Path(path) == container_of(source)
    assert (size_bytes, mtime_ns) == (Path(path).stat().st_size, Path(path).stat().st_mtime_ns)


@pytest.mark.parametrize("put", FORMS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(min_size=1, max_size=4000), cuts=st.lists(st.tuples(st.integers(0, 4100), st.integers(0, 500)))
)
def test_a_source_is_sought_in_like_a_file(
    put: Callable[[Path, bytes], str], content: bytes, cuts: list[tuple[int, int]], tmp_path: Path
) -> None:
    (tmp_path / "a.zip").unlink(missing_ok=True)
    like = io.BytesIO(content)
    with open_source(put(tmp_path, content)) as file:
        for start, length in cuts:
            assert file.seek(start) == like.seek(start)
            assert file.read(length) == like.read(length)
        assert file.seek(0, io.SEEK_END) == len(content)
        assert file.seek(-1, io.SEEK_CUR) == len(content) - 1
        assert file.read() == content[-1:]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/d/a.jpg", "a.jpg"),
        ("/d/a.zip!/b/c.jpg", "c.jpg"),
        ("/d/a.tar!@512+10/b/c.jpg", "c.jpg"),
        ("/d/LA.json!base64@100+40", "LA-100"),
        ("/d/v.mp4!frame=7", "v-frame-7.png"),
    ],
)
def test_a_name_for_people(source: str, name: str) -> None:
    assert name_of(source) == name


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(
    folder=NAMES.filter(lambda name: "!" not in name),
    name=NAMES,
    start=st.integers(0, 10**15),
    length=st.integers(0, 10**9),
)
def test_a_locator_comes_apart_as_it_was_put_together(folder: str, name: str, start: int, length: int) -> None:
    path = f"/{folder}/x"
    packed = place_of(zip_at(f"{path}.zip", name))
    assert (packed.kind, packed.container, packed.name) == ("zip", f"{path}.zip", name)
    tar = place_of(tar_at(path, name, start=start, length=length))
    assert (tar.kind, tar.container, tar.name, tar.start, tar.length) == ("tar", path, name, start, length)
    text = place_of(base64_at(path, start=start, length=length))
    assert (text.kind, text.container, text.start, text.length) == ("base64", path, start, length)
    frame = place_of(frame_at(path, start))
    assert (frame.kind, frame.container, frame.start) == ("frame", path, start)


@pytest.mark.parametrize(
    "path", ["/d/wow!/a.jpg", "/d/a!b.jpg", "/d/a.zip!", "/d/x!frame=", "/d/x!frame=-1", "/d/x!@1+2", "/d/!"]
)
def test_a_name_with_an_exclamation_mark_is_a_file(path: str) -> None:
    assert place_of(path).kind == "file"
    assert container_of(path) == Path(path)


@pytest.mark.parametrize("put", FORMS)
def test_a_lost_container_is_missing(put: Callable[[Path, bytes], str], tmp_path: Path) -> None:
    source = put(tmp_path, PNG)
    container_of(source).unlink()
    for look in (read_bytes, stamp_of, digest_of, whole_size, open_source, bytes_of):
        assert reason_of(source, look) == "image file missing"
    assert not exists(source)


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    assert reason_of(str(tmp_path)) == "image unreadable"
    assert not exists(str(tmp_path))


def test_a_member_that_is_not_there_is_missing(tmp_path: Path) -> None:
    in_zip(tmp_path, PNG)
    source = zip_at(tmp_path / "a.zip", "inner/b.png")
    assert reason_of(source) == reason_of(source, whole_size) == "image file missing"
    assert not exists(source)


# Base64


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: text.rstrip("="),
        lambda text: "data:image/png;base64," + text,
        lambda text: "DATA:image/png;charset=utf-8;BASE64," + text.rstrip("="),
        lambda text: text.replace("+", "-").replace("/", "_"),
        lambda text: "\n".join(text[at : at + 76] for at in range(0, len(text), 76)) + "\r\n ",
        lambda text: text.replace("/", "\\/") + "\\n",
        lambda text: " " + text.replace("+", "\\u002b"),
    ],
)
def test_base64_as_published_files_have_it(change: Callable[[str], str], tmp_path: Path) -> None:
    content = bytes(range(256)) + b"??>>~~"
    text = change(base64.b64encode(content).decode())
    (tmp_path / "a.json").write_text(f'{{"a": "{text}"}}')
    assert read_bytes(base64_at(tmp_path / "a.json", start=7, length=len(text))) == content


@pytest.mark.parametrize(
    "text", ["", "====", "A", "AAAAA", "AA=A", "AA==AAAA", "ä", "A A A A!", "\\q", "data:image/png,AAAA", "data:,"]
)
def test_text_that_is_no_base64_is_unreadable(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    length = len(text.encode("utf-8"))
    assert reason_of(base64_at(tmp_path / "a.json", start=0, length=length)) == "image unreadable"


def test_base64_is_decoded_where_it_stands_in_a_published_layout(tmp_path: Path) -> None:
    pictures = {f"LA_00_IMG_{number}": png(colour) for number, colour in enumerate(("red", "lime", "blue"))}
    file = tmp_path / "LA.json"
    file.write_text(json.dumps({name: base64.b64encode(content).decode() for name, content in pictures.items()}))
    said = file.read_bytes()
    for content in pictures.values():
        text = base64.b64encode(content)
        assert read_bytes(base64_at(file, start=said.index(text), length=len(text))) == content


# The rest


def test_a_plain_files_digest_and_length_are_the_files_own(tmp_path: Path) -> None:
    source = in_file(tmp_path, PNG)
    assert (digest_of(source), bytes_of(source)) == (sha256_of(Path(source)), len(PNG))


def test_lengths_are_told_without_reading(tmp_path: Path) -> None:
    assert bytes_of(in_zip(tmp_path, PNG)) == bytes_of(in_tar(tmp_path, PNG)) == len(PNG)
    assert bytes_of(in_base64(tmp_path, PNG)) == len(base64.b64encode(PNG))


def test_the_error_comes_home_from_another_process() -> None:
    error = pickle.loads(pickle.dumps(ImageError("image unreadable", "x: torn")))
    assert (error.reason, str(error)) == ("image unreadable", "x: torn")
