"""Mantis video: {id, video, conversation}: a video file or a folder of frames; or ``images``, the frames one by one.

Source: TIGER-AI-Lab/Mantis (arXiv:2405.01483), ``mantis/train/data.py``, format ``chat_video``. The words are those of
``mantis``, but ``<image>`` marks in them are stripped, as there. The video stands where the row's ``<video>`` mark is;
without one it stands in front of the first user turn, a space behind it: the published code tosses a coin between front
and end, and training cannot be repeated with it. More than one mark is refused. Frames in ``images`` stand together at
the video's place, in order.

Options: ``#video_dir=FOLDER`` and ``#image_dir=FOLDER``, where the paths begin. Cannot say: images apart from a video,
more than one video, boxes, demonstrations, labels, a reply that is not learnt.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from triptych.core.records import Example, ImageRef, Json, Part, Text, Turn, VideoRef
from triptych.data.disk.finder import MEDIA_OPTIONS, Media, with_media
from triptych.data.disk.marks import (
    CANNOT,
    MARK,
    VIDEO_MARK,
    count_marks,
    image_names,
    join_others,
    marks_in_front,
    refuse_surplus_marks,
    split_others,
    video_names,
)
from triptych.data.disk.media_keys import entries_of, names_nothing, refuse_media
from triptych.data.disk.rows import bad, check_turns, id_of, row_format
from triptych.data.disk.writing import write_rows
from triptych.data.formats.mantis import OWN, first_user, said_by
from triptych.data.media.folder import ImageShelf


def write(examples: Iterable[Example], path: Path) -> int:
    """Write Examples with at most one video, or frames in one place."""
    return write_rows(examples, path, row_of=_row)


def _example(row: dict[str, Json], media: Media, origin: str) -> Example:
    said = said_by(row)
    refuse_media(row, OWN, beside=True)
    texts = [each.text.replace(MARK, "") for each in said]
    shown = _shown(row, media)
    marks = count_marks(texts, VIDEO_MARK)
    refuse_surplus_marks(marks=marks, images=1 if shown else 0, what="video")
    if shown and not marks:
        texts = marks_in_front(texts, first_user(said), missing=1, mark=f"{VIDEO_MARK} ")
    turns = tuple(Turn(each.role, _placed(text, shown), each.learnt) for each, text in zip(said, texts, strict=True))
    check_turns(turns)
    skills, facts = split_others(row, OWN)
    return Example(id=id_of(row, origin), turns=turns, origin=origin, skills=skills, facts=facts)


def _shown(row: dict[str, Json], media: Media) -> list[Part]:
    """Return the row's video, or its frames."""
    frames = entries_of(row, "image")
    if names_nothing(row.get("video")):
        return [media.image(frame) for frame in frames]
    if frames:
        raise bad("both a video and frames in 'images' are given. Leave one out.")
    return [media.video(row["video"])]


def _placed(text: str, shown: list[Part]) -> tuple[Part, ...]:
    before, mark, after = text.partition(VIDEO_MARK)
    parts = [Text(before), *(shown if mark else []), Text(after)]
    return tuple(part for part in parts if not isinstance(part, Text) or part.text)


def _row(example: Example, shelf: ImageShelf) -> Json:
    runs = [kind for turn in example.turns for kind, _ in groupby(turn.parts, type) if kind is not Text]
    videos, frames = video_names(example, shelf), image_names(example, shelf)
    if len(videos) > 1 or len(runs) > 1:
        raise bad("this layout holds one video, or frames in one place. Write mantis or messages instead.")
    media: dict[str, Json] = {"video": videos[0]} if videos else {"images": frames} if frames else {}
    return {
        "id": example.id,
        **media,
        "conversation": [{"role": turn.role, "content": _marked(turn)} for turn in example.turns],
        **join_others(example, OWN),
    }


def _marked(turn: Turn) -> str:
    said: list[str] = []
    for kind, parts in groupby(turn.parts, type):
        texts = [part.text for part in parts if isinstance(part, Text)]
        said += texts if kind is Text else [VIDEO_MARK]
    text = "".join(said)
    if MARK in text or text.count(VIDEO_MARK) != any(isinstance(part, ImageRef | VideoRef) for part in turn.parts):
        raise bad(f"its words hold a literal {MARK} or {VIDEO_MARK}, which is no text here. Write messages instead.")
    return text


FORMAT = row_format(
    with_media(_example),
    write=write,
    about="Mantis video JSON: one video, or its frames, in a conversation",
    options=MEDIA_OPTIONS,
    cannot=("images", *(CANNOT - {"videos"})),
)
