"""What rows say whose pictures or videos are not there: read once more, with a file that is there in the place of each.

Not for training nor for counting: such an Example shows nothing, and only its words are worth something. Rows of JSON
alone, that name their media; of others (tar shards, Parquet, NLVR) those that a reader understands and whose pictures
are torn.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice

from triptych.core.records import Example
from triptych.data.disk.json_rows import read_rows
from triptych.data.disk.layouts import PLACES, unseen_row
from triptych.data.disk.rows import chooser
from triptych.data.format import options_of, random_rows, read_source, split_source


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
    options = {key: value for key, value in options_of(source).items() if key not in PLACES}
    found = random_rows(f"{name}:{path}" + "".join(f"#{key}={value}" for key, value in options.items()))
    if found is None or not left:
        return
    chosen = None if found.where is None else chooser(found.where)
    for number, raw in enumerate(islice(filter(chosen, read_rows(path)), found.start, found.stop)):
        if number in left and isinstance(raw.value, dict):
            read = found.read(unseen_row(raw, path.name))
            if isinstance(read, Example):
                yield read
