"""Rows written to a file and read again, for the tests of layouts."""

from __future__ import annotations

import json
from pathlib import Path

from triptych.core.records import Example, Json, Text
from triptych.data.format import Refused, read_source

Row = dict[str, Json]


def read(format_name: str, folder: Path, *rows: Row | str) -> list[Example | Refused]:
    path = folder / "rows.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return list(read_source(f"{format_name}:{path}"))


def used(format_name: str, folder: Path, row: Row) -> Example:
    (example,) = read(format_name, folder, row)
    assert isinstance(example, Example), example
    return example


def refused(format_name: str, folder: Path, row: Row | str) -> Refused:
    good: Row = {
        "id": "good",
        "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
    }
    good_said = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
    if format_name != "messages":
        good = {"id": "good", "conversations": good_said}  # type: ignore[dict-item]
    first, second, third = read(format_name, folder, good, row, {**good, "id": "good too"})
    assert isinstance(first, Example)
    assert isinstance(third, Example), "one bad row stops no other"
    assert isinstance(second, Refused), second
    assert "rows.jsonl: row 1" in second.where
    return second


def shape(example: Example) -> list[str]:
    """Return what is said, with file names for images."""
    return [
        f"{turn.role}: "
        + "".join(part.text if isinstance(part, Text) else f"[{Path(part.source).stem}]" for part in turn.parts)
        for turn in example.turns
    ]


def asked(text: str, reply: str = "Yes.", **others: Json) -> Row:
    return {
        "id": "x",
        "conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": reply}],
        **others,
    }
