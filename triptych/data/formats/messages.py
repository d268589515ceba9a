"""Messages: our own layout. OpenAI-style content parts; each image part says *which* image, so one may recur.

    {"id": "x", "images": ["a.png", {"path": "b.png", "box": [0, 0, 100, 100]}], "videos": ["c.mp4"],
     "messages": [{"role": "user", "content": [{"type": "image", "image": 0}, {"type": "text", "text": "Which?"}]},
                  {"role": "assistant", "content": "This one.", "loss": true}],
     "demonstrations": [{"messages": [...]}], "labels": {"quality": 2.5}, "skills": ["temporal"],
     "source": "where it came from", "facts": {...}}

JSON Lines (or a JSON list) and, where the file ends in ``.parquet``, Parquet with the pictures inside. Plain string
content is one text; a literal ``<image>`` in it is text. An image may also stand in its part, as OpenAI and Hugging
Face write it: ``{"type": "image_url", "image_url": {"url": "data:image/png;base64,..."}}``, ``{"type": "image", "path":
"a.png"}`` or ``url``; a URL is fetched only with ``#urls=allow``. Demonstrations share the row's images and videos.
A reply whose ``loss`` is false is read and not learnt; ``weight``, ``loss_weight`` and ``loss_scale`` mean the same.
Every key of a row, a message and a part is known or the row is refused, and so is an image that nothing refers to:
nothing is dropped silently (but for an ``image_url``'s ``detail``, which is for a server). All of an Example is kept
but its ``origin`` and the sizes of its images, which are looked at again; an empty text is no part. ``source`` is the
fact of that name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from triptych.core.errors import did_you_mean
from triptych.core.records import Example, ImageRef, Json, Part, Text, Turn, VideoRef
from triptych.core.rollback import made_folder
from triptych.data.disk.content_parts import check_known, said_once
from triptych.data.disk.finder import MEDIA_OPTIONS, NAMES, Finder, media_of
from triptych.data.disk.foreign_keys import WEIGHTS, is_learnt, loss_of, refuse_turn
from triptych.data.disk.layouts import turns_in
from triptych.data.disk.message_columns import FEATURES, columns_of, row_of_columns
from triptych.data.disk.parquet import write_parquet
from triptych.data.disk.parquet_rows import is_parquet
from triptych.data.disk.rows import (
    Build,
    bad,
    box_of,
    check_turns,
    id_of,
    keyed,
    labels_of,
    listed,
    role_of,
    row_format,
    size_of,
    words,
)
from triptych.data.disk.writing import write_rows
from triptych.data.format import RowError
from triptych.data.media.folder import ImageShelf

M = TypeVar("M", ImageRef, VideoRef)
_CONVERSATION = frozenset({"id", "messages", "labels", "skills", "source", "facts"})
_OWN = _CONVERSATION | {"images", "videos", "demonstrations"}
_PICTURE = NAMES | {"box", "resize", "video"}
_MESSAGE = frozenset({"role", "content"})
_REPLY = _MESSAGE | {*WEIGHTS}
_URL = frozenset({"url", "detail"})
_PARTS = {
    "text": frozenset({"type", "text"}),
    "image": frozenset({"type", "image", "path", "url"}),
    "image_url": frozenset({"type", "image_url"}),
    "video": frozenset({"type", "video", "path"}),
}
"""Keys of a content part, by its type."""


def write(examples: Iterable[Example], path: Path) -> int:
    """Write Examples: Parquet with the pictures inside for ``.parquet``, a list for ``.json``, any other JSON Lines."""
    if not is_parquet(path):
        return write_rows(
            examples, path, row_of=lambda example, shelf: _shelved(*row_of(example), shelf, copy_images=True)
        )
    shelf = ImageShelf(path.parent)

    def columns(example: Example) -> dict[str, object]:
        with shelf.all_or_none():
            return columns_of(_shelved(*row_of(example), shelf, copy_images=False))

    with made_folder(path.parent), shelf.all_or_none():
        return write_parquet(examples, path, columns_of=columns, features=FEATURES)


def _start(path: Path, options: Mapping[str, str]) -> Build:
    media, as_columns = media_of(path, options), is_parquet(path)
    return lambda row, origin: example_of(row_of_columns(row) if as_columns else row, media, origin=origin)


@dataclass
class _Media:
    """The media of one row. State: which of them something refers to."""

    find: Finder
    images: Sequence[ImageRef]
    videos: Sequence[VideoRef]
    used: set[tuple[str, int]] = field(default_factory=set)

    def image(self, value: Json, what: str) -> ImageRef:
        if isinstance(value, str | dict):
            return _image(value, self.find)
        return self.images[self._index(value, len(self.images), "image", what)]

    def video(self, value: Json, what: str) -> VideoRef:
        if isinstance(value, str | dict):
            return self.find.video(value)
        return self.videos[self._index(value, len(self.videos), "video", what)]

    def check(self) -> None:
        """Refuse what nothing refers to."""
        for kind, count in (("image", len(self.images)), ("video", len(self.videos))):
            for index in range(count):
                if (kind, index) not in self.used:
                    raise RowError(
                        f"more {kind}s than marks",
                        f"nothing refers to {kind} {index} of {count}. Refer to it with a part, or drop it; where "
                        f"<{kind}> stands in the words, read the file as sharegpt or swift.",
                    )

    def _index(self, value: Json, count: int, kind: str, what: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise bad(f'a part of {what} does not say which {kind}: add "{kind}": N, counted from 0.')
        if not 0 <= value < count:
            raise RowError(
                f"more marks than {kind}s",
                f"{what} refers to {kind} {value} of {count}, counted from 0. Add it or drop the part.",
            )
        self.used.add((kind, value))
        return value


def example_of(row: dict[str, Json], find: Finder, *, origin: str) -> Example:
    """Return the row as an Example.

    Args:
        row: as JSON has it.
        find: finds its images and videos.
        origin: file and row.

    Raises:
        RowError: the row is not of this layout, or images and references do not match.
        ImageError: an image or a video is not there.
    """
    turns_in(row, "messages")
    _check_keys(row, _OWN)
    images = [_image(entry, find) for entry in _list_or_none(row.get("images"), "images")]
    videos = [find.video(entry) for entry in _list_or_none(row.get("videos"), "videos")]
    media = _Media(find, images, videos)
    example = _conversation(row, media, id_of(row, origin), origin)
    shown = []
    for number, value in enumerate(_list_or_none(row.get("demonstrations"), "demonstrations")):
        demonstration = keyed(value, f"demonstration {number}")
        _check_keys(demonstration, _CONVERSATION)
        own_id = f"{example.id}/{number}" if demonstration.get("id") is None else id_of(demonstration, origin)
        shown.append(_conversation(demonstration, media, own_id, origin))
    media.check()
    return replace(example, demonstrations=tuple(shown))


def row_of(example: Example) -> tuple[dict[str, Json], list[ImageRef], list[VideoRef]]:
    """Return the example as a row without its media, and the images and videos that its parts are indexes into.

    Raises:
        RowError: demonstrations within demonstrations, two labels of one name, or a fact that is no JSON.
    """
    images: list[ImageRef] = []
    videos: list[VideoRef] = []
    shown: list[Json] = []
    for demonstration in example.demonstrations:
        if demonstration.demonstrations:
            raise bad("a demonstration has demonstrations of its own, which this layout cannot say.")
        shown.append(_conversation_row(demonstration, images, videos))
    row = _conversation_row(example, images, videos)
    if shown:
        row["demonstrations"] = shown
    return row, images, videos


def _conversation(row: dict[str, Json], media: _Media, own_id: str, origin: str) -> Example:
    turns = []
    for number, value in enumerate(listed(row.get("messages"), "messages")):
        what = f"message {number}"
        message = keyed(value, what)
        refuse_turn(message, what)
        role = role_of(message.get("role"), what)
        check_known(message, _REPLY if role == "assistant" else _MESSAGE, what=what)
        parts = _parts(message.get("content"), media, what)
        turns.append(Turn(role, parts, is_learnt(message, role, what=what)))
    labels = tuple(labels_of(row.get("labels")))
    check_turns(turns, labelled=bool(labels))
    skills = [words(skill, "a skill") for skill in _list_or_none(row.get("skills"), "skills")]
    facts = {} if row.get("facts") is None else keyed(row["facts"], "facts")
    if (source := row.get("source")) is not None:
        if "source" in facts:
            raise bad("'source' is given twice, as a key and as a fact. Leave one out.")
        facts = {"source": words(source, "source"), **facts}
    return Example(id=own_id, turns=tuple(turns), labels=labels, origin=origin, skills=tuple(skills), facts=facts)


def _parts(content: Json, media: _Media, what: str) -> tuple[Part, ...]:
    if not isinstance(content, list):
        content = [{"type": "text", "text": content}]
    parts: list[Part] = []
    for value in content:
        part = keyed(value, f"a part of {what}")
        if isinstance(part.get("type"), str) and part["type"] in _PARTS:
            check_known(part, _PARTS[part["type"]], what=f"a part of {what}")
        match part.get("type"):
            case "text":
                text = words(part.get("text"), f"a text of {what}")
                parts += [Text(text)] if text else []
            case "image":
                parts.append(media.image(said_once(part, ("image", "path", "url"), what=f"a part of {what}"), what))
            case "image_url":
                url = part.get("image_url")
                if isinstance(url, dict):
                    check_known(url, _URL, what=f"an image_url of {what}")
                name = words(url.get("url") if isinstance(url, dict) else url, f"image_url of {what}")
                parts.append(media.find.image(name))
            case "video":
                parts.append(media.video(said_once(part, ("video", "path"), what=f"a part of {what}"), what))
            case other:
                raise bad(f"a part of {what} has the type {other!r}. Known are text, image, image_url and video.")
    return tuple(parts)


def _image(value: Json, find: Finder) -> ImageRef:
    if not isinstance(value, dict):
        return find.image(value)
    _check_keys(value, _PICTURE)
    video = "" if value.get("video") is None else words(value["video"], "the video that an image is a frame of")
    found = find.image({key: value[key] for key in value if key in NAMES})
    return replace(found, box=box_of(value.get("box")), resize=size_of(value.get("resize")), video=video)


def _list_or_none(value: Json, what: str) -> list[Json]:
    return [] if value is None else listed(value, what)


def _check_keys(row: dict[str, Json], known: frozenset[str]) -> None:
    for key in row:
        if key not in known:
            hint = did_you_mean(key, known)
            raise bad(f"unknown key {key!r}.{hint} Known are {', '.join(sorted(known))}; other things are facts.")


def _conversation_row(example: Example, images: list[ImageRef], videos: list[VideoRef]) -> dict[str, Json]:
    row: dict[str, Json] = {
        "id": example.id,
        "messages": [
            {"role": turn.role, "content": [_part_row(part, images, videos) for part in turn.parts], **loss_of(turn)}
            for turn in example.turns
        ],
    }
    if example.labels:
        labels: dict[str, Json] = dict(example.labels)
        if len(labels) < len(example.labels):
            raise bad("two labels have one name. Rename one.")
        row["labels"] = labels
    if example.skills:
        row["skills"] = list(example.skills)
    facts = dict(example.facts)
    if isinstance(facts.get("source"), str):
        row["source"] = facts.pop("source")
    if facts:
        row["facts"] = facts
    return row


def _part_row(part: Part, images: list[ImageRef], videos: list[VideoRef]) -> Json:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case ImageRef():
            return {"type": "image", "image": _place(replace(part, size=None), images)}
        case VideoRef():
            return {"type": "video", "video": _place(part, videos)}


def _place(item: M, items: list[M]) -> int:
    if item not in items:
        items.append(item)
    return items.index(item)


def _shelved(
    row: dict[str, Json], images: list[ImageRef], videos: list[VideoRef], shelf: ImageShelf, *, copy_images: bool
) -> dict[str, Json]:
    """Return the row with its media: images as paths from the written file, or where they are, for others to pack."""
    entries: list[Json] = []
    for image in images:
        name = shelf.name(image.source) if copy_images else image.source
        entry: dict[str, Json] = {"path": name}
        if image.box is not None:
            entry["box"] = list(image.box)
        if image.resize is not None:
            entry["resize"] = list(image.resize)
        if image.video:
            entry["video"] = image.video
        entries.append(name if copy_images and len(entry) == 1 else entry)
    if entries:
        row["images"] = entries
    if videos:
        row["videos"] = [shelf.video_name(video.source) for video in videos]
    return row


FORMAT = row_format(
    _start,
    write=write,
    about="our own: content parts that refer to images; JSON Lines or Parquet",
    options=MEDIA_OPTIONS,
    endings=(".jsonl", ".json", ".parquet"),
)
