"""MIMIC-IT: ``XX_instructions.json``, pictures by id in another file, and ``XX_train.json``: what is shown before what.

    {"meta": {...}, "data": {"XX_INS_1": {"instruction": "Who?", "answer": "A rider.", "image_ids": ["XX_IMG_1"],
                                          "rel_ins_ids": ["XX_INS_2"]}}}

Source: Luodian/Otter (arXiv:2306.05425), ``docs/mimicit_format.md`` and the readers in its history. An Example is one
instruction: its images in order, its words, the answer; before it, in order, the instructions that its context names:
where all of them show the row's own images, as earlier turns of one conversation that shows these once; otherwise as
demonstrations, each with its own images. So did the published readers with rounds of a dialogue and questions about a
video, and they trained every answer, as a conversation's are trained here. Which prompt is made of that is a template's
affair. Other keys are facts, those of the row alone where it has earlier turns. Both spellings of LLaVA's image ids
(``LA_00_IMG_``, ``LA_IMG_``) mean one image. Unlike there, a context that does not exist or is the row itself refuses
the row, and an id that occurs twice refuses both.

The path is the instructions file, or a folder with one. Options:

    #images=PATH     the pictures: a JSON object {id: base64}, Parquet (index = id, column base64), a folder of Parquet
                     or of files named by id; otherwise XX or XX_images, or what is named as the folder,
                     with .json or .parquet, beside it
    #train=PATH      the contexts, {"id": ["id", ...]}: its keys are the rows, in its order; otherwise XX_train.json
    #context=WHICH   train; related: all instructions are rows, ``rel_ins_ids`` their contexts; none: rows alone.
                     Otherwise train where there is such a file, else related

Reading holds a few hundred rows and no pictures. Writing makes all three files, with the pictures' bytes as they are;
images get ids by their content. Cannot say: several rounds in a row, those that were read so too, and so no
demonstrations that show the row's own images alone; a system turn, images behind or between words, boxes, videos,
labels. Adjacent texts are joined.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from triptych.core.errors import ConfigError, DataError
from triptych.core.records import Example, ImageRef, Json, Part, Text, Turn, images_of
from triptych.data.disk.foreign_keys import refuse_foreign
from triptych.data.disk.image_bank import Bank, Found, open_bank
from triptych.data.disk.json_members import members_of
from triptych.data.disk.json_rows import Row, each_key_once
from triptych.data.disk.marks import split_others
from triptych.data.disk.media_keys import refuse_media
from triptych.data.disk.mimicit_files import ENDING, OWN, prefix_of, write_files
from triptych.data.disk.name_table import NameTable, Place, table_of
from triptych.data.disk.rows import bad, check_turns, convert_row, keyed, listed, words
from triptych.data.format import Format, Reader, Refused, RowError, check_options
from triptych.data.media.images import ImageError

OPTIONS = ("context", "images", "train")
CONTEXTS = ("none", "related", "train")
_FIRST_BATCH = 16
_LARGEST_BATCH = 1024
"""Rows that are looked up together. The first are few, so that a look at the first rows stays quick."""


def read(path: Path) -> Iterator[Example | Refused]:
    """Yield one Example or Refused per row."""
    return _read(path, {})


def configure(options: Mapping[str, str]) -> Reader:
    """Return the reader for ``#images=``, ``#train=`` and ``#context=``. Raises ConfigError."""
    check_options(options, OPTIONS)
    if (context := options.get("context", "none")) not in CONTEXTS:
        raise ConfigError(f"context is {context!r}. There are: {', '.join(CONTEXTS)}.")
    if "train" in options and options.get("context", "train") != "train":
        raise ConfigError("a train file is given, but context is not train. Leave one of them out.")
    return lambda path: _read(path, options)


def write(examples: Iterable[Example], path: Path) -> int:
    """Write ``XX_instructions.json`` and beside it ``XX.json``, the pictures, and ``XX_train.json``, the contexts."""
    return write_files(examples, path)


