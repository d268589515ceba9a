"""Media of a row: what it calls a picture or a video, found. A path, a ``file://`` URI, bytes, a data URI, a URL.

Not about where the name stands in a row: ``formats/`` knows. Invariants: no name leads out of its folder; nothing is
fetched from a network unless the source says so; bytes that no file holds are kept in the cache folder.

Options of a source: ``#image_dir=FOLDER`` (or a zip, or ``FOLDER/*.zip``: all of them) and ``#video_dir=FOLDER``,
where the rows' paths begin (the data file's own folder otherwise), ``#outside=allow`` for paths that lead out of it,
and ``#urls=allow`` (``#urls=private``: addresses of your own network too).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, cast

from triptych.core.errors import ConfigError
from triptych.core.records import Example, ImageRef, Json, VideoRef
from triptych.data.disk.media_keys import names_nothing
from triptych.data.disk.rows import Build, bad, words
from triptych.data.format import RowError, joined_hint
from triptych.data.media.folder import ImageFolder
from triptych.data.media.kept import keep_bytes
from triptych.data.media.locate import ImageError
from triptych.data.media.unpack import base64_bytes

Urls = Literal["allow", "private"]
NAMES = frozenset({"bytes", "path", "url", "width", "height"})
"""Keys of an object that names a picture or a video; its size is read from the file."""
MEDIA_OPTIONS = ("image_dir", "outside", "urls", "video_dir")
_DATA = re.compile(r"data:image/[\w.+-]+;base64,", re.IGNORECASE)
_URL = re.compile(r"https?://", re.IGNORECASE)
_FILE = "file://"


class Finder(Protocol):
    """Anything that finds what rows name: files of a folder, members of a shard."""

    def image(self, entry: object) -> ImageRef:
        """Return where a picture is. Raises RowError or ImageError."""

    def video(self, entry: object) -> VideoRef:
        """Return where a video is. Raises RowError or ImageError."""


@dataclass(frozen=True, slots=True)
class Media:
    """Finds what the rows of one file name."""

    images: ImageFolder
    videos: ImageFolder
    urls: Urls | None = None
    """From where pictures may be fetched: ``allow``: public addresses; ``private``: all; None: nothing is."""

    def image(self, entry: object) -> ImageRef:
        """Return where a picture is.

        Args:
            entry: a path, a data URI, a URL, or an object with ``bytes``, ``path`` or ``url``.

        Raises:
            RowError: no such thing, a key that would be lost (a box), or a URL where none is allowed.
            ImageError: it is not there.
        """
        refuse_more(entry, "an image")
        match entry:
            case {"bytes": bytes(content), **rest}:
                name = rest.get("path")
                return ImageRef(keep_bytes(content, name if isinstance(name, str) else ""))
            case {"bytes": str()}:
                raise bad("an image's bytes are a text. Write a data URI, or a path, in their place.")
            case {"path": str(name)} | {"url": str(name)} | str(name):
                return self._named(words(name, "an image's path"))
            case {"path": None} | {"bytes": None}:
                raise ImageError(
                    "image file missing", "an image has neither bytes nor a path. Add it or leave the row out."
                )
        raise bad("an image is neither a path nor bytes with a path. Mend the row or leave it out.")

    def video(self, entry: object) -> VideoRef:
        """Return where a video, or the folder of its frames, is. Raises RowError and ImageError as ``image``."""
        refuse_more(entry, "a video")
        match entry:
            case {"path": str(name)} | {"url": str(name)} | str(name):
                if _URL.match(name):
                    raise bad(f"the video {name[:200]!r} is on a network. Download it and name its path.")
                return self.videos.find_video(words(name, "a video's path").removeprefix(_FILE))
        raise bad("a video is no path. Mend the row or leave it out.")

    def videos_of(self, entries: Sequence[Json]) -> list[VideoRef | tuple[ImageRef, ...]]:
        """Return the videos of a row, those given as lists as their frames. Raises RowError and ImageError."""
        return [
            self._frames(entry, number) if isinstance(entry, list) else self.video(entry)
            for number, entry in enumerate(entries)
        ]

    def _frames(self, entries: list[Json], number: int) -> tuple[ImageRef, ...]:
        if not entries:
            raise bad("a video is an empty list of frames. Add the frames or drop the video.")
        frames = [self.image(entry) for entry in entries]
        # Named by its place, so that two videos side by side stay two, though they share a frame.
        name = f"{frames[0].source}#{number}"
        return tuple(replace(frame, video=name) for frame in frames)

    def _named(self, name: str) -> ImageRef:
        if _DATA.match(name):
            try:
                return ImageRef(keep_bytes(base64_bytes(name.encode("utf-8"))))
            except ValueError as error:
                raise ImageError("image unreadable", f"a data URI is no base64 ({error}). Write it again.") from None
        if _URL.match(name):
            return self._fetched(name)
        return self.images.find(name.removeprefix(_FILE))

    def _fetched(self, url: str) -> ImageRef:
        if self.urls is None:
            raise RowError(
                "url not allowed",
                f"the image {url[:200]!r} is on a network. Add #urls=allow to the source to fetch it.",
            )
        from triptych.core.fetch import FetchError, fetch  # Networks are for those who ask for them.

        try:
            return ImageRef(str(fetch(url, allow_private=self.urls == "private")))
        except FetchError as error:
            raise RowError(error.reason, str(error)) from None


def refuse_more(entry: object, what: str) -> None:
    """Refuse an object that says more of a medium than where it is, as it would be shown whole. Raises RowError."""
    if isinstance(entry, dict):
        for key, value in entry.items():
            if key not in NAMES and not names_nothing(value):
                raise bad(f"{what} has the key {key!r}, which would be lost here: take it out, or write messages.")


def media_of(path: Path, options: Mapping[str, str]) -> Media:
    """Return what finds the media of a file's rows, as its source's options say.

    Raises:
        ConfigError: an option is malformed.
    """
    if options.get("outside", "allow") != "allow":
        hint = joined_hint(f"#outside={options['outside']}")
        raise ConfigError(f"outside is {options['outside']!r}: write #outside=allow, or leave it out.{hint}")
    urls = options.get("urls")
    if urls not in (None, "allow", "private"):
        raise ConfigError(f"urls is {urls!r}: write #urls=allow, or #urls=private for your own network too.")
    images, videos = (_folder(path, options, key) for key in ("image_dir", "video_dir"))
    return Media(images, videos, cast("Urls | None", urls))


def with_media(example: Callable[[dict[str, Json], Media, str], Example]) -> Callable[[Path, Mapping[str, str]], Build]:
    """Return what starts a file (``row_format``) of a layout whose rows need its media alone, from its rows' function.

    Args:
        example: (row, media, origin) -> Example.
    """

    def start(path: Path, options: Mapping[str, str]) -> Build:
        media = media_of(path, options)
        return lambda row, origin: example(row, media, origin)

    return start


def _folder(path: Path, options: Mapping[str, str], key: str) -> ImageFolder:
    outside = "outside" in options
    beside = path if path.is_dir() else path.parent
    if key not in options:
        return ImageFolder(beside, allow_outside=outside, option=key)
    place = Path(options[key]).expanduser()
    if key == "image_dir" and place.suffix.lower() == ".zip" and place.is_file():
        return ImageFolder(beside, archives=[place], allow_outside=outside, option=key)
    if key == "image_dir" and place.name == "*.zip" and (zips := sorted(place.parent.glob("*.zip"))):
        return ImageFolder(beside, archives=zips, any_of=True, allow_outside=outside, option=key)
    if not place.is_dir():
        what = "there is no zip" if place.name == "*.zip" else "which is no folder"
        hint = joined_hint(f"#{key}={options[key]}")
        raise ConfigError(f"{key} is {options[key]!r}, {what}. Name where the rows' paths begin.{hint}")
    return ImageFolder(place, allow_outside=outside, option=key)
