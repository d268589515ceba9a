"""A video file's frames through PyAV: where they are, and the exact pixels of one, from the key frame before it.

Not for callers: ``video`` has what they need. Frame ``i`` is the i-th that a decoder gives from the start; where
seeking does not give just that one, everything before it is decoded. What is torn or decodes with damage is refused.
A playlist cannot name other files: only plain containers are opened, and only as files. PyAV is loaded when the first
video is.
"""

from __future__ import annotations

import os
import struct
import threading
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from PIL import Image

from triptych.data.media.locate import ImageError

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

MAX_FRAME_PIXELS = 89_478_485
"""Most pixels of a frame: the limit of ``images.MAX_PIXELS``."""

Stamp = tuple[str, int, int]
"""(path, size in bytes, mtime in ns)."""

_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,gif,m4v,h264,hevc"
"""What is opened. Not playlists (they name other files) and not number patterns."""
_BY_PACKET = frozenset({"h264", "hevc", "av1", "vp9"})
"""Codecs whose packets each show one frame, so that counting needs no decoding. Others are decoded once to count."""
_BY_SHOWN_TIME = frozenset({"matroska,webm"})
"""Containers that are sought in by when a frame is shown; the others by when it is decoded."""
_EBML, _SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"
"""Marks at the start of a Matroska file, and of all that follows its header."""
_OPEN_VIDEOS = 4
_TURNED_BY: Mapping[tuple[int, ...], Image.Transpose] = {
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}
"""Display matrix (where a step to the right leads, then one down; each right and down) -> what turns the picture so."""
_ASLANT = 1 / 50
"""A display matrix may be off a quarter turn by so much: about a degree."""
_MATRIX_OF_TURN: Mapping[int, tuple[int, ...]] = {
    90: (0, -1, 1, 0),
    -90: (0, 1, -1, 0),
    180: (-1, 0, 0, -1),
    -180: (-1, 0, 0, -1),
}
"""Degrees against the clock, as ``VideoFrame.rotation`` tells them -> display matrix."""


@dataclass(frozen=True, slots=True)
class Table:
    """Where a file's frames are, and what they are like."""

    frames: int
    times: array[int]
    """When each frame is shown, in the stream's unit, rising. Empty: frames are found by counting from the start."""
    keys: tuple[tuple[int, int], ...]
    """(frame, time to seek to) of each key frame, rising."""
    fps: float | None
    size: tuple[int, int]
    """Upright."""


def table_of(stamp: Stamp) -> Table:
    """Return where a file's frames are; kept until the file changes. Raises ImageError."""
    return _table(*stamp)


def pixels_of(stamp: Stamp, index: int) -> Image.Image:
    """Return a frame as RGB, upright. Raises ImageError: ``video unreadable``, ``image too large``."""
    table = table_of(stamp)
    with _OPENED.reader(stamp, table) as reader, _refusing(stamp[0]):
        picture = _upright(reader.frame(index))
    if picture.size != table.size:
        raise unreadable(stamp[0], f"frame {index} is {picture.size}, the first is {table.size}")
    return picture


