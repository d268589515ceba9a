"""Questions about videos, each as frames in front of the words: what the video benchmarks share.

Not their layouts: ``benchmarks/`` has them. Frames are those of LLaVA-NeXT-Interleave (arXiv:2407.07895), whose video
numbers are on these tests: from the first to the last at even distances, 16 unless the path ends in ``#frames=K``; a
video that has fewer shows some of them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from triptych.core.errors import ConfigError
from triptych.core.records import Example, ImageRef, VideoRef
from triptych.data.format import Refused
from triptych.data.media.locate import ImageError
from triptych.data.media.video import frame_refs, pick_linspace, probe
from triptych.evaluate.question.path_options import split_path
from triptych.evaluate.question.question_rows import Source, read_questions

FRAMES = 16
ENDINGS = (".mp4", ".MP4", ".mkv", ".webm", ".avi", "")
"""Of a video's file, most wanted first; none: a folder of frames."""
Ask = Callable[[Source, int], Iterable[Example]]
"""(row, frames) -> its questions."""


def read_video_questions(
    path: Path, ask: Ask, *, files: Sequence[str], frames: int = FRAMES
) -> Iterator[Example | Refused]:
    """Yield the questions of a folder or file.

    Args:
        path: perhaps with ``#frames=K``.
        ask: makes a row's questions.
        files: patterns, as ``read_questions`` takes them.
        frames: of each video, unless the path says.

    Raises:
        DataError: no such file; ConfigError: another option, or no frames.
    """
    plain, numbers = split_path(path, {"frames": frames})
    count = numbers["frames"]
    if count < 1:
        raise ConfigError(f"{path}: a video has at least one frame. Leave the option out, or write #frames={frames}.")
    yield from read_questions(plain, lambda source: ask(source, count), files=files)


def video_of(source: Source, *names: str) -> VideoRef:
    """Return the first video there is of these names, which have no ending. Raises ImageError: there is none."""
    for name in names:
        for ending in ENDINGS:
            try:
                return source.media.video(f"{name}{ending}")
            except ImageError as error:
                if error.reason != "video file missing":
                    raise
    raise ImageError(
        "video file missing",
        f"no video {' or '.join(repr(name) for name in names)} with {', '.join(ENDINGS[:-1])} under the data's folder. "
        "Unpack it there.",
    )


def frames_of(video: VideoRef, count: int) -> tuple[ImageRef, ...]:
    """Return a video's frames in time order. Raises ImageError."""
    return frame_refs(video, pick_linspace(probe(video.source).frames, count))
