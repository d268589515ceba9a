"""Where the members of one large JSON object stand in its file, as bytes, found without holding what they say.

Not a parser: a value's text is only searched for its end, so a picture of megabytes costs a search for a quote. Who
reads a value parses it then. One chunk of the file is in memory, whatever its size and whatever a member's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from triptych.core.errors import DataError

_CHUNK_BYTES = 1 << 20
_LONGEST_KEY_BYTES = 1 << 14
_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_BACKSLASH = b"\\"
_NESTING = re.compile(rb'["{}\[\]]')
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_FLAT = re.compile(rb'\{(?:[^"{}\[\]]++|' + _STRING + rb'|\[(?:[^"{}\[\]]++|' + _STRING + rb")*+\])*+\}", re.DOTALL)
"""An object without objects in it, as most are: found at once."""
_WORD_END = re.compile(rb"[\s,}\]]")


@dataclass(frozen=True, slots=True)
class Member:
    """One member of the object."""

    key: str
    start: int
    """First byte of the value's JSON text in the file; of a text, its opening quote."""
    length: int
    """Length of the value's JSON text in bytes, quotes included."""


def members_of(path: Path, *, inside: str | None = None) -> Iterator[Member]:
    """Yield the members of the object that a file holds, in its order; a key that is said twice comes twice.

    Args:
        path: a JSON file with an object at its top.
        inside: a key of that object: yield the members of the object under it instead.

    Raises:
        DataError: the file cannot be read or is no such object; the message names the place.
    """
    try:
        with path.open("rb") as file:
            scan = _Scan(file, path)
            found = yield from scan.top(inside)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Give a JSON file.") from None
    if not found:
        raise DataError(f"{path}: it has no {inside!r} with an object {{...}} in it. Is it the right file?")


