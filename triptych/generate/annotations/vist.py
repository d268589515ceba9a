"""vist: albums of photographs, their titles and tags, and what people wrote of each photograph.

Source: VIST (Huang et al. 2016, arXiv:1604.03968). The path is ``train.story-in-sequence.json`` or its like:
``{"albums": [{"id", "title", "description"}], "images": [{"id", "album_id", "title", "tags", "datetaken"}],
"annotations": [[{"album_id", "story_id", "photo_flickr_id", "worker_arranged_photo_order", "original_text"}]]}``. One
Annotation an album, its photographs in the order they were taken; with ``by=story`` one a story, in the story's order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from triptych.core.records import Json
from triptych.data.disk.rows import bad, keyed, words
from triptych.data.format import Refused, RowError
from triptych.generate.annotation import AnnotationLayout
from triptych.generate.entries import build_entry, check_options, choice_option, folder_option, image_at
from triptych.generate.item import Annotation, View
from triptych.generate.json_lists import items_of

OPTIONS = {
    "images": "folder that the photographs are in, named by their ids; otherwise that of the file",
    "ending": "of the photographs' names; otherwise jpg",
    "by": "album or story; otherwise album",
}


@dataclass(slots=True)
class _Album:
    """An album or a story so far."""

    album: str
    told: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """Photograph -> its place in the story, and what is told of it."""


@dataclass(frozen=True, slots=True)
class _Files:
    albums: dict[str, dict[str, Json]]
    images: dict[str, dict[str, Json]]
    folder: Path
    ending: str


def read(path: Path, options: Mapping[str, str]) -> Iterator[Annotation | Refused]:
    """Yield one Annotation or Refused an album or a story."""
    check_options(options, OPTIONS, layout="vist")
    by = choice_option(options, "by", choices=("album", "story"))
    files = _Files(
        dict(_by_id(path, "albums", ("id", "title", "description"))),
        dict(_by_id(path, "images", ("id", "album_id", "title", "tags", "datetaken"))),
        folder_option(options, "images", path=path),
        options.get("ending", "jpg").lstrip("."),
    )
    groups: dict[str, _Album] = {}
    for number, said in enumerate(items_of(path, "annotations")):
        for entry in said if isinstance(said, list) else [said]:
            try:
                _add(keyed(entry, "an annotation"), groups, by)
            except RowError as error:
                where = f"{path}: annotation {number}"
                yield Refused(where, error.reason, f"{where}: {error}")
    for called, group in groups.items():
        yield build_entry(partial(_annotation, called, group, files, by), path=path, row=f"{by} {called}")


def _by_id(path: Path, key: str, kept: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Json]]]:
    for entry in items_of(path, key):
        if isinstance(entry, dict) and entry.get("id") is not None:
            yield str(entry["id"]), {name: entry[name] for name in kept if name in entry}


def _add(entry: dict[str, Json], groups: dict[str, _Album], by: str) -> None:
    album = _named(entry, "album_id")
    text = words(entry.get("original_text", entry.get("text")), "the text of an annotation")
    place = entry.get("worker_arranged_photo_order", 0)
    group = groups.setdefault(album if by == "album" else _named(entry, "story_id"), _Album(album))
    told = group.told.setdefault(_named(entry, "photo_flickr_id"), [])
    told.append((place if isinstance(place, int) else 0, " ".join(text.split())))


def _named(entry: dict[str, Json], key: str) -> str:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise bad(f"{key} is {value!r}, not an id.")
    return str(value)


def _annotation(called: str, group: _Album, files: _Files, by: str, origin: str) -> Annotation:
    album = files.albums.get(group.album, {})
    # When it was taken is written so that text order is time order; of a story, the teller's order.
    order = sorted(
        group.told,
        key=lambda photo: (
            min(place for place, _ in group.told[photo]) if by == "story" else 0,
            str(files.images.get(photo, {}).get("datetaken", "")),
        ),
    )
    views = tuple(_view(photo, group, files) for photo in order)
    return Annotation(
        called, views, title=_words(album.get("title")), about=_words(album.get("description")), origin=origin
    )


def _view(photo: str, group: _Album, files: _Files) -> View:
    image = files.images.get(photo, {})
    tags = image.get("tags")
    listed = tags if isinstance(tags, list) else str(tags or "").split()
    return View(
        image_at(files.folder, f"{photo}.{files.ending}"),
        captions=tuple(dict.fromkeys(text for _, text in group.told[photo] if text)),
        name=photo,
        title=_words(image.get("title")),
        tags=tuple(str(tag) for tag in listed),
    )


def _words(said: Json) -> str:
    return " ".join(said.split()) if isinstance(said, str) else ""


ANNOTATION = AnnotationLayout(read=read, about="VIST: albums of photographs and their stories", options=OPTIONS)
