"""Alpaca with images: {instruction, input, output, history, system, images, videos}, a question and its answer a row.

Source: LLaMA-Factory's data page, format ``alpaca``, and ms-swift's query/response rows, which are the same under other
names: the question is ``instruction`` (``query``, ``prompt``, ``question``, ``problem``), and ``input`` a line below
it; the answer is ``output`` (``response``, ``answer``, ``completion``); ``history`` has earlier rounds, which are
learnt too (the transform ``learn_last`` learns the answer alone). ``<image>`` and ``<video>`` marks stand in the words,
as many as there are images and videos, or the row is refused: LLaMA-Factory stops at such rows too (ms-swift puts
missing marks in front: ``swift`` reads these rows so). A list, JSON Lines or Parquet. Preferences and tools are
refused. Other keys of a row are its facts.

Cannot say: a box, demonstrations, labels, an empty last question, a reply that is not learnt. Adjacent texts are
joined. An image that is shown twice is listed twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from triptych.core.records import Example, Json, Turn
from triptych.data.disk.finder import MEDIA_OPTIONS, Media, with_media
from triptych.data.disk.foreign_keys import FOREIGN_KEYS, refuse_foreign, refuse_places
from triptych.data.disk.layouts import refuse_other_layouts
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
from triptych.data.disk.rows import bad, check_turns, id_of, listed, of_another_layout, row_format, words
from triptych.data.disk.writing import write_rows
from triptych.data.media.folder import ImageShelf

QUESTIONS = ("instruction", "query", "prompt", "question", "problem")
ANSWERS = ("output", "response", "answer", "completion")
_OTHER = ", read the file as swift, which puts missing marks in front"
SYSTEMS = ("system", "system_prompt")
OWN = frozenset({"id", "input", "history", *QUESTIONS, *ANSWERS, *SYSTEMS}) | MEDIA_KEYS | FOREIGN_KEYS
"""The layout's keys under all their names; all others are facts."""


def write(examples: Iterable[Example], path: Path) -> int:
    """Write Examples, their last round as question and answer; a ``.json`` file becomes a list, else JSON Lines."""
    return write_rows(examples, path, row_of=_row)


def said_by(row: Mapping[str, Json]) -> list[Said]:
    """Return who says what: the system, the rounds of the history, the question and its answer. Raises RowError."""
    said: list[Said] = []
    if (system := one_of(row, SYSTEMS)) is not None:
        said.append(Said("system", words(row[system], system)))
    history = row.get("history")
    for number, value in enumerate(listed([] if history is None else history, "history")):
        match value:
            case [question, answer]:
                said.append(Said("user", words(question, f"the question of round {number} of the history")))
                said.append(Said("assistant", words(answer, f"the answer of round {number} of the history")))
            case _:
                raise bad(f"round {number} of the history is no [question, answer]. Mend the row or leave it out.")
    asked = [key for key in (one_of(row, QUESTIONS), "input") if key is not None and row.get(key)]
    if not asked:
        refuse_other_layouts(row, "instruction")
        known = ", ".join((*QUESTIONS, "input"))
        raise of_another_layout(f"it has no question: none of {known}. Read the file as another format.")
    said.append(Said("user", "\n".join(words(row[key], key) for key in asked)))
    if (answer := one_of(row, ANSWERS)) is not None:
        said.append(Said("assistant", words(row[answer], answer)))
    return said


def one_of(row: Mapping[str, Json], keys: Iterable[str]) -> str | None:
    """Return which of the keys a row has; None where it has none, or an empty one.

    Raises:
        RowError: it has two.
    """
    found = [key for key in keys if row.get(key) not in (None, "")]
    if len(found) > 1:
        raise bad(f"both {found[0]!r} and {found[1]!r} are given. Leave one out, or call it something else.")
    return found[0] if found else None


def _example(row: dict[str, Json], media: Media, origin: str) -> Example:
    refuse_foreign(row, label=True)
    refuse_media(row, MEDIA_KEYS - {"audio", "audios"}, beside=True)
    said = said_by(row)
    texts = [each.text for each in said]
    refuse_places(row, texts)
    image_entries, video_entries = entries_of(row, "image"), entries_of(row, "video")
    check_counts(marks=count_marks(texts), images=len(image_entries), other=_OTHER)
    check_counts(marks=count_marks(texts, VIDEO_MARK), images=len(video_entries), what="video", other=_OTHER)
    images, videos = iter([media.image(entry) for entry in image_entries]), iter(media.videos_of(video_entries))
    turns = tuple(Turn(each.role, place(each.text, images, videos=videos)) for each in said)
    check_turns(turns)
    skills, facts = split_others(row, OWN)
    return Example(id=id_of(row, origin), turns=turns, origin=origin, skills=skills, facts=facts)


def _row(example: Example, shelf: ImageShelf) -> Json:
    refuse_foreign(example.facts, label=True)
    check_turns(example.turns)
    texts = [marked(turn, videos=True) for turn in example.turns]
    refuse_places(example.facts, texts)
    systems = [text for turn, text in zip(example.turns, texts, strict=True) if turn.role == "system"]
    rounds = texts[len(systems) :]
    answer = rounds.pop() if len(rounds) % 2 == 0 and rounds else ""
    question = rounds.pop() if rounds else ""
    if not question or "" in systems:
        raise bad(
            "its last question or its system turn is empty, which this layout cannot say. Write messages instead."
        )
    images, videos = image_names(example, shelf), video_names(example, shelf)
    history: list[Json] = [list(pair) for pair in zip(rounds[::2], rounds[1::2], strict=True)]
    return {
        "id": example.id,
        **({"system": systems[0]} if systems else {}),
        **({"history": history} if history else {}),
        "instruction": question,
        "input": "",
        "output": answer,
        **({"images": images} if images else {}),
        **({"videos": videos} if videos else {}),
        **join_others(example, OWN),
    }


FORMAT = row_format(
    with_media(_example),
    write=write,
    about="Alpaca rows with images: instruction, input and output, or query and response",
    options=MEDIA_OPTIONS,
    cannot=CANNOT - {"videos"},
)
