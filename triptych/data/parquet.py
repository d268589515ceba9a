"""Messages as Parquet: the same rows, with the pictures' bytes inside, as the Hugging Face hub shows them.

Not the layout of a row: ``formats/messages.py`` has it and hands in both directions. Columns ``id``, ``messages``,
``images`` (Hugging Face ``List(Image)``: structs of bytes and path), ``boxes`` (one per image, or null),
``demonstrations``, ``labels``, ``skills``, and ``facts`` as JSON text. Bytes are unpacked to the cache folder under
their SHA-256, so an ImageRef names a file here too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from triptych.core.errors import DataError
from triptych.core.files import cache_folder, write_atomically
from triptych.core.records import Example, ImageRef, Json
from triptych.data.folder import ImageFolder
from triptych.data.format import Refused, RowError
from triptych.data.images import ImageError
from triptych.data.json_rows import Row
from triptych.data.rows import bad, box_of, convert_row, keyed, listed, words
from triptych.data.writing import put, written

Parse = Callable[[dict[str, Json], Sequence[ImageRef], str], Example]
"""(row, images, origin) -> Example."""
Said = tuple[dict[str, Json], list[ImageRef]]
"""A row without its images, and the images that its parts are indexes into."""

_GROUP_ROWS = 100
"""Rows of a row group: what the hub recommends for files with pictures, so that its viewer reads little at once."""
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2"})

_TEXT = {"dtype": "string", "_type": "Value"}
_WHOLE = {"dtype": "int64", "_type": "Value"}
_REAL = {"dtype": "float64", "_type": "Value"}


def _list_of(feature: object) -> dict[str, object]:
    return {"feature": feature, "_type": "List"}


_PART = {"type": _TEXT, "text": _TEXT, "image": _WHOLE}
_CONVERSATION: dict[str, object] = {
    "id": _TEXT,
    "messages": _list_of({"role": _TEXT, "content": _list_of(_PART)}),
    "labels": _list_of({"name": _TEXT, "value": _REAL}),
    "skills": _list_of(_TEXT),
    "facts": _TEXT,
}
FEATURES: dict[str, object] = {
    **_CONVERSATION,
    "images": _list_of({"_type": "Image"}),
    "boxes": _list_of(_list_of(_WHOLE)),
    "demonstrations": _list_of(_CONVERSATION),
}
"""The columns as the ``datasets`` library describes them in a file's metadata."""


def read_parquet(path: Path, parse: Parse) -> Iterator[Example | Refused]:
    """Yield one Example or Refused per row, holding a few rows at a time.

    Raises:
        DataError: the file is no Parquet, or breaks off.
    """
    folder = ImageFolder(path.parent)
    unpacked = cache_folder() / "images"
    number = 0
    for batch in _batches(path):
        for index in range(batch.num_rows):
            yield _example(batch.slice(index, 1), number, parse, folder, unpacked, path)
            number += 1


def write_parquet(examples: Iterable[Example], path: Path, row_of: Callable[[Example], Said]) -> int:
    """Write Examples with the bytes of their pictures; return their number.

    Raises:
        DataError: an example does not fit the layout; it names the row, and the file is as it was before.
    """
    schema = pa.schema(
        [(name, _arrow(feature)) for name, feature in FEATURES.items()],
        metadata={"huggingface": json.dumps({"info": {"features": FEATURES}})},
    )
    with written(path) as file:
        return _write_groups(examples, path, row_of, schema, file)


def _write_groups(
    examples: Iterable[Example], path: Path, row_of: Callable[[Example], Said], schema: pa.Schema, file: BinaryIO
) -> int:
    count = 0
    group: list[dict[str, object]] = []
    with pq.ParquetWriter(file, schema) as writer:
        for count, example in enumerate(examples, start=1):
            group.append(put(example, count - 1, path, lambda said: _columns(*row_of(said))))
            if len(group) == _GROUP_ROWS:
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
                group.clear()
        if group:
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
    return count


def _arrow(feature: object) -> pa.DataType:
    """Return the Arrow type of a ``datasets`` feature."""
    assert isinstance(feature, dict)
    match feature.get("_type"):
        case "Value":
            return {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64()}[feature["dtype"]]
        case "List":
            return pa.list_(_arrow(feature["feature"]))
        case "Image":
            return pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.struct([(name, _arrow(inner)) for name, inner in feature.items()])


