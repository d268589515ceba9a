"""Which layouts a row may be of, by the key of its turns: told to those who read a file as another one.

Not a guess that anything is read by: the source says its format, and this is only what a refusal recommends.
"""

from __future__ import annotations

from collections.abc import Mapping

from triptych.core.records import Json
from triptych.data.disk.rows import bad, listed, of_another_layout

_READ_AS = {
    "messages": "messages, sharegpt, trl or swift",
    "conversations": "llava, mantis, sharegpt, swift or qwen_vl",
    "conversation": "mantis or swift",
    "texts": "cauldron",
    "instruction": "alpaca",
    "query": "alpaca or swift",
    "question": "alpaca or mantis_eval",
    "prompt": "trl, alpaca or mantis_classification",
}

_KEYS_SHOWN = 8
_CHARACTERS = 100
"""Most characters of a row's keys that a message shows."""


def turns_in(row: Mapping[str, Json], key: str) -> list[Json]:
    """Return the turns that a row has under a key.

    Raises:
        RowError: it has none; where it has the key of other layouts, the message names those.
    """
    check_has(row, key)
    return listed(row.get(key), key)


def refuse_other_layouts(row: Mapping[str, Json], key: str) -> None:
    """Refuse a row that lacks the key of a layout's turns and has that of another.

    Raises:
        RowError: it does; the message names the formats to read it as.
    """
    for other, formats in _READ_AS.items():
        if row.get(other):
            raise of_another_layout(f"it has no {key!r}, but {other!r}. Read the file as {formats}.")


def check_has(row: Mapping[str, Json], key: str) -> None:
    """Refuse a row without a key that every row of its layout has. Raises RowError."""
    if row.get(key) is None:
        refuse_other_layouts(row, key)
        if not row or key in row:
            raise bad(f"{repr(key) + ' is null' if row else 'it is an empty object'}. Mend the row or leave it out.")
        raise of_another_layout(f"it has no {key!r}, which every row of this layout has. {_keys_of(row)}")


def _keys_of(row: Mapping[str, Json]) -> str:
    shown = ", ".join([*row][:_KEYS_SHOWN]) or "none"
    return f"Its keys are: {shown[:_CHARACTERS]}. Read the file as the format that it is in."
