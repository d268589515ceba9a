"""Rows of published test files as questions: what the benchmark files share, so that each holds only its own facts.

Not a layout and not a prompt: ``benchmarks/`` has them. A row makes one question or several; a row that is not as its
layout says is refused by number, and nothing in it is guessed. Pictures are found under the folder that is given, and
in the zips that lie in it.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

from triptych.core.errors import DataError
from triptych.core.log import say
from triptych.core.records import Example, ImageRef, Json, Text, Turn
from triptych.data.disk.finder import Media
from triptych.data.disk.json_rows import Row
from triptych.data.disk.marks import check_counts, count_marks, place
from triptych.data.disk.rows import bad, finite, id_of, keyed, listed, rows_of, words, words_or_number
from triptych.data.format import Refused, RowError
from triptych.data.media.folder import ImageFolder
from triptych.data.media.locate import ImageError

_LETTER = re.compile(r"\(?([A-Za-z])(?:[).:].*)?", re.DOTALL)
"""An answer that begins with its letter: ``B``, ``(B)``, ``B. a dog``."""
_PART = re.compile(r"(?P<set>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<digest>-[0-9a-f]+)?\.parquet")
"""How a part of a set is called on the hub: ``test-00001-of-00003.parquet``, perhaps with a digest behind."""
_NAMED = 3
"""Missing parts that a message names."""


@dataclass(frozen=True, slots=True)
class Source:
    """One row, where it stands, and what finds its pictures."""

    row: dict[str, Json]
    file: Path
    number: int
    """Counted from 0."""
    media: Media
    before: int = 0
    """Rows in the earlier parts of the set that the file is a part of."""
    taken: Set[str] = frozenset()
    """Ids of the set's questions so far."""

    @property
    def origin(self) -> str:
        """Where it was read, for messages."""
        return f"{self.file}: row {self.number}"

    def text(self, key: str) -> str:
        """Return a text of the row. Raises RowError."""
        return words(self.row.get(key), repr(key))

    def texts(self, key: str) -> list[str]:
        """Return a list of texts of the row. Raises RowError."""
        return [words(value, f"an entry of {key!r}") for value in listed(self.row.get(key), repr(key))]

    def answer(self, key: str) -> str:
        """Return a text or a number of the row as text; 3.0 is "3". Raises RowError: it has none, or another thing."""
        said = words_or_number(self.row.get(key), repr(key))
        if not said.strip():
            raise bad(f"{key!r} is empty. Mend the row or leave it out.")
        return said

    def number_at(self, key: str) -> float:
        """Return a number of the row. Raises RowError: it has none, or one that is not finite."""
        return finite(self.row.get(key), repr(key))

    def name(self, key: str = "id") -> str:
        """Return the row's id, or its number where it has none. Raises RowError."""
        return id_of(self.row, self.origin, key=key)

    def numbered(self, kind: str) -> str:
        """Return an id of kind and row: its number in the file, or in the set where an earlier part has that id."""
        name = f"{kind}/{self.number}"
        return f"{kind}/{self.before + self.number}" if name in self.taken else name

    def image(self, key: str) -> ImageRef:
        """Return a picture of the row. Raises RowError or ImageError."""
        return self.media.image(_entry(self.row.get(key)))

    def images(self, key: str) -> list[ImageRef]:
        """Return the pictures of a list in the row, in order. Raises RowError or ImageError."""
        return [self.media.image(_entry(entry)) for entry in listed(self.row.get(key), repr(key))]


Build = Callable[[Source], Iterable[Example]]
"""Makes a row's questions; RowError or ImageError when it cannot."""


def read_questions(
    path: Path, build: Build, *, files: Sequence[str], root: Path | None = None
) -> Iterator[Example | Refused]:
    """Yield the questions of a JSON, JSON Lines or Parquet file, or of those in a folder.

    Args:
        path: the file, or the folder.
        build: makes a row's questions.
        files: patterns, most wanted first: the files of the first that any fits are read, by name.
        root: where the paths of pictures begin; None: in the folder, or the file's folder.

    Raises:
        DataError: no such file, or one cannot be read.
    """
    media = media_under(root or path)
    counts: Counter[tuple[str, ...]] = Counter()
    ids: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for file in files_of(path, files):
        key, count = _set_of(file), 0
        for row in rows_of(file):
            for each in built(row, build, file=file, media=media, before=counts[key], taken=ids[key]):
                if isinstance(each, Example):
                    ids[key].add(each.id)
                yield each
            count = row.number + 1
        counts[key] += count