class _Reader:
    """One open video. State: the container, and which frame it gave last."""

    def __init__(self, path: str, table: Table) -> None:
        self._path = path
        self._table = table
        self._container: InputContainer | None = None
        self._frames: Iterator[VideoFrame] = iter(())
        self._at = -1
        self._last: VideoFrame | None = None

    def frame(self, index: int) -> VideoFrame:
        """Return a frame, going on from the last one where no key frame lies between, else from the key frame."""
        if self._last is not None and self._at == index:
            return self._last
        key = bisect_right(self._table.keys, index, key=lambda pair: pair[0]) - 1
        first, time = self._table.keys[key] if key >= 0 else (0, 0)
        tries: list[tuple[int, Callable[[], None]]] = [(0, self._restart)]
        if first > 0:
            tries.insert(0, (first, lambda: self._seek(first, time)))
        if first <= self._at < index:
            tries.insert(0, (first, lambda: None))
        for since, start in tries:
            start()
            if found := self._until(index, since):
                return found
        raise ValueError(f"frame {index} is damaged, or not where the file says")

    def close(self) -> None:
        """Let go of the file."""
        if self._container is not None:
            self._container.close()
        self._container, self._last, self._at, self._frames = None, None, -1, iter(())

    def _restart(self) -> None:
        self.close()
        self._container = _open(self._path)
        self._frames = self._container.decode(_stream(self._container))

    def _seek(self, first: int, time: int) -> None:
        if self._container is None:
            self._container = _open(self._path)
        stream = _stream(self._container)
        self._container.seek(time, stream=stream, backward=True)
        self._frames = self._container.decode(stream)
        self._last, self._at = None, first - 1

    def _until(self, index: int, since: int) -> VideoFrame | None:
        """Decode on to a frame; return None, and forget where we are, where it does not come.

        Damage in a frame from ``since`` on shows in those after it too, whether or not the decoder says so.
        """
        times = self._table.times
        self._last = None
        for frame in self._frames:
            self._at = self._at + 1 if not times else index
            if frame.is_corrupt and not (times and frame.pts is not None and frame.pts < times[since]):
                break
            if (times and frame.pts is not None and frame.pts < times[index]) or self._at < index:
                continue
            if times and frame.pts != times[index]:
                break
            self._last = frame
            return frame
        self.close()
        return None


class _Opened:
    """The videos that this process has open. State: readers by file, the last used at the end."""

    def __init__(self) -> None:
        self._readers: OrderedDict[Stamp, _Reader] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def reader(self, stamp: Stamp, table: Table) -> Iterator[_Reader]:
        """Give a video's reader to one thread at a time."""
        with self._lock:
            reader = self._readers.pop(stamp, None) or _Reader(stamp[0], table)
            self._readers[stamp] = reader
            while len(self._readers) > _OPEN_VIDEOS:
                self._readers.popitem(last=False)[1].close()
            yield reader


def _open_anew() -> None:
    # A forked child shares its parent's positions in files, and perhaps a lock that nobody will free. What it inherits
    # is not closed either: that could wait for threads that only the parent has.
    global _OPENED
    _INHERITED.append(_OPENED)
    _OPENED = _Opened()


_INHERITED: list[_Opened] = []
_OPENED = _Opened()
os.register_at_fork(after_in_child=_open_anew)


def _upright(frame: VideoFrame) -> Image.Image:
    picture: Image.Image = frame.to_image(threads=1)  # type: ignore[no-untyped-call]
    turned = _TURNED_BY.get(_matrix_of(frame))
    return picture if turned is None else picture.transpose(turned)


def _matrix_of(frame: VideoFrame) -> tuple[int, ...]:
    """Return the signs of a frame's display matrix, small numbers taken as 0; empty: it has none.

    Not ``frame.rotation``, which tells a mirror as half a turn; but where beside a frame lies what PyAV has no name
    for, such as EXIF in Motion JPEG, there is nothing else: a frame mirrored by that EXIF is then shown by its turn.
    """
    try:
        beside = cast(Mapping[str, bytes], frame.side_data)  # its stub knows one kind alone
    except ValueError:
        return _MATRIX_OF_TURN.get(frame.rotation, ())
    if "DISPLAYMATRIX" not in beside:
        return ()
    right_x, right_y, _, down_x, down_y = struct.unpack_from("=5i", bytes(beside["DISPLAYMATRIX"]))
    numbers = (right_x, right_y, down_x, down_y)
    least = _ASLANT * max(map(abs, numbers))
    return tuple(0 if abs(number) <= least else (1 if number > 0 else -1) for number in numbers)


@lru_cache(maxsize=256)
def _table(path: str, size_bytes: int, _mtime_ns: int) -> Table:
    with _refusing(path):
        first = _first_frame(path)
        size, matrix = (first.width, first.height), _matrix_of(first)
        size = size[::-1] if matrix in _TURNED_BY and matrix[0] == 0 else size
        found = _table_of_packets(path, size, size_bytes)
        return found or _table_of_frames(path, size)


def _first_frame(path: str) -> VideoFrame:
    with _open(path) as container:
        return next(container.decode(_stream(container)))


