"""The records that all rooms exchange: an Example is a conversation with images in their places.

Frozen values without pixels and without tokens. A benchmark question is an Example whose last turn is the
reference answer, a chat is an Example that grows, a generated item is an Example with a history.
An image may be referred to more than once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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
    """Where an image's bytes are, not the pixels themselves."""

    source: str
    """Absolute path of the picture's file."""
    size: tuple[int, int] | None = None
    """(width, height) in pixels after EXIF rotation and crop; None until somebody has looked."""
    box: Box | None = None
    """(left, top, right, bottom) in pixels of the part that is meant: a tile, one of three boxes. None: all of it."""


@dataclass(frozen=True, slots=True)
class VideoRef:
    """Where a video is: a file, or a folder of frames."""

    source: str


Part = Text | ImageRef | VideoRef


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker says at once, in reading order."""

    role: Role
    parts: tuple[Part, ...]


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
    """Where it was read: ``file: row N``. For messages to people."""
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


def images_of(example: Example) -> tuple[ImageRef, ...]:
    """Return every image reference in reading order, demonstrations first, repeats kept."""
    return tuple(part for part in parts_of(example) if isinstance(part, ImageRef))


def parts_of(example: Example) -> Iterator[Part]:
    """Yield all parts in reading order, demonstrations first."""
    for shown in example.demonstrations:
        yield from parts_of(shown)
    for turn in example.turns:
        yield from turn.parts


def text_of(turn: Turn) -> str:
    """Return the turn's words without its images."""
    return "".join(part.text for part in turn.parts if isinstance(part, Text))