def built(
    row: Row, build: Build, *, file: Path, media: Media, before: int = 0, taken: Set[str] = frozenset()
) -> Iterator[Example | Refused]:
    """Yield what a row makes: all of its questions, or its refusal. ``before`` and ``taken`` as ``Source`` has them."""
    where = f"{file}: row {row.number}"
    try:
        if isinstance(row.value, RowError):
            raise row.value
        questions = list(build(Source(keyed(row.value, "the row"), file, row.number, media, before, taken)))
    except (RowError, ImageError) as error:
        yield Refused(where, error.reason, f"{where}: {error}")
        return
    yield from questions


def _entry(value: object) -> object:
    """Return a picture as a column of plain bytes has it in the form of the others."""
    return {"bytes": value, "path": None} if isinstance(value, bytes) else value


def files_of(path: Path, patterns: Sequence[str]) -> list[Path]:
    """Return the file itself, or the files of a folder that the first fitting pattern fits.

    Of a set (``test-00000-of-00003.parquet``) all parts are there. Where another set of that name is whole, the parts
    of one that is not are left out, which is said.

    Raises:
        DataError: there are none, or parts of a set are missing.
    """
    if path.is_file():
        return [path]
    for pattern in patterns:
        if found := sorted(file for file in path.glob(pattern) if file.is_file()):
            return _whole(found)
    raise DataError(f"{path}: no such file, and no folder with {' or '.join(patterns)} in it. Say where the data is.")


def _whole(files: Sequence[Path]) -> list[Path]:
    """Return the files without parts of an incomplete set beside a whole one of its name. Raises DataError: none is."""
    named: defaultdict[tuple[Path, str], defaultdict[str, list[re.Match[str]]]] = defaultdict(lambda: defaultdict(list))
    for file in files:
        if part := _PART.fullmatch(file.name):
            named[file.parent, part["set"]][part["count"]].append(part)
    left: set[Path] = set()
    for (folder, _), sets in named.items():
        torn = [parts for parts in sets.values() if _missing(parts)]
        if torn and len(torn) == len(sets):
            raise DataError(f"{folder}: {_named(torn[0])} not there. Get all parts of the set.")
        for parts in torn:
            names = sorted(part[0] for part in parts)
            said = f"{names[0]} is" if len(names) == 1 else f"{names[0]} and {len(names) - 1} more of its set are"
            say(f"{folder}: {said} left out: that set lacks parts, and another one of its name is whole.")
            left |= {folder / name for name in names}
    return [file for file in files if file not in left]


def _missing(parts: Sequence[re.Match[str]]) -> list[int]:
    """Return the numbers of a set's parts that are not there."""
    there, count = {int(part["number"]) for part in parts}, int(parts[0]["count"])
    if there == set(range(1, count + 1)):
        return []  # counted from 1
    return [number for number in range(count) if number not in there]


def _named(parts: Sequence[re.Match[str]]) -> str:
    """Return what is missing beside these parts of a set, as a message says it, with its verb."""
    missing, digest = _missing(parts), "-*" if parts[0]["digest"] else ""
    names = [f"{parts[0]['set']}-{number:05}-of-{parts[0]['count']}{digest}.parquet" for number in missing[:_NAMED]]
    names += [f"{len(missing) - _NAMED} more"] if len(missing) > _NAMED else []
    said = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    return f"{said} {'is' if len(missing) == 1 else 'are'}"


def _set_of(file: Path) -> tuple[str, ...]:
    """Return what all parts of a file's set share; of a file that is no part, itself."""
    part = _PART.fullmatch(file.name)
    return (str(file.parent), part["set"], part["count"]) if part else (str(file),)


def media_under(path: Path) -> Media:
    """Return what finds pictures and videos under a folder, or a file's folder, and in its zips."""
    root = path if path.is_dir() else path.parent
    return Media(ImageFolder(root, archives=sorted(root.glob("*.zip"))), ImageFolder(root))


