"""Mantis-Instruct as published on the hub: Parquet of {id, images, conversation, source}, pictures inside or in zips.

Source: TIGER-Lab/Mantis-Instruct. The path is one Parquet file, or the folder of one config (``nlvr2/``), of which the
option ``#split=train`` names the split where there are several. Revision ``main`` has the pictures' bytes in the rows.
Revision ``script`` has paths, and beside the Parquet files a folder ``SPLIT_images``, ``SPLIT_images.zip``, or parts
``SPLIT_images_part1.zip`` and so on, listed in ``SPLIT_images_zips.txt``; zips are read as they are, nothing is
extracted. Rows say what ``mantis`` rows say. A zip that is torn, or a part that is missing, is an error of the source.

Writes one Parquet file with the pictures inside. Cannot say: what ``mantis`` cannot, and facts but ``source``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, images_of
from triptych.data.disk.finder import Media
from triptych.data.disk.marks import CANNOT, check_whole, join_others, marked
from triptych.data.disk.parquet import IMAGE, TEXT, list_of, packed, write_parquet
from triptych.data.disk.parquet_rows import read_parquet_rows
from triptych.data.disk.rows import bad, convert_row
from triptych.data.format import Format, Reader, Refused, check_options
from triptych.data.formats.mantis import example_of
from triptych.data.media.folder import ImageFolder
from triptych.data.media.locate import ImageError, zip_members

_FEATURES: dict[str, object] = {
    "id": TEXT,
    "images": list_of(IMAGE),
    "conversation": list_of({"role": TEXT, "content": TEXT}),
    "source": TEXT,
}
_FILE = re.compile(r"(?P<split>.+?)(?:-\d+-of-\d+)?\.parquet")


def write(examples: Iterable[Example], path: Path) -> int:
    """Write Examples into one Parquet file."""
    return write_parquet(examples, path, columns_of=_columns, features=_FEATURES)


def configure(options: Mapping[str, str]) -> Reader:
    """Return the reader of one split. Raises ConfigError."""
    check_options(options, ("split",))
    return partial(_read, split=options.get("split"))


def _read(path: Path, *, split: str | None = None) -> Iterator[Example | Refused]:
    split, files = _files(path, split)
    find = _finder(files[0].parent, split)
    for file in files:
        for row in read_parquet_rows(file):
            yield convert_row(row, lambda said, origin: example_of(said, find, origin=origin), path=file)


def _files(path: Path, split: str | None) -> tuple[str, list[Path]]:
    """Return the split and its Parquet files, in order."""
    if not path.is_dir():
        name = _FILE.fullmatch(path.name)
        return split or (name["split"] if name else path.stem), [path]
    found: dict[str, list[Path]] = {}
    for file in sorted(path.glob("*.parquet")):
        if name := _FILE.fullmatch(file.name):
            found.setdefault(name["split"], []).append(file)
    if split is None and len(found) == 1:
        split = next(iter(found))
    if split is None and found:
        raise DataError(f"{path}: holds {', '.join(sorted(found))}. Say which: #split={min(found)}.")
    if split not in found:
        raise DataError(f"{path}: no Parquet file{f' of split {split}' if split else ''}. Give the folder of a config.")
    return split, found[split]


def _finder(folder: Path, split: str) -> Callable[[object], ImageRef]:
    """Return what finds the pictures of a split: in its rows, beside the file, or in its zips.

    Raises:
        DataError: a zip is missing or torn, or two versions of them are there.
    """
    zips = _zips(folder, split)
    for file in zips:
        if not file.is_file():
            raise DataError(f"{file}: no such file, though {split}_images_zips.txt lists it. Download it again.")
        zip_members(file)  # Torn ones are found before the first row.
    media = Media(ImageFolder(folder, archives=zips), ImageFolder(folder))

    def find(entry: object) -> ImageRef:
        if isinstance(entry, dict) and entry.get("bytes") is None and isinstance(name := entry.get("path"), str):
            # Paths begin at the folder of the split's pictures, or above it.
            with suppress(ImageError):
                return media.image({**entry, "path": f"{split}_images/{name}"})
        return media.image(entry)

    return find


def _zips(folder: Path, split: str) -> list[Path]:
    listing = folder / f"{split}_images_zips.txt"
    if (folder / f"{split}_images").is_dir():
        return []  # Somebody has extracted them.
    if listing.is_file():
        names = listing.read_text(encoding="utf-8", errors="replace").split()
        return [folder / Path(name).name for name in names]
    single, parts = folder / f"{split}_images.zip", sorted(folder.glob(f"{split}_images_part*.zip"))
    if single.is_file() and parts:
        raise DataError(f"{folder}: holds {single.name} and {parts[0].name}: one is of an older version. Delete that.")
    return [single] if single.is_file() else parts


def _columns(example: Example) -> dict[str, object]:
    facts = join_others(example, frozenset())
    source = facts.pop("source", None)
    if facts or not (source is None or isinstance(source, str)):
        raise bad("this layout has no place for facts or skills, but for a source. Write mantis or messages instead.")
    images = images_of(example)
    for image in images:
        check_whole(image)
    return {
        "id": example.id,
        "images": [packed(image.source) for image in images],
        "conversation": [{"role": turn.role, "content": marked(turn)} for turn in example.turns],
        "source": source,
    }


FORMAT = Format(
    read=_read,
    write=write,
    about="Mantis-Instruct on the hub: Parquet of a config, pictures inside or in zips beside it",
    configure=configure,
    endings=(".parquet",),
    cannot=CANNOT | {"facts"},
)
