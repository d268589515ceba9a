"""Pictures: their size from the header, and their pixels as RGB. Every oddity has one defined outcome.

Not about tensors or what an image costs: ``models`` knows; nor where the bytes are: ``locate``. A picture is what
people see when they open it: turned as its EXIF says, its first frame, transparency on white, 16 bits shown as 8. A
PNG's EXIF counts where it stands before the pixels: a header is read no further.
Colour profiles are not applied, as no published image processor applies them. What cannot be shown so is refused with
a reason, never half shown. A box is cut before anything is scaled; scaling starts from all pixels (no JPEG draft).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from functools import cache
from os import PathLike, fspath

import numpy as np
from PIL import Image, ImageFile

from triptych.core.records import Box, ImageRef
from triptych.data.media.locate import ImageError as ImageError  # Most who load pictures look for it here.
from triptych.data.media.locate import Place, open_source, place_of, unreadable
from triptych.data.media.video import frame_size, load_frame

MAX_PIXELS = 89_478_485
"""Most pixels of a picture (a quarter of a GiB as RGB): Pillow's own line between a large picture and a bomb."""

Size = tuple[int, int]
"""(width, height) in pixels."""

_READ = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000")
"""Pictures as people keep them. Not Pillow's whole list: its EPS reader starts another program."""
_TURNED_BY = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what sets it upright. 5 to 8 swap width and height."""
_ORIENTATION = 0x0112
_BITS, _PHOTOMETRIC = 258, 262
"""A TIFF's tags: bits of a sample, and whether white is 0."""
_HIGHEST = {"L;2": 3, "L;4": 15}
"""Pillow's layout of a PNG of few bits -> its highest level."""
_HIGH_BYTES, _LOW_BYTES = "RGB;16B", "RGB;16L"
"""Layouts by which Pillow reads one or the other byte of colours of 16 bits as a PNG has them."""
_SIXTEEN_BITS = frozenset({"PNG", "PPM", "JPEG2000"})
"""Formats of which Pillow's mode I holds 16 bits at most; of others, as TIFF, it is 32 bits, or 16 with a sign."""
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    zlib.error,
)
"""What Pillow's readers raise on broken files; its own error classes are among these."""


def measure(image: ImageRef, *, whole: Size | None = None) -> ImageRef:
    """Return the reference with its size: of the picture set upright, of its box, or what it is resized to.

    Reads the file's header and decodes nothing; of a video, its first frame, once.

    Args:
        image: what to look at.
        whole: size of the whole upright picture where it is known already.

    Raises:
        ImageError: no picture is there, it is too large, the box lies outside, or it is resized to nothing or to too
            much; a DataError.
    """
    width, height = whole or whole_size(image.source)
    if image.box is not None:
        _check_box(image.source, image.box, (width, height))
        left, top, right, bottom = image.box
        width, height = right - left, bottom - top
    if image.resize is not None:
        _check_resize(image.source, image.resize)
        width, height = image.resize
    return replace(image, size=(width, height))


def whole_size(source: str) -> Size:
    """Return the size of the whole upright picture from its header. Raises ImageError, a DataError."""
    place = place_of(source)
    if place.kind == "frame":
        return frame_size(place.container, place.start)
    with _open(source, place) as picture:
        width, height = picture.size
        return (height, width) if _orientation(picture) >= 5 else (width, height)


def load_image(image: ImageRef | str | PathLike[str]) -> Image.Image:
    """Return the pixels as RGB, of the size that ``measure`` tells.

    Args:
        image: a reference, or the path of a picture's file.

    Raises:
        ImageError: as ``measure``; or the file ends early, or holds what has no defined look as RGB; a DataError.
    """
    if isinstance(image, str | PathLike):
        image = ImageRef(fspath(image))
    if not isinstance(image, ImageRef):
        raise ImageError("no image", f"{type(image).__name__} is no image. Give an ImageRef, or the path of a picture.")
    pixels = _whole(image.source)
    if image.box is not None:
        _check_box(image.source, image.box, pixels.size)
        pixels = pixels.crop(image.box)
    if image.resize is not None:
        _check_resize(image.source, image.resize)
        pixels = pixels.resize(image.resize, Image.Resampling.BICUBIC)
    return pixels


def _whole(source: str) -> Image.Image:
    place = place_of(source)
    if place.kind == "frame":
        return load_frame(place.container, place.start)
    with _open(source, place) as picture:
        orientation = _orientation(picture)
        try:
            deep = _settle_clear(picture)
            _settle_turned(picture)
            picture.load()
            pixels = _with_white(picture, source, place) if deep else _as_rgb(picture)
        except ImageError:
            raise
        except (*_BROKEN, MemoryError) as error:
            raise unreadable(source, error) from None
    return pixels.transpose(_TURNED_BY[orientation]) if orientation in _TURNED_BY else pixels


