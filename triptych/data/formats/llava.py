"""LLaVA instruction JSON: {id, image, conversations} with from/value turns, ``<image>`` marks in the text.

Source: LLaVA (arXiv:2304.08485); M4-Instruct of LLaVA-NeXT-Interleave (arXiv:2407.07895), where ``image`` may be a
list, ``sample_id`` stands for ``id``, and ``video`` is a file or a folder of frames, for *one* ``<image>`` mark each.
Where there are images too, a video's mark is ``<video>``. Turns may also be role/content, as LLaVA-NeXT reads them. The
rows of InternVL and of Qwen's own tuning code are these. A list, JSON Lines or Parquet. Text-only rows have neither
image nor video, or an empty one.

As many marks as images, or the row is refused: in these files a wrong count is a defect. Rows of one image without any
mark are common, though; ``#missing_marks=front`` puts the missing marks in front of the first user turn, and
``#missing_marks=line`` with a line end behind each, as InternVL does. A mark in the midst of a sentence stays there:
that LLaVA's own code moves a single one to the front is how it renders, not what the file says. Unlike there, a
conversation that ``gpt`` begins is refused instead of cut, and so are swapped speakers, and a part of a video
(InternVL's ``clip``). The other keys (``metadata``, ``choice_list``) are facts.

Options: ``#image_dir=FOLDER`` (or a zip) and ``#video_dir=FOLDER``, where the paths begin, and what ``media`` has more.
Cannot say: a box, demonstrations, labels, a reply that is not learnt. Adjacent texts are joined. An image that is shown
twice is listed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from triptych.core.errors import ConfigError
from triptych.core.records import Example, ImageRef, Json, Role, Turn, VideoRef
from triptych.data.disk.finder import MEDIA_OPTIONS, media_of
from triptych.data.disk.foreign_keys import FOREIGN_KEYS, is_learnt, refuse_foreign, refuse_turn
from triptych.data.disk.layouts import turns_in
from triptych.data.disk.marks import (
    CANNOT,
    MARK,
    VIDEO_MARK,
    Said,
    check_counts,
    count_marks,
    image_names,
    join_others,
    marked,
    marks_in_front,
    place,
    split_others,
    video_names,
)
from triptych.data.disk.media_keys import names_nothing, refuse_media
from triptych.data.disk.rows import Build, bad, check_turns, id_of, keyed, of_another_layout, role_of, row_format, words
from triptych.data.disk.writing import write_rows
from triptych.data.media.folder import ImageShelf

_OWN = frozenset({"id", "image", "conversations", "video"}) | FOREIGN_KEYS
_NEVER = frozenset({"images", "videos"})
"""Keys of other layouts: as facts they would be taken for images."""
_OTHER = ", add #missing_marks=front to the source"
_MISSING = {"front": "", "line": "\n"}
"""What stands behind each mark that is put in front, by the option's value."""
_SPEAKERS: dict[Role, str] = {"system": "system", "user": "human", "assistant": "gpt"}


def write(examples: Iterable[Example], path: Path) -> int:
    """Write Examples; a ``.json`` file becomes a list, any other JSON Lines."""
    return write_rows(examples, path, row_of=row_of)


def example_of(
    row: dict[str, Json],
    find_image: Callable[[object], ImageRef],
    *,
    find_video: Callable[[object], VideoRef],
    origin: str,
    missing_marks: str | None = None,
) -> Example:
    """Return a row as an Example.

    Args:
        row: as it stands in the file.
        find_image: what a row calls a picture -> where it is.
        find_video: likewise for a video.
        origin: file and row.
        missing_marks: how missing marks are put in front of the first user turn, ``front`` or ``line``; None: not.

    Raises:
        RowError, ImageError: the row cannot be used.
    """
    said = [_said(turn, number) for number, turn in enumerate(turns_in(row, "conversations"))]
    refuse_foreign(row)
    for key in sorted(_NEVER & row.keys()):
        if not names_nothing(row[key]):
            raise of_another_layout(
                f"{key!r} is no key of this layout. Call it {key[:-1]!r}, or read the file as mantis or sharegpt."
            )
    refuse_media(row, _OWN, beside=True)
    roles, texts = [each.role for each in said], [each.text for each in said]
    images = [find_image(entry) for entry in _entries(row, "image")]
    videos = [find_video(entry) for entry in _entries(row, "video")]
    if videos and row.get("clip"):
        raise bad("'clip' asks for a part of its video, which this layout cannot say. Cut the video, or drop the key.")
    texts = _as_marked(texts, images, videos)
    if missing_marks is not None:
        behind = _MISSING[missing_marks]
        texts = _with_all_marks(roles, texts, images=len(images), videos=len(videos), behind=behind)
    check_counts(marks=count_marks(texts), images=len(images), other=_OTHER)
    if videos:
        check_counts(marks=count_marks(texts, VIDEO_MARK), images=len(videos), what="video", other=_OTHER)
    more_images, more_videos = iter(images), iter(videos)
    turns = tuple(
        Turn(each.role, place(text, more_images, videos=more_videos if videos else None), each.learnt)
        for each, text in zip(said, texts, strict=True)
    )
    check_turns(turns)
    key = "id" if row.get("id") is not None else "sample_id"
    skills, facts = split_others(row, _OWN | {key})
    return Example(id=id_of(row, origin, key=key), turns=turns, origin=origin, skills=skills, facts=facts)


