"""frames: each video becomes some of its frames, as images in its place that say which video they are of.

Which frames: by number or by rate, in every way that is published (``data/media/video.py``), within a limit and a
budget of tokens. Nothing is decoded here but what counting a video's frames needs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Literal

from pydantic import Field, model_validator

from triptych.core.config import Settings
from triptych.core.records import (
    Example,
    ImageRef,
    Json,
    Part,
    Text,
    Turn,
    VideoRef,
    images_of,
    parts_of,
    replace_parts,
    videos_of,
)
from triptych.data.format import RowError
from triptych.data.media.video import WAYS, VideoInfo, frame_refs, pick_fps, probe
from triptych.data.text.layout import images_before
from triptych.data.text.loose import find_hidden
from triptych.data.text.references import Reference, UnclearError, find_references, find_unsure, renumber
from triptych.data.text.turns import images_shown, replace_words, turns_in_order
from triptych.data.transform import Transform, noted, tidy

_FRAME_BEFORE = re.compile(r"(?i)\bframes?[^\w]*$")
_FRAME_AFTER = re.compile(r"(?i)\W{1,8}(?:of\s{1,8}(?:the\s{1,8})?)?frames?\b")
_NEAR = 16
"""Characters before a number in which its noun is looked for."""


class Frames(Settings):
    """Settings: ``n`` frames of each video, or ``fps`` of them a second. No randomness."""

    n: int | None = Field(default=None, ge=1)
    """Number of frames taken from each video."""
    fps: float | None = Field(default=None, gt=0)
    """Frames taken from each second of a video."""
    way: Literal["uniform", "linspace", "arange", "step", "interval", "middle"] = "uniform"
    """How ``n`` frames are taken; uniform: from the first to the last, each once."""
    folder_fps: float | None = Field(default=None, gt=0)
    """Rate of videos that are folders of frames, which do not tell it. LLaVA-NeXT assumes 2."""
    most: int | None = Field(default=None, ge=1)
    """Most frames in a row, over all of its videos."""
    budget_tokens: int | None = Field(default=None, ge=1)
    """Most tokens that the frames of a row may cost; needs ``frame_tokens``."""
    frame_tokens: int | None = Field(default=None, ge=1)
    """Tokens that one frame costs."""
    as_images: bool = False
    """Whether frames leave out which video they are of, so that every model treats them as separate images.
    LLaVA-OneVision, which pools the frames of a video, then sees them as LLaVA-NeXT-Interleave does; most models see no
    difference."""
    text: str = ""
    """Said after the frames; {count} of them, {seconds} of the video, {times} of the frames ("0.00s,1.00s")."""

    @model_validator(mode="after")
    def _check(self) -> Frames:
        if (self.n is None) == (self.fps is None):
            raise ValueError("give n or fps, not both")
        if (self.budget_tokens is None) != (self.frame_tokens is None):
            raise ValueError("budget_tokens and frame_tokens go together")
        return self


def take_frames(example: Example, settings: Frames, random: Random) -> Sequence[Example]:
    """Return the example with frames for videos. Raises RowError or ImageError."""
    del random
    videos = videos_of(example)
    if not videos:
        return [example]
    most = _most(settings, len(videos))
    taken: list[Json] = []
    shown = Counter[str]()

    def called(source: str) -> str:
        """Return a name that no other video of the row has: one that is shown twice running is two videos."""
        shown[source] += 1
        return source if shown[source] == 1 else f"{source}#{shown[source]}"

    def framed(part: Part) -> Sequence[Part]:
        if not isinstance(part, VideoRef):
            return [part]
        info = probe(part.source)
        fps = info.fps or settings.folder_fps
        indexes = _indexes(info, fps, settings, most, part.source)
        picked: list[Json] = [*indexes]
        taken.append({"video": part.source, "of": info.frames, "frames": picked})
        said = [Text(_said(settings.text, indexes, info, fps, part.source))] if settings.text else []
        return [*frame_refs(part, indexes, name="" if settings.as_images else called(part.source)), *said]

    numbered, left = _numbered(example, settings, most)
    made = replace_parts(numbered, framed)
    turns = tuple(replace(turn, parts=tidy(turn.parts)) for turn in made.turns)
    note: dict[str, Json] = {"videos": taken, **({"left": left} if left else {})}
    return [noted(replace(made, turns=turns), "frames", **note)]


def _most(settings: Frames, videos: int) -> int | None:
    """Return the most frames of one video, or None. Raises RowError where not one fits."""
    limits = [] if settings.most is None else [settings.most]
    if settings.budget_tokens is not None and settings.frame_tokens is not None:
        limits.append(settings.budget_tokens // settings.frame_tokens)
    if not limits:
        return None
    if min(limits) < videos:
        raise RowError("too many videos", f"{videos} videos, and {min(limits)} frames fit: not one for each.")
    return min(limits) // videos


def _indexes(info: VideoInfo, fps: float | None, settings: Frames, most: int | None, source: str) -> tuple[int, ...]:
    if settings.n is not None:
        indexes = WAYS[settings.way](info.frames, settings.n if most is None else min(settings.n, most))
        return indexes if most is None else indexes[:most]
    assert settings.fps is not None
    if fps is None:
        raise RowError("frame rate unknown", f"{source}: a folder of frames has no rate. Give folder_fps, or n.")
    return pick_fps(info.frames, fps, fps=settings.fps, at_most=most)


def _said(text: str, indexes: Sequence[int], info: VideoInfo, fps: float | None, source: str) -> str:
    if fps is None and ("{seconds}" in text or "{times}" in text):
        raise RowError("frame rate unknown", f"{source}: a folder of frames has no times. Give folder_fps.")
    rate = fps or 1.0
    times = ",".join(f"{index / rate:.2f}s" for index in indexes)
    filled = text.replace("{count}", str(len(indexes))).replace("{times}", times)
    return filled.replace("{seconds}", f"{info.frames / rate:.2f}")


def _numbered(example: Example, settings: Frames, most: int | None) -> tuple[Example, str]:
    """Return the example with its words' references made right, and why that could not be, where each of its
    conversations counts its own images or all together do. Raises RowError."""
    if images_before(example)[-1]:
        return _renumbered(example, settings, most)
    shown = [_numbered(each, settings, most) for each in example.demonstrations]
    own, left = _renumbered(replace(example, demonstrations=()), settings, most)
    made = replace(own, demonstrations=tuple(each for each, _ in shown))
    return made, next(filter(None, (*(why for _, why in shown), left)), "")


def _renumbered(example: Example, settings: Frames, most: int | None) -> tuple[Example, str]:
    """Return the example with its words' references to images made right for when frames stand among them, and why
    that could not be. Raises RowError where they would then mean others."""
    count = len(images_of(example))
    if not count:
        return example, ""
    turns = turns_in_order(example)
    new, ends = _places(turns, settings, most)
    counts = images_shown(turns)
    hidden = (find_hidden(each.turns, count=count) for each in (*example.demonstrations, example))
    if new != list(range(1, count + 1)) and (said := next(filter(None, hidden), None)):
        raise RowError(
            "unclear reference",
            f"the words {said!r} by themselves may mean an image, and frames among its images change their numbers.",
        )

    def renamed(text: str, at: int) -> str:
        shown, now = (counts[at], ends[at]) if counts[at] else (count, ends[-1])
        named = find_references(text, count=count, shown=shown)
        keep = frozenset(it.start for it in named if _is_frame(text, it))
        return renumber(text, lambda k: new[k - 1], count=count, shown=shown, now=now, keep=keep)

    try:
        return replace_words(example, renamed), ""
    except UnclearError as error:
        texts = [part.text for part in parts_of(example) if isinstance(part, Text)]
        named = [it for text in texts for it in find_references(text, count=count) if not _is_frame(text, it)]
        numbers = [number for it in named for number in it.numbers]
        numbers += [number for text in texts for _, said in find_unsure(text, count=count) for number in said]
        if any(it.form == "last" for it in named) or any(new[k - 1 : k] != [k] for k in numbers):
            raise RowError("unclear reference", f"{error}, and frames among its images change their numbers.") from None
        return example, str(error)


def _places(turns: Sequence[Turn], settings: Frames, most: int | None) -> tuple[list[int], list[int]]:
    """Return the new number of each image, and how many images and frames stand up to the end of each turn."""
    new: list[int] = []
    ends: list[int] = []
    place = 0
    for turn in turns:
        for part in turn.parts:
            if isinstance(part, ImageRef):
                place += 1
                new.append(place)
            elif isinstance(part, VideoRef):
                info = probe(part.source)
                place += len(_indexes(info, info.fps or settings.folder_fps, settings, most, part.source))
        ends.append(place)
    return new, ends


def _is_frame(text: str, reference: Reference) -> bool:
    """Return whether words mean a frame of a video ("the first frame"), which they still do when it is cut."""
    before, after = text[max(0, reference.start - _NEAR) : reference.start], text[reference.stop :]
    return _FRAME_BEFORE.search(before) is not None or _FRAME_AFTER.match(after) is not None


TRANSFORM = Transform(
    settings=Frames,
    about="videos become some of their frames",
    each=take_frames,
    looks=lambda settings: True,
    samples=(
        {"n": 3},
        {
            "fps": 1.0,
            "folder_fps": 2.0,
            "budget_tokens": 90,
            "frame_tokens": 30,
            "text": " {count} in {seconds} s: {times}. ",
        },
        {"n": 2, "as_images": True},
    ),
)
