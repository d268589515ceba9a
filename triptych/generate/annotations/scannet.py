"""scannet: sentences on an indoor scene, and views of it.

Source: ScanNet (Dai et al. 2017, arXiv:1702.04405) with referring sentences (ScanRefer, arXiv:1912.08830). Two layouts:
``{"scene0000_00": {"description": [["12", "the brown cabinet is left of the desk"]]}}``, as MIMIC-IT's SN read it; and
ScanRefer's own list of ``{"scene_id", "object_id", "object_name", "description"}``. One Annotation a scene. Views are
the pictures in the folder of the scene's name, in their order; ``most`` keeps some, evenly. All sentences are kept: how
many are told to a teacher is the asking stage's affair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.records import Json
from triptych.data.disk.json_members import Member, members_of
from triptych.data.disk.json_rows import read_rows
from triptych.data.disk.rows import bad, keyed, listed, words
from triptych.data.format import Refused, RowError
from triptych.generate.annotation import AnnotationLayout
from triptych.generate.entries import build_entry, check_options, folder_option, frames_at, number_option
from triptych.generate.item import Annotation
from triptych.generate.json_lists import value_at

OPTIONS = {
    "images": "folder with a folder of pictures for each scene; otherwise that of the file",
    "most": "views of a scene at most, taken evenly; otherwise all",
}


def read(path: Path, options: Mapping[str, str]) -> Iterator[Annotation | Refused]:
    """Yield one Annotation or Refused a scene."""
    check_options(options, OPTIONS, layout="scannet")
    folder = folder_option(options, "images", path=path)
    most = number_option(options, "most", default=1) if "most" in options else 0
    if _is_list(path):
        scenes: dict[str, list[str]] = {}
        for row in read_rows(path):
            try:
                _add(row.value, scenes)
            except RowError as error:
                where = f"{path}: row {row.number}"
                yield Refused(where, error.reason, f"{where}: {error}")
        for scene, sentences in scenes.items():
            yield build_entry(partial(_annotation, scene, sentences, folder, most), path=path, row=scene)
    else:
        for member in members_of(path):
            yield build_entry(partial(_told, path, member, folder, most), path=path, row=member.key)


def _is_list(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"["
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Give a JSON file.") from None


def _add(said: Json | RowError, scenes: dict[str, list[str]]) -> None:
    if isinstance(said, RowError):
        raise said
    entry = keyed(said, "the entry")
    text = " ".join(words(entry.get("description"), "description").split())
    scenes.setdefault(words(entry.get("scene_id"), "scene_id"), []).append(text)


def _told(path: Path, member: Member, folder: Path, most: int, origin: str) -> Annotation:
    entry = keyed(value_at(path, member), "the entry")
    sentences = [_sentence(each) for each in listed(entry.get("description"), "description")]
    return _annotation(member.key, sentences, folder, most, origin)


def _sentence(said: Json) -> str:
    match said:
        case [*_, str(text)]:
            return " ".join(text.split())
        case str(text):
            return " ".join(text.split())
    raise bad("a description is neither a text nor a list that ends in one.")


def _annotation(scene: str, sentences: list[str], folder: Path, most: int, origin: str) -> Annotation:
    kept = tuple(dict.fromkeys(sentence for sentence in sentences if sentence))
    if not kept:
        raise bad("nothing is said of the scene. Describe it or leave it out.")
    return Annotation(scene, frames_at(folder, scene, most=most, per_s=None), kept, origin=origin)


ANNOTATION = AnnotationLayout(read=read, about="ScanNet: sentences on a scene, and views of it", options=OPTIONS)
