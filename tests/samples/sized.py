"""What the drawn samples share: pictures that tell row and slot by their size, and the files that hold rows.

Picture k (from 0) of row r is 16+k pixels wide and 12+r high, so a prompt with sizes in it shows each image's slot.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def size(row: int, slot: int) -> tuple[int, int]:
    return 16 + slot, 12 + row


def png(row: int, slot: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size(row, slot), COLOURS[(row + slot) % len(COLOURS)]).save(file, "PNG")
    return file.getvalue()


def picture(row: int, slot: int) -> dict[str, object]:
    """A picture as a Parquet row of the hub holds it."""
    return {"bytes": png(row, slot), "path": f"{row}_{slot}.png"}


def draw(folder: Path, name: str, row: int, slot: int) -> str:
    """Draw a picture into a folder; return its path from there."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(row, slot))
    return name


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_parquet(path: Path, rows: Sequence[Mapping[str, object]], **pictured: pa.DataType) -> None:
    """Write rows; ``pictured`` gives the types of the columns with pictures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = pa.Table.from_pylist([{k: v for k, v in row.items() if k not in pictured} for row in rows]).schema
    fields = [pa.field(key, pictured[key]) if key in pictured else plain.field(key) for key in rows[0]]
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=pa.schema(fields)), path)


def write_video(path: Path, *, frames: int, fps: int) -> None:
    """Write a small video whose frames get brighter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for number in range(frames):
            pixels = np.full((32, 32, 3), 8 * number % 256, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode())
