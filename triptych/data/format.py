"""The contract of ``formats/``: a layout on disk, read and written as Examples. A source is ``FORMAT:PATH#key=value``.

Not a layout itself: each is one file in ``formats/``, with one constant ``FORMAT``. Invariants: every row of a file
becomes exactly one Example or one Refused; a bad row never stops the others; nothing is replaced or guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from triptych.core.errors import ConfigError, DataError, TriptychError, did_you_mean
from triptych.core.plugins import find, names
from triptych.core.records import Example, ImageRef, Part
from triptych.data.media.images import ImageError, Size, measure, whole_size

if TYPE_CHECKING:
    from triptych.data.disk.json_rows import Row


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that is not used, and why."""

    where: str
    """``train.json: row 3 (id 'x')``; rows are counted from 0, in JSON Lines with its blank lines."""
    reason: str
    """Short and countable: ``image file missing``, ``more marks than images``, ``wrong role order``, ``bad row``..."""
    message: str
    """One full line: where, what is wrong, what to do."""


OTHER_LAYOUT = "another layout"
"""The reason of a row that lacks what every row of its format has."""


class RowError(DataError):
    """One row cannot be used. The message says what is wrong and what to do; a reader adds where."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """Short and countable."""


Reader = Callable[[Path], Iterator[Example | Refused]]
Writer = Callable[[Iterable[Example], Path], int]
Trait = Literal["chat", "images", "boxes", "videos", "demonstrations", "labels", "facts", "marks", "unlearnt"]
"""Something that an Example may have and a layout may lack words for: chat (turns of words in any number); images and
videos, anywhere; boxes (a part or another size of an image, or a frame of a video); demonstrations; labels; facts
(skills and facts); marks (words with a literal ``<image>`` or ``<video>``); unlearnt (a reply that is not learnt)."""
RowReader = Callable[["Row"], Example | Refused]
"""Turns one row of a file into its Example, without the rows around it."""


@dataclass(frozen=True, slots=True)
class Format:
    """One layout on disk."""

    read: Reader
    """Yields each row as an Example or a Refused. Raises DataError when the file as a whole cannot be read."""
    write: Writer | None
    """Writes Examples and returns their number; None: the layout is only read. DataError names the row that does not
    fit the layout; the file is then as it was before."""
    about: str
    """One line for people."""
    configure: Callable[[Mapping[str, str]], Reader] | None = None
    """Returns the reader for a source's ``#key=value`` options; ConfigError when it does not know one of them."""
    each: Callable[[Path, Mapping[str, str]], RowReader | None] | None = None
    """(path, options) -> what turns one row of that JSON list or JSON Lines file into its Example, so that rows can be
    read at random. None: this file, or this layout, is read as a stream only. ConfigError as ``configure``."""
    endings: tuple[str, ...] = (".jsonl", ".json")
    """File name endings: of the files that it writes, or that it reads where it does not write."""
    folders: bool = False
    """Whether it also writes a folder, where a path has none of its endings."""
    cannot: frozenset[Trait] = frozenset()
    """What the layout cannot say. Writing an Example that has such a thing is refused; nothing is left out silently."""


@dataclass(frozen=True, slots=True)
class RowSource:
    """A source whose rows can be read at random: ``json_rows`` knows where each row is and reads it."""

    path: Path
    """A JSON list or JSON Lines."""
    read: RowReader
    start: int = 0
    """The first row that belongs to the source, counted from 0."""
    stop: int | None = None
    """The first row behind it that does not; None: all belong."""
    where: str | None = None
    """``KEY:VALUE``: which rows of the file are counted at all (``rows.chooser``); None: all."""


@dataclass(frozen=True, slots=True)
class LoadedRows:
    """All rows of a source, read into memory."""

    examples: tuple[Example, ...]
    refused: tuple[Refused, ...]


ABSENT = ("image file missing", "video file missing", "path leaves the data folder", "no permission")
"""Reasons of rows that are of their layout, but for what they name."""
_COUNTED = ("more marks than images", "more images than marks")
"""Reasons of rows that a laxer format would only read by losing what is asked about."""
_LOOKED_AT = 100
"""Rows that are looked at before a file whose rows are bad may be said to be of another layout than it is read as."""
_OPTION = re.compile(r"#([a-z_]+)=([^#]*)$")
_JOINED = re.compile(r"\s*[&,;]\s*(?=[a-z_]+=)")


def split_source(source: str) -> tuple[str, Path]:
    """Return the format's name and the path of ``FORMAT:PATH#key=value#key=value``.

    Raises:
        ConfigError: it has no format or no path.
    """
    name, path, _ = _split(source)
    return name, path


