"""Rows of a JSON list or of JSON Lines, streamed: one chunk or one row is in memory, whatever the file's size.

Not about what a row says: ``rows`` checks that. In JSON Lines a broken line is one bad row; a list that is broken
cannot be read behind the break, so that is an error of the file. A row that says a key of its own twice is a bad
row in both: one of the two would be lost. Of the objects within it only such a row's are looked at, for that needs a
slower parser. ``row_places`` tells where every row is, so that
``read_row_at`` reads any one of them alone.
"""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from triptych.core.errors import DataError, quoted
from triptych.core.records import Json
from triptych.data.format import RowError

_CHUNK = 1 << 20
_LONGEST_WORD = 64
"""Characters; no JSON word that a chunk may cut (a number, an escape, ``-Infinity``) is longer."""
_FEW_KEYS = 32
"""Keys of a row that are looked for one by one."""
_SPACE = " \t\r\n"
_ESCAPED = re.compile(r'\\[u/][^"]*("[ \t\r\n]*:|")')
"""How words end that are perhaps spelt otherwise than they could be: those of a key with a colon."""
_BOM = b"\xef\xbb\xbf"
_OTHERS = {
    b"\x1f\x8b": "packed by gzip: unpack it (gunzip)",
    b"PK\x03\x04": "packed by zip: unpack it (unzip)",
    b"\x28\xb5\x2f\xfd": "packed by zstd: unpack it (unzstd)",
    b"PAR1": "Parquet: call it .parquet",
    b"\xff\xfe": "UTF-16: save it as UTF-8",
    b"\xfe\xff": "UTF-16: save it as UTF-8",
}
"""How files begin that are neither, what they are, and what to do."""
_EXCEL = b"[Content_Types].xml"
"""What stands in a zip that is a table of Excel's."""
TABLES = (".csv", ".tsv", ".xlsx", ".xls")


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it stands in the file."""

    number: int
    """Counted from 0; in JSON Lines the line, blank lines counted."""
    value: Json | RowError
    """What the row says, or why it cannot be parsed."""


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a JSON list or of JSON Lines, whichever the file holds, without reading it whole.

    Raises:
        DataError: the file cannot be read, or a list is no JSON; the message names the place.
    """
    with _readable(path):
        if _kind(path) == "list":
            with _as_text(path) as text:
                yield from (Row(number, value) for number, (value, _, _) in enumerate(_items(text, path)))
        else:
            with path.open("rb") as file:
                yield from (Row(number, _parse(line)) for number, line in enumerate(file) if line.strip())