def row_of(example: Example, shelf: ImageShelf) -> Json:
    """Return an Example as a row. Raises RowError and ImageError."""
    images, videos = image_names(example, shelf), video_names(example, shelf)
    media: dict[str, Json] = {}
    for key, names in (("image", images), ("video", videos)):
        if names:
            media[key] = names[0] if len(names) == 1 else names
    turns = [(turn.role, marked(turn, videos=bool(videos))) for turn in example.turns]
    if videos and not images:
        turns = [(role, text.replace(VIDEO_MARK, MARK)) for role, text in turns]
    return {
        "id": example.id,
        **media,
        "conversations": [{"from": _SPEAKERS[role], "value": text} for role, text in turns],
        **join_others(example, _OWN | _NEVER),
    }


def check_missing_marks(value: str) -> None:
    """Refuse a value of the option ``missing_marks`` that means nothing. Raises ConfigError."""
    if value not in _MISSING:
        raise ConfigError(f"missing_marks is {value!r}: write front or line, or leave it out to refuse such rows.")


def _said(value: Json, number: int) -> Said:
    what = f"turn {number}"
    turn = keyed(value, what)
    refuse_turn(turn, what)
    speaker, text = ("role", "content") if turn.get("role") is not None else ("from", "value")
    role = role_of(turn.get(speaker), what)
    return Said(role, words(turn.get(text), f"what {what} says"), is_learnt(turn, role, what=what))


def _entries(row: dict[str, Json], key: str) -> list[Json]:
    value = row.get(key)
    if names_nothing(value):
        return []
    return value if isinstance(value, list) else [value]


def _as_marked(texts: list[str], images: Sequence[ImageRef], videos: Sequence[VideoRef]) -> list[str]:
    """Return the texts with a mark of its own for each video. Raises RowError."""
    if not videos or count_marks(texts, VIDEO_MARK):
        return texts
    if not images:
        return [text.replace(MARK, VIDEO_MARK) for text in texts]
    if count_marks(texts) == len(images):
        return texts
    raise bad(f"images and videos are given, and only {MARK} marks. Write {VIDEO_MARK} where a video stands.")


def _with_all_marks(roles: list[Role], texts: list[str], *, images: int, videos: int, behind: str) -> list[str]:
    """Return the texts with the marks that are missing in front of the first user's, images first. Raises RowError."""
    first = roles.index("user") if "user" in roles else None
    texts = marks_in_front(
        texts, first, missing=max(0, videos - count_marks(texts, VIDEO_MARK)), mark=f"{VIDEO_MARK}{behind}"
    )
    return marks_in_front(texts, first, missing=max(0, images - count_marks(texts)), mark=f"{MARK}{behind}")


def _start(path: Path, options: Mapping[str, str]) -> Build:
    if (missing := options.get("missing_marks")) is not None:
        check_missing_marks(missing)
    media = media_of(path, options)
    return lambda row, origin: example_of(
        row, media.image, find_video=media.video, origin=origin, missing_marks=missing
    )


FORMAT = row_format(
    _start,
    write=write,
    about="LLaVA and M4-Instruct JSON: from/value turns with <image> marks, images and videos",
    options=(*MEDIA_OPTIONS, "missing_marks"),
    cannot=CANNOT - {"videos"},
)
