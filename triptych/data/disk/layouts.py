"""Which layouts a row may be of, by the key of its turns: told to those who read a file as another one.

Not a guess that anything is read by: the source says its format, and this is only what a refusal recommends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

from triptych.core.errors import TriptychError
from triptych.core.records import Example, Json, Text, parts_of
from triptych.data.disk.json_rows import Row
from triptych.data.disk.media_keys import MEDIA_KEYS, names_nothing
from triptych.data.disk.parquet_rows import is_parquet
from triptych.data.disk.rows import bad, chosen_rows, listed, of_another_layout, rows_of
from triptych.data.format import ABSENT, Format, Refused, RowError
from triptych.data.media.kept import SUFFIXES

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
_SIGNS = {
    "part": ("trl", "sharegpt", "swift"),
    "number": ("messages",),
    "image_url": ("messages",),
    "img": ("qwen_vl", "swift"),
}
"""How media stand in what a row says, and the formats that read them so."""
_VIDEOS_ALONE = ("mantis_video",)
"""Formats that put all pictures in the place of a video: not for rows without one."""
_IMG = re.compile(r"<img>[^<>]+</img>")
_MARK = re.compile(r"<(?:img|image|video)>")
PLACES = ("image_dir", "video_dir", "outside")
"""Options of a source that say where names of media begin."""
_NAMING = MEDIA_KEYS | {"path", "url", "image_url"}
"""Keys that name a medium, of a row or of a part of what it says."""
_PLACED = {"box", "resize", "frame"}
"""What a part says of the pixels of its medium."""
_IN_WORDS = re.compile(r"<img>.*?</img>", re.DOTALL)
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
    """Refuse a row that says nothing under the key of a layout's turns and has the key of another, or is empty there.

    Raises:
        RowError: it does; the message names the formats to read it as, or what is empty.
    """
    _refuse_named(row, key)
    if (empty := next((each for each in (key, *_READ_AS) if each in row), None)) is not None:
        raise bad(f"{empty!r} is {'null' if row[empty] is None else 'empty'}. Mend the row or leave it out.")


def check_has(row: Mapping[str, Json], key: str) -> None:
    """Refuse a row without a key that every row of its layout has. Raises RowError."""
    if row.get(key) is None:
        _refuse_named(row, key)
        if key in row:
            raise bad(f"{key!r} is null. Mend the row or leave it out.")
        raise of_another_layout(f"it has no {key!r}, which every row of this layout has. {_keys_of(row)}")


def _refuse_named(row: Mapping[str, Json], key: str) -> None:
    for other, formats in _READ_AS.items():
        if row.get(other):
            raise of_another_layout(f"it has no {key!r}, but {other!r}. Read the file as {formats}.")
    if not row:
        raise bad("it is an empty object. Mend the row or leave it out.")


def _keys_of(row: Mapping[str, Json]) -> str:
    shown = ", ".join([*row][:_KEYS_SHOWN]) or "none"
    return f"Its keys are: {shown[:_CHARACTERS]}. Read the file as the format that it is in."


def first_rows(path: Path, start: int, *, count: int, where: str | None) -> list[Row]:
    """Return so many rows of a file from row ``start`` on; none where the file has no rows of JSON or of Parquet.

    Of Parquet, which is read as a stream alone, they are the first of all.
    """
    found: list[Row] = []
    start = 0 if is_parquet(path) else start
    with suppress(TriptychError, OSError):
        rows = rows_of(path) if where is None else chosen_rows(path, where)
        found.extend(islice(rows, start, start + count))  # of a file that breaks off, those before
    return found


def rows_fitting(
    plugin: Format, path: Path, *, options: Mapping[str, str], raw: Sequence[Row], count: int
) -> list[Example | Refused]:
    """Return the rows that are of a format's layout, as it reads them, even if their media are not there.

    Args:
        plugin: the format.
        path: the file.
        options: the format's own.
        raw: the rows as they stand in the file.
        count: how many are looked at where the format reads none alone: then they are the first of the file, as to get
            at others takes all before.

    Raises:
        ConfigError, DataError: as the format's reader.
    """
    if plugin.each and (alone := plugin.each(path, options)):
        found = [alone(row) for row in raw]
        if any(map(_is_absent, found)):
            anywhere = {key: options[key] for key in options if key not in PLACES}
            unseen = plugin.each(path, anywhere) or alone
            pairs = zip(raw, found, strict=True)
            found = [unseen(unseen_row(row, path.name)) if _is_absent(read) else read for row, read in pairs]
        return [read for read in found if isinstance(read, Example)]
    reader = plugin.configure(options) if options and plugin.configure else plugin.read
    kept = islice(reader(path), count)
    # Of a row of Parquet whose media are not there nobody can tell what else it says.
    return [read for read in kept if isinstance(read, Example) or (plugin.each is None and _is_absent(read))]


def _is_absent(read: Example | Refused) -> bool:
    return isinstance(read, Refused) and read.reason in ABSENT


def unseen_row(row: Row, name: str) -> Row:
    """Return a row in which every medium has the name of a file that is there, so that it is read without its own."""
    return row if isinstance(row.value, RowError) else replace(row, value=_renamed(row.value, name))


def _renamed(value: Json, name: str, *, medium: bool = False) -> Json:
    match value:
        case dict():
            kept = value.keys() - (_PLACED if value.get("type") in ("image", "video") else ())
            return {key: _renamed(value[key], name, medium=key in _NAMING) for key in value if key in kept}
        case list():
            return [_renamed(each, name, medium=medium) for each in value]
        case str():
            return name if medium else _IN_WORDS.sub(lambda _: f"<img>{name}</img>", value)
    return value


def looks_like_another(row: Json, name: str) -> bool:
    """Tell whether media stand in a row's words or parts as they never do in this format, and do in another."""
    return any(name not in _SIGNS[sign] for sign in _signs(row))


