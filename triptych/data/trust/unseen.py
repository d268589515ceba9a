"""What rows say whose pictures or videos are not there: read once more, with a file that is there in the place of each.

Not for training nor for counting: such an Example shows nothing, and only its words are worth something. Rows of JSON
alone, that name their media; of others (tar shards, Parquet, NLVR) those that a reader understands and whose pictures
are torn.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import islice

from triptych.core.records import Example, Json
from triptych.data.disk.json_rows import Row, read_rows
from triptych.data.disk.media_keys import MEDIA_KEYS
from triptych.data.disk.rows import chooser
from triptych.data.format import options_of, random_rows, read_source, split_source

_NAMING = MEDIA_KEYS | {"path", "url", "image_url"}
"""Keys that name a medium, of a row or of a part of what it says."""
_PLACES = ("image_dir", "video_dir", "outside")
"""Options that say where names begin."""
_PLACED = {"box", "resize", "frame"}
"""What a part says of the pixels of its medium."""
_IN_WORDS = re.compile(r"<img>.*?</img>", re.DOTALL)


def unseen_rows(source: str, rows: Collection[int], *, torn: Collection[int] = ()) -> Iterator[Example]:
    """Yield those of a source's rows, counted from 0, whose words can be read whether or not their media can.

    Args:
        source: ``FORMAT:PATH``.
        rows: their numbers.
        torn: of those, the ones that the source's reader understands, for their media are there.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    known, left = set(torn), set(rows).difference(torn)
    for number, row in enumerate(read_source(source) if known else ()):
        if number in known and isinstance(row, Example):
            yield row
    name, path = split_source(source)
    options = {key: value for key, value in options_of(source).items() if key not in _PLACES}
    found = random_rows(f"{name}:{path}" + "".join(f"#{key}={value}" for key, value in options.items()))
    if found is None or not left:
        return
    chosen = None if found.where is None else chooser(found.where)
    for number, raw in enumerate(islice(filter(chosen, read_rows(path)), found.start, found.stop)):
        if number in left and isinstance(raw.value, dict):
            read = found.read(Row(raw.number, _named(raw.value, path.name)))
            if isinstance(read, Example):
                yield read


def _named(value: Json, name: str, *, medium: bool = False) -> Json:
    """Return a row in which every medium has this name."""
    match value:
        case dict():
            kept = value.keys() - (_PLACED if value.get("type") in ("image", "video") else ())
            return {key: _named(value[key], name, medium=key in _NAMING) for key in value if key in kept}
        case list():
            return [_named(each, name, medium=medium) for each in value]
        case str():
            return name if medium else _IN_WORDS.sub(lambda _: f"<img>{name}</img>", value)
    return value
