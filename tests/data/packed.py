"""A picture's bytes in each place that a locator can name, and why reading one is refused."""

from __future__ import annotations

import base64
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from triptych.core.errors import DataError
from triptych.data.media.locate import ImageError, base64_at, index_tar, read_bytes, zip_at


def png(colour: str = "red", size: tuple[int, int] = (32, 24)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


PNG = png()


def in_file(folder: Path, content: bytes) -> str:
    (folder / "a.png").write_bytes(content)
    return str(folder / "a.png")


def in_zip(folder: Path, content: bytes, *, method: int = zipfile.ZIP_DEFLATED) -> str:
    with zipfile.ZipFile(folder / "a.zip", "w", method) as archive:
        archive.writestr("other.txt", b"other" * 999)
        archive.writestr("inner/a.png", content)
    return zip_at(folder / "a.zip", "inner/a.png")


def in_stored_zip(folder: Path, content: bytes) -> str:
    return in_zip(folder, content, method=zipfile.ZIP_STORED)


def in_tar(folder: Path, content: bytes) -> str:
    with tarfile.open(folder / "a.tar", "w") as tar:
        for name, inside in (("0.txt", b"words"), ("inner/a.png", content)):
            info = tarfile.TarInfo(name)
            info.size = len(inside)
            tar.addfile(info, io.BytesIO(inside))
    return dict(index_tar(folder / "a.tar"))["inner/a.png"]


def in_base64(folder: Path, content: bytes) -> str:
    text = base64.b64encode(content)
    (folder / "a.json").write_bytes(b'{"LA_00_IMG_0": "' + text + b'"}')
    return base64_at(folder / "a.json", start=17, length=len(text))


FORMS: list[Callable[[Path, bytes], str]] = [in_file, in_zip, in_stored_zip, in_tar, in_base64]
PACKED = FORMS[1:]


def reason_of(source: str, look: Callable[[str], object] = read_bytes) -> str:
    with pytest.raises(DataError) as caught:
        look(source)
    assert isinstance(caught.value, ImageError)
    assert "\n" not in str(caught.value)
    return caught.value.reason
