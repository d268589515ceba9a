"""``<image>`` and ``<video>`` marks in text: media put where their marks stand, and marks put where media stand.

Not a row's layout: ``formats/mantis.py`` and ``formats/llava.py`` say where text and images are. Words are kept
exactly, line breaks around a mark included. In a layout without videos ``<video>`` is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from triptych.core.records import Example, ImageRef, Json, Part, Role, Text, Turn, VideoRef
from triptych.data.disk.media_keys import MEDIA_KEYS, names_nothing
from triptych.data.disk.rows import bad
from triptych.data.format import RowError, Trait
from triptych.data.media.folder import ImageShelf

MARK = "<image>"
VIDEO_MARK = "<video>"
CANNOT: frozenset[Trait] = frozenset({"boxes", "videos", "demonstrations", "labels", "marks", "unlearnt"})
"""What a layout with ``<image>`` marks has no words for; one with ``<video>`` marks too has some for videos."""
_CUT = {False: re.compile(f"({MARK})"), True: re.compile(f"({MARK}|{VIDEO_MARK})")}


class Said(NamedTuple):
    """What one speaker says, with a mark where each of its media stands."""

    role: Role
    text: str
    learnt: bool = True
    """As ``Turn.learnt``."""


def count_marks(texts: Sequence[str], mark: str = MARK) -> int:
    """Return the number of marks in all texts."""
    return sum(text.count(mark) for text in texts)


def place(
    text: str, images: Iterator[ImageRef], *, videos: Iterator[VideoRef | Sequence[ImageRef]] | None = None
) -> tuple[Part, ...]:
    """Return the text with the next images, and videos, where their marks stand. The caller has counted the marks.

    Args:
        text: what a turn says.
        images: those that no earlier mark has taken.
        videos: likewise, a video whole or as its frames; None: the layout has none, and ``<video>`` is text.
    """
    parts: list[Part] = []
    for said in _CUT[videos is not None].split(text):
        if said == MARK:
            parts.append(next(images))
        elif said == VIDEO_MARK and videos is not None:
            video = next(videos)
            parts += [video] if isinstance(video, VideoRef) else video
        elif said:
            parts.append(Text(said))
    return tuple(parts)


def check_counts(*, marks: int, images: int, what: str = "image", other: str = "") -> None:
    """Refuse a row whose marks and images (or what else) do not match, one to one.

    Args:
        marks: how many there are.
        images: likewise.
        what: what the marks stand for.
        other: what else can be done where marks are missing; begins with a comma.

    Raises:
        RowError: they do not match.
    """
    refuse_surplus_marks(marks=marks, images=images, what=what)
    if marks < images:
        raise RowError(
            f"more {what}s than marks",
            f"{images} {what}s but {marks} <{what}> marks. Put a mark where each {what} belongs{other}, or drop the "
            "others.",
        )


def refuse_surplus_marks(*, marks: int, images: int, what: str = "image") -> None:
    """Refuse a row with more marks than images (or what else). Raises RowError."""
    if marks > images:
        raise RowError(
            f"more marks than {what}s", f"{marks} <{what}> marks but {images} {what}s. Add the {what}s or drop marks."
        )


def marks_in_front(texts: Sequence[str], at: int | None, *, missing: int, mark: str = MARK) -> list[str]:
    """Return the texts with ``missing`` marks in front of text ``at``: the first that a user says.

    Args:
        texts: what the turns say.
        at: which of them; None: there is no such turn.
        missing: how many marks.
        mark: one, with what stands behind it.

    Raises:
        RowError: marks are missing and there is no such text.
    """
    if not missing:
        return list(texts)
    if at is None:
        name = mark.strip()
        raise bad(f"{missing} {name[1:-1]}s have no {name} mark, and there is no user turn to put them in front of.")
    return [mark * missing + text if number == at else text for number, text in enumerate(texts)]


def marked(turn: Turn, *, videos: bool = False) -> str:
    """Return the turn's text with a mark where each image stands, and where each video stands if the layout has them.

    Raises:
        RowError: a literal mark in its words would become an image; or it holds a video that the layout cannot say.
    """
    said: list[str] = []
    for part in turn.parts:
        match part:
            case ImageRef():
                said.append(MARK)
            case Text(text):
                said.append(text)
            case VideoRef(source):
                if not videos:
                    raise bad(f"this layout cannot hold the video {source}. Cut it into frames first.")
                said.append(VIDEO_MARK)
    text = "".join(said)
    marks = [part for part in turn.parts if not isinstance(part, Text)]
    if len(_CUT[videos].findall(text)) != len(marks):
        raise bad(
            f"its words hold a literal {MARK}{f' or {VIDEO_MARK}' if videos else ''}, which this layout would take for "
            "an image. Write messages instead."
        )
    return text


def image_names(example: Example, shelf: ImageShelf) -> list[Json]:
    """Return the example's images in the order of their marks, as paths from the written file.

    Raises:
        RowError: a box, another size or a video's frame, which these layouts cannot say.
        ImageError: a picture is missing.
    """
    names: list[Json] = []
    for turn in example.turns:
        for part in turn.parts:
            if isinstance(part, ImageRef):
                check_whole(part)
                names.append(shelf.name(part.source))
    return names


def check_whole(image: ImageRef) -> None:
    """Refuse an image that is more than a picture, which layouts of marks cannot say.

    Raises:
        RowError: a box, another size, or a frame of a video.
    """
    if image.box is not None or image.resize is not None:
        raise bad(f"this layout cannot say a box or a size of {image.source}. Write messages instead.")
    if image.video:
        raise bad(
            f"this layout cannot say that {image.source} is a frame of a video. Write messages instead, or cut videos"
            " with `as_images: true`."
        )


def video_names(example: Example, shelf: ImageShelf) -> list[Json]:
    """Return the example's videos in the order of their marks, as paths from the written file. Raises ImageError."""
    return [
        shelf.video_name(part.source) for turn in example.turns for part in turn.parts if isinstance(part, VideoRef)
    ]


