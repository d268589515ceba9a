"""ms-swift's rows: {messages, images, videos} with ``<image>`` and ``<video>`` marks, or query, response and history.

Source: ms-swift's page on custom datasets and the code that reads such rows, whose rules are these: turns are messages
of role/content or from/value, or ``conversation`` of {human, assistant}; content may be a list of parts (OpenAI's, or
Anthropic's images); media are ``images`` or ``image``, ``videos`` or ``video``, one or a list, a video also a list of
its frames. Marks that are missing stand in front of the first turn behind the system's, a video's before an image's.
Two turns of one speaker are one turn. Unlike there, more marks than media are refused, and so are tools, preferences,
audio, boxes to be filled in from ``objects``, and texts that nobody asked for. A reply whose ``loss`` is false is read
and not learnt; two replies that become one turn are learnt alike, or the row is refused. Other keys (``channel``) are
facts.

Cannot say: a box, demonstrations, labels, a video's frames. Adjacent texts are joined. An image that is shown twice is
listed twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from triptych.core.records import Example, Json, Role, Turn
from triptych.data.disk.content_parts import add_named, marked_content
from triptych.data.disk.finder import MEDIA_OPTIONS, Media, with_media
from triptych.data.disk.foreign_keys import FOREIGN_KEYS, is_learnt, loss_of, refuse_foreign, refuse_places, refuse_turn
from triptych.data.disk.marks import (
    CANNOT,
    VIDEO_MARK,
    Said,
    count_marks,
    image_names,
    join_others,
    marked,
    marks_in_front,
    place,
    refuse_surplus_marks,
    split_others,
    video_names,
)
from triptych.data.disk.media_keys import MEDIA_KEYS, entries_of, refuse_media
from triptych.data.disk.rows import bad, check_turns, id_of, keyed, listed, role_of, row_format, words
from triptych.data.disk.writing import write_rows
from triptych.data.formats import alpaca
from triptych.data.media.folder import ImageShelf

_TURNS = ("messages", "conversation", "conversations")
_OWN = frozenset({"id", *_TURNS, *alpaca.SYSTEMS}) | MEDIA_KEYS | FOREIGN_KEYS
_SPEAKERS: dict[Role, tuple[str, ...]] = {"user": ("user", "human"), "assistant": ("assistant", "gpt", "bot")}
"""What a row calls either speaker; where a turn holds a whole round, these are its keys."""


def write(examples: Iterable[Example], path: Path) -> int:
    """Write Examples as messages with marks; a ``.json`` file becomes a list, any other JSON Lines."""
    return write_rows(examples, path, row_of=_row)


def _example(row: dict[str, Json], media: Media, origin: str) -> Example:
    refuse_foreign(row, label=True)
    refuse_media(row, MEDIA_KEYS - {"audio", "audios"})
    image_entries, video_entries = entries_of(row, "image"), entries_of(row, "video")
    said = _joined(_said(row, image_entries, video_entries))
    texts = [each.text for each in said]
    refuse_places(row, texts)
    marks, video_marks = count_marks(texts), count_marks(texts, VIDEO_MARK)
    refuse_surplus_marks(marks=marks, images=len(image_entries))
    refuse_surplus_marks(marks=video_marks, images=len(video_entries), what="video")
    first = next((number for number, each in enumerate(said) if each.role != "system"), None)
    texts = marks_in_front(texts, first, missing=len(image_entries) - marks)
    texts = marks_in_front(texts, first, missing=len(video_entries) - video_marks, mark=VIDEO_MARK)
    images, videos = iter([media.image(entry) for entry in image_entries]), iter(media.videos_of(video_entries))
    turns = tuple(
        Turn(each.role, place(text, images, videos=videos), each.learnt) for each, text in zip(said, texts, strict=True)
    )
    check_turns(turns)
    skills, facts = split_others(row, _OWN if _turns_key(row) else alpaca.OWN)
    return Example(id=id_of(row, origin), turns=turns, origin=origin, skills=skills, facts=facts)


def _said(row: dict[str, Json], images: list[Json], videos: list[Json]) -> Iterator[Said]:
    """Yield who says what, the system first; the lists grow by the media that content parts name. Raises RowError."""
    key = _turns_key(row)
    if key is None:
        yield from alpaca.said_by(row)
        return
    inline: tuple[list[Json], list[Json]] = ([], [])
    said = [each for number, value in enumerate(listed(row[key], key)) for each in _turn(value, number, *inline)]
    add_named(images, inline[0])
    add_named(videos, inline[1])
    if (system := alpaca.one_of(row, alpaca.SYSTEMS)) is not None:
        if said and said[0].role == "system":
            raise bad(f"both a {system!r} key and a system turn are given. Leave one out.")
        yield Said("system", words(row[system], system))
    yield from said


def _turns_key(row: Mapping[str, Json]) -> str | None:
    """Return under which key the turns are; None: the row is a question and its answer. Raises RowError."""
    found = [key for key in _TURNS if row.get(key) is not None]
    if len(found) > 1:
        raise bad(f"both {found[0]!r} and {found[1]!r} are given. Leave one out.")
    return found[0] if found else None


def _turn(value: Json, number: int, images: list[Json], videos: list[Json]) -> Iterator[Said]:
    """Yield what a turn says, or the two of a whole round."""
    what = f"turn {number}"
    turn = keyed(value, what)
    refuse_turn(turn, what)
    if turn.get("role") is None and turn.get("from") is None:
        for role, names in _SPEAKERS.items():
            said = next((turn[name] for name in names if turn.get(name) is not None), None)
            text = marked_content(said, f"the {role} of {what}", images=images, videos=videos)
            yield Said(role, text, is_learnt(turn, role, what=what))
        return
    speaker = turn.get("role") if turn.get("role") is not None else turn.get("from")
    content = turn.get("content") if turn.get("content") is not None else turn.get("value")
    role = "assistant" if speaker in _SPEAKERS["assistant"] else role_of(speaker, what)
    yield Said(role, marked_content(content, what, images=images, videos=videos), is_learnt(turn, role, what=what))


def _joined(said: Iterable[Said]) -> list[Said]:
    """Return the turns with those of one speaker, one after the other, as one. Raises RowError."""
    joined: list[Said] = []
    for each in said:
        last = joined[-1] if joined else None
        if last is None or last.role != each.role:
            joined.append(each)
        elif last.learnt == each.learnt:
            joined[-1] = last._replace(text=last.text + each.text)
        else:
            raise bad("two replies stand side by side, which are one turn, and only one is learnt. Part or mend them.")
    return joined


def _row(example: Example, shelf: ImageShelf) -> Json:
    refuse_foreign(example.facts, label=True)
    images, videos = image_names(example, shelf), video_names(example, shelf)
    texts = [marked(turn, videos=True) for turn in example.turns]
    refuse_places(example.facts, texts)
    return {
        "id": example.id,
        "messages": [
            {"role": turn.role, "content": text, **loss_of(turn)}
            for turn, text in zip(example.turns, texts, strict=True)
        ],
        **({"images": images} if images else {}),
        **({"videos": videos} if videos else {}),
        **join_others(example, _OWN, unlearnt=True),
    }


FORMAT = row_format(
    with_media(_example),
    write=write,
    about="ms-swift rows: messages with marks, images and videos; or query and response",
    options=MEDIA_OPTIONS,
    cannot=CANNOT - {"videos", "unlearnt"},
)
