"""A subset of MIMIC-IT in its published files, drawn for tests."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

from tests.pictures import draw
from triptych.core.records import Example, ImageRef, Json, Part, replace_parts
from triptych.data.format import Refused, read_source
from triptych.data.media.images import load_image
from triptych.data.media.locate import read_bytes

ROUND: dict[str, Json] = {
    "instruction": "Is the bus driving?",
    "answer": "It is.",
    "image_ids": ["LA_00_IMG_000000033471"],
    "rel_ins_ids": ["LACONV_00_INS_000000033471_0", "LACONV_00_INS_000000033471_1"],
}
PICTURES = {
    "LA_IMG_000000033471": "red",
    "SD_IMG_00001_1": "green",
    "SD_IMG_00001_2": "blue",
    "LA_00_IMG_000000000002": "white",
}


def draw_subset(folder: Path) -> None:
    """Draw two rounds and a query about them, a pair of pictures, words alone, and an old row with a bare id."""
    data = {
        "LACONV_00_INS_000000033471_0": asked("What is it?", "A bus.", ["LA_00_IMG_000000033471"]),
        "LACONV_00_INS_000000033471_1": asked("How full?", "Crowded.", ["LA_00_IMG_000000033471"]),
        "LACONV_00_INS_000000033471_2": ROUND,
        "SD_INS_1": asked("What changed?", "A car left.", ["SD_IMG_00001_1", "SD_IMG_00001_2"], note="kept"),
        "TEXT_INS_1": {"instruction": "Say hello.", "answer": "Hello."},
        "OLD_INS_1": asked("And here?", "A tram.", "LA_IMG_000000000002"),
    }
    write_json(folder / "LACONV_instructions.json", {"meta": {"version": "0.0.1"}, "data": data})
    pictures = {name: encoded(folder.parent / f"{name}.png", colour) for name, colour in PICTURES.items()}
    write_json(folder / f"{folder.name}.json", pictures)


def asked(instruction: str, answer: str, images: Json, related: Json = None, **others: Json) -> dict[str, Json]:
    return {"instruction": instruction, "answer": answer, "image_ids": images, "rel_ins_ids": related or [], **others}


def write_json(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")
    return path


def encoded(path: Path, colour: str) -> str:
    return base64.b64encode(Path(draw(path, colour=colour).source).read_bytes()).decode()


def rows_of(source: str) -> dict[str, Example]:
    rows = list(read_source(source))
    assert all(isinstance(row, Example) for row in rows), rows
    return {row.id: row for row in rows if isinstance(row, Example)}


def refusals(source: str) -> list[Refused]:
    return [row for row in read_source(source) if isinstance(row, Refused)]


def shown_by(example: Example) -> Example:
    """Return the example with its pictures by content, wherever they are."""

    def content(part: Part) -> list[Part]:
        return [ImageRef(read_bytes(part.source).hex())] if isinstance(part, ImageRef) else [part]

    shown = tuple(replace(each, origin="") for each in example.demonstrations)
    return replace_parts(replace(example, origin="", demonstrations=shown), content)


def colour_of(image: ImageRef) -> tuple[int, ...]:
    pixel = load_image(image).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel


def kept(cache: Path) -> list[Path]:
    return [path for path in (cache / "images").rglob("*") if path.is_file()]
