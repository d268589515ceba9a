"""nlvr: Cornell NLVR's drawn boxes with what is in them: three images of one picture, each thing with colour and place.

Source: Suhr et al. 2017, github.com/lil-lab/nlvr, CC-BY-4.0; pictures as the data format ``nlvr`` reads them. The
statements that people wrote are facts, never captions: what is made of the boxes must not repeat them. Each picture was
published in the six orders of its boxes, in lexicographic order; ``permutation`` says which one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import permutations
from pathlib import Path

from triptych.core.errors import ConfigError
from triptych.core.records import ImageRef, Json
from triptych.data.disk.json_rows import read_rows
from triptych.data.disk.rows import bad, words
from triptych.data.format import Refused
from triptych.data.formats.nlvr import BOXES
from triptych.data.media.folder import ImageFolder
from triptych.generate.annotation import AnnotationLayout
from triptych.generate.entries import build_entry, check_options, choice_option
from triptych.generate.item import Annotation, Thing, View

OPTIONS = {
    "directories": "folders of pictures that are kept, e.g. 0-3; otherwise all",
    "permutation": "which of the six orders of the boxes, 0 to 5; otherwise 0",
    "unlike": "folders of pictures none of whose scenes is kept, in whatever order its boxes are, e.g. 4-5",
}
SIDE_PX = 100
"""Side of a box; places and sizes are in these pixels."""
ORDERS = tuple(permutations(range(len(BOXES))))
COLOURS = {"yellow": "yellow", "black": "black", "#0099ff": "blue"}
SIZES = {10: "small", 20: "medium", 30: "large"}
_ON_TOP_PX = 21
"""Blocks of a tower stand this far above each other."""


def read(path: Path, options: Mapping[str, str]) -> Iterator[Annotation | Refused]:
    """Yield one Annotation of three images, or Refused, a statement."""
    check_options(options, OPTIONS, layout="nlvr")
    wanted = _numbers(options, "directories")
    order = ORDERS[int(choice_option(options, "permutation", choices=tuple(map(str, range(len(ORDERS))))))]
    unlike = _scenes(path, _numbers(options, "unlike")) if "unlike" in options else frozenset()
    folder = ImageFolder(path.parent)
    for row in read_rows(path):
        value = row.value if isinstance(row.value, dict) else {}
        if (wanted is not None and str(value.get("directory")) not in wanted) or _scene(value) in unlike:
            continue
        build = partial(_annotation, value, folder, path.stem, order)
        yield build_entry(build, path=path, row=row.number, called=str(value.get("identifier", "")))


def _annotation(
    row: Mapping[str, Json], folder: ImageFolder, split: str, order: tuple[int, ...], origin: str
) -> Annotation:
    identifier, directory = words(row.get("identifier"), "identifier"), words(row.get("directory"), "directory")
    permutation = ORDERS.index(order)
    picture = folder.find(f"images/{directory}/{split}-{identifier}-{permutation}.png")
    said = row.get("structured_rep")
    if not isinstance(said, list) or len(said) != len(BOXES):
        raise bad(f"structured_rep does not tell of {len(BOXES)} boxes. Mend the row or leave it out.")
    views = tuple(
        _view(replace(picture, box=box), said[at], f"box {number}")
        for number, (box, at) in enumerate(zip(BOXES, order, strict=True), start=1)
    )
    facts: dict[str, Json] = {
        "directory": directory,
        "identifier": identifier,
        "permutation": permutation,
        "statement": row.get("sentence"),
        "label": row.get("label"),
    }
    return Annotation(f"nlvr-{identifier}-{permutation}", views, origin=origin, facts=facts)


def _view(image: ImageRef, said: Json, name: str) -> View:
    if not isinstance(said, list) or not all(isinstance(each, dict) for each in said):
        raise bad("structured_rep has a box that is no list of things. Mend the row or leave it out.")
    rows = [each for each in said if isinstance(each, dict)]
    places = [(_pixels(each, "x_loc"), _pixels(each, "y_loc"), _pixels(each, "size")) for each in rows]
    things = []
    for each, (left, top, size) in zip(rows, places, strict=True):
        colour = COLOURS.get(str(each.get("color")).lower())
        if colour is None:
            raise bad(f"a thing has the colour {each.get('color')!r}; known are {', '.join(COLOURS)}.")
        below = [at for at, place in enumerate(places) if (place[0], place[1]) == (left, top + _ON_TOP_PX)]
        box = tuple(min(1.0, max(0.0, edge / SIDE_PX)) for edge in (left, top, left + size, top + size))
        attributes = (colour, SIZES[size]) if size in SIZES else (colour,)
        things.append(
            Thing(words(each.get("type"), "type"), box, attributes, tuple(("on top of", at) for at in below))  # type: ignore[arg-type]
        )
    return View(image, things=tuple(things), name=name)


def _pixels(row: Mapping[str, Json], key: str) -> int:
    value = row.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise bad(f"{key} is {value!r}, no number of pixels. Mend the row or leave it out.")
    return value


def _scenes(path: Path, directories: frozenset[str] | None) -> frozenset[str]:
    rows = (row.value for row in read_rows(path) if isinstance(row.value, dict))
    return frozenset(_scene(row) for row in rows if directories is None or str(row.get("directory")) in directories)


def _scene(row: Mapping[str, Json]) -> str:
    """Return what stands for the boxes of a row in whatever order they and their things are; empty: nothing does."""
    boxes = row.get("structured_rep")
    if not isinstance(boxes, list):
        return ""
    each = [sorted(json.dumps(thing, sort_keys=True) for thing in box) for box in boxes if isinstance(box, list)]
    return json.dumps(sorted(each))


def _numbers(options: Mapping[str, str], key: str) -> frozenset[str] | None:
    """Return the numbers that ``0-3`` or ``0,2,5`` means, as text; None without the option. Raises ConfigError."""
    if key not in options:
        return None
    numbers: set[str] = set()
    for span in options[key].split(","):
        first, dash, last = span.partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)):
            raise ConfigError(f"option {key} is {options[key]!r}. Write numbers, e.g. 0-3 or 0,2,5.")
        numbers |= {str(number) for number in range(int(first), int(last or first) + 1)}
    return frozenset(numbers)


ANNOTATION = AnnotationLayout(
    read=read, about="Cornell NLVR: three drawn boxes, each thing with its colour, size and place", options=OPTIONS
)