def _open(source: str, place: Place) -> ImageFile.ImageFile:
    """Return the picture with its header read."""
    try:
        picture = Image.open(source if place.kind == "file" else open_source(source), formats=_formats())
    except ImageError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise ImageError("image file missing", f"{source}: no such image. Put it there or leave the row out.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(source) from None
    except _BROKEN as error:
        raise unreadable(source, error) from None
    width, height = picture.size
    if width * height > MAX_PIXELS:
        picture.close()
        raise _too_large(source)
    if width < 1 or height < 1:
        picture.close()
        raise unreadable(source, ValueError(f"its size is {width}x{height}"))
    return picture


@cache
def _formats() -> tuple[str, ...]:
    """Return those of the formats that this Pillow was built with."""
    Image.init()
    return tuple(name for name in _READ if name in Image.OPEN)


def _orientation(picture: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none, or none that can be read."""
    if picture.format == "TIFF":
        return 1  # Pillow turns these itself, and tells the turned size.
    try:
        # Not picture.getexif(): for PNG that one decodes all pixels in search of a late EXIF block.
        found = Image.Image.getexif(picture).get(_ORIENTATION, 1)
    except _BROKEN:
        return 1  # A torn EXIF block says nothing; the pixels are whole.
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _settle_clear(picture: ImageFile.ImageFile) -> bool:
    """Scale a PNG's clear level as its pixels will be; return whether it is a colour of 16 bits, of which they have 8.

    Pillow compares what the file says with pixels of 8 bits, whatever the file's have.
    """
    if picture.format != "PNG" or "transparency" not in picture.info:
        return False
    if not picture.tile:
        return False  # It has no pixels, of which reading them tells.
    layout = picture.tile[0].args
    if layout in _HIGHEST:
        picture.info["transparency"] = picture.info["transparency"] * 0xFF // _HIGHEST[str(layout)]
    return layout == _HIGH_BYTES


def _settle_turned(picture: ImageFile.ImageFile) -> None:
    """Let the pixels of a TIFF that lies on its side be read and not mapped, which Pillow does by the upright size."""
    if getattr(picture, "tag_v2", {}).get(_ORIENTATION) in (5, 6, 7, 8):
        picture.filename = ""


def _with_white(picture: Image.Image, source: str, place: Place) -> Image.Image:
    """Return a PNG's colours of 16 bits with 8, its clear colour white: told by all bits, so it is read twice."""
    high = np.asarray(picture)
    with _open(source, place) as again:
        again.tile = [again.tile[0]._replace(args=_LOW_BYTES)]
        low = np.asarray(again)
    levels = np.array(picture.info["transparency"], dtype=np.uint16)
    clear = high == (levels >> 8).astype(np.uint8)  # byte by byte: together they would take several times as much
    clear &= low == levels.astype(np.uint8)
    return Image.fromarray(np.where(clear.all(axis=-1, keepdims=True), np.uint8(0xFF), high))


def _as_rgb(picture: Image.Image) -> Image.Image:
    mode = picture.mode
    if mode.startswith("I"):
        picture = _eight_bits(picture)
    elif mode == "F":
        raise ValueError("float pixels have no defined white; save it with 8 bits a channel")
    elif mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in picture.info:
        shown = picture.convert("RGBA")
        white = Image.new("RGBA", shown.size, "white")
        return Image.alpha_composite(white, shown).convert("RGB")
    return picture.convert("RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Return a 16-bit grey picture with 8: its high bytes. Pillow's own conversion clips all above 255 to white.

    It leaves a TIFF of 12 bits as it is, and one of 16 whose white is 0.
    """
    if picture.mode == "I" and picture.format not in _SIXTEEN_BITS:
        raise ValueError("32-bit or signed pixels have no defined white; save it with 8 bits a channel")
    values = np.asarray(picture).astype(np.int64)
    if isinstance(clear := picture.info.get("transparency"), int):
        values[values == clear] = 0xFFFF
    said = getattr(picture, "tag_v2", {})
    values <<= 16 - max(said.get(_BITS, (16,)))
    if said.get(_PHOTOMETRIC) == 0:
        values = 0xFFFF - values
    return Image.fromarray((values >> 8).astype(np.uint8))


def _check_box(source: str, box: Box, size: Size) -> None:
    left, top, right, bottom = box
    width, height = size
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ImageError(
            "box outside picture",
            f"{source}: box {list(box)} is no part of the {width}x{height} picture. "
            "Give left, top, right, bottom in pixels within it.",
        )


def _check_resize(source: str, resize: Size) -> None:
    width, height = resize
    if not (width > 0 and height > 0 and width * height <= MAX_PIXELS):
        raise ImageError(
            "resize impossible",
            f"{source}: cannot be resized to {width}x{height}. Give width and height from 1, of at most "
            f"{MAX_PIXELS:,} pixels.",
        )


def _too_large(source: str) -> ImageError:
    return ImageError("image too large", f"{source}: more than {MAX_PIXELS:,} pixels. Make it smaller.")
