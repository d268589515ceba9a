"""Which replies were cut at the most tokens: a word in their lines of ``answers.jsonl``, where anybody said so.

Not the lines themselves (``reading/answers``). Lines of an older version do not say it, and count as whole. A reply is
scored as it stands, cut or not; only how many there were is told.
"""

from __future__ import annotations

from pathlib import Path

from triptych.core.files import read_json_lines
from triptych.core.records import Json
from triptych.evaluate.reading.answers import Line, line_to_json


def record_of(line: Line, *, cut: bool) -> dict[str, Json]:
    """Return a line as it is written."""
    record = line_to_json(line)
    return {**record, "cut": True} if cut else record


def cut_keys(path: Path) -> frozenset[str]:
    """Return the keys of the lines whose replies were cut, by the last line of each key; none where there is no file.

    Raises:
        DataError: a line is no JSON object; the message names it.
    """
    if not path.exists():
        return frozenset()
    said = {str(record.get("key")): record.get("cut") is True for record in read_json_lines(path)}
    return frozenset(key for key, cut in said.items() if cut)
