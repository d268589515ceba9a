"""What every reader asks of a row: its id, texts and lists, and a conversation in which people take turns.

Not about any one layout: ``formats/`` says which keys a row has, and hands its way to build an Example of a row to
``row_format``. A row that fails raises RowError, which ``convert_row`` turns into a Refused with file, row and id; so
no reader can forget to name them, and the next row goes on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from triptych.core.errors import ConfigError, DataError
from triptych.core.records import Box, Example, Json, Role, Text, Turn
from triptych.data.disk.json_rows import Row, read_rows
from triptych.data.disk.parquet_rows import is_parquet, read_parquet_rows
from triptych.data.format import (
    OTHER_LAYOUT,
    Format,
    Reader,
    Refused,
    RowError,
    RowReader,
    Trait,
    Writer,
    check_options,
    joined_hint,
)
from triptych.data.media.locate import ImageError

Build = Callable[[dict[str, Json], str], Example]
"""(row, origin) -> Example; raises RowError or ImageError when the row cannot be used."""
ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
}
"""Names of speakers in published files."""
_ID_CHARACTERS = 100
"""Most characters of an id that a refusal shows."""
_LOOKED_AT, _NAMED = 100_000, 8
"""Where no row is chosen: values that are looked at, and different ones that are named."""


def row_format(
    start: Callable[[Path, Mapping[str, str]], Build],
    *,
    write: Writer | None,
    about: str,
    options: Sequence[str] = (),
    endings: Sequence[str] = (".jsonl", ".json"),
    cannot: Collection[Trait] = (),
) -> Format:
    """Return the format of a JSON list or JSON Lines with one Example a row, in which each row can be read alone.

    The same rows are read from Parquet too, there as a stream. Every such format knows ``#where=KEY:VALUE``: rows that
    it does not choose are none of the source's.

    Args:
        start: (path, options) -> Build, for one file; may look at the file, but not go through it.
        write: as ``Format.write``.
        about: as ``Format.about``.
        options: the layout's own ``#key=value`` options beside ``limit``, ``rows`` and ``where``.
        endings: as ``Format.endings``.
        cannot: as ``Format.cannot``.
    """

    options = (*options, "where")

    def each(path: Path, given: Mapping[str, str]) -> RowReader | None:
        check_options(given, options)
        if is_parquet(path):
            return None
        build = start(path, given)
        return lambda row: convert_row(row, build, path=path)

    def rows(path: Path, given: Mapping[str, str]) -> Iterator[Example | Refused]:
        build = start(path, given)
        found = chosen_rows(path, given["where"]) if "where" in given else rows_of(path)
        yield from (convert_row(row, build, path=path) for row in found)

    def configure(given: Mapping[str, str]) -> Reader:
        check_options(given, options)
        return lambda path: rows(path, given)

    return Format(
        read=lambda path: rows(path, {}),
        write=write,
        about=about,
        configure=configure,
        each=each,
        endings=tuple(endings),
        cannot=frozenset(cannot),
    )


def rows_of(path: Path) -> Iterator[Row]:
    """Yield the rows of a JSON list, of JSON Lines or of a Parquet file. Raises DataError as their readers."""
    return read_parquet_rows(path) if is_parquet(path) else read_rows(path)


def chosen_rows(path: Path, where: str) -> Iterator[Row]:
    """Yield the rows of a file that ``#where=KEY:VALUE`` chooses.

    Raises:
        ConfigError, DataError: as ``chooser`` and ``rows_of``; no row is chosen.
    """
    chosen, none = chooser(where), True
    for row in rows_of(path):
        if chosen(row):
            none = False
            yield row
    if none:
        raise nothing_chosen(path, where)


def chooser(where: str) -> Callable[[Row], bool]:
    """Return what says whether ``KEY:VALUE`` chooses a row.

    ``KEY`` is a key of the row, with dots for keys of objects in it; ``VALUE`` is what it says, or with ``*`` behind it
    how that begins. Of a list, one entry is enough. A row that is no object is always chosen: it is refused by name.

    Raises:
        ConfigError: it is not ``KEY:VALUE``.
    """
    key, _, value = where.partition(":")
    if not (key and value):
        raise ConfigError(
            f"where is {where!r}: write #where=KEY:VALUE, e.g. #where=metadata.dataset:MagicBrush-Diff, or VALUE* for"
            f" how it begins.{joined_hint(f'#where={where}')}"
        )

    def chosen(row: Row) -> bool:
        if not isinstance(row.value, dict):
            return True
        said = _said_of(row.value, key)
        return any(each.startswith(value[:-1]) for each in said) if value.endswith("*") else value in said

    return chosen


def nothing_chosen(path: Path, where: str) -> DataError:
    """Return the error of a ``where`` that chooses no row; it names some values that there are."""
    key = where.partition(":")[0]
    said = (each for row in rows_of(path) if isinstance(row.value, dict) for each in _said_of(row.value, key))
    there = [_shown(each) for each in islice(dict.fromkeys(islice(said, _LOOKED_AT)), _NAMED)]
    do = f"There are e.g. {', '.join(there)}" if there else "No row has that key"
    return DataError(f"{path}: #where={where} chooses no row. {do}.")


def _said_of(row: dict[str, Json], key: str) -> list[str]:
    """Return what a row says under a key, each entry of a list as a text of its own."""
    found: Json = row
    for name in key.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    entries = found if isinstance(found, list) else [found]
    return [each if isinstance(each, str) else json.dumps(each) for each in entries if each is not None]


def convert_row(row: Row, build: Build, *, path: Path) -> Example | Refused:
    """Return what ``build`` makes of a row, or its refusal."""
    where = origin = f"{path}: row {row.number}"
    try:
        if isinstance(row.value, RowError):
            raise row.value
        if not isinstance(row.value, dict):
            packed = isinstance(row.value, list) and all(isinstance(value, dict) for value in row.value)
            do = "Write each object of it as a row" if packed else "Mend the row or leave it out"
            raise bad(f"expected an object {{...}}, found {type(row.value).__name__}. {do}.")
        called = row.value.get("id", row.value.get("sample_id"))
        if called is not None:
            where = f"{origin} (id {repr(called)[:_ID_CHARACTERS]})"
        return build(row.value, origin)
    except (RowError, ImageError) as error:
        return Refused(where, error.reason, f"{where}: {error}")


def id_of(row: dict[str, Json], origin: str, *, key: str = "id") -> str:
    """Return the row's id, or its number where it has none. A whole number that a table made a fraction is whole."""
    value = row.get(key)
    if value is None or value == "":
        return origin.rpartition(" ")[2]
    if isinstance(value, str):
        return words(value, "the id")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise bad(f"{key!r} is {value!r}: give a text or a whole number.")


