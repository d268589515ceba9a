"""Saved replies of any model: a line each ``{"id", "reply"}``, or as evaluation kits call the two, or our own.

Not what they are worth (``marking``), nor which lines of an ``answers.jsonl`` belong together (``saved/one_asking``).
Kits: BLINK's ``idx`` and ``full_prediction``, VLMEvalKit's ``index`` and ``prediction``, LLaVA's ``question_id`` and
``text``. What may mean another thing is not guessed: the line is named, and what to call its keys.
A reply that is a number is read as people write it.
JSON Lines, or one JSON list. Of an id that is there twice the last reply counts; how many there were is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.records import Json
from triptych.data.disk.json_rows import TABLES, read_rows
from triptych.data.disk.rows import words_or_number
from triptych.data.format import RowError

IDS = ("id", "idx")
OTHER_IDS = ("index", "question_id")
"""Where it has neither of those, and just one of these."""
TEXTS = ("reply", "full_prediction", "prediction")


@dataclass(frozen=True, slots=True)
class Reply:
    """What was said to one question."""

    text: str
    failed: str = ""
    """Why no reply could be got, where the file says so; such a question is not scored."""
    asked: str = ""
    """The question as the line has it, where its id is an ``index``, which kits also number their rows by."""


@dataclass(frozen=True, slots=True)
class Replies:
    """A file of replies."""

    by_id: Mapping[str, Reply]
    repeated: int
    """Lines whose id has a later line."""
    own: bool
    """Whether the file is an ``answers.jsonl`` of ours, whose lines hold the questions too."""


def read_replies(path: Path) -> Replies:
    """Read a file of replies.

    Raises:
        DataError: no such file, no replies, or a line that is none; the message names it.
    """
    if path.suffix.lower() in TABLES and path.is_file():
        raise DataError(f'{path}: a table. Save it as JSON Lines, a line each: {{"id": ..., "reply": ...}}.')
    by_id: dict[str, Reply] = {}
    lines, own = 0, True
    for row in read_rows(path):
        where = f"{path}: row {row.number}"
        if isinstance(row.value, RowError):
            raise DataError(f"{where}: {row.value}")
        if not isinstance(row.value, dict):
            raise DataError(f"{where}: expected an object {{...}}, found {type(row.value).__name__}.")
        name, reply = _reply(row.value, where)
        by_id[name] = reply
        lines += 1
        own = own and "key" in row.value and "question" in row.value
    if not by_id:
        raise DataError(f'{path}: no replies. Write a line each: {{"id": ..., "reply": ...}}.')
    return Replies(by_id, lines - len(by_id), own)


def _reply(record: Mapping[str, Json], where: str) -> tuple[str, Reply]:
    called = _id_key(record, where)
    held = record[called]
    name = int(held) if isinstance(held, float) and held.is_integer() else held  # 3.0 is how tables write 3
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise DataError(f"{where}: {called!r} is {held!r}, neither a text nor a whole number.")
    where = f"{where} ({called} {str(name)!r})"
    asked = str(record.get("question") or "") if called == "index" else ""
    if called == "index" and not asked:
        raise DataError(f"{where}: 'index' may number the rows. Call it 'id' if it is the question's own id.")
    if failed := record.get("failed"):
        return str(name), Reply("", str(failed), asked)
    text = record[_text_key(record, called, where=where)]
    try:
        said = text if isinstance(text, str) else "" if text is None else words_or_number(text, "the reply")
    except RowError as error:
        raise DataError(f"{where}: {error}") from None
    return str(name), Reply(said, asked=asked)


def _id_key(record: Mapping[str, Json], where: str) -> str:
    if own := [key for key in IDS if key in record]:
        return own[0]
    others = [key for key in OTHER_IDS if key in record]
    if len(others) > 1:
        raise DataError(f"{where}: {' or '.join(map(repr, others))} may be the id. Call the right one 'id'.")
    if others:
        return others[0]
    if "doc_id" in record:
        raise DataError(
            f"{where}: no id; 'doc_id' (lmms-eval) numbers the rows, whatever their questions' ids are. Write the "
            "question's own id as 'id', and the reply, which is the text in 'filtered_resps', as 'reply'."
        )
    raise DataError(f"{where}: no id. Write it as {' or '.join(map(repr, IDS))}.")


def _text_key(record: Mapping[str, Json], called: str, *, where: str) -> str:
    found = next((key for key in TEXTS if key in record), None)
    # LLaVA's questions have a text too, which is no reply, and an image.
    if found is None and called == "question_id" and "text" in record and "image" not in record:
        return "text"
    if found is None:
        raise DataError(f"{where}: no reply. Write it as {' or '.join(map(repr, TEXTS))}.")
    return found