def each_key_once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Return the object that JSON's pairs make: an ``object_pairs_hook``.

    Raises:
        RowError: a key stands twice.
    """
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _twice(pairs)
    return made


def row_places(path: Path) -> Iterator[tuple[int, int, int]]:
    """Yield (number, offset in bytes, length in bytes) of every row that ``read_rows`` would yield, in its order.

    JSON Lines are searched for line ends and not parsed: hundreds of megabytes a second. A list is parsed.

    Raises:
        DataError: as ``read_rows``.
    """
    with _readable(path):
        if _kind(path) == "list":
            with _as_text(path) as text:
                yield from ((number, start, length) for number, (_, start, length) in enumerate(_items(text, path)))
        else:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                yield from _line_places(mapped)


def read_row_at(path: Path, offset: int, *, length: int, number: int) -> Row:
    """Return the row of ``row_places``: its bytes [offset, offset + length). ``number`` is for messages and ids.

    Raises:
        DataError: the file cannot be read.
    """
    with _readable(path), path.open("rb") as file:
        file.seek(offset)
        return Row(number, _parse(file.read(length)))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Name the file in what goes wrong with it as a whole."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Give a JSON or JSON Lines file.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason}). Save it as UTF-8.") from None


def _kind(path: Path) -> Literal["list", "lines"]:
    with path.open("rb") as file:
        begins = file.read(_CHUNK)
    if begins.startswith(b"PK") and _EXCEL in begins:
        raise DataError(f"{path}: a table of Excel's. Save it as JSON Lines, an object a row.")
    for magic, other in _OTHERS.items():
        if begins.startswith(magic):
            raise DataError(f"{path}: neither a JSON list nor JSON Lines, but {other}.")
    start = begins.removeprefix(_BOM).lstrip()[:1]
    if start == b"[":
        return "list"
    if start == b"{":
        return "lines"
    if not start:
        raise DataError(f"{path}: the file is empty. Was it written whole?")
    if path.suffix.lower() in TABLES:
        raise DataError(f"{path}: a table. Save it as JSON Lines, an object a row.")
    raise DataError(f"{path}: neither a JSON list [...] nor JSON Lines {{...}}. Is it the right file?")


def _as_text(path: Path) -> TextIO:
    """Open the text as it stands, line ends untouched, so that characters can be counted back to bytes."""
    return path.open(encoding="utf-8-sig", newline="")


def _line_places(mapped: mmap.mmap) -> Iterator[tuple[int, int, int]]:
    number = start = 0
    size = len(mapped)
    while start < size:
        end = mapped.find(b"\n", start)
        end = size if end < 0 else end
        # Few lines begin so: only those are looked at whole.
        if mapped[start] > 0x20 or mapped[start:end].strip():
            yield number, start, end - start
        number += 1
        start = end + 1


def _parse(line: bytes) -> Json | RowError:
    try:
        text = line.decode("utf-8-sig")
        value: Json = json.loads(text)
        if _may_repeat(value, text):
            _DECODER.decode(text)
    except RowError as error:
        return error
    except UnicodeDecodeError as error:
        return _bad(f"not UTF-8 ({error.reason}). Save the file as UTF-8.")
    except ValueError as error:
        return _bad(f"not JSON ({error}). Mend the line or leave it out.")
    except RecursionError:
        return _bad("nested too deeply to be a conversation. Leave the line out.")
    return value


def _twice(pairs: list[tuple[str, Json]]) -> RowError:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            break
        seen.add(key)
    return _bad(f"the key {quoted(key)} stands twice in one object. Leave one of them out.")


def _may_repeat(value: Json, text: str, start: int = 0, end: int | None = None) -> bool:
    """Tell whether a row, text[start:end], may say one of its own keys twice: looked for faster than parsed."""
    if not isinstance(value, dict):
        return False
    if len(value) > _FEW_KEYS:
        return True
    for key in value:
        if text.count(f'"{key}"', start, end) != 1:
            return True
    if text.find("\\u", start, end) < 0 and "/" not in "".join(value):
        return False
    return any(tail != '"' for tail in _ESCAPED.findall(text, start, len(text) if end is None else end))


def _bad(message: str) -> RowError:
    return RowError("bad row", message)


_DECODER = json.JSONDecoder(object_pairs_hook=each_key_once)


def _items(file: TextIO, path: Path) -> Iterator[tuple[Json | RowError, int, int]]:
    """Yield (item, offset, length in bytes) of a JSON list, holding one chunk or one item of it at a time."""
    reader = _ListReader(file, path)
    reader.expect("[")
    more = reader.peek() != "]"
    while more:
        start = reader.offset()
        value = reader.value()
        yield value, start, reader.offset() - start
        more = reader.peek() == ","
        if more:
            reader.expect(",")
            reader.peek()
    reader.expect("]")
    if reader.peek():
        raise reader.broken("something follows the end of the list")


class _ListReader:
    """A window that moves over the text of a JSON list."""

    def __init__(self, file: TextIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._text = ""
        self._at = 0
        self._passed = 0
        """Characters of the file in front of the window."""
        self._counted = 0
        """Place in the window up to which bytes have been counted."""
        self._bytes = _bom_bytes(path)
        self._decoder = json.JSONDecoder()

    def peek(self) -> str:
        """Return the next character that is no white space, without taking it; empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._grow(_CHUNK):
                return ""

    def expect(self, one_of: str) -> str:
        """Take the next character, which must be one of these."""
        found = self.peek()
        if not found or found not in one_of:
            raise self.broken(f"expected {' or '.join(one_of)}, found {found or 'the end of the file'}")
        self._at += 1
        return found

    def value(self) -> Json | RowError:
        """Take one whole JSON value; return it, or that a key of it stands twice."""
        self.peek()
        size = _CHUNK
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                passed = error.pos - self._at
                cut = error.msg.startswith("Unterminated") or error.pos > len(self._text) - _LONGEST_WORD
                if not (cut and self._grow(size)):
                    self._at += passed
                    raise self.broken(error.msg) from None
            except ValueError as error:
                raise self.broken(str(error)) from None
            except RecursionError:
                raise self.broken("nested too deeply to be a conversation") from None
            else:
                passed = end - self._at
                # A number at the window's edge may go on behind it.
                if end < len(self._text) or not self._grow(size):
                    self._at += passed
                    return self._once(value, self._at - passed)
            size *= 2

    def _once(self, value: Json, start: int) -> Json | RowError:
        """Return the value that was just taken, or that a key of it stands twice."""
        if _may_repeat(value, self._text, start, self._at):
            try:
                _DECODER.raw_decode(self._text, start)
            except RowError as error:
                return error
        return value

    def offset(self) -> int:
        """Return how many bytes of the file are in front of the next character."""
        taken = self._text[self._counted : self._at]
        self._bytes += len(taken) if taken.isascii() else len(taken.encode("utf-8"))
        self._counted = self._at
        return self._bytes

    def broken(self, said: str) -> DataError:
        """Return the error that names the place."""
        place = self._passed + self._at
        return DataError(f"{self._path}: no JSON list: {said} at character {place}. Mend the file.")

    def _grow(self, size: int) -> bool:
        """Read on, letting go of what was taken. Return whether there was more."""
        more = self._file.read(size)
        self.offset()
        self._passed += self._at
        self._text, self._at, self._counted = self._text[self._at :] + more, 0, 0
        return bool(more)


def _bom_bytes(path: Path) -> int:
    with path.open("rb") as file:
        return len(_BOM) if file.read(len(_BOM)) == _BOM else 0
