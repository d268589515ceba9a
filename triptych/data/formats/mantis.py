"""Mantis chat: a JSON list or JSON Lines of {id, images, conversation}, ``<image>`` marks in the text.

Source: TIGER-AI-Lab/Mantis (arXiv:2405.01483), ``mantis/train/data.py``, format ``chat``, with the key variations that
it accepts. Marks are consumed in order over all turns. A row with *fewer marks than images* gets the missing marks in
front of its first user turn: that is this layout's published rule. More marks than images are refused; there the
published code drops marks from the end. Also unlike there, a system turn is kept, a conversation that the assistant
begins is refused instead of cut, and a picture with a side below 16 pixels stays as it is: there it is enlarged until
both have 16, before its processor sees it. Other keys of a row are its facts.

Cannot say: a box, demonstrations, labels, videos, a reply that is not learnt. Adjacent texts are joined. An image that
is shown twice is listed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from triptych.core.records import Example, ImageRef, Json, Turn
from triptych.data.disk.finder import MEDIA_OPTIONS, media_of
from triptych.data.disk.foreign_keys import FOREIGN_KEYS, is_learnt, refuse_foreign, refuse_turn
from triptych.data.disk.layouts import turns_in
from triptych.data.disk.marks import (
    CANNOT,
    Said,
    count_marks,
    image_names,
    join_others,
    marked,
    marks_in_front,
    place,
    refuse_surplus_marks,
    split_others,
)
from triptych.data.disk.media_keys import entries_of, names_nothing, refuse_media
from triptych.data.disk.rows import Build, bad, check_turns, id_of, keyed, of_another_layout, role_of, row_format, words
from triptych.data.disk.writing import write_rows
from triptych.data.media.folder import ImageShelf

OWN = frozenset({"id", "images", "image", "conversation", "conversations", "video"}) | FOREIGN_KEYS
"""The layout's keys; all others are facts."""


def write(examples: Iterable[Example], path: Path) -> int:
    """Write Examples; a ``.json`` file becomes a list, any other JSON Lines."""
    return write_rows(examples, path, row_of=row_of)


def example_of(row: dict[str, Json], find: Callable[[object], ImageRef], *, origin: str) -> Example:
    """Return a chat row as an Example.

    Args:
        row: as it stands in the file.
        find: what a row calls a picture -> where it is.
        origin: file and row.

    Raises:
        RowError, ImageError: the row cannot be used.
    """
    if not names_nothing(row.get("video")):
        raise of_another_layout("a video is no chat row of images. Read the file as mantis_video.")
    said = said_by(row)
    texts = [each.text for each in said]
    refuse_media(row, OWN, beside=True)
    images = [find(entry) for entry in entries_of(row, "image")]
    marks = count_marks(texts)
    refuse_surplus_marks(marks=marks, images=len(images))
    texts = marks_in_front(texts, first_user(said), missing=len(images) - marks)
    unused = iter(images)
    turns = tuple(Turn(each.role, place(text, unused), each.learnt) for each, text in zip(said, texts, strict=True))
    check_turns(turns)
    skills, facts = split_others(row, OWN)
    return Example(id=id_of(row, origin), turns=turns, origin=origin, skills=skills, facts=facts)


def row_of(example: Example, shelf: ImageShelf) -> Json:
    """Return an Example as a chat row. Raises RowError and ImageError."""
    return {
        "id": example.id,
        "images": image_names(example, shelf),
        "conversation": [{"role": turn.role, "content": marked(turn)} for turn in example.turns],
        **join_others(example, OWN),
    }


def said_by(row: dict[str, Json]) -> list[Said]:
    """Return who says what, turn by turn, under any of the published keys.

    Raises:
        RowError: it holds no conversation, or one of preferences or tools.
    """
    said: list[Said] = []
    for number, value in enumerate(turns_in(row, _turns_key(row))):
        what = f"turn {number}"
        turn = keyed(value, what)
        refuse_turn(turn, what)
        speaker = turn.get("role") if turn.get("role") is not None else turn.get("from")
        text = next((turn[key] for key in ("content", "text", "value") if turn.get(key) is not None), None)
        role = role_of(speaker, what)
        said.append(Said(role, words(text, f"what {what} says"), is_learnt(turn, role, what=what)))
    refuse_foreign(row)
    return said


def first_user(said: list[Said]) -> int | None:
    """Return the number of the first turn that is the user's."""
    return next((number for number, each in enumerate(said) if each.role == "user"), None)


def _turns_key(row: dict[str, Json]) -> str:
    """Return under which key the turns are, which is published with and without a plural s."""
    found = [name for name in ("conversation", "conversations") if row.get(name) is not None]
    if len(found) > 1:
        raise bad(f"both {found[0]!r} and {found[1]!r} are given. Leave one out.")
    return found[0] if found else "conversation"


def _start(path: Path, options: Mapping[str, str]) -> Build:
    media = media_of(path, options)
    return lambda row, origin: example_of(row, media.image, origin=origin)


FORMAT = row_format(
    _start,
    write=write,
    about="Mantis chat JSON: images and <image> marks in a conversation",
    options=MEDIA_OPTIONS,
    cannot=CANNOT,
)
