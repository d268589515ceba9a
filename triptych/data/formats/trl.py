"""TRL's vision rows: {messages, images}, an image part for each image, in order; or {prompt, completion, images}.

Source: TRL's page on dataset formats, conversational and standard; a list, JSON Lines or Parquet with ``List(Image)``.
The k-th image part is the k-th image. Where no message has image parts the images stand in front of the first user
message, as that library puts them in front of a plain text. ``image`` is one image. A prompt and its completion become
one conversation, all of whose replies are learnt (the transform ``learn_last`` learns the completion alone), unless a
message says otherwise of itself. Preferences (a ``label`` that is false too), videos and tool turns are refused. Other
keys of a row are its facts.

Cannot say: a box, demonstrations, labels, videos, a reply that is not learnt. An image that is shown twice is listed
twice. A literal ``<image>`` is text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from triptych.core.records import Example, ImageRef, Json, Part, Role, Text, Turn
from triptych.data.disk.content_parts import check_known, said_once
from triptych.data.disk.finder import MEDIA_OPTIONS, Media, with_media
from triptych.data.disk.foreign_keys import FOREIGN_KEYS, is_learnt, refuse_foreign, refuse_turn
from triptych.data.disk.layouts import check_has
from triptych.data.disk.marks import CANNOT, MARK, image_names, join_others, split_others
from triptych.data.disk.media_keys import entries_of, refuse_media
from triptych.data.disk.rows import bad, check_turns, id_of, keyed, listed, role_of, row_format, words
from triptych.data.disk.writing import write_rows
from triptych.data.format import RowError
from triptych.data.media.folder import ImageShelf

_OWN = frozenset({"id", "messages", "prompt", "completion", "images", "image"}) | FOREIGN_KEYS
_NAMES = ("image", "url", "path")
"""What an image part calls its picture, where it does."""


def write(examples: Iterable[Example], path: Path) -> int:
    """Write Examples as messages of content parts; a ``.json`` file becomes a list, any other JSON Lines."""
    return write_rows(examples, path, row_of=_row)


def _example(row: dict[str, Json], media: Media, origin: str) -> Example:
    refuse_foreign(row, label=True)
    refuse_media(row, _OWN)
    messages = _messages(row)
    images = [media.image(entry) for entry in entries_of(row, "image")]
    unused = iter(enumerate(images))
    said = [(each.role, list(_parts(each.content, unused, media, f"message {k}"))) for k, each in enumerate(messages)]
    left = [image for _, image in unused]
    if left and len(left) == len(images) and any(isinstance(part, Text) and MARK in part.text for part in _all(said)):
        raise bad(f"its words hold {MARK}, which is text here, and no image parts. Read the file as sharegpt or swift.")
    if left and (len(left) < len(images) or _has_images(said)):
        raise RowError(
            "more images than marks",
            f"{len(images)} images but {len(images) - len(left)} image parts for them. Add parts or drop images.",
        )
    placed = zip(messages, _with_images_in_front(said, left), strict=True)
    turns = tuple(Turn(role, tuple(parts), each.learnt) for each, (role, parts) in placed)
    check_turns(turns)
    skills, facts = split_others(row, _OWN)
    return Example(id=id_of(row, origin), turns=turns, origin=origin, skills=skills, facts=facts)


class _Message(NamedTuple):
    role: Role
    content: Json
    learnt: bool = True


def _messages(row: dict[str, Json]) -> list[_Message]:
    """Return who says what; a prompt and its completion in one."""
    if row.get("messages") is not None:
        if row.get("prompt") is not None or row.get("completion") is not None:
            raise bad("both 'messages' and a prompt or a completion are given. Leave one out.")
        return [_message(value, f"message {k}") for k, value in enumerate(listed(row["messages"], "messages"))]
    if row.get("prompt") is None:
        check_has(row, "messages")
    said: list[_Message] = []
    for key, role in (("prompt", "user"), ("completion", "assistant")):
        value = row.get(key)
        if isinstance(value, str):
            said.append(_Message(role_of(role, key), value))
        else:
            said += [_message(each, f"{key} {k}") for k, each in enumerate(listed(value, key))]
    return said


def _message(value: Json, what: str) -> _Message:
    message = keyed(value, what)
    refuse_turn(message, what)
    role = role_of(message.get("role"), what)
    return _Message(role, message.get("content"), is_learnt(message, role, what=what))


def _parts(content: Json, unused: Iterator[tuple[int, ImageRef]], media: Media, what: str) -> Iterator[Part]:
    if not isinstance(content, list):
        content = [{"type": "text", "text": content}]
    for value in content:
        part = keyed(value, f"a part of {what}")
        match part.get("type"):
            case "text":
                check_known(part, ("type", "text"), what=f"a part of {what}")
                if text := words(part.get("text"), f"a text of {what}"):
                    yield Text(text)
            case "image":
                check_known(part, ("type", "index", *_NAMES), what=f"a part of {what}")
                inline = said_once(part, _NAMES, what=f"a part of {what}")
                yield media.image(inline) if inline is not None else _next(unused, part.get("index"), what)
            case other:
                raise bad(f"a part of {what} has the type {other!r}. Known are text and image.")


def _next(unused: Iterator[tuple[int, ImageRef]], index: Json, what: str) -> ImageRef:
    number, image = next(unused, (-1, None))
    if image is None:
        raise RowError("more marks than images", f"an image part of {what} has no image left. Add it or drop the part.")
    if index is not None and index != number:
        raise bad(f"an image part of {what} has the index {index!r} but is number {number}. Put the images in order.")
    return image


def _has_images(said: list[tuple[Role, list[Part]]]) -> bool:
    return any(isinstance(part, ImageRef) for part in _all(said))


def _all(said: list[tuple[Role, list[Part]]]) -> Iterator[Part]:
    return (part for _, parts in said for part in parts)


def _with_images_in_front(
    said: list[tuple[Role, list[Part]]], images: list[ImageRef]
) -> Iterator[tuple[Role, list[Part]]]:
    left: list[Part] = list(images)
    for role, parts in said:
        yield role, [*left, *parts] if role == "user" else parts
        if role == "user":
            left = []
    if left:
        raise bad(f"{len(left)} images and no user message to put them in front of. Add one.")


def _row(example: Example, shelf: ImageShelf) -> Json:
    refuse_foreign(example.facts, label=True)
    return {
        "id": example.id,
        "messages": [
            {"role": turn.role, "content": [_part_row(part) for part in turn.parts]} for turn in example.turns
        ],
        "images": image_names(example, shelf),
        **join_others(example, _OWN),
    }


def _part_row(part: Part) -> Json:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case ImageRef():
            return {"type": "image"}
    raise bad(f"this layout cannot hold the video {part.source}. Cut it into frames first.")


FORMAT = row_format(
    with_media(_example),
    write=write,
    about="TRL rows: messages with image parts and images; prompt and completion",
    options=MEDIA_OPTIONS,
    cannot=CANNOT - {"marks"},
)