def _columns(row: dict[str, Json], images: list[ImageRef]) -> dict[str, object]:
    shown = [
        _flat(keyed(value, "a demonstration")) for value in listed(row.get("demonstrations", []), "demonstrations")
    ]
    boxes = [None if image.box is None else list(image.box) for image in images]
    return {
        **_flat({key: value for key, value in row.items() if key != "demonstrations"}),
        "images": [_packed(image.source) for image in images],
        "boxes": boxes if any(boxes) else None,
        "demonstrations": shown or None,
    }


def _flat(row: dict[str, Json]) -> dict[str, object]:
    """Return a conversation with its open-ended objects in columns of one type."""
    labels = row.get("labels")
    return {
        **row,
        "labels": [{"name": name, "value": value} for name, value in labels.items()]
        if isinstance(labels, dict)
        else None,
        "facts": json.dumps(row["facts"], ensure_ascii=False) if "facts" in row else None,
    }


def _packed(source: str) -> dict[str, object]:
    path = Path(source)
    try:
        return {"bytes": path.read_bytes(), "path": path.name}
    except OSError:
        message = f"{source}: no such image. Put it there or leave the row out."
        raise ImageError("image file missing", message) from None


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=16)
    except (pa.ArrowException, OSError) as error:
        said = str(error).splitlines()[0]
        raise DataError(f"{path}: cannot be read as Parquet ({said}). Is it whole? Copy it again.") from None


def _example(
    one: pa.RecordBatch, number: int, parse: Parse, folder: ImageFolder, unpacked: Path, path: Path
) -> Example | Refused:
    columns: dict[str, Json] | RowError
    try:
        columns = one.to_pylist()[0]
    except UnicodeDecodeError as error:
        columns = bad(f"a text is not UTF-8 ({error.reason}). Mend the row or leave it out.")
    images, boxes = (columns.pop(key, None) if isinstance(columns, dict) else None for key in ("images", "boxes"))

    def build(row: dict[str, Json], origin: str) -> Example:
        row = _deepened(row)
        shown = row.get("demonstrations")
        if isinstance(shown, list):
            row["demonstrations"] = [_deepened(value) if isinstance(value, dict) else value for value in shown]
        return parse(row, _unpack(images, boxes, folder, unpacked), origin)

    return convert_row(Row(number, columns), build, path=path)


def _deepened(row: dict[str, Json]) -> dict[str, Json]:
    """Return a conversation as JSON Lines has it: no nulls, labels and facts as objects."""
    row = {key: value for key, value in row.items() if value is not None}
    if isinstance(messages := row.get("messages"), list):
        row["messages"] = [_without_nulls(message) for message in messages]
    if isinstance(labels := row.get("labels"), list):
        pairs = [keyed(pair, "a label") for pair in labels]
        row["labels"] = {words(pair.get("name"), "a label's name"): pair.get("value") for pair in pairs}
    if isinstance(facts := row.get("facts"), str):
        try:
            row["facts"] = json.loads(facts)
        except (ValueError, RecursionError) as error:
            raise bad(f"facts is no JSON ({error}). Mend the row or leave it out.") from None
    return row


def _without_nulls(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value


def _unpack(images: object, boxes: object, folder: ImageFolder, unpacked: Path) -> list[ImageRef]:
    if images is None:
        return []
    if not isinstance(images, list) or not (boxes is None or (isinstance(boxes, list) and len(boxes) == len(images))):
        raise bad("images is a list, and boxes a list as long. Mend the row or leave it out.")
    refs = [_ref(image, folder, unpacked) for image in images]
    return [replace(ref, box=box_of(box)) for ref, box in zip(refs, boxes or [None] * len(refs), strict=True)]


def _ref(image: object, folder: ImageFolder, unpacked: Path) -> ImageRef:
    """Return where a picture is, unpacking its bytes if they are not there yet."""
    match image:
        case {"bytes": bytes(content), **rest}:
            name = rest.get("path")
            suffix = PurePosixPath(name).suffix.lower() if isinstance(name, str) else ""
            sha = hashlib.sha256(content).hexdigest()
            path = unpacked / sha[:2] / f"{sha}{suffix if suffix in _SUFFIXES else ''}"
            if not path.exists():
                write_atomically(path, content)
            return ImageRef(str(path))
        case {"path": str(name)} | str(name):
            return folder.find(name)
    raise ImageError("image file missing", "an image has neither bytes nor a path. Add it or leave the row out.")
