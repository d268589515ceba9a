"""Mantis evaluation JSON (Mantis-Eval, Q-Bench2): a question about images, options, and the answer as reference.

Source: TIGER-AI-Lab/Mantis (arXiv:2405.01483), ``mantis/benchmark/eval.py``; TIGER-Lab/Mantis-Eval on the hub. A row is
{id, question_type, question, images, options, answer, data_source, category}. The Example's user turn is the question
with its options, one a line, lettered ``(A)`` where they bear no letter; its last turn is the answer. Questions with
*fewer marks than images* get the missing marks in front, as there; more marks than images are refused. What stands
around a question when a model is asked is the benchmark's matter: the row's own words are kept in the facts, with
``choice``, the number of the right option from 0, and ``chance``.

Writes only what it reads: a question that the facts hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import ascii_uppercase

from triptych.core.records import Example, ImageRef, Json, Text, Turn
from triptych.data.disk.finder import MEDIA_OPTIONS, Media, with_media
from triptych.data.disk.foreign_keys import FOREIGN_KEYS, refuse_foreign
from triptych.data.disk.layouts import check_has
from triptych.data.disk.marks import (
    CANNOT,
    count_marks,
    image_names,
    join_others,
    marks_in_front,
    place,
    refuse_surplus_marks,
    split_others,
)
from triptych.data.disk.media_keys import entries_of, refuse_media
from triptych.data.disk.rows import bad, check_turns, id_of, listed, row_format, words
from triptych.data.disk.writing import write_rows
from triptych.data.media.folder import ImageShelf

TYPES = ("multi-choice", "short-answer")
_ASKED = ("question_type", "question", "options", "answer")
_OWN = frozenset({"id", "images", "image", *_ASKED}) | FOREIGN_KEYS
_LETTER = re.compile(r"\(?([A-Z])[):.]")


def write(examples: Iterable[Example], path: Path) -> int:
    """Write questions that were read from this layout, from whatever they were converted to since."""
    return write_rows(examples, path, row_of=_row)


def _example(row: dict[str, Json], media: Media, origin: str) -> Example:
    refuse_media(row, _OWN)
    check_has(row, "question_type")
    refuse_foreign(row)
    images = [media.image(entry) for entry in entries_of(row, "image")]
    turns = _turns(row, images)
    skills, facts = split_others(row, _OWN)
    asked = {key: row[key] for key in _ASKED if row.get(key) is not None}
    for key, value in _found(row).items():
        if facts.setdefault(key, value) != value:
            raise bad(f"{key!r} is {facts[key]!r}, but the answer makes it {value!r}. Leave it out.")
    return Example(id=id_of(row, origin), turns=turns, origin=origin, skills=skills, facts={**asked, **facts})


def _turns(row: Mapping[str, Json], images: list[ImageRef]) -> tuple[Turn, ...]:
    """Return the question with its options, and the answer. Raises RowError."""
    if row.get("question_type") not in TYPES:
        raise bad(f"question_type is {row.get('question_type')!r}. Known are {' and '.join(TYPES)}.")
    options = _options(row)
    text = words(row.get("question"), "the question")
    marks = count_marks([text, *options])
    refuse_surplus_marks(marks=marks, images=len(images))
    (text,) = marks_in_front([text], 0, missing=len(images) - marks)
    lettered = [
        option if re.match(rf"\(?{letter}[):.]", option) else f"({letter}) {option}"
        for letter, option in zip(ascii_uppercase, options, strict=False)
    ]
    turns = (
        Turn("user", place("\n".join([text, *lettered]), iter(images))),
        Turn("assistant", (Text(words(row.get("answer"), "the answer")),)),
    )
    check_turns(turns)
    return turns


def _options(row: Mapping[str, Json]) -> list[str]:
    value = row.get("options")
    options = [words(option, "an option") for option in listed([] if value is None else value, "options")]
    if row.get("question_type") == "multi-choice" and not 1 < len(options) <= len(ascii_uppercase):
        raise bad(f"a multi-choice question has {len(options)} options. Give 2 to {len(ascii_uppercase)}.")
    return options


def _found(row: Mapping[str, Json]) -> dict[str, Json]:
    """Return which option is right and what guessing scores; nothing for a question without options."""
    if row.get("question_type") != "multi-choice":
        return {}
    options, answer = _options(row), words(row.get("answer"), "the answer").strip()
    letter = _LETTER.match(f"{answer})" if len(answer) == 1 else answer)
    choice = ascii_uppercase.index(letter[1]) if letter else -1
    if choice < 0 and answer in options:
        choice = options.index(answer)
    if not 0 <= choice < len(options):
        raise bad(f"the answer {answer[:40]!r} is none of the {len(options)} options. Give its letter.")
    return {"choice": choice, "chance": 1 / len(options)}


def _row(example: Example, shelf: ImageShelf) -> Json:
    asked = {key: example.facts[key] for key in _ASKED if key in example.facts}
    images = [part for turn in example.turns for part in turn.parts if isinstance(part, ImageRef)]
    if "question" not in asked or _turns(asked, images) != example.turns:
        raise bad("its facts hold no question that its turns ask. Write messages instead.")
    known = asked.keys() | _found(asked).keys()
    kept = {key: value for key, value in join_others(example, frozenset()).items() if key not in known}
    if taken := sorted((FOREIGN_KEYS | {"id", "images", "image"}) & kept.keys()):
        raise bad(f"its fact {taken[0]!r} has the name of a key of this layout. Rename the fact.")
    return {"id": example.id, "images": image_names(example, shelf), **asked, **kept}


FORMAT = row_format(
    with_media(_example),
    write=write,
    about="Mantis evaluation JSON: questions with options and answers, as Mantis-Eval has them",
    options=MEDIA_OPTIONS,
    cannot=CANNOT | {"chat", "images", "facts"},
)
