"""Cornell NLVR: is this sentence true of these three boxes? Each 400x100 picture becomes its three 100x100 boxes.

Source: Suhr et al. 2017, github.com/lil-lab/nlvr, CC-BY-4.0. The path is ``dev.json`` (JSON Lines) or its folder;
pictures lie at ``images/DIRECTORY/SPLIT-IDENTIFIER-K.png``, K from 0 to 5: the same boxes in six orders. One Example
per statement, with one order. Only read: the layout holds nothing but these pictures.

Options: ``#directories=0-3`` (also ``0,2,5``) keeps those folders of pictures, ``#permutation=K`` takes order K.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from triptych.core.errors import ConfigError, DataError
from triptych.core.records import Box, Example, Json, Part, Text, Turn
from triptych.data.disk.json_rows import read_rows
from triptych.data.disk.layouts import check_has
from triptych.data.disk.rows import bad, check_turns, convert_row, words
from triptych.data.format import Format, Reader, Refused, check_options
from triptych.data.media.folder import ImageFolder

BOXES: tuple[Box, Box, Box] = ((0, 0, 100, 100), (150, 0, 250, 100), (300, 0, 400, 100))
"""Where the boxes are in a picture: 100 pixels wide, with grey bars of 50 between them."""
PERMUTATIONS = 6
OPTIONS = ("true", "false")


def read(path: Path) -> Iterator[Example | Refused]:
    """Yield one Example or Refused per statement."""
    return _read(path, None, 0)


def configure(options: Mapping[str, str]) -> Reader:
    """Return the reader for ``directories`` and ``permutation``. Raises ConfigError."""
    check_options(options, ("directories", "permutation"))
    wanted = _numbers(options["directories"]) if "directories" in options else None
    permutation = options.get("permutation", "0")
    if permutation not in {str(k) for k in range(PERMUTATIONS)}:
        raise ConfigError(f"nlvr: permutation is 0 to {PERMUTATIONS - 1}, found {permutation!r}.")
    return lambda path: _read(path, wanted, int(permutation))


def _read(path: Path, directories: frozenset[str] | None, permutation: int) -> Iterator[Example | Refused]:
    file = _statements(path) if path.is_dir() else path
    folder = ImageFolder(file.parent)
    for row in read_rows(file):
        if isinstance(row.value, dict):
            if directories is not None and str(row.value.get("directory")) not in directories:
                continue
            # The layout's ids are called identifiers: say them in refusals too.
            row = replace(row, value={"id": row.value.get("identifier"), **row.value})
        yield convert_row(row, lambda said, origin: _example(said, folder, file.stem, permutation, origin), path=file)


def _statements(folder: Path) -> Path:
    found = sorted(folder.glob("*.json"))
    if len(found) != 1:
        raise DataError(f"{folder}: {len(found)} JSON files instead of one. Name the one to read.")
    return found[0]


def _example(row: dict[str, Json], folder: ImageFolder, split: str, permutation: int, origin: str) -> Example:
    check_has(row, "identifier")
    identifier = words(row.get("identifier"), "identifier")
    directory = words(row.get("directory"), "directory")
    label = words(row.get("label"), "label").lower()
    if label not in OPTIONS:
        raise bad(f"label is {label!r}, neither true nor false. Mend the row or leave it out.")
    picture = folder.find(f"images/{directory}/{split}-{identifier}-{permutation}.png")
    asked: list[Part] = []
    for number, box in enumerate(BOXES, start=1):
        asked += [Text(f"{' ' if number > 1 else ''}Box {number}: "), replace(picture, box=box)]
    statement = words(row.get("sentence"), "sentence")
    asked.append(Text(f"\nIs this statement about the three boxes true or false? {statement}"))
    turns = (Turn("user", tuple(asked)), Turn("assistant", (Text(label),)))
    check_turns(turns)
    facts: dict[str, Json] = {
        "scenario": "images",
        "kind": "true_or_false",
        "split": split,
        "story": statement,
        "directory": directory,
        "identifier": identifier,
        "options": list(OPTIONS),
        "chance": 1 / len(OPTIONS),
    }
    return Example(id=identifier, turns=turns, origin=origin, skills=("reasoning",), facts=facts)


def _numbers(value: str) -> frozenset[str]:
    """Return the numbers that ``0-3`` or ``0,2,5`` means, as text."""
    numbers: set[str] = set()
    for span in value.split(","):
        first, dash, last = span.partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)):
            raise ConfigError(f"nlvr: directories is {value!r}. Write numbers, e.g. 0-3 or 0,2,5.")
        numbers |= {str(number) for number in range(int(first), int(last or first) + 1)}
    return frozenset(numbers)


FORMAT = Format(
    read=read,
    write=None,
    about="Cornell NLVR: statements about three boxes, each box an image (read only)",
    configure=configure,
)
