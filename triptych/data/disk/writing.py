"""Examples to a file, row by row: the file takes its name when the last row is in, otherwise the old one stays.

Not a layout: ``formats/`` says what a row looks like. Pictures that lie elsewhere are copied beside the file.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeVar

from triptych.core.errors import DataError
from triptych.core.records import Example, Json
from triptych.data.format import Refused, RowError
from triptych.data.media.folder import ImageShelf
from triptych.data.media.locate import ImageError

R = TypeVar("R")
UNWRITABLE = (RowError, ImageError, UnicodeEncodeError)
"""What says that an example does not fit a layout."""


@dataclass
class LeavingOut(Iterable[Example]):
    """Examples of which a writer leaves out those that its layout cannot say. State: which those were, and why."""

    examples: Iterable[Example]
    left_out: list[Refused] = field(default_factory=list)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)


def write_rows(examples: Iterable[Example], path: Path, row_of: Callable[[Example, ImageShelf], Json]) -> int:
    """Write each example as ``row_of`` puts it, as JSON Lines; as one JSON list where the file ends in ``.json``.

    Raises:
        DataError: an example does not fit the layout; it names the row, and the file is as it was before.
    """
    shelf = ImageShelf(path.parent)
    as_list = path.suffix == ".json"
    count = 0
    with written(path) as file:
        for count, line in enumerate(put_all(examples, path, lambda said: _line(row_of(said, shelf))), start=1):
            file.write((b"[\n" if count == 1 else b",\n") + line if as_list else line + b"\n")
        if as_list:
            file.write(b"\n]\n" if count else b"[]\n")
    return count


def put_all(examples: Iterable[Example], path: Path, row_of: Callable[[Example], R]) -> Iterator[R]:
    """Yield the examples as rows; those that do not fit are left out and noted where ``LeavingOut`` asks for it.

    Raises:
        DataError: an example does not fit the layout; the message names it.
    """
    for number, example in enumerate(examples):
        try:
            row = row_of(example)
        except UNWRITABLE as error:
            refused = _refusal(example, number, path, error)
            if not isinstance(examples, LeavingOut):
                raise DataError(refused.message) from None
            examples.left_out.append(refused)
        else:
            yield row


def put(example: Example, number: int, path: Path, row_of: Callable[[Example], R]) -> R:
    """Return an example as a row, or say which one does not fit. Raises DataError."""
    try:
        return row_of(example)
    except UNWRITABLE as error:
        raise DataError(_refusal(example, number, path, error).message) from None


def _refusal(example: Example, number: int, path: Path, error: Exception) -> Refused:
    where = f"{path}: row {number} (id {example.id!r})"
    reason = error.reason if isinstance(error, RowError | ImageError) else "bad row"
    return Refused(where, reason, f"{where} cannot be written: {error}")


def _line(row: Json) -> bytes:
    try:
        said = json.dumps(row, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RowError("bad row", f"a fact of it is no JSON ({error}). Mend it or leave it out.") from None
    return said.encode("utf-8")


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
