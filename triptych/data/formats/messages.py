"""Messages: our own layout. OpenAI-style content parts; each image part says *which* image, so one may recur.

    {"id": "x", "images": ["a.png", {"path": "b.png", "box": [0, 0, 100, 100]}],
     "messages": [{"role": "user", "content": [{"type": "image", "image": 0}, {"type": "text", "text": "Which?"}]},
                  {"role": "assistant", "content": "This one."}],
     "demonstrations": [{"messages": [...]}], "labels": {"quality": 2.5}, "skills": ["temporal"], "facts": {...}}

JSON Lines (or a JSON list) and, where the file ends in ``.parquet``, Parquet with the pictures inside. Plain string
content is one text; a literal ``<image>`` in it is text. Demonstrations share the row's images. Every key is known or
the row is refused, and so is an image that nothing refers to: nothing is dropped silently. All of an Example is kept
but its ``origin`` and the sizes of its images, which are looked at again; an empty text is no part.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from triptych.core.records import Example, ImageRef, Json, Part, Text, Turn
from triptych.data.folder import ImageFolder, ImageShelf
from triptych.data.format import Format, Refused, RowError
from triptych.data.parquet import read_parquet, write_parquet
from triptych.data.rows import bad, box_of, check_turns, convert, id_of, keyed, listed, role_of, words
from triptych.data.writing import write_rows

_CONVERSATION = frozenset({"id", "messages", "labels", "skills", "facts"})
_OWN = _CONVERSATION | {"images", "demonstrations"}


def read(path: Path) -> Iterator[Example | Refused]:
    """Yield one Example or Refused per row; images lie relative to the file's folder, or inside the Parquet file."""
    if path.suffix == ".parquet":
        return read_parquet(path, example_of)
    folder = ImageFolder(path.parent)
    return convert(path, lambda row, origin: example_of(row, _images(row, folder), origin))


def write(examples: Iterable[Example], path: Path) -> int:
    """Write Examples: Parquet with the pictures inside for ``.parquet``, a list for ``.json``, any other JSON Lines."""
    if path.suffix == ".parquet":
        return write_parquet(examples, path, row_of)
    return write_rows(examples, path, _json_row)


def example_of(row: dict[str, Json], images: Sequence[ImageRef], origin: str) -> Example:
    """Return the row as an Example; its image parts are indexes into ``images``.

    Raises:
        RowError: the row is not of this layout, or images and references do not match.
    """
    _check_keys(row, _OWN)
    used: set[int] = set()
    example = _conversation(row, images, used, id_of(row, origin), origin)
    shown = []
    for number, value in enumerate(_list_or_none(row.get("demonstrations"), "demonstrations")):
        demonstration = keyed(value, f"demonstration {number}")
        _check_keys(demonstration, _CONVERSATION)
        own_id = f"{example.id}/{number}" if demonstration.get("id") is None else id_of(demonstration, origin)
        shown.append(_conversation(demonstration, images, used, own_id, origin))
    if unused := sorted(set(range(len(images))) - used):
        raise RowError(
            "more images than marks",
            f"nothing refers to image {unused[0]} of {len(images)}. Refer to it with an image part, or drop it.",
        )
    return replace(example, demonstrations=tuple(shown))


def row_of(example: Example) -> tuple[dict[str, Json], list[ImageRef]]:
    """Return the example as a row without its ``images``, and the images that its parts are indexes into.

    Raises:
        RowError: it holds a video, demonstrations within demonstrations, or two labels of one name.
    """
    images: list[ImageRef] = []
    shown: list[Json] = []
    for demonstration in example.demonstrations:
        if demonstration.demonstrations:
            raise bad("a demonstration has demonstrations of its own, which this layout cannot say.")
        shown.append(_conversation_row(demonstration, images))
    row = _conversation_row(example, images)
    if shown:
        row["demonstrations"] = shown
    return row, images


