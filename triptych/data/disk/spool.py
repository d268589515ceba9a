"""Rows kept as JSON Lines, exactly as they were: what streams only once can be read at random afterwards.

Not a format for people (that is ``messages``) and not for exchange: only ``corpus`` writes and reads it, in the cache
folder. Not ``generate/written.py`` either, although both write Examples as JSON: a digest of these bytes tells whether
a run's data are still the same, so the lines must stay as they are. Invariant: what comes out equals what went in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.core.records import Example, ImageRef, Json, Part, Text, Turn, VideoRef
from triptych.data.disk.json_rows import Row
from triptych.data.format import Refused, RowError

BUFFER = 1 << 20


def write_spool(rows: Iterable[Example | Refused], path: Path) -> NDArray[np.int64]:
    """Write rows, one a line; return where each is, int64 [rows, 3]: number, offset, length in bytes."""
    lengths: list[int] = []
    with path.open("wb", buffering=BUFFER) as file:
        for row in rows:
            lengths.append(file.write(encode_row(row)))
            file.write(b"\n")
    places = np.empty((len(lengths), 3), dtype=np.int64)
    places[:, 0] = np.arange(len(lengths))
    places[:, 2] = lengths
    places[:, 1] = np.cumsum(places[:, 2] + 1) - (places[:, 2] + 1)
    return places


def encode_row(row: Example | Refused) -> bytes:
    """Return a row as its line, without the line's end."""
    return json.dumps(_packed(row), separators=(",", ":")).encode("ascii")


def decode_row(row: Row) -> Example | Refused:
    """Return the row that a line holds."""
    assert not isinstance(row.value, RowError), f"the spool is torn: {row.value}"
    match row.value:
        case [str(where), str(reason), str(message)]:
            return Refused(where, reason, message)
    return _example(row.value)


def _packed(row: Example | Refused) -> Json:
    return [row.where, row.reason, row.message] if isinstance(row, Refused) else _fields(row)


def _fields(example: Example) -> dict[str, Json]:
    """Return the example's fields; those that are empty are left out."""
    kept: dict[str, Json] = {
        "turns": [
            [turn.role, [_part(part) for part in turn.parts], *([] if turn.learnt else [False])]
            for turn in example.turns
        ],
        "shown": [_fields(each) for each in example.demonstrations],
        "labels": [[name, value] for name, value in example.labels],
        "origin": example.origin,
        "skills": list(example.skills),
        "facts": dict(example.facts),
    }
    return {"id": example.id, **{key: value for key, value in kept.items() if value}}


def _part(part: Part) -> Json:
    if isinstance(part, Text):
        return part.text
    if isinstance(part, VideoRef):
        return [part.source]
    sides: list[Json] = [None if each is None else list(each) for each in (part.size, part.box, part.resize)]
    return [part.source, *sides, *([part.video] if part.video else [])]


def _example(fields: Any) -> Example:
    # What was written here is trusted to have its shape; the tests hold that it comes back equal.
    return Example(
        fields["id"],
        tuple(Turn(role, tuple(map(_as_part, parts)), *learnt) for role, parts, *learnt in fields.get("turns", ())),
        tuple(map(_example, fields.get("shown", ()))),
        tuple((name, value) for name, value in fields.get("labels", ())),
        fields.get("origin", ""),
        tuple(fields.get("skills", ())),
        fields.get("facts", {}),
    )


def _as_part(packed: Any) -> Part:
    if isinstance(packed, str):
        return Text(packed)
    source, *sides = packed
    if not sides:
        return VideoRef(source)
    size, box, resize = (None if each is None else tuple(each) for each in sides[:3])
    return ImageRef(source, size, box, resize, *sides[3:])