def words(value: Json, what: str) -> str:
    """Return a text of the row, checked to be one."""
    if not isinstance(value, str):
        raise bad(f"{what} is {_shown(value)}, not a text. Mend the row or leave it out.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise bad(f"{what} holds half of a surrogate pair, which is no character. Mend the text.") from None
    return value


def listed(value: Json, what: str) -> list[Json]:
    """Return a list of the row, checked to be one."""
    if not isinstance(value, list):
        raise bad(f"{what} is {_shown(value)}, not a list. Mend the row or leave it out.")
    return value


def keyed(value: Json, what: str) -> dict[str, Json]:
    """Return an object of the row, checked to be one."""
    if not isinstance(value, dict):
        raise bad(f"{what} is {_shown(value)}, not an object {{...}}. Mend the row or leave it out.")
    return value


def role_of(value: Json, what: str) -> Role:
    """Return the speaker that a published name means."""
    if isinstance(value, str) and value in ROLES:
        return ROLES[value]
    raise bad(f"the speaker of {what} is {_shown(value)}. Known are {', '.join(ROLES)}.")


def box_of(value: Json) -> Box | None:
    """Return the box that a row gives as four whole numbers; None where it gives none. Raises RowError."""
    if value is None:
        return None
    match value:
        case [int(left), int(top), int(right), int(bottom)] if not any(isinstance(side, bool) for side in value):
            return left, top, right, bottom
    raise bad(f"the box {value!r} is not left, top, right, bottom in whole pixels.")


def size_of(value: Json) -> tuple[int, int] | None:
    """Return the size that a row gives as two whole numbers; None where it gives none. Raises RowError."""
    match value:
        case None:
            return None
        case [int(width), int(height)] if width > 0 < height and not any(isinstance(side, bool) for side in value):
            return width, height
    raise bad(f"the size {value!r} is not width, height in whole pixels.")


def labels_of(value: Json) -> Iterator[tuple[str, float]]:
    """Yield the labels of an object of numbers, in its order. Raises RowError."""
    for name, number in keyed({} if value is None else value, "labels").items():
        yield words(name, "a label's name"), finite(number, f"label {name!r}")


def finite(value: Json, what: str) -> float:
    """Return a number of the row, checked to be one that a float can hold. Raises RowError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad(f"{what} is {_shown(value)}, not a number. Mend the row or leave it out.")
    try:
        held = float(value)
    except OverflowError:  # A whole number of JSON has as many digits as it likes.
        held = math.inf
    if not math.isfinite(held):
        raise bad(f"{what} is {_shown(value)}, not a number that a float can hold. Mend the row or leave it out.")
    return held


def words_or_number(value: Json, what: str) -> str:
    """Return a text or a number of the row as text; 3.0, as tables write a whole number, is "3". Raises RowError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        held = finite(value, what)
        return str(int(held) if isinstance(value, float) and held.is_integer() else value)
    if not isinstance(value, str):
        raise bad(f"{what} is {_shown(value)}, neither a text nor a number. Mend the row or leave it out.")
    return words(value, what)


def bad(message: str) -> RowError:
    """Return the refusal of a row that does not have its layout's shape."""
    return RowError("bad row", message)


def of_another_layout(message: str) -> RowError:
    """Return the refusal of a row that lacks what every row of its layout has: the file may be of another one."""
    return RowError(OTHER_LAYOUT, message)


def check_turns(turns: Sequence[Turn], *, labelled: bool = False) -> None:
    """Refuse a conversation that is none: user and assistant take turns, after at most one system turn.

    Args:
        turns: in order.
        labelled: the row has labels, so it needs no reply to learn from.

    Raises:
        RowError: ``no assistant turn``, ``wrong role order`` or ``empty reply``.
    """
    if not turns or not (labelled or any(turn.role == "assistant" for turn in turns)):
        raise RowError("no assistant turn", "no turn is the assistant's, so nothing can be learnt. Add the reply.")
    start = 1 if turns[0].role == "system" else 0
    for number, turn in enumerate(turns[start:], start=start):
        expected = "user" if (number - start) % 2 == 0 else "assistant"
        if turn.role != expected:
            raise RowError(
                "wrong role order",
                f"turn {number} is the {turn.role}'s where the {expected}'s should be. Put the turns in order.",
            )
        if turn.role == "assistant" and _says_nothing(turn):
            raise RowError("empty reply", f"turn {number}, the assistant's, is empty. Add the reply or cut the turn.")


def _says_nothing(turn: Turn) -> bool:
    return not any(not isinstance(part, Text) or part.text.strip() for part in turn.parts)


def _shown(value: Json) -> str:
    said = json.dumps(value, ensure_ascii=True)
    return said if len(said) <= 40 else f"{said[:37]}..."