def _conversation(
    row: dict[str, Json], images: Sequence[ImageRef], used: set[int], own_id: str, origin: str
) -> Example:
    turns = []
    for number, value in enumerate(listed(row.get("messages"), "messages")):
        message = keyed(value, f"message {number}")
        parts = _parts(message.get("content"), images, used, f"message {number}")
        turns.append(Turn(role_of(message.get("role"), f"message {number}"), parts))
    check_turns(turns)
    skills = [words(skill, "a skill") for skill in _list_or_none(row.get("skills"), "skills")]
    facts = row.get("facts")
    return Example(
        id=own_id,
        turns=tuple(turns),
        labels=tuple(_labels(row.get("labels"))),
        origin=origin,
        skills=tuple(skills),
        facts={} if facts is None else keyed(facts, "facts"),
    )


def _parts(content: Json, images: Sequence[ImageRef], used: set[int], what: str) -> tuple[Part, ...]:
    if not isinstance(content, list):
        content = [{"type": "text", "text": content}]
    parts: list[Part] = []
    for value in content:
        part = keyed(value, f"a part of {what}")
        match part.get("type"):
            case "text":
                text = words(part.get("text"), f"a text of {what}")
                parts += [Text(text)] if text else []
            case "image":
                index = _index(part.get("image"), len(images), what)
                used.add(index)
                parts.append(images[index])
            case other:
                raise bad(f"a part of {what} has the type {other!r}. Known are text and image.")
    return tuple(parts)


def _index(value: Json, count: int, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise bad(f'an image part of {what} does not say which image: add "image": N, counted from 0.')
    if not 0 <= value < count:
        raise RowError(
            "more marks than images",
            f"{what} refers to image {value} of {count}, counted from 0. Add it or drop the part.",
        )
    return value


def _images(row: dict[str, Json], folder: ImageFolder) -> list[ImageRef]:
    images = []
    for value in _list_or_none(row.get("images"), "images"):
        entry = value if isinstance(value, dict) else {"path": value}
        image = folder.find(words(entry.get("path"), "an image's path"))
        images.append(replace(image, box=box_of(entry.get("box"))))
    return images


def _labels(value: Json) -> Iterator[tuple[str, float]]:
    for name, number in keyed({} if value is None else value, "labels").items():
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
            raise bad(f"label {name!r} is {number!r}, not a number.")
        yield words(name, "a label's name"), float(number)


def _list_or_none(value: Json, what: str) -> list[Json]:
    return [] if value is None else listed(value, what)


def _check_keys(row: dict[str, Json], known: frozenset[str]) -> None:
    for key in row:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise bad(f"unknown key {key!r}.{hint} Known are {', '.join(sorted(known))}; other things are facts.")


def _conversation_row(example: Example, images: list[ImageRef]) -> dict[str, Json]:
    row: dict[str, Json] = {
        "id": example.id,
        "messages": [
            {"role": turn.role, "content": [_part_row(part, images) for part in turn.parts]} for turn in example.turns
        ],
    }
    if example.labels:
        labels: dict[str, Json] = dict(example.labels)
        if len(labels) < len(example.labels):
            raise bad("two labels have one name. Rename one.")
        row["labels"] = labels
    if example.skills:
        row["skills"] = list(example.skills)
    if example.facts:
        row["facts"] = dict(example.facts)
    return row


def _part_row(part: Part, images: list[ImageRef]) -> Json:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if not isinstance(part, ImageRef):
        raise bad(f"this layout cannot hold the video {part.source}. Cut it into frames first.")
    image = replace(part, size=None)
    if image not in images:
        images.append(image)
    return {"type": "image", "image": images.index(image)}


def _json_row(example: Example, shelf: ImageShelf) -> Json:
    row, images = row_of(example)
    entries: list[Json] = []
    for image in images:
        name = shelf.name(image.source)
        entries.append(name if image.box is None else {"path": name, "box": list(image.box)})
    return {**row, "images": entries} if entries else row


FORMAT = Format(read=read, write=write, about="our own: content parts that refer to images; JSON Lines or Parquet")
