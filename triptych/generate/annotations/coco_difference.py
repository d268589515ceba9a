"""coco_difference: pairs of like COCO images, with the captions and boxes of both, for questions about differences.

Source: MIMIC-IT's CGD (arXiv:2306.05425 section 3.2), whose way to find pairs was never published. Here the pairs are
given by a file, or found: each image with the one whose captions are most alike by TF-IDF, each image once, none that
are all but the same. The path is ``captions_*.json``; a file of pairs is a JSON list or JSON Lines of ``[id, id]`` or
``{"id": "x", "images": [id, id]}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from triptych.core.records import Json
from triptych.data.disk.json_rows import read_rows
from triptych.data.disk.rows import bad, keyed, listed, words
from triptych.data.format import Refused, RowError
from triptych.data.text.neighbours import word_vectors
from triptych.generate.annotation import AnnotationLayout
from triptych.generate.coco_tables import CocoTable, read_coco
from triptych.generate.entries import build_entry, check_options, file_option, folder_option
from triptych.generate.item import Annotation

OPTIONS = {
    "images": "folder that the file names are in; otherwise that of the file",
    "instances": "another file, with the boxes",
    "pairs": "file of pairs of image ids; otherwise like images are found by their captions",
}
CANDIDATES = 10
"""Nearest images that are looked at for a partner."""
MOST_LIKE = 0.95
"""Cosine from which on captions say the same, so that no difference is to be seen in them."""


def read(path: Path, options: Mapping[str, str]) -> Iterator[Annotation | Refused]:
    """Yield one Annotation or Refused a pair, then what belongs to no image."""
    check_options(options, OPTIONS, layout="coco_difference")
    pairs = file_option(options, "pairs")
    table = read_coco(
        path, instances=file_option(options, "instances"), folder=folder_option(options, "images", path=path)
    )
    if pairs is None:
        for row, (left, right, likeness) in enumerate(_found(table)):
            yield build_entry(
                partial(_annotation, table, left, right, facts={"likeness": likeness}), path=path, row=row
            )
    else:
        for said in read_rows(pairs):
            yield build_entry(partial(_given, table, said.value), path=pairs, row=said.number)
    yield from table.refused


def _found(table: CocoTable) -> Iterator[tuple[int, int, float]]:
    """Yield pairs of like images and their cosine; no image is in two."""
    keys = [key for key in table.images if table.captions(key)]
    taken: set[int] = set()
    for at, near in enumerate(word_vectors([" ".join(table.captions(key)) for key in keys]).nearest(CANDIDATES)):
        if at in taken:
            continue
        for other, likeness in near:
            if other not in taken and likeness < MOST_LIKE:
                taken |= {at, other}
                yield keys[at], keys[other], likeness
                break


def _given(table: CocoTable, said: Json | RowError, origin: str) -> Annotation:
    if isinstance(said, RowError):
        raise said
    name = ""
    if isinstance(said, dict):
        pair = listed(said.get("images"), "images")
        name = words(said["id"], "the id") if "id" in said else ""
    else:
        pair = listed(said, "a pair")
    match pair:
        case [int(left), int(right)] if left != right:
            made = _annotation(table, left, right, origin)
            return replace(made, id=name or made.id)
    raise bad(f"{keyed({'pair': pair}, 'it')['pair']!r} is no pair of two different image ids.")


def _annotation(
    table: CocoTable, left: int, right: int, origin: str, *, facts: Mapping[str, Json] | None = None
) -> Annotation:
    for key in (left, right):
        if key not in table.images:
            raise RowError("unknown image", f"image {key} is not in {table.path}. Add it or leave the pair out.")
    views = (replace(table.view(left), name="first"), replace(table.view(right), name="second"))
    return Annotation(f"{left:012d}_{right:012d}", views, origin=origin, facts=facts or {})


ANNOTATION = AnnotationLayout(read=read, about="COCO: pairs of like images, their captions and boxes", options=OPTIONS)
