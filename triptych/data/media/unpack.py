"""Bytes out of what holds them: a stretch of a file, a zip's member, base64 text. In pieces, and never more than said.

Not about locators: ``locate`` has them, and turns what goes wrong here (``BROKEN``) into words for people. Stateless: a
file is opened for each read, so that threads and forked workers share no position in it.
"""

from __future__ import annotations

import binascii
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

BROKEN = (
    OSError,
    ValueError,
    EOFError,
    LookupError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)
"""What reading a damaged container raises."""

_CHUNK_BYTES = 1 << 14
_LOCAL = struct.Struct("<4s22xHH")
"""A zip member's own header: mark, ..., lengths of name and extra field."""
_MARK = b"PK\x03\x04"
_ENCRYPTED = 0x1
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_SPACE = b" \t\r\n"
_MARKS = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n", ".png"),
    (b"GIF8", ".gif"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
    (b"BM", ".bmp"),
)
"""First bytes of pictures, and their endings."""
_DATA_URI = re.compile(rb"\s*data:[^,]{0,200},", re.IGNORECASE)


class Member(NamedTuple):
    """Where a zip's member is."""

    start: int
    """Where its own header begins, in bytes of the file."""
    packed: int
    """Its size in the zip, in bytes, as the table of contents says."""
    size: int
    """Its size unpacked, in bytes, as the table of contents says."""
    method: int
    crc: int


def span_of(path: str, *, start: int, length: int) -> Iterator[bytes]:
    """Yield the bytes [start, start + length) of a file. Raises EOFError where it ends earlier, and OSError."""
    with Path(path).open("rb") as file:
        left = length
        file.seek(start)
        while left:
            chunk = file.read(min(_CHUNK_BYTES, left))
            if not chunk:
                raise EOFError(f"the file ends {left} bytes early")
            left -= len(chunk)
            yield chunk


def index_zip(path: str) -> dict[str, Member]:
    """Return a zip's files by name. Encrypted ones have the method -1. Raises BROKEN."""
    with zipfile.ZipFile(path) as archive:
        return {
            info.filename: Member(
                info.header_offset,
                info.compress_size,
                info.file_size,
                -1 if info.flag_bits & _ENCRYPTED else info.compress_type,
                info.CRC,
            )
            for info in archive.infolist()
            if not info.is_dir()
        }


def zip_chunks(path: str, member: Member) -> Iterator[bytes]:
    """Yield a zip member's bytes, never more than its table of contents says. Raises BROKEN.

    Its checksum is compared when the last byte has been read.
    """
    if member.method not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise NotImplementedError("it is encrypted, or packed in a way other than deflate")
    head = b"".join(span_of(path, start=member.start, length=_LOCAL.size))
    mark, name_length, extra_length = _LOCAL.unpack(head)
    if mark != _MARK:
        raise zipfile.BadZipFile("the zip's table of contents points astray")
    start = member.start + _LOCAL.size + name_length + extra_length
    packed = span_of(path, start=start, length=member.packed)
    pieces = packed if member.method == zipfile.ZIP_STORED else _inflated(packed, limit=member.size)
    crc = size = 0
    for piece in pieces:
        crc, size = zlib.crc32(piece, crc), size + len(piece)
        if size > member.size:
            raise zipfile.BadZipFile(f"it unpacks to more than the {member.size} bytes that are declared")
        yield piece
    if size != member.size or crc != member.crc:
        raise zipfile.BadZipFile("its checksum is wrong")


def _inflated(packed: Iterator[bytes], *, limit: int) -> Iterator[bytes]:
    """Yield deflated bytes unpacked, in pieces of bounded size; one more than ``limit`` is the most."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    left = limit + 1
    for chunk in packed:
        rest = chunk
        while rest and left > 0 and not inflate.eof:
            piece = inflate.decompress(rest, min(_CHUNK_BYTES, left))
            rest = inflate.unconsumed_tail
            left -= len(piece)
            yield piece
    while left > 0 and not inflate.eof:
        piece = inflate.decompress(inflate.unconsumed_tail, min(_CHUNK_BYTES, left))
        if not piece:
            raise EOFError("its packed bytes end early")
        left -= len(piece)
        yield piece


def base64_bytes(text: bytes) -> bytes:
    """Return what base64 text stands for, as published files have it.

    Standard and URL-safe letters; white space, JSON's escapes and a ``data:...;base64,`` in front are left out, missing
    padding is no fault.

    Raises:
        ValueError: anything else stands there, or nothing.
    """
    if b"\\" in text:
        text = json.loads(b'"' + text + b'"', strict=False).encode("ascii")
    if found := _DATA_URI.match(text):
        if b";base64" not in found[0].lower():
            raise ValueError("a data URI that is not base64")
        text = text[found.end() :]
    text = text.translate(_TO_STANDARD, _SPACE).rstrip(b"=")
    if not text:
        raise ValueError("no base64 text")
    return binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)


def suffix_of(content: bytes) -> str:
    """Return the ending that a picture's first bytes ask for, ``""`` where they are no picture's that is known."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ".webp"
    if content[4:8] == b"ftyp" and content[8:12] in {b"avif", b"avis"}:
        return ".avif"
    return next((suffix for mark, suffix in _MARKS if content.startswith(mark)), "")


class Growing(io.RawIOBase):
    """A file that is read from pieces as far as somebody asks, and can be sought in. State: what was read."""

    def __init__(self, pieces: Iterator[bytes], refuse: Callable[[Exception], NoReturn]) -> None:
        self._pieces = pieces
        self._refuse = refuse
        self._read = bytearray()
        self._at = 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be sought in."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move; from the end only after reading all."""
        if whence == io.SEEK_END:
            self._grow(None)
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._read)}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, into: memoryview, /) -> int:  # type: ignore[override]
        """Read on, as far as the pieces go."""
        self._grow(self._at + len(into))
        got = bytes(self._read[self._at : self._at + len(into)])
        into[: len(got)] = got
        self._at += len(got)
        return len(got)

    def _grow(self, stop: int | None) -> None:
        try:
            while (stop is None or len(self._read) < stop) and (piece := next(self._pieces, None)) is not None:
                self._read += piece
        except BROKEN as error:
            self._refuse(error)
