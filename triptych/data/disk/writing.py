"""Examples to a file, row by row: the file takes its name when the last row is in, otherwise the old one stays.

Not a layout: ``formats/`` says what a row looks like. Pictures that lie elsewhere are copied beside the file; those of
a row that does not fit, and of a file that is not finished, are taken away again, also where SIGTERM ends the work.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import BinaryIO, NoReturn, TypeVar

from triptych.core.errors import ConfigError, DataError
from triptych.core.files import part_file
from triptych.core.full_disk import naming
from triptych.core.plugins import find
from triptych.core.records import Example, Json
from triptych.core.rollback import made_folder
from triptych.data.disk.rows import check_turns
from triptych.data.format import Format, Refused, RowError, Writer, options_of, split_source
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


def target_of(to: str, sources: Sequence[str] = ()) -> tuple[Path, Writer]:
    """Return the path and the writer of a file to be written, ``FORMAT:PATH``, before any work is done for it.

    Args:
        to: the file.
        sources: what it is made of; it must be another file.

    Raises:
        ConfigError: it is malformed or one of the sources, the format is only read, or does not write such files.
        NotFoundError: no such format.
    """
    name, path = split_source(to)
    plugin = find("format", name, expected=Format)
    if plugin.write is None:
        raise ConfigError(f"{to!r}: format {name!r} can only be read. Write messages:PATH.jsonl instead.")
    if options := options_of(to):
        raise ConfigError(f"{to!r}: {min(options)!r} is an option of reading. Leave it out.")
    if not plugin.folders and not any(path.name.endswith(ending) for ending in plugin.endings):
        known = " or ".join(plugin.endings)
        raise ConfigError(
            f"{to!r}: format {name!r} writes files that end in {known}. Write {name}:{_renamed(path, plugin)}."
        )
    if path.resolve() in {split_source(source)[1].resolve() for source in sources}:
        which = "the source itself" if len(sources) == 1 else "one of the sources"
        raise ConfigError(f"{path} is {which}. Write to another file.")
    return path, plugin.write


def write_rows(examples: Iterable[Example], path: Path, *, row_of: Callable[[Example, ImageShelf], Json]) -> int:
    """Write each example as ``row_of`` puts it, as JSON Lines; as one JSON list where the file ends in ``.json``.

    Raises:
        DataError: an example does not fit the layout; it names the row, and the file is as it was before.
    """
    shelf = ImageShelf(path.parent)
    as_list = path.suffix == ".json"
    count = 0

    def line_of(example: Example) -> bytes:
        with shelf.all_or_none():
            return _line(row_of(example, shelf))

    with written(path) as file, shelf.all_or_none():
        for count, line in enumerate(put_all(examples, path, row_of=line_of), start=1):
            file.write((b"[\n" if count == 1 else b",\n") + line if as_list else line + b"\n")
        if as_list:
            file.write(b"\n]\n" if count else b"[]\n")
    return count


def put_all(examples: Iterable[Example], path: Path, *, row_of: Callable[[Example], R]) -> Iterator[R]:
    """Yield the examples as rows; those that do not fit are left out and noted where ``LeavingOut`` asks for it.

    A conversation that no reader would take fits no layout.

    Raises:
        DataError: an example does not fit the layout; the message names it.
    """
    for number, example in enumerate(examples):
        try:
            for each in (*example.demonstrations, example):
                check_turns(each.turns, labelled=bool(each.labels))
            row = row_of(example)
        except UNWRITABLE as error:
            refused = _refusal(example, number, path, error)
            if not isinstance(examples, LeavingOut):
                raise DataError(refused.message) from None
            examples.left_out.append(refused)
        else:
            yield row


def _renamed(path: Path, plugin: Format) -> Path:
    """Return a path with the first of a format's endings in place of its own."""
    stem = path.name.removesuffix(path.suffix) or path.name
    return path.with_name(f"{stem}{plugin.endings[0]}")


def _refusal(example: Example, number: int, path: Path, error: Exception) -> Refused:
    where = f"{path}: row {number} (id {example.id!r})"
    reason = error.reason if isinstance(error, RowError | ImageError) else "bad row"
    said: Exception | str = error
    if isinstance(error, UnicodeEncodeError):  # UTF-8 holds all that is a character.
        said = f"half of a surrogate pair, U+{ord(error.object[error.start]):04X}, is no character. Mend the text."
    return Refused(where, reason, f"{where} cannot be written: {said}")


def _line(row: Json) -> bytes:
    try:
        said = json.dumps(row, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RowError("bad row", f"a fact of it is no JSON ({error}). Mend it or leave it out.") from None
    return said.encode("utf-8")


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes its name when the block ends well; otherwise the old file stays, or no new folder."""
    with _sigterm_raises(), made_folder(path.parent), naming(path):
        part = part_file(path)
        try:
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Let SIGTERM raise while the block runs, so that what it made is taken back; unless others listen to it."""
    main = threading.current_thread() is threading.main_thread()  # others may set no handlers
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
