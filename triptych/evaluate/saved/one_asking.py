"""The lines of an ``answers.jsonl`` that belong together: of one responder, asked in one way, one a question.

A folder keeps the replies of everybody who was ever asked in it; ``asked.json`` says which of them its result is of.
Where that is not beside the file, a file that mixes askings is refused: the last line of an id may be anybody's.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.files import read_json_lines
from triptych.core.log import say
from triptych.evaluate.reading.answers import ANSWERS, Line, read_lines
from triptych.evaluate.running.asked import ASKED, read_asked


def is_ours(path: Path) -> bool:
    """Return whether a file of replies is an ``answers.jsonl`` of ours, whatever it is called now."""
    return all("key" in record and "question" in record for record in read_json_lines(path, ours=path.name == ANSWERS))


def lines_of_one_asking(path: Path) -> dict[str, Line]:
    """Return the lines of the folder's last asking, by the question's id, in the benchmark's order.

    Args:
        path: an ``answers.jsonl`` of ours, or a copy of one.

    Raises:
        DataError: a line is not one of ours, several responders or settings are mixed and no ``asked.json`` tells
            them apart, or none of the lines is of what was asked last.
    """
    known = read_lines(path)
    asked = path.parent / ASKED
    if path.name == ANSWERS and asked.is_file():
        keys = read_asked(path.parent).keys
        lines = {name: known[key] for name, key in keys.items() if key in known}
        if known and not lines:
            raise DataError(f"{path}: none of its lines is of what {asked} says was asked. Evaluate again.")
        if others := len(known) - len(lines):
            say(f"{path}: {others} lines are of other models, settings or questions than {asked} says: not used")
        return lines
    if path.name != ANSWERS and len(known) < len({record["key"] for record in read_json_lines(path, ours=False)}):
        raise DataError(f"{path}: its last line has no end. Add a newline.")
    return _of_one(path, known.values())


def _of_one(path: Path, lines: Iterable[Line]) -> dict[str, Line]:
    found: dict[str, Line] = {}
    mend = f"{ASKED} is not beside it to tell which counts: keep the lines of one."
    for line in lines:
        name = line.question.id
        first = next(iter(found.values()), line)
        if line.responder != first.responder:
            raise DataError(f"{path}: replies of several models ({first.responder}, {line.responder}); {mend}")
        if name in found:
            raise DataError(f"{path}: {name!r} was asked in two ways (other words, pictures or settings); {mend}")
        found[name] = line
    return found
