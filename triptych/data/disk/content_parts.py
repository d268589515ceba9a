"""What a turn says as a list of content parts, written as words with marks; media that the parts name are collected.

Not a layout: ``formats/sharegpt.py`` and ``formats/swift.py`` read such rows. A part is OpenAI's (``image_url``), one
of Hugging Face's (``image``, ``url``, ``path``), LLaMA-Factory's (``value``) or Anthropic's (``source``). A part that
names nothing is a mark for the row's next image or video. Keys that say nothing of what is seen (``detail``,
``cache_control``: for a server) are passed over; any other is refused, as a size or a part of a video would be lost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from triptych.core.records import Json
from triptych.data.disk.marks import MARK, VIDEO_MARK
from triptych.data.disk.media_keys import names_nothing
from triptych.data.disk.rows import bad, keyed, words

_NAMES = ("value", "url", "path")
_FOR_SERVERS = frozenset({"detail", "cache_control"})
_TEXT = frozenset({"type", "text", "value"}) | _FOR_SERVERS
_SOURCE = frozenset({"type", "data", "url", "media_type"})


def marked_content(content: Json, what: str, *, images: list[Json], videos: list[Json]) -> str:
    """Return a turn's words, with ``<image>`` and ``<video>`` where its parts stand.

    Args:
        content: a text, or a list of parts.
        what: for messages, ``turn 3``.
        images: grows by what the parts call their images, in order.
        videos: likewise.

    Raises:
        RowError: a part is of no known kind, or has a key that would be lost.
    """
    if not isinstance(content, list):
        return words(content, f"what {what} says")
    said: list[str] = []
    for value in content:
        part = keyed(value, f"a part of {what}")
        match part.get("type"):
            case "text":
                check_known(part, _TEXT, what=f"a part of {what}")
                said.append(words(said_once(part, ("text", "value"), what=f"a part of {what}"), f"a text of {what}"))
            case "image" | "image_url" as kind:
                said.append(MARK)
                images += _named(part, kind, f"a part of {what}")
            case "video" | "video_url" as kind:
                said.append(VIDEO_MARK)
                videos += _named(part, kind, f"a part of {what}")
            case other:
                raise bad(
                    f"a part of {what} has the type {other!r}. Known are text, image, image_url, video, video_url."
                )
    return "".join(said)


def add_named(entries: list[Json], named: list[Json]) -> None:
    """Add the media that content parts name to those that the row lists.

    Raises:
        RowError: there are both, so their order is not known.
    """
    if entries and named:
        raise bad("media are named in content parts and in a list of the row too. Name all in one place.")
    entries += named


def check_known(value: Mapping[str, Json], known: Collection[str], *, what: str) -> None:
    """Refuse keys of a message or a part that would be lost; null and empty ones say nothing. Raises RowError."""
    if unknown := [key for key, said in value.items() if key not in known and not names_nothing(said)]:
        names = ", ".join(sorted(known))
        raise bad(f"{what} has the key {unknown[0]!r}, which would be lost. Take it out. Known are {names}.")


def said_once(part: Mapping[str, Json], keys: Iterable[str], *, what: str) -> Json:
    """Return what a part says under any of some keys; None: it says nothing. Raises RowError where two differ."""
    given = {key: part[key] for key in keys if part.get(key) is not None}
    telling = {key: value for key, value in given.items() if not names_nothing(value)}
    first, *more = telling or given or {"": None}
    if other := next((key for key in more if telling and telling[key] != telling[first]), None):
        raise bad(f"{what} names one thing under {first!r} and another under {other!r}. Leave one out.")
    return given.get(first)


def _named(part: dict[str, Json], kind: str, what: str) -> list[Json]:
    """Return what a part calls its medium, if it does. Raises RowError."""
    source = part.get("source")
    if isinstance(source, dict):
        check_known(part, {"type", "source", *_FOR_SERVERS}, what=what)
        check_known(source, _SOURCE, what=f"the source of {what}")
        data, url = source.get("data"), source.get("url")
        return [url if data is None else f"data:{source.get('media_type')};base64,{data}"]
    keys = dict.fromkeys((kind, kind.removesuffix("_url"), *_NAMES))
    check_known(part, {"type", *keys, *_FOR_SERVERS}, what=what)
    found = said_once(part, keys, what=what)
    if isinstance(found, dict):
        found = {key: value for key, value in found.items() if key not in _FOR_SERVERS}
    return [] if found is None else [found]
