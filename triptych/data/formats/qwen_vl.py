"""Qwen-VL's rows: {id, conversations} of user and assistant, each picture named in the words as ``<img>path</img>``.

Source: QwenLM/Qwen-VL (arXiv:2308.12966), the data its ``finetune.py`` reads. ``Picture 1:`` in front of a picture, the
line end behind it, ``<ref>`` and ``<box>`` are words and stay as they are. A list, JSON Lines or Parquet. The rows of
Qwen2-VL and later are others: ``llava`` reads those. Unlike there, a conversation that the assistant begins is refused
instead of cut. Other keys of a row are its facts.

Cannot say: a box, demonstrations, labels, videos, a reply that is not learnt. Adjacent texts are joined.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from triptych.core.records import Example, ImageRef, Json, Part, Text, Turn
from triptych.data.disk.finder import MEDIA_OPTIONS, Media, with_media
from triptych.data.disk.foreign_keys import FOREIGN_KEYS, is_learnt, refuse_foreign, refuse_turn
from triptych.data.disk.layouts import turns_in
from triptych.data.disk.marks import CANNOT, check_whole, join_others, split_others
from triptych.data.disk.media_keys import refuse_media
from triptych.data.disk.rows import bad, check_turns, id_of, keyed, role_of, row_format, words
from triptych.data.disk.writing import write_rows
from triptych.data.media.folder import ImageShelf

_OWN = frozenset({"id", "conversations"}) | FOREIGN_KEYS
_IMAGE = re.compile(r"<img>(.*?)</img>", re.DOTALL)


def write(examples: Iterable[Example], path: Path) -> int:
    """Write Examples with their pictures' paths in the words; a ``.json`` file becomes a list, else JSON Lines."""
    return write_rows(examples, path, row_of=_row)


def _example(row: dict[str, Json], media: Media, origin: str) -> Example:
    refuse_media(row, _OWN)
    turns: list[Turn] = []
    for number, value in enumerate(turns_in(row, "conversations")):
        what = f"turn {number}"
        turn = keyed(value, what)
        refuse_turn(turn, what)
        text = words(turn.get("value"), f"what {what} says")
        role = role_of(turn.get("from"), what)
        turns.append(Turn(role, tuple(_parts(text, media)), is_learnt(turn, role, what=what)))
    refuse_foreign(row)
    check_turns(turns)
    skills, facts = split_others(row, _OWN)
    return Example(id=id_of(row, origin), turns=tuple(turns), origin=origin, skills=skills, facts=facts)


def _parts(text: str, media: Media) -> Iterator[Part]:
    for number, said in enumerate(_IMAGE.split(text)):
        if number % 2:
            yield media.image(said.strip())
        elif said:
            yield Text(said)


def _row(example: Example, shelf: ImageShelf) -> Json:
    return {
        "id": example.id,
        "conversations": [{"from": turn.role, "value": _marked(turn, shelf)} for turn in example.turns],
        **join_others(example, _OWN),
    }


def _marked(turn: Turn, shelf: ImageShelf) -> str:
    said: list[str] = []
    for part in turn.parts:
        match part:
            case Text(text):
                said.append(text)
            case ImageRef(source):
                check_whole(part)
                said.append(f"<img>{shelf.name(source)}</img>")
            case _:
                raise bad(f"this layout cannot hold the video {part.source}. Cut it into frames first.")
    spoken = "".join(part.text if isinstance(part, Text) else "\0" for part in turn.parts)
    if any(tag in spoken for tag in ("<img>", "</img>")):
        raise bad("its words hold a literal <img>, which this layout would take for an image. Write messages instead.")
    return "".join(said)


FORMAT = row_format(
    with_media(_example),
    write=write,
    about="Qwen-VL rows: <img>path</img> in the words of user and assistant",
    options=MEDIA_OPTIONS,
    cannot=CANNOT - {"marks"},
)