@dataclass(frozen=True, slots=True)
class _Subset:
    """The files of one subset, and where things stand in them."""

    instructions: Path
    table: NameTable
    train: Path | None
    related: bool
    """Whether ``rel_ins_ids`` are the contexts."""
    bank: Bank | None
    """None: no pictures were found."""

    def rows(self) -> Iterator[tuple[str, Place | None]]:
        """Yield each row's id, and where its context stands in the train file."""
        if self.train is None:
            yield from ((name, None) for name, _ in self.table.entries())
        else:
            yield from ((each.key, (each.start, each.length, 0)) for each in members_of(self.train))

    @property
    def listing(self) -> Path:
        """Return the file whose order is that of the rows."""
        return self.train or self.instructions


@dataclass(frozen=True, slots=True)
class _Entry:
    """An instruction as it stands in the file, or why it cannot be used."""

    value: dict[str, Json] | RowError

    def asked(self) -> dict[str, Json]:
        """Return what it says. Raises RowError."""
        if isinstance(self.value, RowError):
            raise self.value
        return self.value

    def images(self) -> list[str]:
        """Return the ids of its images. Raises RowError."""
        value = self.asked().get("image_ids")
        names = [value] if isinstance(value, str) else listed([] if value is None else value, "image_ids")
        return [words(name, "an image's id") for name in names]


def _read(path: Path, options: Mapping[str, str]) -> Iterator[Example | Refused]:
    subset = _subset(path, options)
    rows = enumerate(subset.rows())
    size = _FIRST_BATCH
    while batch := list(islice(rows, size)):
        try:
            yield from _batch(batch, subset)
        except OSError as error:
            raise DataError(f"{subset.instructions}: cannot be read on ({error.strerror}). Was it moved?") from None
        size = min(4 * size, _LARGEST_BATCH)


def _subset(path: Path, options: Mapping[str, str]) -> _Subset:
    instructions = _instructions(path)
    prefix = prefix_of(instructions)
    made = ((each.key, (each.start, each.length, 0)) for each in members_of(instructions, inside="data"))
    table = table_of([instructions], made, kind="instructions")
    images = _given(options, "images") or _images_beside(instructions, prefix)
    train = _given(options, "train") or instructions.with_name(f"{prefix}_train.json")
    context = options.get("context") or ("train" if train.exists() else "related")
    if context == "train" and not train.exists():
        raise DataError(f"{train}: no such file. Say where the contexts are: #train=PATH, or #context=none.")
    bank = None if images is None else open_bank(images)
    return _Subset(instructions, table, train if context == "train" else None, context == "related", bank)