class _Scan:
    """Walks over the bytes of a JSON file. State: the chunk it holds, and where that stands."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._chunk = b""
        self._base = 0

    def top(self, inside: str | None) -> Generator[Member, None, bool]:
        """Yield the members, of the whole object or of the one under a key; return whether that was there."""
        at = self._past_space(len(_BOM) if self._text(0, len(_BOM)) == _BOM else 0)
        if not self._byte(at):
            raise DataError(f"{self._path}: the file is empty. Was it written whole?")
        if inside is None:
            at = yield from self._object(at)
            found = True
        else:
            at, found = yield from self._inner(at, inside)
        at = self._past_space(at)
        if self._byte(at):
            raise self._broken(at, "something behind the end of the object")
        return found

    def _inner(self, at: int, inside: str) -> Generator[Member, None, tuple[int, bool]]:
        """Yield the members of the object under a key; return the outer one's end, and whether the key is there."""
        found = False
        at, more = self._opened(at)
        while more:
            key, start = self._named(at)
            if key == inside and self._byte(start) == b"{":
                if found:
                    raise self._broken(start, f"a second {inside!r}")
                found = True
                stop = yield from self._object(start)
            else:
                stop = self._value_end(start)
            at, more = self._continued(stop)
        return self._past(at, b"}"), found

    def _object(self, at: int) -> Generator[Member, None, int]:
        """Yield the members of the object that begins at a byte; return where it ends."""
        at, more = self._opened(at)
        while more:
            key, start = self._named(at)
            stop = self._value_end(start)
            yield Member(key, start, stop - start)
            at, more = self._continued(stop)
        return self._past(at, b"}")

    def _opened(self, at: int) -> tuple[int, bool]:
        """Return the byte behind an object's bracket, and whether a member begins there."""
        at = self._past_space(self._past(at, b"{"))
        return at, self._byte(at) != b"}"

    def _continued(self, at: int) -> tuple[int, bool]:
        """Return the byte where the next member begins, or the object's end, and whether it is a member."""
        at = self._past_space(at)
        if self._byte(at) != b",":
            return at, False
        return self._past_space(at + 1), True

    def _named(self, at: int) -> tuple[str, int]:
        """Return the key of the member that begins at a byte, and the first byte of its value."""
        stop = self._string_end(at)
        return self._key(at, stop), self._past_space(self._past(self._past_space(stop), b":"))

    def _key(self, start: int, stop: int) -> str:
        if stop - start > _LONGEST_KEY_BYTES:
            raise self._broken(start, "a key that is too long to be an id")
        try:
            key = json.loads(self._text(start, stop).decode("utf-8"))
        except (ValueError, UnicodeDecodeError) as error:
            raise self._broken(start, f"a broken key ({error})") from None
        assert isinstance(key, str)
        return key

    def _value_end(self, at: int) -> int:
        first = self._byte(at)
        if first == b'"':
            return self._string_end(at)
        if first not in {b"{", b"["}:
            stop = self._search(_WORD_END, at)
            if stop == at:
                raise self._broken(at, f"{first!r} where a value should be")
            return stop
        if flat := _FLAT.match(self._chunk, at - self._base):
            return self._base + flat.end()
        depth = 0
        while True:
            at = self._search(_NESTING, at)
            found = self._byte(at)
            if found == b'"':
                at = self._string_end(at)
                continue
            depth += 1 if found in {b"{", b"["} else -1
            at += 1
            if depth == 0:
                return at

    def _string_end(self, at: int) -> int:
        """Return the byte behind the closing quote of the text that begins at a byte."""
        start = self._past(at, b'"')
        at = start
        while True:
            quote = self._find_quote(at)
            if not self._escaped(start, quote):
                return quote + 1
            at = quote + 1

    def _escaped(self, start: int, quote: int) -> bool:
        """Tell whether an odd number of backslashes stands in front of a quote."""
        reach = 1
        while True:
            begin = max(start, quote - reach)
            text = self._text(begin, quote)
            run = len(text) - len(text.rstrip(_BACKSLASH))
            if run < len(text) or begin == start:
                return run % 2 == 1
            reach *= 16

    def _find_quote(self, at: int) -> int:
        while True:
            found = self._chunk.find(b'"', at - self._base) if self._holds(at) else -1
            if found >= 0:
                return self._base + found
            at = self._next_chunk(at, "a text without its closing quote")

    def _search(self, pattern: re.Pattern[bytes], at: int) -> int:
        while True:
            found = pattern.search(self._chunk, at - self._base) if self._holds(at) else None
            if found:
                return self._base + found.start()
            at = self._next_chunk(at, "a value that does not end")

    def _past(self, at: int, byte: bytes) -> int:
        found = self._byte(at)
        if found != byte:
            said = repr(found.decode("latin-1")) if found else "the end of the file"
            raise self._broken(at, f"{said} where {byte.decode()} should be")
        return at + 1

    def _past_space(self, at: int) -> int:
        while (byte := self._byte(at)) and byte in _SPACE:
            at += 1
        return at

    def _byte(self, at: int) -> bytes:
        """Return one byte; none at the end of the file."""
        if not self._holds(at):
            self._load(at)
        return self._chunk[at - self._base : at - self._base + 1]

    def _text(self, start: int, stop: int) -> bytes:
        """Return bytes, and stay with the chunk that is held."""
        if self._base <= start and stop <= self._base + len(self._chunk):
            return self._chunk[start - self._base : stop - self._base]
        self._file.seek(start)
        return self._file.read(stop - start)

    def _holds(self, at: int) -> bool:
        return self._base <= at < self._base + len(self._chunk)

    def _load(self, at: int) -> None:
        self._file.seek(at)
        self._chunk, self._base = self._file.read(_CHUNK_BYTES), at

    def _next_chunk(self, at: int, missing: str) -> int:
        """Hold the chunk from ``at``, or the one behind what is held, and return where it begins."""
        at = self._base + len(self._chunk) if self._holds(at) else at
        self._load(at)
        if not self._chunk:
            raise self._broken(at, missing)
        return at

    def _broken(self, at: int, what: str) -> DataError:
        return DataError(f"{self._path}: no JSON object: {what} at byte {at}. Mend the file.")
