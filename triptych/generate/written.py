"""Items, annotations and refusals as JSON objects, and back, exactly: what stands between two stages on a disk.

Not a data format for training (``data/formats``): that is what ``export`` writes. Invariant: what is read is equal to
what was written, image sizes and origins included. What equals its default is left out; words are strings, images and
videos are objects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from triptych.core.errors import DataError
from triptych.core.records import Example, ImageRef, Json, Part, Text, Turn, VideoRef
from triptych.generate.item import Annotation, Event, Item, Refusal, Thing, View

T = TypeVar("T")


def line_of(record: Mapping[str, Json]) -> bytes:
    """Return a record as one line of JSON with its newline.

    Raises:
        DataError: it holds a number that is none (NaN, infinity), or what is no JSON.
    """
    try:
        try:
            return json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        except UnicodeEncodeError:  # half a letter, which only an escape can say
            return json.dumps(record, allow_nan=False).encode() + b"\n"
    except (ValueError, TypeError) as error:
        raise DataError(f"{record.get('id')}: it cannot be written down ({error}).") from None


def item_to_json(item: Item) -> dict[str, Json]:
    """Return an item as a JSON object."""
    return {
        "id": item.id,
        "annotation": _annotation_to_json(item.annotation),
        **({} if item.example is None else {"example": _example_to_json(item.example)}),
        **_said(reply=item.reply, parents=list(item.parents), history=[dict(each) for each in item.history]),
        **_said(facts=dict(item.facts)),
    }


def item_from_json(record: Mapping[str, Json], *, where: str) -> Item:
    """Return the item that `item_to_json` wrote.

    Args:
        record: the object.
        where: file and line, for messages.

    Raises:
        DataError: it is none of ours.
    """
    return _read(_item, record, where)


def refusal_to_json(refusal: Refusal) -> dict[str, Json]:
    """Return a refusal, with its item, as a JSON object."""
    said = {"reason": refusal.reason, "message": refusal.message, "stage": refusal.stage}
    return {**said, "item": item_to_json(refusal.item)}


def refusal_from_json(record: Mapping[str, Json], *, where: str) -> Refusal:
    """Return the refusal that `refusal_to_json` wrote. Raises DataError."""
    return _read(_refusal, record, where)


def _annotation_to_json(annotation: Annotation) -> dict[str, Json]:
    """Return an annotation as a JSON object."""
    return {
        "id": annotation.id,
        "views": [_view_to_json(view) for view in annotation.views],
        **_said(sentences=list(annotation.sentences), events=[_event_to_json(event) for event in annotation.events]),
        **_said(title=annotation.title, about=annotation.about, origin=annotation.origin),
        **_said(facts=dict(annotation.facts)),
    }


def _example_to_json(example: Example) -> dict[str, Json]:
    """Return a conversation as a JSON object; unlike a row of ``messages``, it has all fields."""
    return {
        "id": example.id,
        "turns": [
            [turn.role, *([] if turn.learnt else [False]), *map(_part_to_json, turn.parts)] for turn in example.turns
        ],
        **_said(demonstrations=[_example_to_json(shown) for shown in example.demonstrations]),
        **_said(labels=[list(label) for label in example.labels], origin=example.origin),
        **_said(skills=list(example.skills), facts=dict(example.facts)),
    }


def _part_to_json(part: Part) -> Json:
    """Return words as a string, an image or a video as an object."""
    match part:
        case Text(text):
            return text
        case ImageRef():
            pairs = {"size": part.size, "box": part.box, "resize": part.resize}
            kept: dict[str, Json] = {key: list(value) for key, value in pairs.items() if value is not None}
            return {"image": part.source, **kept, **_said(video=part.video)}
        case VideoRef():
            return {"video": part.source}


def _said(**values: Json) -> dict[str, Json]:
    """Return what is not empty."""
    return {key: value for key, value in values.items() if value}


def _view_to_json(view: View) -> Json:
    return {
        "media": _part_to_json(view.media),
        **_said(captions=list(view.captions), things=[_thing_to_json(thing) for thing in view.things]),
        **_said(name=view.name, title=view.title, tags=list(view.tags)),
        **({} if view.time_s is None else {"time_s": view.time_s}),
    }


def _thing_to_json(thing: Thing) -> Json:
    return {
        "name": thing.name,
        **({} if thing.box is None else {"box": list(thing.box)}),
        **_said(attributes=list(thing.attributes), relations=[list(each) for each in thing.relations]),
    }


def _event_to_json(event: Event) -> Json:
    times = {"start_s": event.start_s, "stop_s": event.stop_s}
    kept: dict[str, Json] = {key: value for key, value in times.items() if value is not None}
    return {"text": event.text, **kept, **_said(things=list(event.things))}


def _read(build: Callable[[Any], T], record: Mapping[str, Json], where: str) -> T:
    try:
        return build(record)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(f"{where}: not written by this program ({error!r}). Begin again in a new run folder.") from None


def _item(row: Any) -> Item:
    return Item(
        id=row["id"],
        annotation=_annotation(row["annotation"]),
        example=_example(row["example"]) if "example" in row else None,
        reply=row.get("reply", ""),
        parents=tuple(row.get("parents", ())),
        history=tuple(row.get("history", ())),
        facts=row.get("facts", {}),
    )


def _refusal(row: Any) -> Refusal:
    return Refusal(_item(row["item"]), reason=row["reason"], message=row["message"], stage=row["stage"])


def _annotation(row: Any) -> Annotation:
    return Annotation(
        id=row["id"],
        views=tuple(_view(view) for view in row["views"]),
        sentences=tuple(row.get("sentences", ())),
        events=tuple(_event(event) for event in row.get("events", ())),
        title=row.get("title", ""),
        about=row.get("about", ""),
        origin=row.get("origin", ""),
        facts=row.get("facts", {}),
    )


def _view(row: Any) -> View:
    media = _part(row["media"])
    if isinstance(media, Text):
        raise TypeError("a view of words")
    return View(
        media=media,
        captions=tuple(row.get("captions", ())),
        things=tuple(_thing(thing) for thing in row.get("things", ())),
        name=row.get("name", ""),
        title=row.get("title", ""),
        tags=tuple(row.get("tags", ())),
        time_s=row.get("time_s"),
    )


def _thing(row: Any) -> Thing:
    return Thing(
        name=row["name"],
        box=_numbers(row.get("box")),
        attributes=tuple(row.get("attributes", ())),
        relations=tuple((what, number) for what, number in row.get("relations", ())),
    )


def _event(row: Any) -> Event:
    return Event(row["text"], start_s=row.get("start_s"), stop_s=row.get("stop_s"), things=tuple(row.get("things", ())))


def _example(row: Any) -> Example:
    return Example(
        id=row["id"],
        turns=tuple(
            Turn(role, tuple(_part(part) for part in parts if part is not False), False not in parts)
            for role, *parts in row["turns"]
        ),
        demonstrations=tuple(_example(shown) for shown in row.get("demonstrations", ())),
        labels=tuple((name, value) for name, value in row.get("labels", ())),
        origin=row.get("origin", ""),
        skills=tuple(row.get("skills", ())),
        facts=row.get("facts", {}),
    )


def _part(row: Any) -> Part:
    if isinstance(row, str):
        return Text(row)
    if "image" not in row:
        return VideoRef(row["video"])
    return ImageRef(
        row["image"],
        size=_numbers(row.get("size")),
        box=_numbers(row.get("box")),
        resize=_numbers(row.get("resize")),
        video=row.get("video", ""),
    )


def _numbers(row: Any) -> Any:
    return None if row is None else tuple(row)
