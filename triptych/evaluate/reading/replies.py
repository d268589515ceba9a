"""Saved replies of any model: a line each ``{"id", "reply"}``, BLINK's ``{"idx", "full_prediction"}``, or our own.

Not what they are worth (``marking``), nor which lines of an ``answers.jsonl`` belong together (``saved/one_asking``).
JSON Lines, or one JSON list. Of an id that is there twice the last reply counts; how many there were is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.records import Json
from triptych.data.disk.json_rows import read_rows
from triptych.data.format import RowError

IDS = ("id", "idx")
TEXTS = ("reply", "full_prediction")


@dataclass(frozen=True, slots=True)
class Reply:
    """What was said to one question."""

    text: str
    failed: str = ""
    """Why no reply could be got, where the file says so; such a question is not scored."""


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
    name = next((record[key] for key in IDS if key in record), None)
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise DataError(f"{where}: no id. Write it as {' or '.join(map(repr, IDS))}.")
    if failed := record.get("failed"):
        return str(name), Reply("", str(failed))
    if not any(key in record for key in TEXTS):
        raise DataError(f"{where} (id {str(name)!r}): no reply. Write it as {' or '.join(map(repr, TEXTS))}.")
    text = next(record[key] for key in TEXTS if key in record)
    if text is not None and not isinstance(text, str):
        raise DataError(f"{where} (id {str(name)!r}): the reply is {type(text).__name__}, not a text.")
    return str(name), Reply(text or "")
