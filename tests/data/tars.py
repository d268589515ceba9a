"""Tars packed for tests, and the one sample of a tar."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from triptych.core.records import Example, Json
from triptych.data.format import read_source


def packed(path: Path, *files: tuple[str, bytes | str | Json]) -> Path:
    """Write a tar; what is neither bytes nor a text is written as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files:
            data = content if isinstance(content, bytes) else content if isinstance(content, str) else dumped(content)
            data = data.encode() if isinstance(data, str) else data
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def dumped(value: Json) -> bytes:
    return json.dumps(value).encode()


def one(path: Path, options: str = "") -> Example:
    (row,) = read_source(f"webdataset:{path}{options}")
    assert isinstance(row, Example), row
    return row
