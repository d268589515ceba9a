"""Videos: how many frames, how fast and how large; which frames to take; and a frame's pixels.

Not decoding itself: ``decode`` does. A video is a file, or a folder with a picture for each frame. Frame ``i`` is the
i-th, from 0, that a decoder gives from the start; its pixels are the same however it is reached. A frame stands upright
as the file's display matrix says (quarter turns and mirrors; other angles, and pixels that are not square, are left;
of Motion JPEG with EXIF in its frames the turns alone).
Picking is arithmetic: rising indexes, one function for each way that is published. Where a published way repeats the
frames of a short video, so does the function of its name.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from triptych.core.records import ImageRef, VideoRef
from triptych.data.media.decode import Stamp, pixels_of, table_of
from triptych.data.media.kept import SUFFIXES
from triptych.data.media.locate import ImageError, frame_at, stamp_of

Indexes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a video is, without its pixels."""

    frames: int
    fps: float | None
    """Frames a second on average; None for a folder of frames, which does not say."""
    size: tuple[int, int]
    """(width, height) in pixels, upright; of a folder, of its first frame."""

    @property
    def seconds(self) -> float | None:
        """How long it lasts; None where the rate is unknown."""
        return None if self.fps is None else self.frames / self.fps


def probe(source: str) -> VideoInfo:
    """Return what a video is. Counts a file's packets and decodes its first frame; kept until the file changes.

    Args:
        source: path of a file, or of a folder of frames.

    Raises:
        ImageError: ``video file missing``, ``video unreadable``, ``image too large``.
    """
    if Path(source).is_dir():
        from triptych.data.media.images import whole_size  # Which looks for frames here.

        files = frame_files(Path(source))
        return VideoInfo(len(files), None, whole_size(str(files[0])))
    table = table_of(_stamp(source))
    return VideoInfo(table.frames, table.fps, table.size)


def frame_refs(video: VideoRef, indexes: Sequence[int], *, name: str | None = None) -> tuple[ImageRef, ...]:
    """Return references to some of a video's frames, in the order asked; decodes nothing.

    Args:
        video: a file, or a folder of frames.
        indexes: which, from 0.
        name: what they call the video (``ImageRef.video``); empty: they are pictures by themselves. None: its path.

    Raises:
        ImageError: ``video file missing``, ``video unreadable``; or ``video frame missing``: an index is out of range.
    """
    path = Path(video.source)
    called = video.source if name is None else name
    if path.is_dir():
        files = frame_files(path)
        _check(video.source, indexes, len(files))
        return tuple(ImageRef(str(files[index]), video=called) for index in indexes)
    _check(video.source, indexes, probe(video.source).frames)
    return tuple(ImageRef(frame_at(path, index), video=called) for index in indexes)


def frame_files(folder: Path) -> tuple[Path, ...]:
    """Return a folder's pictures in the order of the number that ends their names: ``v_2.jpg`` before ``v_10.jpg``.

    Raises:
        ImageError: ``video file missing``: no folder, or no picture in it; or one is a link that leads out of it.
    """
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    except OSError:
        raise _missing(str(folder)) from None
    if not found:
        raise ImageError("video file missing", f"{folder}: no pictures in it, so no video. Put its frames there.")
    root = folder.resolve()
    for path in found:
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            raise ImageError("path leaves the data folder", f"{path}: a link out of its folder. Put the file there.")
    return tuple(sorted(found, key=_place_in_video))


def load_frame(path: str, index: int) -> Image.Image:
    """Return the pixels of a file's frame as RGB, upright, of the size that ``probe`` tells.

    Raises:
        ImageError: ``video file missing``, ``video unreadable``, ``video frame missing``, ``image too large``.
    """
    stamp = _stamp(path)
    _check(path, [index], table_of(stamp).frames)
    return pixels_of(stamp, index)


def frame_size(path: str, index: int) -> tuple[int, int]:
    """Return (width, height) of a file's frame in pixels, upright. Raises as ``load_frame``."""
    table = table_of(_stamp(path))
    _check(path, [index], table.frames)
    return table.size


def frame_png(path: str, index: int) -> bytes:
    """Return a frame as a PNG file. Raises as ``load_frame``."""
    file = io.BytesIO()
    load_frame(path, index).save(file, "PNG", compress_level=1)
    return file.getvalue()


