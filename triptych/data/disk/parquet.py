"""Examples to Parquet, with the pictures' bytes inside, as the hub shows them and the ``datasets`` library opens them.

Not the layout of a row: ``message_columns`` and ``formats/`` have it. A column's type is told as the ``datasets``
library does, in the file's metadata, so that pictures come out decoded there: ``images`` is a ``List(Image)``, structs
of bytes and path. Reading is ``parquet_rows``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from triptych.core.records import Example
from triptych.data.disk.writing import put_all, written
from triptych.data.media.locate import name_of, read_bytes

TEXT: object = {"dtype": "string", "_type": "Value"}
WHOLE: object = {"dtype": "int64", "_type": "Value"}
REAL: object = {"dtype": "float64", "_type": "Value"}
FLAG: object = {"dtype": "bool", "_type": "Value"}
IMAGE: object = {"_type": "Image"}

_GROUP_ROWS = 100
"""Rows of a row group: what the hub recommends for files with pictures, so that its viewer reads little at once."""


def list_of(feature: object) -> object:
    """Return the feature of a list."""
    return {"feature": feature, "_type": "List"}


def write_parquet(
    examples: Iterable[Example],
    path: Path,
    *,
    columns_of: Callable[[Example], dict[str, object]],
    features: Mapping[str, object],
) -> int:
    """Write Examples, one row each; return their number.

    Args:
        examples: any number of them.
        path: of the file.
        columns_of: Example -> its values; a column it does not name is null.
        features: column -> its type, of ``TEXT``, ``WHOLE``, ``REAL``, ``FLAG``, ``IMAGE``, ``list_of`` and objects of
            those.

    Raises:
        DataError: an example does not fit the layout; it names the row, and the file is as it was before.
    """
    schema = pa.schema(
        [(name, _arrow(feature)) for name, feature in features.items()],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    with written(path) as file:
        return _write_groups(examples, path, columns_of, schema, file)


def packed(source: str) -> dict[str, object]:
    """Return a picture as a row holds it: its bytes, and its name. Raises ImageError."""
    return {"bytes": read_bytes(source), "path": name_of(source)}


def _write_groups(
    examples: Iterable[Example],
    path: Path,
    columns_of: Callable[[Example], dict[str, object]],
    schema: pa.Schema,
    file: BinaryIO,
) -> int:
    def checked(example: Example) -> dict[str, object]:
        columns = columns_of(example)
        _check_words(columns)
        return columns

    count = 0
    rows = put_all(examples, path, row_of=checked)
    with pq.ParquetWriter(file, schema) as writer:
        while group := list(islice(rows, _GROUP_ROWS)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            count += len(group)
    return count


def _check_words(value: object) -> None:
    """Raise UnicodeEncodeError where a text within is none that a file can hold: later, nobody could name its row."""
    if isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            _check_words(name)
            _check_words(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_words(inner)


def _arrow(feature: object) -> pa.DataType:
    """Return the Arrow type of a ``datasets`` feature."""
    assert isinstance(feature, dict)
    match feature.get("_type"):
        case "Value":
            known = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}
            return known[feature["dtype"]]
        case "List":
            return pa.list_(_arrow(feature["feature"]))
        case "Image":
            return pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.struct([(name, _arrow(inner)) for name, inner in feature.items()])
