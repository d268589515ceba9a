"""What the samples' drawings share: little pictures that tell which they are, and Parquet with pictures in it.

Picture n is of one colour and has n + 1 white dots.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

SAMPLES = Path(__file__).parent
COLOURS = ("red", "green", "blue", "gold", "purple", "orange", "teal")
Row = dict[str, object]
PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def png(number: int) -> bytes:
    """Return picture ``number`` as a PNG file."""
    image = Image.new("RGB", (48, 32), COLOURS[number % len(COLOURS)])
    pencil = ImageDraw.Draw(image)
    for dot in range(number + 1):
        pencil.rectangle((2 + 5 * dot, 2, 4 + 5 * dot, 4), fill="white")
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def picture(number: int) -> Row:
    """Return picture ``number`` as a Parquet row of the hub holds it."""
    return {"bytes": png(number), "path": f"picture-{number}.png"}


def write(sample: str, name: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows as Parquet."""
    path = SAMPLES / sample / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)
