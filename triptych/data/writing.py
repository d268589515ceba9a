"""Examples to a file, row by row: the file takes its name when the last row is in, otherwise the old one stays.

Not a layout: ``formats/`` says what a row looks like. Pictures that lie elsewhere are copied beside the file.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from triptych.core.errors import DataError
from triptych.core.records import Example, Json
from triptych.data.folder import ImageShelf
from triptych.data.format import RowError
from triptych.data.images import ImageError

R = TypeVar("R")


def write_rows(examples: Iterable[Example], path: Path, row_of: Callable[[Example, ImageShelf], Json]) -> int:
    """Write each example as ``row_of`` puts it, as JSON Lines; as one JSON list where the file ends in ``.json``.

    Raises:
        DataError: an example does not fit the layout; it names the row, and the file is as it was before.
    """
    shelf = ImageShelf(path.parent)
    as_list = path.suffix == ".json"
    count = 0
    with written(path) as file:
        for count, example in enumerate(examples, start=1):
            line = put(example, count - 1, path, lambda said: _line(row_of(said, shelf)))
            file.write((b"[\n" if count == 1 else b",\n") + line if as_list else line + b"\n")
        if as_list:
            file.write(b"\n]\n" if count else b"[]\n")
    return count


def _line(row: Json) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode("utf-8")


def put(example: Example, number: int, path: Path, row_of: Callable[[Example], R]) -> R:
    """Return an example as a row, or say which one does not fit. Raises DataError."""
    try:
        return row_of(example)
    except (RowError, ImageError, UnicodeEncodeError) as error:
        raise DataError(f"{path}: row {number} (id {example.id!r}) cannot be written: {error}") from None


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes its name when the block ends well; otherwise the old file stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # In its own folder, as a rename is atomic only within one file system; a name of its own, as two may write at once.
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
