"""Where a picture's bytes are: locators, the strings in ``ImageRef.source``, and reading what they point at.

Not about pixels (``images``) nor about which frame to take (``video``). Five forms, and nothing else:

    /abs/a.jpg                           a file
    /abs/a.zip!/inner/b.jpg              a member of a zip
    /abs/a.tar!@OFFSET+LENGTH/inner/b    bytes [OFFSET, OFFSET+LENGTH) of an uncompressed tar, and the member's name
    /abs/x.json!base64@OFFSET+LENGTH     base64 text inside a file, as bytes of the file
    /abs/v.mp4!frame=17                  frame 17 of a video, counted from 0 in the order they are shown

Invariants: nothing is extracted, so a member's name leads nowhere; no read trusts a declared size; no state is shared
with a forked worker but tables that never change.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal, NoReturn, cast

from triptych.core.errors import DataError
from triptych.core.files import sha256_of
from triptych.data.media.tar import leads_out, tar_files
from triptych.data.media.unpack import BROKEN, Growing, Member, base64_bytes, index_zip, span_of, zip_chunks

MAX_BYTES = 1 << 28
"""Most bytes of one picture inside something else, unpacked (256 MiB): more is taken for a bomb."""

Kind = Literal["file", "zip", "tar", "base64", "frame"]
_FORMS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("zip", re.compile(r"(?P<container>.*?\.zip)!/(?P<name>.+)", re.DOTALL | re.IGNORECASE)),
    ("tar", re.compile(r"(?P<container>.*?)!@(?P<start>[0-9]{1,18})\+(?P<length>[0-9]{1,18})/(?P<name>.+)", re.DOTALL)),
    ("base64", re.compile(r"(?P<container>.*)!base64@(?P<start>[0-9]{1,18})\+(?P<length>[0-9]{1,18})", re.DOTALL)),
    ("frame", re.compile(r"(?P<container>.*)!frame=(?P<start>[0-9]{1,18})", re.DOTALL)),
)
_ZIPS = 16
"""Tables of contents that are kept in memory."""


class ImageError(DataError):
    """A picture that cannot be used. Its message names the file and the remedy."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """``image unreadable``, ``image file missing``, ``image too large``, ``box outside picture``..."""

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        return ImageError, (self.reason, str(self))  # Else it could not come home from a worker process.


@dataclass(frozen=True, slots=True)
class Place:
    """A locator, taken apart."""

    kind: Kind
    container: str
    """Path of the file that holds it."""
    name: str = ""
    """Name of the member, for zip and tar."""
    start: int = 0
    """First byte, or the frame."""
    length: int = 0
    """Number of bytes."""


def place_of(source: str) -> Place:
    """Return a locator's parts. What has none of the other forms is a file.

    Raises:
        ImageError: it is no text, or an empty one.
    """
    if not isinstance(source, str) or not source:
        raise ImageError("no image", f"{source!r} is no place of an image. Give its path as text, e.g. photos/a.jpg.")
    if "!" in source:
        for kind, form in _FORMS:
            if found := form.fullmatch(source):
                parts = found.groupdict()
                start, length = int(parts.get("start") or 0), int(parts.get("length") or 0)
                return Place(kind, parts["container"], parts.get("name") or "", start, length)
    return Place("file", source)


def zip_at(path: Path | str, name: str) -> str:
    """Return the locator of a zip's member."""
    return f"{path}!/{name}"


def tar_at(path: Path | str, name: str, *, start: int, length: int) -> str:
    """Return the locator of a tar's member, whose bytes are [start, start + length) of the file."""
    return f"{path}!@{start}+{length}/{name}"


def base64_at(path: Path | str, *, start: int, length: int) -> str:
    """Return the locator of base64 text, the bytes [start, start + length) of a file, without its quotes."""
    return f"{path}!base64@{start}+{length}"


def frame_at(path: Path | str, index: int) -> str:
    """Return the locator of a video's frame, counted from 0 in the order they are shown."""
    return f"{path}!frame={index}"


def container_of(source: str) -> Path:
    """Return the path of the file that holds a picture; of a plain file, its own."""
    return Path(place_of(source).container)


def name_of(source: str) -> str:
    """Return what people call a picture: the file's or the member's name. Its ending says what the bytes are."""
    place = place_of(source)
    holder = PurePosixPath(place.container)
    if place.kind == "frame":
        return f"{holder.stem}-frame-{place.start}.png"
    if place.kind == "base64":
        return f"{holder.stem}-{place.start}"
    return PurePosixPath(place.name).name if place.name else holder.name


def stamp_of(source: str) -> tuple[str, int, int]:
    """Return (path of the container, its size in bytes, its mtime in ns): a cache's key that a change outdates.

    Raises:
        ImageError: ``image file missing``, or ``image unreadable``.
    """
    return _stamp(source, place_of(source).container)


def exists(source: str) -> bool:
    """Tell whether the file, the member or the bytes are there. Of a video only the file: nothing is decoded."""
    try:
        place = place_of(source)
        _, size_bytes, _ = _stamp(source, place.container)
        if place.kind == "zip":
            return place.name in _members(place.container)
    except ImageError:
        return False
    return place.start + place.length <= size_bytes or place.kind == "frame"


