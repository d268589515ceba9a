"""Mantis chat: a JSON list or JSON Lines of {id, images, conversation}, ``<image>`` marks in the text.

Source: TIGER-AI-Lab/Mantis (arXiv:2405.01483), ``mantis/train/data.py``, format ``chat``, with the key variations that
it accepts. Marks are consumed in order over all turns. A row with *fewer marks than images* gets the missing marks in
front of its first user turn: that is this layout's published rule. More marks than images are refused; there the
published code drops marks from the end. Also unlike there, a system turn is kept, and a conversation that the
assistant begins is refused instead of cut. Other keys of a row are its facts.

Cannot say: a box, demonstrations, labels, videos. Adjacent texts are joined. An image that is shown twice is listed
twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from triptych.core.records import Example, Json, Role, Turn
from triptych.data.folder import ImageFolder, ImageShelf
from triptych.data.format import Format, Refused
from triptych.data.marks import (
    MARK,
    count_marks,
    image_names,
    join_others,
    marked,
    place,
    refuse_surplus_marks,
    split_others,
)
from triptych.data.rows import bad, check_turns, convert, id_of, keyed, listed, role_of, words
from triptych.data.writing import write_rows

_OWN = frozenset({"id", "images", "image", "conversation", "conversations", "video"})


def read(path: Path) -> Iterator[Example | Refused]:
    """Yield one Example or Refused per row; images lie relative to the file's folder."""
    folder = ImageFolder(path.parent)
    return convert(path, lambda row, origin: _example(row, folder, origin))


def write(examples: Iterable[Example], path: Path) -> int:
    """Write Examples; a ``.json`` file becomes a list, any other JSON Lines."""
    return write_rows(examples, path, _row)


def _example(row: dict[str, Json], folder: ImageFolder, origin: str) -> Example:
    if row.get("video") is not None:
        raise bad("a video is no chat row of images. Use its frames as images.")
    said = [_said(turn, number) for number, turn in enumerate(listed(_one_of(row, "conversation"), "conversation"))]
    images = [folder.find(name) for name in _names(row)]
    marks = count_marks([text for _, text in said])
    refuse_surplus_marks(marks=marks, images=len(images))
    if missing := len(images) - marks:
        said = _with_marks_in_front(said, missing)
    unused = iter(images)
    turns = tuple(Turn(role, place(text, unused)) for role, text in said)
    check_turns(turns)
    skills, facts = split_others(row, _OWN)
    return Example(id=id_of(row, origin), turns=turns, origin=origin, skills=skills, facts=facts)


def _one_of(row: dict[str, Json], key: str) -> Json:
    """Return the value of a key that is published with and without a plural s."""
    found = [name for name in (key, f"{key}s") if row.get(name) is not None]
    if len(found) > 1:
        raise bad(f"both {found[0]!r} and {found[1]!r} are given. Leave one out.")
    return row[found[0]] if found else None


def _said(value: Json, number: int) -> tuple[Role, str]:
    turn = keyed(value, f"turn {number}")
    speaker = turn.get("role") if turn.get("role") is not None else turn.get("from")
    text = next((turn[key] for key in ("content", "text", "value") if turn.get(key) is not None), None)
    return role_of(speaker, f"turn {number}"), words(text, f"what turn {number} says")


def _names(row: dict[str, Json]) -> list[str]:
    value = _one_of(row, "image")
    if value is None:
        return []
    items = value if isinstance(value, list) else [value]
    return [words(item.get("path") if isinstance(item, dict) else item, "an image's path") for item in items]


def _with_marks_in_front(said: list[tuple[Role, str]], missing: int) -> list[tuple[Role, str]]:
    first = next((number for number, (role, _) in enumerate(said) if role == "user"), None)
    if first is None:
        raise bad(f"{missing} images have no {MARK} mark, and there is no user turn to put them in front of.")
    role, text = said[first]
    return [*said[:first], (role, MARK * missing + text), *said[first + 1 :]]


def _row(example: Example, shelf: ImageShelf) -> Json:
    return {
        "id": example.id,
        "images": image_names(example, shelf),
        "conversation": [{"role": turn.role, "content": marked(turn)} for turn in example.turns],
        **join_others(example, _OWN),
    }


FORMAT = Format(read=read, write=write, about="Mantis chat JSON: images and <image> marks in a conversation")
