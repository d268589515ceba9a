"""``<image>`` marks in text: images put where their marks stand, and marks put where images stand.

Not a row's layout: ``formats/mantis.py`` and ``formats/llava.py`` say where text and images are. Words are kept
exactly, line breaks around a mark included.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triptych.core.records import Example, ImageRef, Json, Part, Text, Turn, VideoRef
from triptych.data.folder import ImageShelf
from triptych.data.format import RowError
from triptych.data.rows import bad

MARK = "<image>"


def count_marks(texts: Sequence[str]) -> int:
    """Return the number of marks in all texts."""
    return sum(text.count(MARK) for text in texts)


def place(text: str, images: Iterator[ImageRef]) -> tuple[Part, ...]:
    """Return the text with the next images where its marks stand. The caller has counted the marks."""
    parts: list[Part] = []
    for number, words in enumerate(text.split(MARK)):
        if number:
            parts.append(next(images))
        if words:
            parts.append(Text(words))
    return tuple(parts)


def check_counts(*, marks: int, images: int) -> None:
    """Refuse a row whose marks and images do not match, one to one. Raises RowError."""
    refuse_surplus_marks(marks=marks, images=images)
    if marks < images:
        raise RowError(
            "more images than marks",
            f"{images} images but {marks} {MARK} marks. Put a mark where each image belongs, or drop the others.",
        )


def refuse_surplus_marks(*, marks: int, images: int) -> None:
    """Refuse a row with more marks than images. Raises RowError."""
    if marks > images:
        raise RowError(
            "more marks than images", f"{marks} {MARK} marks but {images} images. Add the images or drop marks."
        )


def marked(turn: Turn) -> str:
    """Return the turn's text with a mark where each image stands.

    Raises:
        RowError: a literal mark in its words would become an image; or it holds a video.
    """
    said: list[str] = []
    for part in turn.parts:
        match part:
            case ImageRef():
                said.append(MARK)
            case Text(text):
                said.append(text)
            case VideoRef(source):
                raise bad(f"this layout cannot hold the video {source}. Cut it into frames first.")
    text = "".join(said)
    if text.count(MARK) != said.count(MARK):
        raise bad(
            f"its words hold a literal {MARK}, which this layout would take for an image. Write messages instead."
        )
    return text


def image_names(example: Example, shelf: ImageShelf) -> list[Json]:
    """Return the example's images in the order of their marks, as paths from the written file.

    Raises:
        RowError: a box, which these layouts cannot say.
        ImageError: a picture is missing.
    """
    names: list[Json] = []
    for turn in example.turns:
        for part in turn.parts:
            if isinstance(part, ImageRef):
                if part.box is not None:
                    raise bad(f"this layout cannot say a box of {part.source}. Write messages instead.")
                names.append(shelf.name(part.source))
    return names


def split_others(row: dict[str, Json], own: frozenset[str]) -> tuple[tuple[str, ...], dict[str, Json]]:
    """Return the row's skills and its facts: all keys that are not the layout's own."""
    facts = {key: value for key, value in row.items() if key not in own}
    skills = facts.get("skills")
    if isinstance(skills, list) and skills and all(isinstance(skill, str) for skill in skills):
        del facts["skills"]
        return tuple(str(skill) for skill in skills), facts
    return (), facts


def join_others(example: Example, own: frozenset[str]) -> dict[str, Json]:
    """Return skills and facts as keys of a row.

    Raises:
        RowError: a fact has the name of a key of the layout; or the example has what these layouts cannot say.
    """
    if example.demonstrations:
        raise bad("this layout has no place for demonstrations. Write messages instead.")
    if example.labels:
        raise bad("this layout has no place for labels. Write messages instead.")
    if taken := sorted((own | {"skills"}) & example.facts.keys()):
        raise bad(f"its fact {taken[0]!r} has the name of a key of this layout. Rename the fact.")
    skills: dict[str, Json] = {"skills": list(example.skills)} if example.skills else {}
    return {**skills, **example.facts}