def options_of(source: str) -> dict[str, str]:
    """Return the ``#key=value`` options at the end of a source, e.g. ``{"limit": "10"}``."""
    return _split(source)[2]


def check_options(given: Mapping[str, str], known: Sequence[str]) -> None:
    """Refuse an option that a format does not know; ``limit`` and ``rows`` are every format's. Raises ConfigError."""
    for option in sorted(given.keys() - set(known)):
        every = sorted((*known, "limit", "rows"))
        hint = did_you_mean(option, every, cutoff=0.5)
        raise ConfigError(f"this format has no option {option!r}.{hint} There are: {', '.join(every)}.")


def joined_hint(value: str) -> str:
    """Return how options are joined, where a value looks as if another option were in it; else nothing."""
    return f" Options are joined by #: {_JOINED.sub('#', value)}." if _JOINED.search(value) else ""


def read_source(source: str) -> Iterator[Example | Refused]:
    """Yield the rows of a source, in its order. Image sizes are not looked at: ``load_examples`` and ``check`` do.

    The option ``limit=N`` keeps the first N rows of any format, ``rows=80-99`` those with these numbers, from 0, both
    included; other options are the format's own. Where ``where=KEY:VALUE`` chooses rows, those it chooses are counted.

    Raises:
        ConfigError: the source or an option is malformed.
        NotFoundError: no such format.
        DataError: the file as a whole cannot be read.
    """
    plugin, path, options, (start, stop) = _opened(source)
    read = plugin.configure(options) if options and plugin.configure else plugin.read
    _check_exists(path, source)
    return _hinting(islice(read(path), start, stop), source)


def random_rows(source: str) -> RowSource | None:
    """Return how to read the rows of a source at random; None where it is read as a stream only.

    Raises:
        ConfigError, NotFoundError, DataError: as ``read_source``.
    """
    plugin, path, options, (start, stop) = _opened(source)
    if plugin.each is None:
        return None
    _check_exists(path, source)
    read, hint = plugin.each(path, options), cache(_hint)
    if read is None:
        return None
    return RowSource(path, lambda row: _hinted(read(row), source, hint), start, stop, options.get("where"))


def load_examples(source: str, *, on_bad: Literal["raise", "refuse"], verify_images: bool = True) -> LoadedRows:
    """Read a whole source.

    Args:
        source: ``FORMAT:PATH``.
        on_bad: ``raise``: stop at the first bad row; ``refuse``: go on and return it with its reason.
        verify_images: look into each image's header: a broken one refuses its row, and each ImageRef gets its size.

    Raises:
        DataError: the file as a whole cannot be read; or a bad row, under ``raise``.
    """
    examples: list[Example] = []
    refused: list[Refused] = []
    sizes: dict[str, Size | ImageError] = {}
    for row in read_source(source):
        seen = measured(row, sizes) if verify_images and isinstance(row, Example) else row
        if isinstance(seen, Example):
            examples.append(seen)
        elif on_bad == "raise":
            raise DataError(seen.message)
        else:
            refused.append(seen)
    return LoadedRows(tuple(examples), tuple(refused))


def measured(example: Example, sizes: dict[str, Size | ImageError]) -> Example | Refused:
    """Return the example with the size of every image, or its refusal when an image cannot be read.

    Args:
        example: from a reader.
        sizes: what is known of files by path; grows, so that a file's header is read once.
    """
    try:
        return _with_sizes(example, sizes)
    except ImageError as error:
        return refusal(example, error.reason, message=str(error))


def refusal(example: Example, reason: str, *, message: str) -> Refused:
    """Return the refusal of a row that was read but cannot be used."""
    where = f"{example.origin} (id {example.id!r})"
    return Refused(where, reason, f"{where}: {message}")


def _with_sizes(example: Example, sizes: dict[str, Size | ImageError]) -> Example:
    def sized(part: Part) -> Part:
        return _sized(part, sizes) if isinstance(part, ImageRef) else part

    turns = tuple(replace(turn, parts=tuple(map(sized, turn.parts))) for turn in example.turns)
    shown = tuple(_with_sizes(demonstration, sizes) for demonstration in example.demonstrations)
    return replace(example, turns=turns, demonstrations=shown)


def _sized(image: ImageRef, sizes: dict[str, Size | ImageError]) -> ImageRef:
    if image.source not in sizes:
        try:
            sizes[image.source] = whole_size(image.source)
        except ImageError as error:
            sizes[image.source] = error
    known = sizes[image.source]
    if isinstance(known, ImageError):
        raise known
    return measure(image, whole=known)