def pick_uniform(frames: int, count: int) -> Indexes:
    """Return ``count`` frames from the first to the last at even distances; all of them once, if there are no more."""
    _check_count(frames, count)
    return tuple(range(frames)) if frames <= count else pick_linspace(frames, count)


def pick_linspace(frames: int, count: int) -> Indexes:
    """As ``pick_uniform``, but repeats the frames of a short video, so that there are always ``count``.

    Source: LLaVA-NeXT-Interleave (10 frames in training, 16 in use), VideoScore's benchmark.
    """
    _check_count(frames, count)
    return tuple(int(index) for index in np.linspace(0, frames - 1, count, dtype=int))


def pick_arange(frames: int, count: int) -> Indexes:
    """Return the first frame of each of ``count`` equal stretches; all, if there are no more.

    Source: the example of VideoScore.
    """
    _check_count(frames, count)
    if frames <= count:
        return tuple(range(frames))
    return tuple(int(index) for index in np.arange(0, frames, frames / count))[:count]


def pick_step(frames: int, count: int) -> Indexes:
    """Return every n-th frame, n as small as gives at most ``count``: 5 of 9 frames where 8 are asked for.

    Source: Mantis, videos as files.
    """
    _check_count(frames, count)
    return tuple(range(0, frames, ceil(frames / count)))


def pick_interval(frames: int, count: int) -> Indexes:
    """Return every n-th frame, n as large as gives at least ``count``: 17 of 100 frames where 16 are asked for.

    Source: the demo of LLaVA-NeXT-Interleave; where that divides by zero, with fewer frames, all are taken.
    """
    _check_count(frames, count)
    return tuple(range(0, frames, max(1, frames // count)))


def pick_middle(frames: int, count: int) -> Indexes:
    """Return the frame in the middle of each of ``count`` equal stretches.

    Source: MVBench, for a whole video.
    """
    _check_count(frames, count)
    stretch = (frames - 1) / count
    return tuple(int(stretch / 2 + round(stretch * index)) for index in range(count))


WAYS: Mapping[str, Callable[[int, int], Indexes]] = {
    "uniform": pick_uniform,
    "linspace": pick_linspace,
    "arange": pick_arange,
    "step": pick_step,
    "interval": pick_interval,
    "middle": pick_middle,
}
"""Ways to take a number of frames, by name."""


def pick_fps(
    frames: int, native_fps: float, *, fps: float = 1.0, at_most: int | None = None, force: bool = False
) -> Indexes:
    """Return frames at a rate; where those are too many, ``at_most`` from the first to the last instead.

    Source: LLaVA-NeXT (decord): every n-th frame, n = round(native_fps / fps).

    Args:
        frames: how many the video has.
        native_fps: its frames a second.
        fps: frames a second to take. More than it has: all.
        at_most: limit; None: none.
        force: give ``at_most`` frames whatever the rate says, as LLaVA-Video does.
    """
    _check_count(frames, 1 if at_most is None else at_most)
    _check_rates(native_fps, fps)
    picked = tuple(range(0, frames, max(1, round(native_fps / fps))))
    return pick_linspace(frames, at_most) if at_most and (force or len(picked) > at_most) else picked


def _stamp(path: str) -> Stamp:
    try:
        return stamp_of(path)
    except ImageError:
        raise _missing(path) from None


def _place_in_video(path: Path) -> tuple[bool, int, list[Any]]:
    last = path.stem.rpartition("_")[2]
    digits = re.findall(r"[0-9]+", last)
    natural = [(0, int(run), "") if run.isdigit() else (1, 0, run) for run in re.findall(r"[0-9]+|[^0-9]+", path.name)]
    return not digits, int(digits[-1]) if digits else 0, natural


def _check(source: str, indexes: Sequence[int], frames: int) -> None:
    for index in indexes:
        if not 0 <= index < frames:
            message = f"{source}: it has frames 0 to {frames - 1}, and no frame {index}. Ask for one of those."
            raise ImageError("video frame missing", message)


def _missing(source: str) -> ImageError:
    return ImageError("video file missing", f"{source}: no such video. Put it there or leave the row out.")


def _check_count(frames: int, count: int) -> None:
    if frames < 1 or count < 1:
        raise ValueError(f"cannot take {count} of {frames} frames: both are at least 1.")


def _check_rates(native_fps: float, fps: float) -> None:
    if not (native_fps > 0 and fps > 0):
        raise ValueError(f"frames a second are above 0, found {native_fps} and {fps}.")
