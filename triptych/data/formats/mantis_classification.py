"""Mantis classification: {id, images, prompt, labels}: numbers to be told from pictures, e.g. a video's qualities.

Source: TIGER-AI-Lab/Mantis (arXiv:2405.01483), ``mantis/train/data.py``, formats ``classification`` and
``qwen2_video_classification``; VideoScore (arXiv:2406.15252) was tuned on such files. An Example is one user turn and
labels, without a reply. Labels stand in the order of the file's *first* row that has some, and every row must have
the same. A prompt with *fewer marks than images* gets the missing ones at its end, each as ``<image>`` and a space:
the layout's published rule. More marks than images are refused. Unlike there, a picture with a side below 16 pixels
stays as it is: ``classification`` enlarges it until both have 16, before its processor sees it. Other keys of a row are
its facts.

Cannot say: a conversation, a box, demonstrations, videos.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from triptych.core.records import Example, Json, Turn
from triptych.data.disk.finder import MEDIA_OPTIONS, Media, media_of
from triptych.data.disk.foreign_keys import FOREIGN_KEYS, refuse_foreign
from triptych.data.disk.layouts import check_has
from triptych.data.disk.marks import (
    CANNOT,
    MARK,
    count_marks,
    image_names,
    join_others,
    marked,
    place,
    refuse_surplus_marks,
    split_others,
)
from triptych.data.disk.media_keys import entries_of, refuse_media
from triptych.data.disk.rows import Build, bad, id_of, keyed, labels_of, row_format, rows_of, words
from triptych.data.disk.writing import write_rows
from triptych.data.media.folder import ImageShelf

_OWN = frozenset({"id", "images", "image", "prompt", "labels"}) | FOREIGN_KEYS


def write(examples: Iterable[Example], path: Path) -> int:
    """Write Examples of one user turn that have labels, all of the same names in the same order."""
    return write_rows(examples, path, row_of=_row_of())


def _start(path: Path, options: Mapping[str, str]) -> Build:
    media = media_of(path, options)
    names = _label_names(path)
    return lambda row, origin: _example(row, names, media, origin)


def _label_names(path: Path) -> tuple[str, ...]:
    """Return the labels of the first row that has some: the order of them all."""
    for row in rows_of(path):
        labels = row.value.get("labels") if isinstance(row.value, dict) else None
        if isinstance(labels, dict) and labels:
            return tuple(labels)
    return ()


def _example(row: dict[str, Json], names: tuple[str, ...], media: Media, origin: str) -> Example:
    refuse_media(row, _OWN)
    check_has(row, "prompt")
    refuse_foreign(row)
    text = words(row.get("prompt"), "the prompt")
    values = dict(labels_of(keyed(row.get("labels"), "labels")))
    if not values:
        raise bad("it has no labels, so nothing can be learnt. Add them or leave the row out.")
    if values.keys() != set(names):
        odd = sorted(values.keys() ^ set(names))[0]
        raise bad(f"label {odd!r} is in this row or in the file's first labels, not in both. Give all rows the same.")
    images = [media.image(entry) for entry in entries_of(row, "image")]
    marks = count_marks([text])
    refuse_surplus_marks(marks=marks, images=len(images))
    text += f"{MARK} " * (len(images) - marks)
    skills, facts = split_others(row, _OWN)
    return Example(
        id=id_of(row, origin),
        turns=(Turn("user", place(text, iter(images))),),
        labels=tuple((name, values[name]) for name in names),
        origin=origin,
        skills=skills,
        facts=facts,
    )


def _row_of() -> Callable[[Example, ImageShelf], Json]:
    first: list[tuple[str, ...]] = []  # The first row's labels stand in front.

    def row_of(example: Example, shelf: ImageShelf) -> Json:
        if [turn.role for turn in example.turns] != ["user"]:
            raise bad("this layout holds one user turn and no reply. Write mantis or messages instead.")
        names = tuple(name for name, _ in example.labels)
        first.append(names)
        if not names or names != first[0] or len(set(names)) < len(names):
            raise bad(f"its labels are {list(names)}, the first row's {list(first[0])}. Give all rows the same.")
        return {
            "id": example.id,
            "images": image_names(example, shelf),
            "prompt": marked(example.turns[0]),
            "labels": dict(example.labels),
            **join_others(example, _OWN, labels=True),
        }

    return row_of


FORMAT = row_format(
    _start,
    write=write,
    about="Mantis classification JSON: a prompt with images, and numeric labels",
    options=MEDIA_OPTIONS,
    cannot=("chat", *(CANNOT - {"labels"})),
)