def split_others(row: dict[str, Json], own: frozenset[str]) -> tuple[tuple[str, ...], dict[str, Json]]:
    """Return the row's skills and its facts: all keys that are not the layout's own, nor empty ones of media.

    Raises:
        RowError: a fact holds bytes, as a Parquet column may.
    """
    facts = {
        key: value for key, value in row.items() if key not in own and not (key in MEDIA_KEYS and names_nothing(value))
    }
    for key, value in facts.items():
        if _has_bytes(value):
            raise bad(f"{key!r} holds bytes, which are no fact. Leave the column out.")
    skills = facts.get("skills")
    if isinstance(skills, list) and skills and all(isinstance(skill, str) for skill in skills):
        del facts["skills"]
        return tuple(str(skill) for skill in skills), facts
    return (), facts


def join_others(
    example: Example, own: frozenset[str], *, labels: bool = False, unlearnt: bool = False
) -> dict[str, Json]:
    """Return skills and facts as keys of a row.

    Args:
        example: to be written.
        own: the layout's keys.
        labels: whether the layout has a place for labels.
        unlearnt: whether it can say that a reply is not learnt.

    Raises:
        RowError: a fact has the name of a key of the layout; or the example has what these layouts cannot say.
    """
    if example.demonstrations:
        raise bad("this layout has no place for demonstrations. Write messages instead.")
    if example.labels and not labels:
        raise bad("this layout has no place for labels. Write messages instead.")
    if not unlearnt:
        check_learnt(example)
    if taken := sorted((own | MEDIA_KEYS | {"skills"}) & example.facts.keys()):
        raise bad(f"its fact {taken[0]!r} has the name of a key of this layout. Rename the fact.")
    skills: dict[str, Json] = {"skills": list(example.skills)} if example.skills else {}
    return {**skills, **example.facts}


def check_learnt(example: Example) -> None:
    """Refuse a reply that is not learnt, which most layouts cannot say. Raises RowError."""
    if any(turn.role == "assistant" and not turn.learnt for turn in example.turns):
        raise bad("this layout cannot say that a reply is not learnt. Write messages or swift instead.")


def _has_bytes(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_bytes, value.values()))
    return any(map(_has_bytes, value)) if isinstance(value, list) else isinstance(value, bytes)