def _table_of_packets(path: str, size: tuple[int, int], size_bytes: int) -> Table | None:
    """Return the table without decoding, or None where packets do not tell. Raises ValueError for a torn file."""
    declared = _declared_bytes(path)
    with _open(path) as container:
        stream = _stream(container)
        if any(entry.pos + entry.size > size_bytes for entry in stream.index_entries) or declared > size_bytes:
            raise ValueError("it is cut off")
        by_shown = container.format.name in _BY_SHOWN_TIME
        shown: list[tuple[int, bool, int]] = []
        exact = stream.codec_context.name in _BY_PACKET
        for packet in container.demux(stream):
            if not packet.size:
                continue  # The mark of the end.
            if packet.is_corrupt:
                raise ValueError("it is cut off or damaged")
            sought = packet.pts if by_shown else packet.dts
            if packet.pts is None or sought is None:
                exact = False
            elif not packet.is_discard:
                shown.append((packet.pts, packet.is_keyframe, sought))
        fps = _fps(stream)
    shown.sort()
    times = array("q", (time for time, _, _ in shown))
    if not exact or not shown or not shown[0][1] or len(set(times)) != len(times):
        return None
    keys = tuple((at, seek) for at, (_, is_key, seek) in enumerate(shown) if is_key)
    return Table(len(times), times, keys, fps, size)


def _declared_bytes(path: str) -> int:
    """Return how long a Matroska or AVI file says that it is; 0 where it does not say. Others have an index instead."""
    with Path(path).open("rb") as file:
        head = file.read(1024)
    if head.startswith(b"RIFF"):
        return 8 + int.from_bytes(head[4:8], "little")
    if not head.startswith(_EBML):
        return 0
    length, at = _number(head, 4)
    at += length
    if head[at : at + 4] != _SEGMENT:
        return 0
    length, at = _number(head, at + 4)
    return 0 if length < 0 else at + length


def _number(head: bytes, at: int) -> tuple[int, int]:
    """Return Matroska's number there, -1 for unknown, and where it ends."""
    size = 9 - head[at].bit_length()
    value = int.from_bytes(head[at : at + size], "big") & ((1 << 7 * size) - 1)
    return (-1 if value == (1 << 7 * size) - 1 else value), at + size


def _table_of_frames(path: str, size: tuple[int, int]) -> Table:
    """Return the table by decoding everything once: for codecs and containers whose packets do not tell."""
    with _open(path) as container:
        stream = _stream(container)
        count = 0
        for count, frame in enumerate(container.decode(stream), start=1):
            if frame.is_corrupt:
                raise ValueError(f"frame {count - 1} is damaged")
        return Table(count, array("q"), (), _fps(stream), size)


def _fps(stream: VideoStream) -> float | None:
    rate = stream.average_rate or stream.guessed_rate
    return float(rate) if rate else None


def _open(path: str) -> InputContainer:
    import av

    # ``file:`` so that no name is taken for a protocol.
    return av.open(
        f"file:{Path(path).absolute()}", options={"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
    )


def _stream(container: InputContainer) -> VideoStream:
    """Return the video to decode, in this thread alone: threads of a decoder would not live through a fork."""
    if not container.streams.video:
        raise ValueError("no video in it")
    stream = container.streams.video[0]
    context = stream.codec_context
    if not context:  # Whatever its type says: a codec that nobody knows has none.
        raise ValueError("its codec is unknown")
    if context.width * context.height > MAX_FRAME_PIXELS:
        raise ImageError(
            "image too large", f"{container.name}: more than {MAX_FRAME_PIXELS:,} pixels. Make it smaller."
        )
    if not context.is_open:
        context.thread_count = 1
    return stream


@contextmanager
def _refusing(path: str) -> Iterator[None]:
    import av

    broken: tuple[type[Exception], ...] = (
        av.FFmpegError, OSError, ValueError, TypeError, EOFError, LookupError, OverflowError, RuntimeError,
        StopIteration, MemoryError,
    )  # fmt: skip
    try:
        yield
    except ImageError:
        raise
    except broken as error:
        raise unreadable(path, str(error).replace(path, "it") or "no frame in it") from None


def unreadable(path: str, said: str) -> ImageError:
    """Return the refusal of a video."""
    said = said.replace("\n", " ")
    return ImageError("video unreadable", f"{path}: video unreadable ({said}). Save it again or leave the row out.")
