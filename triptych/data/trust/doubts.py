"""What makes a row worth a look although it can be used: marks left in words, empty turns, images that are not there.

Not refusals: readers and ``check`` make those. One row at a time; ``repeats`` compares rows. Each doubt is something
that a person can look up in the row; where language is guessed at (``dangling``), it would rather say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from triptych.core.records import Example, ImageRef, Part, Text, Turn, VideoRef, images_of
from triptych.data.trust.dangling import dangling

_MARKS = re.compile(
    r"<\|?/?(?:image|video|img|im_patch|im_start|im_end|vision_start|vision_end|image_pad|video_pad|image_start|"
    r"image_end|im_sep|eot_id|endoftext|endofchunk|begin_of_text|end_of_text|fake_token_around_image|imagehere)"
    r"_?\d*\|?>|<image \d+>|\[/?INST\]|<</?SYS>>|</s>",
    re.IGNORECASE,
)
"""What layouts and models call an image or a turn's end, standing in somebody's words."""
_QUOTES = "\"'`“”‘’"


@dataclass(frozen=True, slots=True)
class Doubt:
    """A row that can be used, and why somebody should look at it."""

    where: str
    """``train.json: row 3 (id 'x')``."""
    reason: str
    """Short and countable."""
    message: str
    """One full line: where, what was seen, what to do."""
    example: Example
    """The row, to be shown."""
    beside: tuple[ImageRef, ...] = ()
    """Pictures of it and of another row, to be compared."""


def doubt(example: Example, reason: str, *, message: str, beside: tuple[ImageRef, ...] = ()) -> Doubt:
    """Return a doubt about a row."""
    where = f"{example.origin} (id {example.id!r})"
    return Doubt(where, reason, f"{where}: {message}", example, beside)


def doubts_of(example: Example) -> Iterator[Doubt]:
    """Yield what is odd about a row taken alone, at most one doubt of each reason."""
    turns = list(_turns(example))
    for looks in (_literal_mark, _quoted_image, _empty_turn, _image_in_a_reply):
        found = next((said for number, turn in enumerate(turns) for said in looks(number, turn)), None)
        if found is not None:
            reason, message = found
            yield doubt(example, reason, message=message)
    if beyond := dangling(example):
        count = len(images_of(example))
        said = ", ".join(dict.fromkeys(repr(each.said) for each in beyond))
        yield doubt(
            example,
            "reference to no image",
            message=f"it speaks of {said} but has {count} image{'' if count == 1 else 's'}. "
            "Add the image or mend the words.",
        )


def _turns(example: Example) -> Iterator[Turn]:
    for shown in example.demonstrations:
        yield from _turns(shown)
    yield from example.turns


def _literal_mark(number: int, turn: Turn) -> Iterator[tuple[str, str]]:
    for part in turn.parts:
        if isinstance(part, Text) and (mark := _MARKS.search(part.text)):
            message = f"turn {number}, the {turn.role}'s, says {mark[0]!r}, which stays text. Is an image meant?"
            yield "literal mark in text", f"{message} Then put one there; otherwise leave it."


def _quoted_image(number: int, turn: Turn) -> Iterator[tuple[str, str]]:
    for before, image, after in zip(turn.parts, turn.parts[1:], turn.parts[2:], strict=False):
        if isinstance(image, ImageRef | VideoRef) and _quoted(before, after):
            message = f"turn {number}, the {turn.role}'s, has an image between quotes. If its mark was only spoken of,"
            yield "literal mark in text", f"{message} write the row as messages."


def _quoted(before: Part, after: Part) -> bool:
    if not (isinstance(before, Text) and isinstance(after, Text)):
        return False
    return before.text[-1:] in _QUOTES and after.text[:1] in _QUOTES and bool(before.text and after.text)


def _empty_turn(number: int, turn: Turn) -> Iterator[tuple[str, str]]:
    if not any(not isinstance(part, Text) or part.text.strip() for part in turn.parts):
        yield "empty turn", f"turn {number}, the {turn.role}'s, is empty. Add the words or cut the turn."


def _image_in_a_reply(number: int, turn: Turn) -> Iterator[tuple[str, str]]:
    if turn.role == "assistant" and any(isinstance(part, ImageRef | VideoRef) for part in turn.parts):
        message = f"turn {number}, the assistant's, holds an image. Models of this kind write words only:"
        yield "image in a reply", f"{message} move the image to the user's turn if it is not shown on purpose."
