"""Pictures of other depths than 8 bits: white is white, black is black, and what is clear is white."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.test_images import chunk
from triptych.data.media.images import ImageError, load_image

WIDTH, BITS, COMPRESSION, PHOTOMETRIC, PLACE, SAMPLES, ROWS, BYTES = 256, 258, 259, 262, 273, 277, 278, 279


def tiff(path: Path, levels: list[int], *, bits: int, photometric: int | None) -> Path:
    """Write a grey TIFF of one row."""
    content = int("".join(f"{level:0{bits}b}" for level in levels), 2).to_bytes(len(levels) * bits // 8, "big")
    if bits == 16:
        content = struct.pack(f"<{len(levels)}H", *levels)
    tags = {WIDTH: len(levels), WIDTH + 1: 1, BITS: bits, COMPRESSION: 1, PLACE: 8, SAMPLES: 1, ROWS: 1}
    tags |= {BYTES: len(content)} | ({} if photometric is None else {PHOTOMETRIC: photometric})
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    head = b"II*\0" + struct.pack("<I", 8 + len(content))
    path.write_bytes(head + content + struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0))
    return path


def png(path: Path, row: bytes, *, width: int, bits: int, colour_type: int, clear: bytes, bent: bool = False) -> Path:
    """Write a PNG of one row with a clear colour; bent: interlaced."""
    head = struct.pack(">IIBBBBB", width, 1, bits, colour_type, 0, 0, int(bent))
    chunks = [(b"IHDR", head), (b"tRNS", clear), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks))
    return path


def greys(path: Path) -> list[int]:
    pixels = np.asarray(load_image(path))
    assert (pixels == pixels[..., :1]).all()
    return [int(level) for level in pixels[0, :, 0]]


@pytest.mark.parametrize(
    ("levels", "bits", "photometric", "shown"),
    [
        ([0, 1024, 2048, 4095], 12, 1, [0, 64, 128, 255]),
        ([0, 256, 32768, 65535], 16, 1, [0, 1, 128, 255]),
        ([0, 256, 32768, 65535], 16, 0, [255, 254, 127, 0]),
        ([0, 256, 32768, 65535], 16, None, [0, 1, 128, 255]),
        ([0, 64, 128, 255], 8, 0, [255, 191, 127, 0]),
    ],
)
def test_grey_of_a_tiff_goes_from_black_to_white(
    levels: list[int], bits: int, photometric: int | None, shown: list[int], tmp_path: Path
) -> None:
    assert greys(tiff(tmp_path / "a.tif", levels, bits=bits, photometric=photometric)) == shown


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_a_packed_tiff_whose_white_is_zero_is_no_negative(compression: str, tmp_path: Path) -> None:
    values = np.array([[0, 256, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.tif", compression=compression, tiffinfo={PHOTOMETRIC: 0})
    with Image.open(tmp_path / "a.tif") as picture:
        assert picture.tag_v2[PHOTOMETRIC] == 0  # type: ignore[attr-defined]
    assert greys(tmp_path / "a.tif") == [255, 254, 127, 0]


@pytest.mark.parametrize(
    ("bits", "row", "shown"), [(2, b"\x1b", [0, 85, 170, 255]), (4, b"\x05\xaf", [0, 85, 170, 255])]
)
def test_a_clear_level_of_few_bits_is_white(bits: int, row: bytes, shown: list[int], tmp_path: Path) -> None:
    clear = {level: struct.pack(">H", level * (2**bits - 1) // 255) for level in shown}
    for level, said in clear.items():
        path = png(tmp_path / f"{level}.png", row, width=4, bits=bits, colour_type=0, clear=said)
        assert greys(path) == [255 if each == level else each for each in shown]


@pytest.mark.parametrize("bent", [False, True])
def test_a_clear_colour_of_sixteen_bits_is_white_and_its_neighbours_are_not(bent: bool, tmp_path: Path) -> None:
    clear, near, far = (0x0102, 0x0304, 0xFFFE), (0x0102, 0x0304, 0xFFFF), (0x0203, 0x04FF, 0xFE00)
    row = struct.pack(">9H", *clear, *near, *far)
    orders = ([0], [], [], [2], [], [1]) if bent else ([0, 1, 2],)  # which pixels each pass of the interlace has
    lines = b"\0".join(b"".join(row[6 * at : 6 * at + 6] for at in order) for order in orders if order)
    path = png(tmp_path / "a.png", lines, width=3, bits=16, colour_type=2, clear=struct.pack(">3H", *clear), bent=bent)
    assert np.asarray(load_image(path))[0].tolist() == [[255] * 3, [0x01, 0x03, 0xFF], [0x02, 0x04, 0xFE]]


def test_a_png_with_a_clear_colour_and_no_pixels_is_refused_as_one_without_a_clear_colour(tmp_path: Path) -> None:
    said = []
    for clear in (True, False):
        head = (b"IHDR", struct.pack(">IIBBBBB", 2, 1, 8, 2, 0, 0, 0))
        chunks = [head, *([(b"tRNS", bytes(6))] if clear else []), (b"IEND", b"")]
        path = tmp_path / "a.png"
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks))
        with pytest.raises(ImageError) as told:
            load_image(path)
        said.append(str(told.value))
    assert said[0] == said[1]


def test_a_large_picture_with_a_clear_colour_of_sixteen_bits_needs_no_more_than_its_bytes(tmp_path: Path) -> None:
    """Bytes that numpy takes for a pixel: two of each colour and what compares them, never numbers of 16 bits."""
    width = 1_000_000
    row = struct.pack(">3H", 0x1234, 0x5678, 0x9ABC) * width
    path = png(tmp_path / "a.png", row, width=width, bits=16, colour_type=2, clear=struct.pack(">3H", 1, 2, 3))
    tracemalloc.start()
    load_image(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 16 * width
