"""The contract of ``annotations/``: a layout of annotation files, read as Annotations: ``LAYOUT:PATH#key=value``.

Not a layout itself: each is one file in ``annotations/``, with one constant ``ANNOTATION``. Invariants: every entry of
a file becomes exactly one Annotation or one Refused; a bad entry never stops the others; images are named, not opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from triptych.core.errors import ConfigError
from triptych.core.plugins import find
from triptych.data.format import Refused
from triptych.generate.item import Annotation, Item

Reader = Callable[[Path, Mapping[str, str]], Iterator[Annotation | Refused]]
"""(path, options) -> entries in the file's order, as a stream. ConfigError for an option that it does not know;
DataError when the file as a whole cannot be read."""


@dataclass(frozen=True, slots=True)
class AnnotationLayout:
    """One layout of annotation files."""

    read: Reader
    about: str
    """One line for people."""
    options: Mapping[str, str]
    """What may stand behind ``#``, and what it means, e.g. ``{"images": "folder that the file names are in"}``."""
    items: Callable[[Path, Mapping[str, str]], Iterator[Item | Refused]] | None = None
    """As ``read``, for layouts whose entries are conversations already: yields each entry with its conversation."""


_FIRST = re.compile(r"#[a-z_]+=")
_BETWEEN = re.compile(r"[#&](?=[a-z_]+=)")


def read_annotations(source: str) -> Iterator[Annotation | Item | Refused]:
    """Yield the entries of ``LAYOUT:PATH#key=value&key=value``, in order; an Item where they are conversations already.

    The option ``limit=N`` keeps the first N entries of any layout, ``rows=80-99`` those with these numbers, from 0.

    Raises:
        ConfigError: the source or an option is malformed.
        NotFoundError: no such layout.
        DataError: the file as a whole cannot be read.
    """
    name, path, options = split_annotations(source)
    layout = find("annotation", name, expected=AnnotationLayout)
    start, stop = _rows(options.pop("limit", None), options.pop("rows", None), source)
    entries: Iterator[Annotation | Item | Refused] = (layout.items or layout.read)(Path(path).expanduser(), options)
    return islice(entries, start, stop)


def files_of(source: str) -> tuple[Path, ...]:
    """Return the files that a source names, its options included; folders are not looked at. Raises ConfigError."""
    _, path, options = split_annotations(source)
    named = [Path(said).expanduser() for said in (path, path.partition(":")[2], *options.values()) if said]
    return tuple(each for each in named if each.is_file())


def split_annotations(source: str) -> tuple[str, str, dict[str, str]]:
    """Return the layout, the path and the options of a source. Raises ConfigError."""
    name, colon, rest = source.partition(":")
    first = _FIRST.search(rest)
    path = rest[: first.start()] if first else rest
    options: dict[str, str] = {}
    for said in _BETWEEN.split(rest[first.start() + 1 :]) if first else ():
        key, _, value = said.partition("=")
        if key in options:
            raise ConfigError(f"{source!r}: option {key!r} is given twice. Leave one out.")
        options[key] = value
    if not (name and colon and path):
        raise ConfigError(f"{source!r} is no source: write LAYOUT:PATH, e.g. coco:captions.json#images=train2017.")
    return name, path, options


def _rows(limit: str | None, rows: str | None, source: str) -> tuple[int, int | None]:
    if limit is not None and rows is not None:
        raise ConfigError(f"{source!r}: limit and rows both say how many; give one of them.")
    if found := re.fullmatch(r"([0-9]+)-([0-9]+)", rows or ""):
        return int(found[1]), int(found[2]) + 1
    if rows is not None or (limit is not None and not re.fullmatch(r"[0-9]+", limit)):
        raise ConfigError(f"{source!r}: write #limit=100, or #rows=80-99, counted from 0, both included.")
    return 0, None if limit is None else int(limit)
