"""ShareGPT as LLaMA-Factory reads it: conversations with ``<image>`` and ``<video>`` marks, ``images``, ``videos``.

Source: LLaMA-Factory's data page, formats ``sharegpt`` (``conversations`` of from/value) and ``openai`` (``messages``
of role/content), and the content parts of its second version (``{"type": "image_url", "value": ...}``); a list, JSON
Lines or Parquet. Its ``dataset_info.json`` may call keys otherwise, so either pair of names is read under either key,
and ``image`` for ``images``. A ``system`` key is the system turn. As many marks as images and videos, or the row is
refused: that library stops at such rows too. A video may be a list of its frames. Tools, tool turns, audio,
preferences and ``objects`` to be filled in are refused: they are no conversation about images. A reply whose
``loss_weight`` is 0 is read and not learnt. Other keys of a row are its facts.

Cannot say: a box, demonstrations, labels, a video's frames, a reply that is not learnt (turns of from/value have no
published key for it). Adjacent texts are joined. An image that is shown twice is
listed twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from triptych.core.records import Example, Json, Role, Turn
from triptych.data.disk.content_parts import add_named, marked_content
from triptych.data.disk.finder import MEDIA_OPTIONS, Media, with_media
from triptych.data.disk.foreign_keys import FOREIGN_KEYS, is_learnt, refuse_foreign, refuse_places, refuse_turn
from triptych.data.disk.layouts import turns_in
from triptych.data.disk.marks import (
    CANNOT,
    VIDEO_MARK,
    Said,
    check_counts,
    count_marks,
    image_names,
    join_others,
    marked,
    place,
    split_others,
    video_names,
)
from triptych.data.disk.media_keys import MEDIA_KEYS, entries_of, refuse_media
from triptych.data.disk.rows import bad, check_turns, id_of, keyed, role_of, row_format, words
from triptych.data.disk.writing import write_rows
from triptych.data.media.folder import ImageShelf

_OWN = frozenset({"id", "conversations", "messages", "system"}) | MEDIA_KEYS | FOREIGN_KEYS
_OTHER = ", read the file as swift, which puts missing marks in front"
_MEDIA = MEDIA_KEYS - {"audio", "audios"}
_SPEAKERS: dict[Role, str] = {"system": "system", "user": "human", "assistant": "gpt"}


def write(examples: Iterable[Example], path: Path) -> int:
    """Write Examples as from/value turns; a ``.json`` file becomes a list, any other JSON Lines."""
    return write_rows(examples, path, row_of=_row)


def _example(row: dict[str, Json], media: Media, origin: str) -> Example:
    refuse_foreign(row, label=True)
    refuse_media(row, _MEDIA, beside=True)
    image_entries, video_entries = entries_of(row, "image"), entries_of(row, "video")
    said = _said(row, image_entries, video_entries)
    texts = [each.text for each in said]
    refuse_places(row, texts)
    check_counts(marks=count_marks(texts), images=len(image_entries), other=_OTHER)
    check_counts(marks=count_marks(texts, VIDEO_MARK), images=len(video_entries), what="video", other=_OTHER)
    images = iter([media.image(entry) for entry in image_entries])
    videos = iter(media.videos_of(video_entries))
    turns = tuple(Turn(each.role, place(each.text, images, videos=videos), each.learnt) for each in said)
    check_turns(turns)
    skills, facts = split_others(row, _OWN)
    return Example(id=id_of(row, origin), turns=turns, origin=origin, skills=skills, facts=facts)


def _said(row: dict[str, Json], images: list[Json], videos: list[Json]) -> list[Said]:
    """Return who says what, the system first; the lists grow by the media that content parts name. Raises RowError."""
    found = [key for key in ("conversations", "messages") if row.get(key) is not None]
    if len(found) > 1:
        raise bad("both 'conversations' and 'messages' are given. Leave one out.")
    key = found[0] if found else "conversations"
    inline: tuple[list[Json], list[Json]] = ([], [])
    said = [_turn(value, number, *inline) for number, value in enumerate(turns_in(row, key))]
    add_named(images, inline[0])
    add_named(videos, inline[1])
    if not row.get("system"):
        return said
    if any(each.role == "system" for each in said):
        raise bad("both a 'system' key and a system turn are given. Leave one out.")
    return [Said("system", words(row["system"], "system")), *said]


def _turn(value: Json, number: int, images: list[Json], videos: list[Json]) -> Said:
    what = f"turn {number}"
    turn = keyed(value, what)
    refuse_turn(turn, what)
    speaker = turn.get("role") if turn.get("role") is not None else turn.get("from")
    content = turn.get("content") if turn.get("content") is not None else turn.get("value")
    role = role_of(speaker, what)
    return Said(role, marked_content(content, what, images=images, videos=videos), is_learnt(turn, role, what=what))


def _row(example: Example, shelf: ImageShelf) -> Json:
    refuse_foreign(example.facts, label=True)
    images, videos = image_names(example, shelf), video_names(example, shelf)
    texts = [marked(turn, videos=True) for turn in example.turns]
    refuse_places(example.facts, texts)
    speakers = [_SPEAKERS[turn.role] for turn in example.turns]
    return {
        "id": example.id,
        "conversations": [{"from": who, "value": text} for who, text in zip(speakers, texts, strict=True)],
        **({"images": images} if images else {}),
        **({"videos": videos} if videos else {}),
        **join_others(example, _OWN),
    }


FORMAT = row_format(
    with_media(_example),
    write=write,
    about="ShareGPT and OpenAI rows as LLaMA-Factory reads them: marks, images and videos",
    options=MEDIA_OPTIONS,
    cannot=CANNOT - {"videos"},
)