def _instructions(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = sorted(path.glob(f"*{ENDING}"))
    if len(found) != 1:
        raise DataError(f"{path}: {len(found)} files are called *{ENDING} there. Give the path of one.")
    return found[0]


def _given(options: Mapping[str, str], key: str) -> Path | None:
    if key not in options:
        return None
    path = Path(options[key]).expanduser()
    if not path.exists():
        raise ConfigError(f"{key} is {options[key]!r}: no such file. Give an existing one.")
    return path


def _images_beside(instructions: Path, prefix: str) -> Path | None:
    folder = instructions.resolve().parent
    for name in dict.fromkeys((prefix, f"{prefix}_images", folder.name)):
        found = [path for ending in ("json", "parquet") if (path := folder / f"{name}.{ending}").exists()]
        if len(found) > 1:
            raise DataError(f"{found[0]} and {found[1].name}: which holds the pictures? Say so: #images=PATH.")
        if found and found[0] != instructions.resolve():
            return found[0]
    return None


def _batch(rows: Sequence[tuple[int, tuple[str, Place | None]]], subset: _Subset) -> Iterator[Example | Refused]:
    """Yield rows, after looking up together all instructions and all pictures that they need."""
    contexts: dict[int, list[str] | RowError] = {}
    entries = _entries((name for _, (name, _) in rows), subset)
    for number, (name, place) in rows:
        contexts[number] = _context(entries[name], place, subset)
    shown = {name for context in contexts.values() if isinstance(context, list) for name in context}
    entries |= _entries(shown - entries.keys(), subset)
    images = _find(entries.values(), subset)

    for number, (name, _) in rows:
        build = partial(_example, name, contexts[number], entries, images)
        yield convert_row(Row(number, {"id": name}), build, path=subset.listing)


def _entries(names: Iterable[str], subset: _Subset) -> dict[str, _Entry]:
    asked = list(names)
    places = subset.table.find(asked)
    entries: dict[str, _Entry] = {}
    with subset.instructions.open("rb") as file:
        for name in asked:
            match places.get(name, []):
                case [(start, length, _)]:
                    file.seek(start)
                    entries[name] = _Entry(_parsed(file.read(length), name))
                case []:
                    message = (
                        f"no instruction is called {name!r} in {subset.instructions}. Add it or leave the row out."
                    )
                    entries[name] = _Entry(RowError("unknown id", message))
                case _:
                    message = f"several instructions are called {name!r} in {subset.instructions}. Leave one of them."
                    entries[name] = _Entry(RowError("duplicate id", message))
    return entries


def _parsed(text: bytes, name: str) -> dict[str, Json] | RowError:
    try:
        entry = keyed(json.loads(text, object_pairs_hook=each_key_once), "the instruction")
    except RowError as error:
        return error
    except (ValueError, RecursionError) as error:
        return bad(f"not JSON ({error or 'nested too deeply'}). Mend the instruction or leave it out.")
    if entry.get("id", name) != name:
        return bad("it has an 'id' that is not the key it stands under. Leave one out.")
    return entry


def _context(entry: _Entry, place: Place | None, subset: _Subset) -> list[str] | RowError:
    """Return the ids of the instructions that are shown before one."""
    try:
        if place is not None and subset.train is not None:
            with subset.train.open("rb") as file:
                file.seek(place[0])
                value: Json = json.loads(file.read(place[1]), object_pairs_hook=each_key_once)
        else:
            value = entry.asked().get("rel_ins_ids") if subset.related else None
        return [words(name, "an id of the context") for name in listed([] if value is None else value, "the context")]
    except RowError as error:
        return error
    except (ValueError, RecursionError) as error:
        return bad(f"its context is no JSON ({error}). Mend it or leave the row out.")


def _find(entries: Iterable[_Entry], subset: _Subset) -> Mapping[str, Found]:
    names: dict[str, None] = {}
    for entry in entries:
        try:
            names |= dict.fromkeys(entry.images())
        except RowError:
            continue  # Whoever uses the entry meets the error again.
    if subset.bank is not None:
        return subset.bank.find(names)
    message = f"no pictures are beside {subset.instructions}. Say where they are: #images=PATH."
    return {name: ImageError("image file missing", message) for name in names}


def _example(
    name: str,
    context: list[str] | RowError,
    entries: Mapping[str, _Entry],
    images: Mapping[str, Found],
    _row: dict[str, Json],
    origin: str,
) -> Example:
    example = _one(name, entries[name], images, origin)
    if isinstance(context, RowError):
        raise context
    shown = []
    for other in context:
        if other == name:
            raise bad("its context names the row itself, which would show the answer. Take it out.")
        try:
            shown.append(_one(other, entries[other], images, origin))
        except (RowError, ImageError) as error:
            raise RowError(error.reason, f"its demonstration {other!r}: {error}") from None
    images_here = images_of(example)
    if shown and images_here and all(images_of(each) == images_here for each in shown):
        first, *later = (*shown, example)
        return replace(example, turns=(*first.turns, *(turn for each in later for turn in _without_images(each))))
    return replace(example, demonstrations=tuple(shown))


def _without_images(example: Example) -> Iterator[Turn]:
    for turn in example.turns:
        yield replace(turn, parts=tuple(part for part in turn.parts if isinstance(part, Text)))


def _one(name: str, entry: _Entry, images: Mapping[str, Found], origin: str) -> Example:
    asked = entry.asked()
    refuse_media(asked, OWN)
    refuse_foreign(asked)
    parts: list[Part] = []
    for image in entry.images():
        found = images[image]
        if isinstance(found, ImageError):
            raise found
        parts.append(ImageRef(found))
    instruction = words(asked.get("instruction"), "the instruction")
    parts += [Text(instruction)] if instruction else []
    answer = Turn("assistant", (Text(words(asked.get("answer"), "the answer")),))
    turns = (Turn("user", tuple(parts)), answer)
    check_turns(turns)
    skills, facts = split_others(asked, OWN)
    return Example(id=words(name, "the id"), turns=turns, origin=origin, skills=skills, facts=facts)


FORMAT = Format(
    read=read,
    write=write,
    about="MIMIC-IT: instructions, pictures as base64 in JSON or Parquet, in-context examples",
    configure=configure,
    endings=(ENDING,),
    cannot=frozenset({"chat", "images", "boxes", "videos", "labels", "unlearnt"}),
)
