"""What a person names to be shown: a path, a URL, a pattern of paths or a video, opened as references in order.

Not where it stands in a message (``conversation``), and for a person's own words only: a server has stricter manners.
A picture is looked at whole, so that a torn one is told at once; of a video, frames at even distances are taken.
"""

from __future__ import annotations

import io
import re
from glob import glob, has_magic
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from triptych.core.errors import DataError
from triptych.core.fetch import fetch
from triptych.core.records import ImageRef, VideoRef
from triptych.data.media.images import load_image, measure
from triptych.data.media.kept import SUFFIXES, keep_bytes
from triptych.data.media.locate import ImageError, place_of
from triptych.data.media.video import probe
from triptych.serve.speaking import VIDEO_FRAMES, video_frames_of

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})
VIDEO_BYTES = 256 << 20
"""Most bytes of a video that is fetched."""
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_DIGITS = re.compile(r"(\d+)")
_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
"""Pixels that a PNG keeps as they are."""
_BROKEN = (OSError, SyntaxError, ValueError)
"""What Pillow raises where a picture that it opened cannot be read on."""


def open_shown(said: str, *, frames: int = VIDEO_FRAMES) -> tuple[ImageRef, ...]:
    """Return what a person named, in order: one picture, those of a pattern, or frames of a video.

    Args:
        said: a path (``~`` is the home folder), an http(s) URL, or a pattern like ``shots/*.png``, whose files come in
            the order of the numbers in their names.
        frames: of each video, at even distances; all, if it has no more.

    Raises:
        DataError: nothing is there, or it cannot be read, or not be fetched.
    """
    found: list[ImageRef] = []
    for medium in open_media(said):
        if isinstance(medium, VideoRef):
            found += [measure(frame) for frame in video_frames_of(medium, frames)]
        else:
            found.append(medium)
    return tuple(found)


def open_media(said: str, *, allow_private: bool = True) -> tuple[ImageRef | VideoRef, ...]:
    """Return what a person named as pictures, which have been looked at, and whole videos.

    Args:
        said: as for ``open_shown``.
        allow_private: also fetch from addresses of one's own network: they were typed by whoever sits here.

    Raises:
        DataError: as ``open_shown``.
    """
    name = said.strip()
    if _URL.fullmatch(name):
        return (_fetched(name, allow_private=allow_private),)
    path = Path(name).expanduser().absolute()
    if path.is_dir():
        raise DataError(f"{name}: a folder. {name.rstrip('/')}/* is all that is in it.")
    if place_of(str(path)).kind == "file" and not path.exists():
        if has_magic(name):
            return tuple(_opened(each, str(each)) for each in _matching(name))
        raise DataError(f"{name}: no such file. Give a path, a URL, or a pattern like shots/*.png.")
    return (_opened(path, name),)


def is_media(name: str) -> bool:
    """Tell whether this names a picture's or a video's file that is there."""
    path = Path(name).expanduser()
    try:
        return path.suffix.lower() in SUFFIXES | VIDEO_SUFFIXES and path.is_file()
    except (OSError, ValueError):  # too long for a name, a zero byte
        return False


def is_url(said: str) -> bool:
    """Tell whether this is one http(s) URL and nothing else."""
    return _URL.fullmatch(said.strip()) is not None


def keep_picture(picture: Image.Image | NDArray[np.uint8]) -> ImageRef:
    """Put pixels into the cache folder as a PNG, once for each content, and return where they are.

    Args:
        picture: of Pillow, turned as its EXIF says; or an array of bytes: (height, width), (height, width, 3) as RGB
            or (height, width, 4) with opacity.

    Raises:
        DataError: it cannot be read, or it is no picture: another shape, or numbers that are no bytes.
    """
    try:
        upright = ImageOps.exif_transpose(picture if isinstance(picture, Image.Image) else _of_array(picture))
        if upright.mode not in _PNG_MODES:
            if upright.mode in {"F", "I"}:
                raise DataError(f"a picture of mode {upright.mode} has no defined white. Make it RGB or L first.")
            upright = upright.convert("RGB")
        file = io.BytesIO()
        upright.save(file, "PNG", compress_level=1)
    except DataError:
        raise
    except _BROKEN as error:
        said = " ".join(str(error).split())
        raise DataError(f"a picture in memory cannot be read ({said}). Open it again.") from None
    return measure(ImageRef(keep_bytes(file.getvalue(), "kept.png")))


def _of_array(pixels: NDArray[np.uint8]) -> Image.Image:
    shape = pixels.shape
    if pixels.dtype != np.uint8 or not (len(shape) == 2 or (len(shape) == 3 and shape[2] in {3, 4})) or 0 in shape:
        raise DataError(
            f"an array of {pixels.dtype} with shape {shape} is no picture. Give uint8 from 0 to 255 as (height, width),"
            " (height, width, 3) or (height, width, 4)."
        )
    return Image.fromarray(np.ascontiguousarray(pixels))


def _fetched(url: str, *, allow_private: bool) -> ImageRef | VideoRef:
    suffix = Path(url.partition("?")[0]).suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return _opened(fetch(url, allow_private=allow_private, max_bytes=VIDEO_BYTES), url)
    return _opened(fetch(url, allow_private=allow_private), url)


def _opened(path: Path, name: str) -> ImageRef | VideoRef:
    suffix = path.suffix.lower()
    try:
        if suffix in VIDEO_SUFFIXES:
            return _video(path)
        try:
            return _picture(path)
        except ImageError as error:
            if suffix in SUFFIXES or error.reason != "image unreadable":
                raise
        try:
            return _video(path)
        except ImageError:
            raise ImageError("image unreadable", f"{path}: neither a picture nor a video.") from None
    except ImageError as error:
        # Its remedy is for rows of data.
        said = str(error).replace(str(path), name).replace(" or leave the row out", "")
        raise ImageError(error.reason, said) from None


def _picture(path: Path) -> ImageRef:
    image = measure(ImageRef(str(path)))
    load_image(image)
    return image


def _video(path: Path) -> VideoRef:
    probe(str(path))
    return VideoRef(str(path))


def _matching(pattern: str) -> list[Path]:
    found = [Path(each).absolute() for each in glob(str(Path(pattern).expanduser()), recursive=True)]  # noqa: PTH207 - of any root
    shown = [path for path in found if path.suffix.lower() in SUFFIXES | VIDEO_SUFFIXES and path.is_file()]
    if not shown:
        raise DataError(f"{pattern}: no picture and no video has such a name.")
    return sorted(shown, key=_in_order)


def _in_order(path: Path) -> list[tuple[int, str]]:
    """Return what sorts ``shot 2`` before ``shot 10``."""
    return [(int(run), "") if run.isdecimal() else (-1, run) for run in _DIGITS.split(str(path))]
