"""Pictures by id, from where MIMIC-IT keeps them: one JSON object of base64, Parquet, or a folder of files.

Not about instructions. Both spellings of an id are one: ``LA_00_IMG_7`` and ``LA_IMG_7`` (files of June 2023 and later
ones). No file is held in memory: of a JSON object only places are kept, in a table on disk; from Parquet the pictures
that are asked for are unpacked to the cache folder, in at most four passes over a row group, a page of it at a time.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from triptych.core.errors import DataError
from triptych.data.disk.json_members import members_of
from triptych.data.disk.name_table import NameTable, Place, table_of
from triptych.data.media.folder import ImageFolder
from triptych.data.media.images import ImageError
from triptych.data.media.kept import keep_bytes
from triptych.data.media.locate import base64_at
from triptych.data.media.unpack import base64_bytes

Found = str | ImageError
"""A locator, or why there is none."""

_ID = re.compile(r"([A-Za-z0-9]+)_(00_)?IMG_(.+)", re.DOTALL)
_SUFFIXES = ("", ".jpg", ".png", ".jpeg", ".webp")
_BASE64 = "base64"
_NAMES = ("__index_level_0__", "id", "image_id", "index")
"""Columns that hold the ids where the file does not say which one is its index."""
_ROWS = 8
"""Rows of base64 in memory at once."""
_READ_BYTES = 1 << 20
_PASSES = 3
"""After so many passes over a row group for some of its pictures, the next takes them all."""


class Bank(Protocol):
    """Pictures by id."""

    def find(self, names: Iterable[str]) -> Mapping[str, Found]:
        """Return where each picture is, or why it cannot be used. Asked for many at once, it is quicker."""


def open_bank(path: Path) -> Bank:
    """Return the pictures of a JSON object ``{id: base64}``, a Parquet file, a folder of them, or one of image files.

    Raises:
        DataError: there is no such thing, or it cannot be read.
    """
    if path.is_dir():
        parts = sorted(path.glob("*.parquet"))
        return _parquet(path, parts) if parts else _FolderBank(path, ImageFolder(path))
    if path.suffix.lower() == ".parquet":
        return _parquet(path, [path])
    made = ((each.key, (each.start, each.length, 0)) for each in members_of(path))
    return _JsonBank(path, table_of([path], made, kind="base64"))


def spellings(name: str) -> tuple[str, ...]:
    """Return an image id and, where it has one, its other published spelling."""
    parts = _ID.fullmatch(name)
    if parts is None:
        return (name,)
    return name, f"{parts[1]}_IMG_{parts[3]}" if parts[2] else f"{parts[1]}_00_IMG_{parts[3]}"


@dataclass(frozen=True, slots=True)
class _JsonBank:
    """One JSON object of base64."""

    path: Path
    table: NameTable

    def find(self, names: Iterable[str]) -> Mapping[str, Found]:
        """Return the places of the texts in the file."""
        places = _places(self.table, names, self.path)
        return {name: place if isinstance(place, ImageError) else self._at(name, place) for name, place in places}

    def _at(self, name: str, place: Place) -> Found:
        start, length, _ = place
        if length <= 2:
            return ImageError("image unreadable", f"image {name!r} of {self.path} is empty. Leave the row out.")
        # A value that is no text has no quotes: what is cut off then makes it no base64, which reading finds.
        return base64_at(self.path.resolve(), start=start + 1, length=length - 2)


@dataclass(frozen=True, slots=True)
class _FolderBank:
    """Image files named by id."""

    path: Path
    folder: ImageFolder

    def find(self, names: Iterable[str]) -> Mapping[str, Found]:
        """Return the files."""
        return {name: self._find(name) for name in names}

    def _find(self, name: str) -> Found:
        for spelling in spellings(name):
            for suffix in _SUFFIXES:
                try:
                    return self.folder.find(f"{spelling}{suffix}").source
                except ImageError as error:
                    if error.reason != "image file missing":
                        return error
        return _missing(name, self.path)


@dataclass(frozen=True, slots=True)
class _ParquetBank:
    """Base64 in Parquet. State: how often it has gone over a row group."""

    path: Path
    parts: Sequence[Path]
    table: NameTable
    passes: Counter[tuple[int, int]] = field(default_factory=Counter)

    def find(self, names: Iterable[str]) -> Mapping[str, Found]:
        """Unpack those pictures that are not unpacked yet, and return their files."""
        places = dict(_places(self.table, names, self.path))
        found: dict[str, Found] = {name: place for name, place in places.items() if isinstance(place, ImageError)}
        there = self._kept(places.keys() - found.keys())
        missing: dict[tuple[int, int], dict[int, list[str]]] = {}
        for name, place in places.items():
            if not isinstance(place, ImageError) and name not in there:
                missing.setdefault(place[:2], {}).setdefault(place[2], []).append(name)
        for (part, group), rows in sorted(missing.items()):
            there |= self._unpack(part, group, rows)
        return found | {name: path or _unreadable(name, self.path) for name, path in there.items()}

    def _kept(self, names: Iterable[str]) -> dict[str, str]:
        kept = self.table.kept(names)
        return {name: path for name, path in kept.items() if not path or Path(path).exists()}

    def _unpack(self, part: int, group: int, rows: Mapping[int, Sequence[str]]) -> dict[str, str]:
        """Go over a row group and unpack rows of it; note and return the path for each name, empty for no base64."""
        self.passes[part, group] += 1
        everything = self.passes[part, group] > _PASSES
        kept: dict[str, str] = {}
        file = self.parts[part]
        with _as_parquet(file) as opened:
            columns = _columns(opened, file)
            at = 0
            for batch in opened.iter_batches(
                batch_size=_ROWS, row_groups=[group], columns=list(columns) if everything else [columns[1]]
            ):
                if not everything and at > max(rows):
                    break
                for index in range(batch.num_rows):
                    wanted = rows.get(at + index, [])
                    names = [*wanted, str(batch.column(columns[0])[index].as_py())] if everything else wanted
                    if names:
                        path = _kept_path(batch.column(columns[1])[index].as_py())
                        kept |= dict.fromkeys(names, path)
                at += batch.num_rows
        self.table.keep(kept.items())
        return {name: kept[name] for names in rows.values() for name in names}


def _parquet(path: Path, parts: Sequence[Path]) -> _ParquetBank:
    made = ((name, place) for number, part in enumerate(parts) for name, place in _ids(part, number))
    return _ParquetBank(path, parts, table_of(parts, made, kind="parquet base64"))


def _ids(path: Path, number: int) -> Iterator[tuple[str, Place]]:
    with _as_parquet(path) as file:
        column, _ = _columns(file, path)
        for group in range(file.num_row_groups):
            row = 0
            for batch in file.iter_batches(row_groups=[group], columns=[column]):
                for value in batch.column(column).to_pylist():
                    yield str(value), (number, group, row)
                    row += 1


@contextmanager
def _as_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        # Otherwise a column of a row group is read whole, and a row group may be the whole file. Now it is a page.
        with pq.ParquetFile(path, buffer_size=_READ_BYTES, pre_buffer=False) as file:
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: cannot be read as Parquet ({said}). Is it whole? Copy it again.") from None


def _columns(file: pq.ParquetFile, path: Path) -> tuple[str, str]:
    """Return the names of the columns of ids and of base64."""
    schema = file.schema_arrow
    names = list(schema.names)
    if _BASE64 in names:
        known = [name for name in (*_pandas_index(schema), *_NAMES) if name in names]
        others = [name for name in names if name != _BASE64]
        if known or len(others) == 1:
            return (known or others)[0], _BASE64
    raise DataError(f"{path}: no index of image ids with a column 'base64', but {names}. Is it the right file?")


def _pandas_index(schema: pa.Schema) -> list[str]:
    try:
        told = json.loads((schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
    except (ValueError, AttributeError):
        return []
    return [name for name in told if isinstance(name, str)] if isinstance(told, list) else []


def _places(table: NameTable, names: Iterable[str], path: Path) -> Iterator[tuple[str, Place | ImageError]]:
    """Yield for each name its place under one of its spellings."""
    asked = list(dict.fromkeys(names))
    known = table.find(spelling for name in asked for spelling in spellings(name))
    for name in asked:
        places = next((known[spelling] for spelling in spellings(name) if spelling in known), [])
        if len(places) == 1:
            yield name, places[0]
        elif places:
            message = f"{path} holds {len(places)} pictures with the id {name!r}. Leave one of them there."
            yield name, ImageError("duplicate id", message)
        else:
            yield name, _missing(name, path)


def _kept_path(text: object) -> str:
    if isinstance(text, bytes):
        return keep_bytes(text)
    try:
        return keep_bytes(base64_bytes(text.encode("ascii"))) if isinstance(text, str) else ""
    except ValueError:
        return ""


def _missing(name: str, path: Path) -> ImageError:
    message = f"no picture with the id {name!r} is in {path}. Add it or leave the row out."
    return ImageError("image file missing", message)


def _unreadable(name: str, path: Path) -> ImageError:
    return ImageError(
        "image unreadable", f"image {name!r} of {path} is no base64. Write it again or leave the row out."
    )
