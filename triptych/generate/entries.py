"""What all layouts of annotation files share: options, names of images, and how one bad entry is refused.

Not a layout: those are in ``annotations/``. Invariants: an image is named and not opened, and no name in a file leads
out of the folder that the images are in; a bad entry never stops the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import isfinite
from pathlib import Path, PurePosixPath

from triptych.core.errors import ConfigError, DataError
from triptych.core.records import ImageRef, Json, VideoRef
from triptych.data.disk.rows import bad, words
from triptych.data.format import Refused, RowError
from triptych.data.media.kept import SUFFIXES
from triptych.data.media.locate import ImageError
from triptych.generate.item import Annotation, View

Build = Callable[[str], Annotation]
"""(origin) -> Annotation; raises RowError or ImageError when the entry cannot be used."""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom as shares of the picture."""
_NUMBER = re.compile(r"(\d+)")


def check_options(options: Mapping[str, str], known: Mapping[str, str], *, layout: str) -> None:
    """Refuse an option that a layout does not know. Raises ConfigError."""
    if unknown := sorted(options.keys() - known.keys()):
        there = ", ".join(sorted([*known, "limit", "rows"]))
        raise ConfigError(f"annotations {layout}: there is no option {unknown[0]!r}. There are: {there}.")


def number_option(options: Mapping[str, str], key: str, *, default: int) -> int:
    """Return an option that is a whole number above 0. Raises ConfigError."""
    said = options.get(key)
    if said is None:
        return default
    if not (said.isascii() and said.isdecimal() and int(said)):
        raise ConfigError(f"option {key} is a whole number above 0, found {said!r}.")
    return int(said)


def choice_option(options: Mapping[str, str], key: str, *, choices: Sequence[str]) -> str:
    """Return an option that is one of several words; the first is the default. Raises ConfigError."""
    said = options.get(key, choices[0])
    if said not in choices:
        raise ConfigError(f"option {key} is {said!r}. There are: {', '.join(choices)}.")
    return said


def folder_option(options: Mapping[str, str], key: str, *, path: Path) -> Path:
    """Return the folder that an option names; without it the folder of the annotation file."""
    return Path(options[key]).expanduser() if key in options else path.parent


def file_option(options: Mapping[str, str], key: str) -> Path | None:
    """Return the file that an option names, None without it. Raises ConfigError when it is not there."""
    if key not in options:
        return None
    path = Path(options[key]).expanduser()
    if not path.is_file():
        raise ConfigError(f"option {key} is {options[key]!r}: no such file. Give an existing one.")
    return path


def build_entry(build: Build, *, path: Path, row: int | str, called: str = "") -> Annotation | Refused:
    """Return what ``build`` makes of an entry, or its refusal.

    Args:
        build: see `Build`.
        path: the annotation file.
        row: number or key of the entry.
        called: its id, where it has one.
    """
    origin = f"{path}: row {row}" if isinstance(row, int) else f"{path}: {row!r}"
    where = f"{origin} (id {called!r})" if called else origin
    try:
        return build(origin)
    except (RowError, ImageError) as error:
        return Refused(where, error.reason, f"{where}: {error}")
    except DataError as error:
        return Refused(where, "bad row", f"{where}: {error}")


def image_at(folder: Path, name: str) -> ImageRef:
    """Return the image that an entry calls ``name``, under a folder, unopened. Raises RowError."""
    return ImageRef(str(_inside(folder, name)))


def video_at(folder: Path, name: str) -> VideoRef:
    """Return the video that an entry calls ``name``, under a folder, unopened. Raises RowError."""
    return VideoRef(str(_inside(folder, name)))


def frames_at(folder: Path, name: str, *, most: int, per_s: float | None) -> tuple[View, ...]:
    """Return the frames of a video as views in their order: the pictures in the folder ``name``, listed, unopened.

    Args:
        folder: the one that holds a folder of pictures for each video.
        name: of the video.
        most: that many at most, evenly over the video; 0: all.
        per_s: frames a second, for the time of each; None: they are no frames of a video.

    Raises:
        RowError: ``no frames``: there is no such folder, or no picture in it.
    """
    files = pictures_in(_inside(folder, name))
    if not files:
        raise RowError("no frames", f"{folder / name}: no pictures are there. Cut the video into frames first.")
    count = min(most or len(files), len(files))
    chosen = [at * (len(files) - 1) // max(1, count - 1) for at in range(count)]
    return tuple(
        View(ImageRef(str(files[at])), name=files[at].stem, time_s=at / per_s if per_s else None) for at in chosen
    )


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures in a folder by their names' order, in which 10 comes after 9; none where it is no folder."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
    return sorted((path.absolute() for path in found), key=lambda path: natural_order(path.name))


def natural_order(name: str) -> tuple[object, ...]:
    """Return a key that sorts names with numbers in them by the numbers."""
    pieces = _NUMBER.split(name)
    return tuple(int(piece) if at % 2 else piece for at, piece in enumerate(pieces))


def box_within(box: Sequence[float], *, width: float, height: float, what: str = "box") -> Box:
    """Return left, top, right, bottom as shares of the picture from (left, top, width, height) in its pixels.

    Raises:
        RowError: ``bad box``: four numbers were expected, or it lies outside of the picture.
    """
    if len(box) != 4 or width <= 0 or height <= 0:
        raise RowError("bad box", f"{what} {list(box)!r} is not left, top, width, height in a picture with a size.")
    left, top, wide, high = box
    edges = (left / width, top / height, (left + wide) / width, (top + high) / height)
    if not all(-0.02 <= edge <= 1.02 for edge in edges) or wide < 0 or high < 0:
        raise RowError("bad box", f"{what} {list(box)!r} lies outside of its picture of {width:g}x{height:g} pixels.")
    left, top, right, bottom = (min(1.0, max(0.0, edge)) for edge in edges)
    return left, top, right, bottom


def numbers_in(value: Json, what: str) -> list[float]:
    """Return a list of numbers of an entry, checked to be one. Raises RowError."""
    if not isinstance(value, list):
        raise bad(f"{what} is no list of numbers. Mend the entry or leave it out.")
    return [number_of(each, what) for each in value]


def number_of(value: Json, what: str) -> float:
    """Return a number of an entry. Raises RowError: it is none, or not finite."""
    with suppress(OverflowError):
        if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
            return float(value)
    raise bad(f"{what} holds what is no number: {str(value)[:40] if not isinstance(value, int) else 'too large'!r}.")


def sentences_in(value: Json, what: str) -> tuple[str, ...]:
    """Return a list of texts of an entry, stripped, without empty ones. Raises RowError."""
    if not isinstance(value, list):
        raise bad(f"{what} is no list of texts. Mend the entry or leave it out.")
    return tuple(text for each in value if (text := " ".join(words(each, what).split())))


def _inside(folder: Path, name: str) -> Path:
    pure = PurePosixPath(name)
    if not name or "\0" in name or pure.is_absolute() or ".." in pure.parts:
        raise RowError(
            "path leaves the data folder", f"the name {name[:200]!r} leads out of {folder}. Put the images under it."
        )
    return (folder / pure).absolute()
