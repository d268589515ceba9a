"""A row of ``messages`` as the columns of a Parquet file, and back: what is open-ended gets columns of one type.

Not what a row means: ``formats/messages.py`` knows. Columns as in JSON, but for ``labels`` (a list of name and value),
``facts`` (JSON text), and ``boxes``, ``sizes`` and ``frames`` (one per image, or null; of a frame, its video's name),
which stand apart so that ``images`` is the ``List(Image)`` that others open.
"""

from __future__ import annotations

import json

from triptych.core.records import Json
from triptych.data.disk.parquet import FLAG, IMAGE, REAL, TEXT, WHOLE, list_of, packed
from triptych.data.disk.rows import bad, keyed, listed, words

_PART = {"type": TEXT, "text": TEXT, "image": WHOLE, "video": WHOLE}
_CONVERSATION: dict[str, object] = {
    "id": TEXT,
    "messages": list_of({"role": TEXT, "content": list_of(_PART), "loss": FLAG}),
    "labels": list_of({"name": TEXT, "value": REAL}),
    "skills": list_of(TEXT),
    "source": TEXT,
    "facts": TEXT,
}
FEATURES: dict[str, object] = {
    **_CONVERSATION,
    "images": list_of(IMAGE),
    "boxes": list_of(list_of(WHOLE)),
    "sizes": list_of(list_of(WHOLE)),
    "frames": list_of(TEXT),
    "videos": list_of(TEXT),
    "demonstrations": list_of(_CONVERSATION),
}
"""The columns as the ``datasets`` library describes them."""
_BESIDE = {"boxes": "box", "sizes": "resize", "frames": "video"}
"""Columns of what is said of each image, by its key there."""


def columns_of(row: dict[str, Json]) -> dict[str, object]:
    """Return a row as columns; its images are objects: ``path``, ``box``, ``resize``, ``video``. Raises ImageError."""
    shown = [
        _flat(keyed(value, "a demonstration")) for value in listed(row.get("demonstrations", []), "demonstrations")
    ]
    images = [keyed(image, "an image") for image in listed(row.get("images", []), "images")]
    beside = {name: [image.get(key) for image in images] for name, key in _BESIDE.items()}
    return {
        **_flat({key: value for key, value in row.items() if key not in {"demonstrations", "images"}}),
        "images": [packed(words(image.get("path"), "an image")) for image in images],
        **{name: values if any(values) else None for name, values in beside.items()},
        "demonstrations": shown or None,
    }


def row_of_columns(columns: dict[str, Json]) -> dict[str, Json]:
    """Return the row that JSON Lines would have. Raises RowError."""
    row = _deepened(columns)
    shown = row.get("demonstrations")
    if isinstance(shown, list):
        row["demonstrations"] = [_deepened(value) if isinstance(value, dict) else value for value in shown]
    images, beside = row.get("images"), {name: row.pop(name, None) for name in _BESIDE}
    if isinstance(images, list) and any(values is not None for values in beside.values()):
        columns_beside = [_along(beside[name], images) for name in _BESIDE]
        row["images"] = [
            {
                **(image if isinstance(image, dict) else {"path": image}),
                **dict(zip(_BESIDE.values(), told, strict=True)),
            }
            for image, *told in zip(images, *columns_beside, strict=True)
        ]
    return row


def _along(values: Json, images: list[Json]) -> list[Json]:
    if values is None:
        return [None] * len(images)
    if not isinstance(values, list) or len(values) != len(images):
        raise bad("boxes, sizes and frames are lists as long as images. Mend the row or leave it out.")
    return values


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
