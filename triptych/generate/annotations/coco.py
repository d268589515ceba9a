"""coco: captions and boxes of single images, as COCO's files have them.

Source: cocodataset.org; the visual annotation of LLaVA (arXiv:2304.08485) and of MIMIC-IT's LA (arXiv:2306.05425). The
path is ``captions_*.json``, or ``instances_*.json`` alone. One Annotation an image. Unlike in the published text of
annotations, boxes really are shares of the image, from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from triptych.data.format import Refused
from triptych.generate.annotation import AnnotationLayout
from triptych.generate.coco_tables import CocoTable, read_coco
from triptych.generate.entries import build_entry, check_options, file_option, folder_option
from triptych.generate.item import Annotation

OPTIONS = {
    "images": "folder that the file names are in; otherwise that of the file",
    "instances": "another file, with the boxes",
}


def read(path: Path, options: Mapping[str, str]) -> Iterator[Annotation | Refused]:
    """Yield one Annotation or Refused an image, then what belongs to no image."""
    check_options(options, OPTIONS, layout="coco")
    table = read_coco(
        path, instances=file_option(options, "instances"), folder=folder_option(options, "images", path=path)
    )
    for row, key in enumerate(table.images):
        yield build_entry(partial(_annotation, table, key), path=path, row=row, called=str(key))
    yield from table.refused


def _annotation(table: CocoTable, key: int, origin: str) -> Annotation:
    return Annotation(f"{key:012d}", (table.view(key),), origin=origin)


ANNOTATION = AnnotationLayout(read=read, about="COCO: captions and boxes of single images", options=OPTIONS)
