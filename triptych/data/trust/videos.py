"""Videos that are one video: by their bytes, or by frames at the same places that look alike.

Not single pictures: ``near`` compares those, and frames here as well. A few frames are looked at, from the middles of
equal stretches, as beginnings and ends are often black or a title that many films share. So a copy of another size,
codec or frame rate is found, and a folder of the same frames; a part of a video, a slower, cut, mirrored or turned copy
is not.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image

from triptych.core.records import ImageRef, VideoRef
from triptych.data.media.fingerprint import Fingerprint, fingerprint
from triptych.data.media.images import ImageError, load_image
from triptych.data.media.near import candidates, lay_over
from triptych.data.media.video import frame_files, frame_refs, pick_middle, probe

FRAMES = 4
"""Frames of a video that are looked at."""
ALIKE = 3
"""How many of them must look alike, none of them plain (one colour, a title on black); of a shorter video, all."""


@dataclass(frozen=True, slots=True)
class VideoPrint:
    """What is kept of a video."""

    content: bytes
    """Digest of the file, or of a folder's files in order."""
    frames: tuple[ImageRef, ...]
    """References to the frames that are looked at, in order, each once."""
    prints: tuple[Fingerprint, ...]
    """The fingerprint of each of ``frames``."""


def video_print(video: VideoRef) -> VideoPrint:
    """Return the print of a video. Raises ImageError: it is not there, or cannot be read."""
    indexes = tuple(dict.fromkeys(pick_middle(probe(video.source).frames, FRAMES)))
    frames = frame_refs(video, indexes, name="")
    return VideoPrint(
        _content(Path(video.source)), frames, tuple(fingerprint(load_image(frame), crops=False) for frame in frames)
    )


def same_videos(
    ours: Mapping[VideoRef, VideoPrint],
    theirs: Mapping[VideoRef, VideoPrint],
    *,
    load: Callable[[ImageRef], Image.Image] = load_image,
) -> dict[tuple[VideoRef, VideoRef], str]:
    """Return the pairs that are one video, with what the first is of the second.

    Args:
        ours: prints of videos.
        theirs: those that they are compared with.
        load: gives a frame's pixels, or a smaller copy of them.
    """
    by_content = defaultdict(list)
    for other, there in theirs.items():
        by_content[there.content].append(other)
    found = {(video, other): "is" for video, seen in ours.items() for other in by_content.get(seen.content, ())}
    alike = Counter[tuple[VideoRef, VideoRef]]()
    load = lru_cache(maxsize=256)(load)
    for place in range(FRAMES):
        mine, others = (
            [(video, seen) for video, seen in videos.items() if place < len(seen.frames)] for videos in (ours, theirs)
        )
        left, right = ([seen.prints[place] for _, seen in videos] for videos in (mine, others))
        for each in candidates(left, right):
            (video, seen), (other, there) = mine[each.left], others[each.right]
            if (video, other) not in found and lay_over(load(seen.frames[place]), load(there.frames[place])).same:
                alike[video, other] += 1
    for (video, other), frames in alike.items():
        if frames >= min(ALIKE, max(len(ours[video].frames), len(theirs[other].frames))):
            found[video, other] = "looks like"
    return found


def _content(path: Path) -> bytes:
    digest = hashlib.sha256()
    try:
        for file in frame_files(path) if path.is_dir() else [path]:
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    except OSError as error:
        raise ImageError("video unreadable", f"{path}: cannot be read ({error.strerror}). Copy it again.") from None
    return digest.digest()