def _split(source: str) -> tuple[str, Path, dict[str, str]]:
    name, colon, rest = source.partition(":")
    options: dict[str, str] = {}
    while option := _OPTION.search(rest):
        if option[1] in options:
            raise ConfigError(f"{source!r}: option {option[1]!r} is given twice. Leave one out.")
        options[option[1]] = option[2]
        rest = rest[: option.start()]
    if not (name and colon and rest):
        raise ConfigError(f"{source!r} is no source: write FORMAT:PATH, e.g. messages:data/train.jsonl.")
    return name, Path(rest).expanduser(), options


def _opened(source: str) -> tuple[Format, Path, dict[str, str], tuple[int, int | None]]:
    """Return the format, the path, the format's own options, and which rows: from, and up to."""
    name, path, options = _split(source)
    plugin = find("format", name, expected=Format)
    rows = _rows(options.pop("limit", None), options.pop("rows", None), source)
    if plugin.configure is None:
        check_options(options, ())
    return plugin, path, options, rows


def _hinting(rows: Iterator[Example | Refused], source: str) -> Iterator[Example | Refused]:
    """Yield the rows; where they, or the whole file, look like another format's, say whose."""
    hint, begun = cache(_hint), False
    try:
        for row in rows:
            begun = True
            yield _hinted(row, source, hint)
    except DataError as error:
        if begun or not (more := hint(source, 1)):
            raise
        raise DataError(f"{error}{more}") from None


def _hinted(row: Example | Refused, source: str, hint: Callable[[str, int], str]) -> Example | Refused:
    if isinstance(row, Example) or row.reason in (*ABSENT, *_COUNTED):
        return row
    rows = 1 if row.reason == OTHER_LAYOUT else _LOOKED_AT
    return replace(row, message=f"{row.message}{hint(source, rows)}")


def _hint(source: str, rows: int) -> str:
    """Return what to write for a source, where other formats read its first row and its own none of the first rows.

    Where more than one row is looked at, the rows have the key of their layout: the first must have another's sign.
    """
    from triptych.data.disk.layouts import first_rows, fits_layout, looks_like_another, shows_media  # know this module

    name, _, rest = source.partition(":")
    _, path, options, (start, stop) = _opened(source)
    count = rows if stop is None else min(rows, stop - start)
    raw = first_rows(path, start, count=count, where=options.get("where"))
    first = raw[0].value if raw and isinstance(raw[0].value, dict) else None
    if _fitting(source, raw, rows=count) or (rows > 1 and not looks_like_another(first, name)):
        return ""
    others = [other for other in names("format") if other != name]
    seen = {other: row for other in others for row in _fitting(f"{other}:{rest}", raw[:1], rows=1)}
    shows = {other: shows_media(row) for other, row in seen.items() if fits_layout(first, other, read=row)}
    most = max(shows.values(), default=-1)
    fits = [other for other, shown in shows.items() if shown == most]
    if not fits:
        return ""
    more = f" (or {', '.join(fits[1:])})" if fits[1:] else ""
    return f" The file looks like {fits[0]}{more}: write {fits[0]}:{rest}"


def _fitting(source: str, raw: Sequence[Row], *, rows: int) -> list[Example | Refused]:
    """Return ``rows_fitting`` of a source whose first rows stand in the file as ``raw``; none where it is none."""
    from triptych.data.disk.layouts import rows_fitting  # which knows this module

    try:
        plugin, path, options, _ = _opened(source)
        return rows_fitting(plugin, path, options=options, raw=raw, count=rows)
    except (TriptychError, OSError):
        return []


def _check_exists(path: Path, source: str) -> None:
    # A pattern of shards, train-{00000..00012}.tar, names several files: its reader says which is missing.
    if not path.exists() and "{" not in path.name:
        name = source.partition(":")[0]
        raise DataError(f"{path}: no such file. Give an existing one after {name!r} and a colon.")


def _rows(limit: str | None, rows: str | None, source: str) -> tuple[int, int | None]:
    if limit is not None and rows is not None:
        raise ConfigError(f"{source!r}: limit and rows both say how many; give one of them.")
    if rows is not None:
        if not (found := re.fullmatch(r"([0-9]+)-([0-9]+)", rows)) or int(found[1]) > int(found[2]):
            hint = joined_hint(f"#rows={rows}")
            raise ConfigError(
                f"{source!r}: rows are numbers from 0, first and last, e.g. #rows=80-99, found {rows!r}.{hint}"
            )
        return int(found[1]), int(found[2]) + 1
    if limit is None:
        return 0, None
    if not (limit.isascii() and limit.isdecimal()):
        hint = joined_hint(f"#limit={limit}")
        raise ConfigError(f"{source!r}: limit is a number of rows, e.g. #limit=100, found {limit!r}.{hint}")
    return 0, int(limit)
