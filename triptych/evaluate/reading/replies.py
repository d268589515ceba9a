"""Saved replies of any model: a line each ``{"id", "reply"}``, or as evaluation kits call the two, or our own.

Not what they are worth (``marking``), nor which lines of an ``answers.jsonl`` belong together (``saved/one_asking``).
Kits: BLINK's ``idx`` and ``full_prediction``, VLMEvalKit's ``index`` and ``prediction``, LLaVA's ``question_id`` and
``text``, MMMU's ``id`` and ``response``, a file for each subject of a folder, and MathVista's object of rows by their
``pid``, whose ``prediction`` is what somebody read in the ``response``. What may mean another thing is not guessed: the
line is named, and what to call its keys. A reply that is a number is read as people write it.
JSON Lines, one JSON list, or one JSON object of rows by id. Of an id that is there twice the last reply counts; how
many there were is told. An object names an id once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.records import Json
from triptych.data.disk.json_rows import TABLES, read_rows
from triptych.data.disk.rows import words_or_number
from triptych.data.format import RowError
from triptych.evaluate.reading.answers import ANSWERS

IDS = ("id", "idx")
OTHER_IDS = ("index", "question_id")
"""Where it has neither of those, and just one of these."""
PID = "pid"
"""MathVista's, where a row has none of those."""
TEXTS = ("reply", "full_prediction", "prediction", "response")
BY_SUBJECT = "*/output.json"
"""MMMU's folder: the replies to each subject in a folder of its own."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What was said to one question."""

    text: str
    failed: str = ""
    """Why no reply could be got, where the file says so; such a question is not scored."""
    asked: str = ""
    """The question as the line has it, where its id is an ``index`` or a ``pid``, which may number other rows too."""


@dataclass(frozen=True, slots=True)
class Replies:
    """A file of replies."""

    by_id: Mapping[str, Reply]
    repeated: int
    """Lines whose id has a later line."""
    own: bool
    """Whether the file is an ``answers.jsonl`` of ours, whose lines hold the questions too."""


def read_replies(path: Path) -> Replies:
    """Read a file of replies, or a folder with ``*/output.json`` in it.

    Raises:
        DataError: no such file, no replies, or a line that is none; the message names it.
    """
    if path.suffix.lower() in TABLES and path.is_file():
        raise DataError(f'{path}: a table. Save it as JSON Lines, a line each: {{"id": ..., "reply": ...}}.')
    files = sorted(path.glob(BY_SUBJECT)) if path.is_dir() else [path]
    if not files:
        raise DataError(
            f"{path}: a folder without {BY_SUBJECT} (MMMU's layout) and without {ANSWERS} (an evaluation of ours). Name"
            " the file of replies."
        )
    by_id: dict[str, Reply] = {}
    lines, own = 0, True
    for where, record in (each for file in files for each in _records(file)):
        name, reply = _reply(record, where)
        by_id[name] = reply
        lines += 1
        own = own and "key" in record and "question" in record
    if not by_id:
        raise DataError(f'{path}: no replies. Write a line each: {{"id": ..., "reply": ...}}.')
    return Replies(by_id, lines - len(by_id), own)


def _records(path: Path) -> Iterator[tuple[str, Mapping[str, Json]]]:
    """Yield each row, and where it is, for messages."""
    if (by_id := _rows_by_id(path)) is not None:
        for name, row in by_id.items():
            yield str(path), row if _by_pid(row) else {**row, "id": name}
        return
    for each in read_rows(path):
        where = f"{path}: row {each.number}"
        if isinstance(each.value, RowError):
            raise DataError(f"{where}: {each.value}")
        if not isinstance(each.value, dict):
            raise DataError(f"{where}: expected an object {{...}}, found {type(each.value).__name__}.")
        yield where, each.value


def _rows_by_id(path: Path) -> dict[str, dict[str, Json]] | None:
    """Return the rows of a file that is one JSON object of rows by id; None where it is JSON Lines, or a list."""
    first = next(read_rows(path), None)
    broken = first is not None and isinstance(first.value, RowError)  # as a first line "{" is
    if first is None or not (broken or _rows_in(first.value)):  # broken: it may go on in the next line
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_each_once)
    except RowError as error:
        raise DataError(f"{path}: {error}") from None
    except (ValueError, RecursionError):
        return None  # JSON Lines: a first line that is broken, or a second one.
    if not isinstance(value, dict):
        return None
    rows = _rows_in(value)
    if not rows:
        raise DataError(
            f'{path}: one object, but not of rows by id, such as {{"7": {{"reply": ...}}}}. Write that, or JSON Lines: '
            "each row on a line of its own."
        )
    for name, row in rows.items():
        for key in (*IDS, PID):
            if row.get(key) is not None and str(_whole(row[key])) != name:
                raise DataError(f"{path}: the row of {name!r} says that its {key!r} is {row[key]!r}. Mend one of them.")
    return rows


def _rows_in(value: object) -> dict[str, dict[str, Json]]:
    """Return the rows by id that an object holds; none where it holds anything else, as a row does."""
    held = value if isinstance(value, dict) else {}
    return held if all(isinstance(row, dict) for row in held.values()) else {}


def _by_pid(row: Mapping[str, Json]) -> bool:
    return PID in row and not any(key in row for key in (*IDS, *OTHER_IDS))


def _whole(held: Json) -> Json:
    return int(held) if isinstance(held, float) and held.is_integer() else held  # 3.0 is how tables write 3


def _each_once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Return the object of these names and values. Raises RowError: JSON allows a name twice, and then one is lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        (name, times), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise RowError("bad row", f"{name!r} is there {times} times. Leave one of them.")
    return found


def _reply(record: Mapping[str, Json], where: str) -> tuple[str, Reply]:
    called = _id_key(record, where)
    held = record[called]
    name = _whole(held)
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise DataError(f"{where}: {called!r} is {held!r}, neither a text nor a whole number.")
    where = f"{where} ({called} {str(name)!r})"
    asked = str(record.get("question") or "") if called in ("index", PID) else ""
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
    if PID in record:
        return PID
    if "doc_id" in record:
        raise DataError(
            f"{where}: no id; 'doc_id' (lmms-eval) numbers the rows, whatever their questions' ids are. Write the "
            "question's own id as 'id', and the reply, which is the text in 'filtered_resps', as 'reply'."
        )
    raise DataError(f"{where}: no id. Write it as {' or '.join(map(repr, IDS))}.")


def _text_key(record: Mapping[str, Json], called: str, *, where: str) -> str:
    found = next((key for key in TEXTS if key in record), None)
    # LLaVA's questions have a text too, which is no reply, and an image.
    texts = called == "question_id" and "text" in record and "image" not in record
    if found == "prediction" and called == PID:
        if "response" not in record:
            raise DataError(f"{where}: no 'response'. MathVista's 'prediction' is what was read in it, and no reply.")
        return "response"
    other = "prediction" if found == "prediction" and record[found] is not None else "text"
    if "response" in record and (found == other or (found == "response" and texts)):
        raise DataError(f"{where}: {other!r} or 'response' may be the reply. Call the right one 'reply'.")
    if found is None and texts:
        return "text"
    if found is None:
        raise DataError(f"{where}: no reply. Write it as {' or '.join(map(repr, TEXTS))}.")
    return found