def bytes_of(source: str) -> int:
    """Return how many bytes hold the picture: of base64 its text, of a frame the whole video. Raises ImageError."""
    place = place_of(source)
    _, size_bytes, _ = _stamp(source, place.container)
    if place.kind == "zip":
        return _member(source, place).size
    return place.length if place.kind in {"tar", "base64"} else size_bytes


def read_bytes(source: str) -> bytes:
    """Return the picture's bytes as some program wrote them; of a video's frame, a PNG of it.

    Raises:
        ImageError: ``image file missing``, ``image unreadable``, ``image too large``, ``video unreadable``.
    """
    place = place_of(source)
    if place.kind == "frame":
        from triptych.data.media.video import frame_png  # It builds on this file, and loads PyAV only where videos are.

        return frame_png(place.container, place.start)
    try:
        if place.kind == "file":
            return Path(source).read_bytes()
        return b"".join(_chunks(source, place))
    except BROKEN as error:
        _refuse(source, error)


def open_source(source: str) -> BinaryIO:
    """Return the picture's bytes as a seekable file, read no further than asked. Close it. Raises as ``read_bytes``."""
    place = place_of(source)
    if place.kind == "frame":
        return io.BytesIO(read_bytes(source))
    try:
        if place.kind == "file":
            return Path(source).open("rb")
        _stamp(source, place.container)
        return cast(BinaryIO, io.BufferedReader(Growing(_chunks(source, place), partial(_refuse, source))))
    except BROKEN as error:
        _refuse(source, error)


def digest_of(source: str) -> str:
    """Return what tells a picture by its content: the SHA-256 of its bytes; of a frame, its video's and its number.

    Raises:
        ImageError: as ``read_bytes``.
    """
    place = place_of(source)
    try:
        if place.kind == "file":
            return sha256_of(Path(source))
        if place.kind == "frame":
            return f"{_sha256(*_stamp(source, place.container))}:frame={place.start}"
    except OSError as error:
        _refuse(source, error)
    return hashlib.sha256(read_bytes(source)).hexdigest()


def zip_members(path: Path) -> Mapping[str, str]:
    """Return a zip's files: name -> locator. Names that lead out of it (``..``, absolute) are left out.

    Raises:
        ImageError: it is missing, or no zip.
    """
    return {name: zip_at(path, name) for name in _members(str(path)) if not leads_out(name)}


def index_tar(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (name, locator) of each file in an uncompressed tar, in its order; headers are read, contents are not.

    Raises:
        DataError: it is missing, compressed, no tar, torn, or holds a link, a device or a name that leads out.
    """
    for name, start, length in tar_files(path):
        yield name, tar_at(path, name, start=start, length=length)


def unreadable(source: str, error: Exception, *, what: str = "image") -> ImageError:
    """Return the error of a picture, or of ``what`` holds it, that is there and cannot be read."""
    said = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    named = re.compile(rf"(?<!\w){re.escape(source)}(?!\w)")  # not the letters of a short name within other words
    said = named.sub("it", said).replace("\n", " ")
    remedy = "Give it read permission" if isinstance(error, PermissionError) else "Save it again"
    return ImageError("image unreadable", f"{source}: {what} unreadable ({said}). {remedy} or leave the row out.")


def _chunks(source: str, place: Place) -> Iterator[bytes]:
    """Return a packed picture's bytes in pieces. What is wrong shows here or on the way, as one of ``BROKEN``."""
    if place.kind == "zip":
        member = _member(source, place)
        _check_length(source, member.size)
        return zip_chunks(place.container, member)
    _check_length(source, place.length)
    if place.kind == "tar":
        return span_of(place.container, start=place.start, length=place.length)
    return iter([base64_bytes(b"".join(span_of(place.container, start=place.start, length=place.length)))])


def _check_length(source: str, length: int) -> None:
    if length > MAX_BYTES:
        raise ImageError("image too large", f"{source}: more than {MAX_BYTES >> 20} MiB. Make it smaller.")


def _stamp(source: str, path: str) -> tuple[str, int, int]:
    try:
        state = Path(path).stat()
    except (OSError, ValueError) as error:
        _refuse(source, error)
    if not stat.S_ISREG(state.st_mode):
        raise _missing(source)
    return path, state.st_size, state.st_mtime_ns


def _members(path: str) -> Mapping[str, Member]:
    """Return a zip's table of contents, read again when the file has changed."""
    stamp = _stamp(path, path)
    try:
        return _contents(*stamp)
    except BROKEN as error:
        _refuse(path, error, what="zip file")


@lru_cache(maxsize=_ZIPS)
def _contents(path: str, _size_bytes: int, _mtime_ns: int) -> Mapping[str, Member]:
    return index_zip(path)


@lru_cache(maxsize=256)
def _sha256(path: str, _size_bytes: int, _mtime_ns: int) -> str:
    return sha256_of(Path(path))


def _member(source: str, place: Place) -> Member:
    member = _members(place.container).get(place.name)
    if member is None:
        raise _missing(source)
    return member


def _missing(source: str) -> ImageError:
    return ImageError("image file missing", f"{source}: no such image. Put it there or leave the row out.")


def _refuse(source: str, error: Exception, *, what: str = "image") -> NoReturn:
    if isinstance(error, ImageError):
        raise error
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        raise _missing(source) from None
    raise unreadable(source, error, what=what) from None