def fits_layout(row: Json, name: str, *, read: Example | Refused) -> bool:
    """Tell whether what a format made of a row shows all that the row names or marks. A row of no JSON: it does."""
    inside = [*_inside(row)]
    words = [each for each in inside if isinstance(each, str)]
    parts = [each for each in inside if isinstance(each, dict) and _medium_of(each)]
    named = row if isinstance(row, dict) else {}
    videos = not all(names_nothing(named.get(key)) for key in ("video", "videos"))
    videos = videos or any("<video>" in each for each in words) or any("video" in _medium_of(each) for each in parts)
    if name in _VIDEOS_ALONE and row is not None and not videos:
        return False
    if isinstance(read, Refused):
        return True
    shown = [*parts_of(read)]
    if any(isinstance(part, Text) and _MARK.search(part.text) for part in shown):
        return False
    marks = sum(len(_MARK.findall(each)) for each in words) + len(parts)
    return sum(not isinstance(part, Text) for part in shown) >= max(marks, _named(named))


def shows_media(read: Example | Refused) -> bool:
    """Return whether a row has pictures or videos."""
    return isinstance(read, Refused) or any(not isinstance(part, Text) for part in parts_of(read))


def _signs(row: Json) -> Iterator[str]:
    for each in _inside(row):
        if isinstance(each, str) and _IMG.search(each):
            yield "img"
        elif isinstance(each, dict) and (medium := _medium_of(each)):
            if medium.endswith("_url"):
                yield "image_url"
            elif type(each.get(medium)) is int:
                yield "number"
            elif len(each) == 1:
                yield "part"


def _medium_of(part: Mapping[str, Json]) -> str:
    """Return what kind of medium a part of a turn is, as it says it; none: no words."""
    kind = part.get("type")
    return kind if isinstance(kind, str) and kind in ("image", "image_url", "video", "video_url") else ""


def _inside(value: Json) -> Iterator[Json]:
    """Yield a value and all that is in it."""
    left = [value]
    while left:
        each = left.pop()
        yield each
        if isinstance(each, dict | list):
            left += each.values() if isinstance(each, dict) else each


def _named(row: Mapping[str, Json]) -> int:
    """Return how many media a row names beside its turns."""
    count = 0
    for key, value in row.items():
        entries = value if isinstance(value, list) else [value]
        if key in MEDIA_KEYS:
            count += 0 if names_nothing(value) else len(entries)
        else:
            count += sum(isinstance(each, str) and Path(each[-100:]).suffix.lower() in SUFFIXES for each in entries)
    return count
