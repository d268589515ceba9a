"""Rows of Parquet files, streamed: each as a JSON row would be, pictures as ``{"bytes": ..., "path": ...}`` in it.

Not about what a row says: ``rows`` checks that. A null column is one that the row does not have. A file that breaks off
is an error of the file; a text that is no UTF-8 is one bad row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from triptych.core.errors import DataError
from triptych.core.records import Json
from triptych.data.disk.json_rows import Row
from triptych.data.format import RowError

_BATCH_ROWS = 16
"""Rows in memory at once: each may hold several pictures."""
_AS_TEXT = (datetime, date, time, timedelta, Decimal)


def is_parquet(path: Path) -> bool:
    """Tell by its name whether a file is Parquet."""
    return path.suffix.lower() == ".parquet"


def read_parquet_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of one file.

    Raises:
        DataError: the file is no Parquet, or breaks off.
    """
    number = 0
    try:
        with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for index in range(batch.num_rows):
                    yield Row(number, _values(batch.slice(index, 1)))
                    number += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: cannot be read as Parquet ({said}). Is it whole? Copy it again.") from None


def columns_of(path: Path) -> Sequence[str]:
    """Return the names of a file's columns. Raises DataError as ``read_parquet_rows``."""
    try:
        return cast("list[str]", pq.read_schema(path).names)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: cannot be read as Parquet ({said}). Is it whole? Copy it again.") from None


def _values(one: pa.RecordBatch) -> Json | RowError:
    try:
        row = one.to_pylist()[0]
    except UnicodeDecodeError as error:
        return RowError("bad row", f"a text is not UTF-8 ({error.reason}). Mend the row or leave it out.")
    return {name: _plain(value) for name, value in row.items() if value is not None}


def _plain(value: object) -> Json:
    """Return a value as JSON has it; bytes stay, as only pictures are."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, _AS_TEXT) else cast("Json", value)
