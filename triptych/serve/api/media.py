"""Pictures and videos of requests: taken from data URIs or allowed hosts, looked at before anything is decoded, kept.

Not what a model makes of them. A path, ``file:`` or anything else that would lead to this machine's own files is
refused. What is kept lies in a folder of the server's, by content, within a limit: what no request holds goes first.
A video is decoded here, in the request's own thread, and its frames are kept as pictures: whoever sends a slow one
waits for it alone.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from triptych.core.errors import DataError
from triptych.core.fetch import FetchError, fetch_bytes
from triptych.core.full_disk import naming
from triptych.core.records import ImageRef
from triptych.data.media.images import measure
from triptych.data.media.video import frame_png, pick_uniform, probe
from triptych.serve.api.errors import ApiError
from triptych.serve.api.settings import ServeSettings

_DATA_URI = re.compile(r"data:(?P<kind>[a-z0-9.+/-]*)(?:;[a-z0-9-]+=[^;,]*)*;base64,", re.IGNORECASE)
_HEAD_LETTERS = 200
"""In which the comma of a data URI must come."""
MOST_SCANS = 100
"""Of a JPEG, as libtiff has it; people's have one, or about ten. Each goes over all pixels, and may take 76 bytes."""
MOST_SEGMENTS = 10_000
"""Of a JPEG, scans among them."""
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")
"""Of a JPEG, with a length after it. Among its pixels, 0xff stands with a zero or a restart behind it only."""
_SCAN, _END = b"\xda", b"\xd9"


class Shelf:
    """Files by content, at most so many bytes. Its state: who is held how often; the one used longest ago is first."""

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        """Begin with an empty folder of one's own."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._most = most_bytes
        self._lock = threading.Lock()
        self._sizes: OrderedDict[Path, int] = OrderedDict()
        self._held: dict[Path, int] = {}
        self.bytes = 0
        """On the disk."""

    def hold(self, content: bytes) -> Path:
        """Keep bytes until they are let go, and return their file.

        Raises:
            ApiError: requests under way fill the folder.
        """
        path = self._folder / hashlib.sha256(content).hexdigest()
        with self._lock:
            if path not in self._sizes:
                self._make_room(len(content))
                _write(path, content)
                self._sizes[path] = len(content)
                self.bytes += len(content)
            self._sizes.move_to_end(path)
            self._held[path] = self._held.get(path, 0) + 1
        return path

    def let_go(self, path: Path) -> None:
        """Give up one hold; the file stays as long as there is room."""
        with self._lock:
            self._held[path] -= 1
            if not self._held[path]:
                del self._held[path]

    def _make_room(self, size: int) -> None:
        for path in [path for path in self._sizes if path not in self._held]:
            if self.bytes + size <= self._most:
                return
            self.bytes -= self._sizes.pop(path)
            path.unlink(missing_ok=True)
        if self.bytes + size > self._most:
            raise ApiError(
                429,
                "pictures of requests under way fill the server's folder. Ask again in a moment.",
                code="busy",
                headers={"Retry-After": "5"},
            )


def _write(path: Path, content: bytes) -> None:
    """Write a file that nobody looks for before it is whole, nor after a crash; a torn one would take room."""
    try:
        with naming(path):
            path.write_bytes(content)
    except OSError:
        path.unlink(missing_ok=True)
        raise


@dataclass(frozen=True, slots=True)
class Asked:
    """A picture or a video as a request names it."""

    url: str
    param: str
    """Where it stands in the request."""
    frames: int | None = None
    """Of a video; None: as many as the settings say."""
    name: str = ""
    """What people are told it is: image 3."""


class Media:
    """The pictures of one request. Its state: what it holds on the shelf, and how much of its limits is used."""

    def __init__(self, shelf: Shelf, settings: ServeSettings) -> None:
        """Begin without any; leave with ``close``."""
        self._shelf = shelf
        self._settings = settings
        self._deadline: float | None = None
        self._held: list[Path] = []
        self._pixels = 0
        self._videos = 0
        self.images: list[ImageRef] = []
        """In the order in which they were added."""

    def image(self, asked: Asked) -> ImageRef:
        """Return a picture, kept and measured, not decoded.

        Raises:
            ApiError: it is not allowed, cannot be had, is none, or is too large.
        """
        asked = replace(asked, name=f"image {len(self.images) + 1}")
        content = self._content(asked, "image", most=self._settings.body_bytes)
        if is_endless_jpeg(content):
            said = f"a JPEG of more than {MOST_SCANS} scans, or {MOST_SEGMENTS:,} segments. Save it again."
            raise _bad(asked, said, code="invalid_image")
        return self._add(ImageRef(str(self._keep(content))), asked)

    def video(self, asked: Asked) -> Iterator[ImageRef]:
        """Yield a video's frames at even distances, decoded, as pictures that say which video they are of.

        Raises:
            ApiError: as ``image``.
        """
        self._videos += 1
        asked = replace(asked, name=f"video {self._videos}")
        content = self._content(asked, "video", most=self._settings.video_bytes)
        source = str(self._keep(content))
        try:
            info = probe(source)
            width, height = info.size
            self._check_pixels(width * height, asked)
            picked = pick_uniform(info.frames, asked.frames or self._settings.video_frames)
            self._check_count(len(picked), asked)
            for index in picked:
                frame = ImageRef(str(self._keep(frame_png(source, index))), video=asked.name)
                yield self._add(frame, asked)
        except DataError as error:
            raise _refused(error, source, asked) from None

    def without_paths(self, message: str) -> str:
        """Return an error message with ``image 2`` in place of the path where that image is kept."""
        for number, image in enumerate(self.images, start=1):
            message = message.replace(image.source, f"image {number}")
        return message

    def close(self) -> None:
        """Hold nothing any more."""
        while self._held:
            self._shelf.let_go(self._held.pop())

    def _keep(self, content: bytes) -> Path:
        path = self._shelf.hold(content)
        self._held.append(path)
        return path

    def _add(self, image: ImageRef, asked: Asked) -> ImageRef:
        self._check_count(1, asked)
        try:
            seen = measure(image)
        except DataError as error:
            raise _refused(error, image.source, asked) from None
        width, height = seen.size or (0, 0)
        self._check_pixels(width * height, asked)
        self._pixels += width * height
        if self._pixels > self._settings.request_pixels:
            raise ApiError(
                400,
                f"the pictures together have more than {self._settings.request_pixels:,} pixels. Send fewer or smaller"
                " ones.",
                param=asked.param,
                code="image_too_large",
            )
        self.images.append(seen)
        return seen

    def _check_count(self, more: int, asked: Asked) -> None:
        if len(self.images) + more > self._settings.images:
            raise ApiError(
                400,
                f"more than {self._settings.images} pictures, frames of videos among them. Send fewer.",
                param=asked.param,
                code="too_many_images",
            )

    def _check_pixels(self, pixels: int, asked: Asked) -> None:
        if pixels > self._settings.image_pixels:
            most = self._settings.image_pixels
            said = f"{pixels:,} pixels; at most {most:,} are taken. Make it smaller."
            raise _bad(asked, said, code="image_too_large")

    def _content(self, asked: Asked, kind: str, *, most: int) -> bytes:
        if _scheme(asked.url) == "data":
            content = _of_data_uri(asked, kind)
        elif is_fetched(asked.url):
            content = self._fetched(asked, most)
        else:
            said = "expected a data URI (data:image/png;base64,...), or an http or https URL of an allowed host."
            raise _bad(asked, said, code="invalid_url")
        if not content:
            raise _bad(asked, "it holds no bytes.", code=f"invalid_{kind}")
        if len(content) > most:
            raise _bad(asked, f"more than {most:,} bytes. Send a smaller one.", code=f"{kind}_too_large")
        return content

    def _fetched(self, asked: Asked, most: int) -> bytes:
        try:
            host = (urlsplit(asked.url).hostname or "").lower().rstrip(".")
        except ValueError:
            host = ""
        if not self._may_ask(host):
            raise _bad(
                asked,
                f"this server fetches nothing from {host[:100]!r}. Send the bytes as a data URI, or start it with"
                " fetch_hosts=HOST.",
                code="url_not_allowed",
            )
        if self._deadline is None:  # from the first fetch on: the request itself may have come slowly
            self._deadline = time.monotonic() + self._settings.fetch_seconds
        try:
            return fetch_bytes(
                asked.url,
                allowed=self._may_ask,
                allow_private=self._settings.fetch_private,
                max_bytes=most,
                timeout_s=max(0.1, self._deadline - time.monotonic()),
            )
        except FetchError as error:
            raise _bad(asked, str(error), code=error.reason.replace(" ", "_")) from None

    def _may_ask(self, host: str) -> bool:
        return any(_is_under(host, allowed.lower()) for allowed in self._settings.fetch_hosts)


def is_fetched(url: str) -> bool:
    """Tell whether what a URL names is fetched from somebody's host."""
    return _scheme(url) in {"http", "https"}


