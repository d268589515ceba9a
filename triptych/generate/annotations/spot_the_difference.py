"""spot_the_difference: two frames of a surveillance camera, and sentences on what changed between them.

Source: Jhamtani and Berg-Kirkpatrick 2018 (arXiv:1808.10584), github.com/harsh19/spot-the-diff. The path is a JSON list
or JSON Lines of ``{"img_id": "10", "sentences": ["..."]}``; the pictures are ``10.png`` and ``10_2.png``. An empty list
of sentences means that nothing changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from triptych.core.records import Json
from triptych.data.disk.json_rows import read_rows
from triptych.data.disk.rows import id_of, keyed
from triptych.data.format import Refused, RowError
from triptych.generate.annotation import AnnotationLayout
from triptych.generate.entries import build_entry, check_options, folder_option, image_at, sentences_in
from triptych.generate.item import Annotation, View

OPTIONS = {
    "images": "folder that the pictures are in; otherwise that of the file",
    "ending": "of the pictures' names; otherwise png",
}


def read(path: Path, options: Mapping[str, str]) -> Iterator[Annotation | Refused]:
    """Yield one Annotation or Refused a pair."""
    check_options(options, OPTIONS, layout="spot_the_difference")
    folder, ending = folder_option(options, "images", path=path), options.get("ending", "png").lstrip(".")
    for row in read_rows(path):
        yield build_entry(partial(_annotation, row.value, folder, ending), path=path, row=row.number)


def _annotation(said: Json | RowError, folder: Path, ending: str, origin: str) -> Annotation:
    if isinstance(said, RowError):
        raise said
    entry = keyed(said, "the entry")
    name = id_of(entry, origin, key="img_id")
    sentences = sentences_in(entry.get("sentences"), "sentences")
    views = (
        View(image_at(folder, f"{name}.{ending}"), name="before"),
        View(image_at(folder, f"{name}_2.{ending}"), name="after"),
    )
    return Annotation(name, views, sentences or ("Nothing changed between the two pictures.",), origin=origin)


ANNOTATION = AnnotationLayout(read=read, about="Spot-the-Diff: what changed between two frames", options=OPTIONS)