def read_object(file: Path, *, once: bool = False) -> dict[str, Json]:
    """Return the object that a JSON file holds. Raises DataError; with ``once`` also where a name is there twice."""
    try:
        pairs = _each_once if once else None
        value: Json = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=pairs)
    except RowError as error:
        raise DataError(f"{file}: {error}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: no JSON object ({error}). Is it the right file?") from None
    if not isinstance(value, dict):
        raise DataError(f"{file}: expected a JSON object {{...}}, found {type(value).__name__}. Is it the right file?")
    return value


def _each_once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Return the object of these names and values. Raises RowError: JSON allows a name twice, and then one is lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        (name, times), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise bad(f"{name!r} is there {times} times. Leave one of them.")
    return found


def marked(text: str, images: Sequence[ImageRef]) -> tuple[Text | ImageRef, ...]:
    """Return a text with picture k where its k-th ``<image>`` mark stands. Raises RowError: they do not match."""
    check_counts(marks=count_marks([text]), images=len(images))
    return tuple(part for part in place(text, iter(images)) if isinstance(part, Text | ImageRef))


def choice(
    source: Source,
    asked: Iterable[Text | ImageRef],
    *,
    name: str,
    options: Sequence[str],
    right: int,
    reply: str = "",
    **facts: Json,
) -> Example:
    """Return a question with options.

    Args:
        source: its row.
        asked: the prompt.
        name: its id.
        options: their words, without letters; empty words for a picture.
        right: position of the right one.
        reply: the reference; its letter where it is not given.
        facts: of the question; ``kind`` and ``question`` among them.

    Raises:
        RowError: fewer than two options, or no such position.
    """
    if len(options) < 2 or not 0 <= right < len(options):
        raise bad(f"option {right} of {len(options)} cannot be right. Mend the row or leave it out.")
    own: dict[str, Json] = {"choice": True, "options": list(options), "right": right, "chance": 1 / len(options)}
    return free(source, asked, name=name, reply=reply or ascii_uppercase[right], **{**own, **facts})


def free(source: Source, asked: Iterable[Text | ImageRef], *, name: str, reply: str, **facts: Json) -> Example:
    """Return a question with a free reply; its chance is 0 unless the facts say otherwise. Raises RowError."""
    if not reply.strip():
        raise bad("the answer is empty. Mend the row or leave it out.")
    turns = (Turn("user", tuple(asked)), Turn("assistant", (Text(reply),)))
    return Example(id=name, turns=turns, origin=source.origin, facts={"chance": 0.0, **facts})


def letter_at(answer: str, count: int) -> int:
    """Return the position that an answer's letter means, from 0. Raises RowError: no letter, or beyond the options."""
    found = _LETTER.fullmatch(answer.strip())
    at = ascii_uppercase.index(found[1].upper()) if found else count
    if at >= count:
        raise bad(f"the answer {answer[:40]!r} is the letter of none of the {count} options. Mend the row.")
    return at


def option_at(answer: str, options: Sequence[str]) -> int:
    """Return the position of the option whose words the answer is. Raises RowError: none, or several."""
    if list(options).count(answer) != 1:
        raise bad(f"the answer {answer[:40]!r} is not one of the {len(options)} options. Mend the row or leave it out.")
    return list(options).index(answer)


def lettered(options: Sequence[str], form: str = "({letter}) {option}") -> list[str]:
    """Return the options with their letters, in the form that a prompt has. Raises RowError: more than 26."""
    if len(options) > len(ascii_uppercase):
        raise bad(f"{len(options)} options have no letters. Leave the row out.")
    pairs = zip(ascii_uppercase, options, strict=False)
    return [form.format(letter=letter, option=option) for letter, option in pairs]


def is_missing(value: Json) -> bool:
    """Return whether a row has nothing there: null, or the NaN that tables write for it."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def fact_of(row: Mapping[str, Json], key: str) -> str:
    """Return a text or whole number of a row as text; an empty one where it has none. Raises RowError."""
    value = row.get(key)
    if value is None:
        return ""
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise bad(f"{key!r} is neither a text nor a whole number. Mend the row or leave it out.")
