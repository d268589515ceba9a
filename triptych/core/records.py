"""The records that all rooms exchange: an Example is a conversation with images in their places.

Frozen values without pixels and without tokens. A benchmark question is an Example whose last turn is the
reference answer, a chat is an Example that grows, a generated item is an Example with a history.
An image may be referred to more than once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

Role = Literal["system", "user", "assistant"]
Box = tuple[int, int, int, int]
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class Text:
    """Words, exactly as they are said. A literal ``<image>`` in here is text, never an image."""

    text: str


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image by the place of its bytes, not the pixels themselves."""

    source: str
    """Locator of the image's bytes (``data/media/locate.py``): mostly the absolute path of its file, else a member of
    an archive, base64 text in a file or a frame of a video."""
    size: tuple[int, int] | None = None
    """(width, height) in pixels after EXIF rotation, crop and resize; None until somebody has looked."""
    box: Box | None = None
    """(left, top, right, bottom) in pixels of the part that is meant: a tile, one of three boxes. None: all of it."""
    resize: tuple[int, int] | None = None
    """(width, height) in pixels that it, or its box, is scaled to (bicubic) before a model sees it. None: as it is."""
    video: str = ""
    """Name of the video that it is a frame of, mostly its path; empty: an image by itself. Frames of one name with
    nothing between them are one video, the last of them its end (``ends_video``). Most models see images in them."""


@dataclass(frozen=True, slots=True)
class VideoRef:
    """A video by its place: a file, or a folder of frames."""

    source: str


Part = Text | ImageRef | VideoRef


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker says at once, in reading order."""

    role: Role
    parts: tuple[Part, ...]
    learnt: bool = True
    """Whether a reply is learnt; false: it is context alone. Says nothing of other roles."""


@dataclass(frozen=True, slots=True)
class Example:
    """One conversation about any number of images, in reading order."""

    id: str
    turns: tuple[Turn, ...]
    demonstrations: tuple[Example, ...] = ()
    """In-context examples, shown before the conversation, in order."""
    labels: tuple[tuple[str, float], ...] = ()
    """Numeric targets by name, in order (quality scores, classes)."""
    origin: str = ""
    """File and row it was read from, ``file: row N``, for messages to people."""
    skills: tuple[str, ...] = ()
    """What it exercises, e.g. ``("temporal",)``."""
    facts: Mapping[str, Json] = field(default_factory=dict)
    """Other JSON that came with it: scenario, options, chance, template. Kept by formats that can."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a responder said to an Example's last open turn."""

    id: str
    """The Example's id."""
    text: str
    tokens_in: int = 0
    """Prompt length with expanded images, in tokens."""
    tokens_out: int = 0
    cut: bool = False
    """Whether it had to stop before it was done, as far as anybody says."""


def images_of(example: Example) -> tuple[ImageRef, ...]:
    """Return every image reference in reading order, demonstrations first, repeats kept."""
    return tuple(part for part in parts_of(example) if isinstance(part, ImageRef))


def videos_of(example: Example) -> tuple[VideoRef, ...]:
    """Return every video reference in reading order, demonstrations first, repeats kept."""
    return tuple(part for part in parts_of(example) if isinstance(part, VideoRef))


def ends_video(parts: Sequence[Part], at: int) -> bool:
    """Return whether the part at this place is the last frame of its video."""
    part, after = parts[at], parts[at + 1] if at + 1 < len(parts) else None
    return isinstance(part, ImageRef) and part.video != "" and not in_one_video(part, after)


def in_one_video(part: Part | None, after: Part | None) -> bool:
    """Return whether two parts side by side are frames of one video."""
    return isinstance(part, ImageRef) and isinstance(after, ImageRef) and part.video == after.video != ""


def replace_parts(example: Example, change: Callable[[Part], Sequence[Part]]) -> Example:
    """Return the example with each part of it, and of its demonstrations, replaced by what ``change`` gives for it.

    Called in reading order, demonstrations first. No parts for one leaves it out; turns stay, even empty ones.
    """
    shown = tuple(replace_parts(each, change) for each in example.demonstrations)
    turns = tuple(
        replace(turn, parts=tuple(new for part in turn.parts for new in change(part))) for turn in example.turns
    )
    return replace(example, demonstrations=shown, turns=turns)


def parts_of(example: Example) -> Iterator[Part]:
    """Yield all parts in reading order, demonstrations first."""
    for shown in example.demonstrations:
        yield from parts_of(shown)
    for turn in example.turns:
        yield from turn.parts


def text_of(turn: Turn) -> str:
    """Return the turn's words without its images."""
    return "".join(part.text for part in turn.parts if isinstance(part, Text))
