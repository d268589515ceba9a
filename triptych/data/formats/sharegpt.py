"""ShareGPT as LLaMA-Factory reads it: conversations with ``<image>`` and ``<video>`` marks, ``images``, ``videos``.

Source: LLaMA-Factory's data page, formats ``sharegpt`` (``conversations`` of from/value) and ``openai`` (``messages``
of role/content); a list, JSON Lines or Parquet. A ``system`` key is the system turn. As many marks as images and
videos, or the row is refused: that library stops at such rows too. Tools, tool turns, audio and preference pairs are
refused: they are no conversation about images. Other keys of a row are its facts.

Cannot say: a box, demonstrations, labels. Adjacent texts are joined. An image that is shown twice is listed twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from triptych.core.records import Example, Json, Role, Turn
from triptych.data.disk.finder import MEDIA_OPTIONS, Media, media_of
from triptych.data.disk.marks import (
    CANNOT,
    VIDEO_MARK,
    check_counts,
    count_marks,
    image_names,
    join_others,
    marked,
    place,
    split_others,
    video_names,
)
from triptych.data.disk.rows import Build, bad, check_turns, id_of, keyed, listed, role_of, row_format, words
from triptych.data.disk.writing import write_rows
from triptych.data.media.folder import ImageShelf

_FOREIGN = {
    "tools": "tools",
    "audios": "audio",
    "chosen": "preference pairs",
    "rejected": "preference pairs",
    "kto_tag": "preferences",
}
"""Keys of rows that are something else -> what."""
_OWN = frozenset({"id", "conversations", "messages", "system", "images", "videos", *_FOREIGN})
_TOOL_TURNS = frozenset({"function_call", "observation", "function", "tool"})
_SPEAKERS: dict[Role, str] = {"system": "system", "user": "human", "assistant": "gpt"}


def write(examples: Iterable[Example], path: Path) -> int:
    """Write Examples as from/value turns; a ``.json`` file becomes a list, any other JSON Lines."""
    return write_rows(examples, path, _row)


def _start(path: Path, options: Mapping[str, str]) -> Build:
    media = media_of(path, options)
    return lambda row, origin: _example(row, media, origin)


def _example(row: dict[str, Json], media: Media, origin: str) -> Example:
    for key, what in _FOREIGN.items():
        if row.get(key):
            raise bad(f"{key!r} is for {what}, which Triptych does not tune on. Leave the row out.")
    said = _said(row)
    texts = [text for _, text in said]
    images = [media.image(entry) for entry in _entries(row, "images")]
    videos = [media.video(entry) for entry in _entries(row, "videos")]
    check_counts(marks=count_marks(texts), images=len(images))
    check_counts(marks=count_marks(texts, VIDEO_MARK), images=len(videos), what="video")
    more_images, more_videos = iter(images), iter(videos)
    turns = tuple(Turn(role, place(text, more_images, more_videos)) for role, text in said)
    check_turns(turns)
    skills, facts = split_others(row, _OWN)
    return Example(id=id_of(row, origin), turns=turns, origin=origin, skills=skills, facts=facts)


def _said(row: dict[str, Json]) -> list[tuple[Role, str]]:
    """Return who says what, the system first."""
    found = [key for key in ("conversations", "messages") if row.get(key) is not None]
    if len(found) > 1:
        raise bad("both 'conversations' and 'messages' are given. Leave one out.")
    key = found[0] if found else "conversations"
    said = [_turn(value, number, key) for number, value in enumerate(listed(row.get(key), key))]
    if not row.get("system"):
        return said
    if any(role == "system" for role, _ in said):
        raise bad("both a 'system' key and a system turn are given. Leave one out.")
    return [("system", words(row["system"], "system")), *said]


def _turn(value: Json, number: int, key: str) -> tuple[Role, str]:
    turn = keyed(value, f"turn {number}")
    speaker, text = ("from", "value") if key == "conversations" else ("role", "content")
    if isinstance(turn.get(speaker), str) and turn[speaker] in _TOOL_TURNS:
        raise bad(f"turn {number} is a tool's ({turn[speaker]}), which Triptych does not tune on. Leave the row out.")
    return role_of(turn.get(speaker), f"turn {number}"), words(turn.get(text), f"what turn {number} says")


def _entries(row: dict[str, Json], key: str) -> list[Json]:
    value = row.get(key)
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _row(example: Example, shelf: ImageShelf) -> Json:
    images, videos = image_names(example, shelf), video_names(example, shelf)
    media: dict[str, Json] = {**({"images": images} if images else {}), **({"videos": videos} if videos else {})}
    return {
        "id": example.id,
        "conversations": [{"from": _SPEAKERS[turn.role], "value": marked(turn, videos=True)} for turn in example.turns],
        **media,
        **join_others(example, _OWN),
    }


FORMAT = row_format(
    _start,
    write=write,
    about="ShareGPT and OpenAI rows as LLaMA-Factory reads them: marks, images and videos",
    options=MEDIA_OPTIONS,
    cannot=CANNOT - {"videos"},
)