def is_endless_jpeg(content: bytes) -> bool:
    """Tell whether this is a JPEG with too many scans or segments, as a decoder reads it: to its first end."""
    if not content.startswith(b"\xff\xd8"):
        return False
    at, scans = 2, 0
    for _ in range(MOST_SEGMENTS):
        found = _MARKER.search(content, at)
        if found is None or found[1] == _END:
            return False
        at = found.end() + int.from_bytes(content[found.end() : found.end() + 2])
        scans += found[1] == _SCAN
        if scans > MOST_SCANS:
            return True
    return True


def _scheme(url: str) -> str:
    return url[:8].partition(":")[0].lower()


def _is_under(host: str, allowed: str) -> bool:
    return host == allowed or (allowed.startswith(".") and host.endswith(allowed))


def _of_data_uri(asked: Asked, kind: str) -> bytes:
    head = _DATA_URI.match(asked.url[:_HEAD_LETTERS])
    if head is None:
        raise _bad(asked, f"no data URI: expected data:{kind}/...;base64, and what follows.", code=f"invalid_{kind}")
    if head["kind"] and not head["kind"].lower().startswith((f"{kind}/", "application/octet-stream")):
        raise _bad(asked, f"{head['kind']} is no {kind}.", code=f"invalid_{kind}")
    rest = asked.url[head.end() :]
    try:
        return base64.b64decode("".join(rest.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _bad(asked, "what follows ';base64,' is not base64.", code=f"invalid_{kind}") from None


def _refused(error: DataError, source: str, asked: Asked) -> ApiError:
    message = str(error).replace(source, asked.name).replace(" or leave the row out", "")
    return ApiError(400, message, param=asked.param, code="invalid_image")


def _bad(asked: Asked, said: str, *, code: str) -> ApiError:
    return ApiError(400, f"{asked.name}: {said}", param=asked.param, code=code)
