"""What a stage leaves in a run's folder: items out, refusals, and a note of what they were made of and with.

Not how they are made (``stage_work``). Written beside, then renamed; the note comes last: a stage without a note has
not happened. A line holds its item and ``at``, the number of the item of the first stage that it comes from: shards are
put together by it, in the order that one machine would have had.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from triptych.core.errors import DataError, NotFoundError
from triptych.core.files import read_json_lines, write_atomically
from triptych.core.records import Json
from triptych.generate.item import Item, Refusal
from triptych.generate.written import item_from_json, item_to_json, line_of, refusal_from_json, refusal_to_json

STAGES = "stages"
REFUSALS = "refusals.jsonl"
AT = "at"


@dataclass(frozen=True, slots=True)
class Placed:
    """What a stage made, and where it belongs."""

    at: int
    """Number of the item of the first stage that it comes from."""
    made: Item | Refusal
    line: bytes = b""
    """An item as its stage's file has it, where that has been worked out."""


@dataclass(frozen=True, slots=True)
class Note:
    """What is known of a finished stage."""

    label: str
    identity: str
    """Digest of its settings (``recipe.identity``)."""
    came: str
    """Digest of the items that it was given."""
    left: str
    """Digest of the items that it made."""
    size_bytes: int
    """Size of the file of these items."""
    items_in: int
    items_out: int
    refused: Mapping[str, int] = field(default_factory=dict)
    """Refusals by reason."""
    failed: int = 0
    """Requests that got no reply and are asked again by the next start."""
    pairs: int = 0
    """Questions with a reply, in all conversations of the items that it made."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """Hash of each prompt that was used."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Size and time of each file that it began with."""
    seconds: float = 0.0


class StageFiles:
    """The files of one stage of a run."""

    def __init__(self, folder: Path, label: str) -> None:
        """Say where they are; nothing is made."""
        self.label = label
        self.items = folder / STAGES / f"{label}.jsonl"
        self.refusals = folder / STAGES / f"{label}.refusals.jsonl"
        self.note = folder / STAGES / f"{label}.json"
        self.keys = folder / STAGES / f".{label}.keys"

    def read_note(self) -> Note | None:
        """Return what is known of the stage; None: it is not finished."""
        try:
            note = Note(**json.loads(self.note.read_text(encoding="utf-8")))
            whole = self.items.stat().st_size == note.size_bytes and self.refusals.is_file()
        except (OSError, ValueError, TypeError):
            return None
        return note if whole else None

    def read_items(self) -> Iterator[Placed]:
        """Yield the items, in order. Raises DataError, NotFoundError."""
        for number, record in enumerate(read_json_lines(self.items), start=1):
            where = f"{self.items}: line {number}"
            yield Placed(_at(record, where), item_from_json(record, where=where))

    def read_refusals(self) -> Iterator[Placed]:
        """Yield the refusals, in order. Raises DataError, NotFoundError."""
        for number, record in enumerate(read_json_lines(self.refusals), start=1):
            where = f"{self.refusals}: line {number}"
            yield Placed(_at(record, where), refusal_from_json(record, where=where))

    def write(self, made: Iterable[Placed], note: Note) -> Note:
        """Write what a stage made, all or nothing; return the note with what was counted, yet to be written.

        Args:
            made: as the stage makes it.
            note: what is known before; it may grow while ``made`` is read, where it holds a mapping.
        """
        self.items.parent.mkdir(parents=True, exist_ok=True)
        self.note.unlink(missing_ok=True)
        digest, size, pairs = hashlib.sha256(), 0, 0
        items = 0
        refused: Counter[str] = Counter()
        parts = [path.with_name(f".{path.name}.part") for path in (self.items, self.refusals)]
        with parts[0].open("wb") as kept, parts[1].open("wb") as left:
            for each in made:
                if isinstance(each.made, Refusal):
                    left.write(line_of({AT: each.at, **refusal_to_json(each.made)}))
                    refused[each.made.reason] += 1
                    continue
                line = each.line or item_line(each.at, each.made)
                kept.write(line)
                digest.update(line)
                size += len(line)
                items += 1
                pairs += _pairs(each.made)
        for part, path in zip(parts, (self.items, self.refusals), strict=True):
            part.replace(path)
        return replace(
            note,
            left=digest.hexdigest(),
            size_bytes=size,
            items_out=items,
            refused=dict(sorted(refused.items(), key=lambda pair: (-pair[1], pair[0]))),
            pairs=pairs,
        )

    def write_note(self, note: Note) -> None:
        """Write the note: the stage is finished."""
        said: dict[str, Json] = {name: getattr(note, name) for name in Note.__dataclass_fields__}
        write_atomically(self.note, json.dumps(said, indent=1) + "\n")


def stamp(path: Path) -> str:
    """Return what tells whether a file is still the same; empty where it is not there."""
    try:
        state = path.stat()
    except OSError:
        return ""
    return f"{state.st_size} bytes, {state.st_mtime_ns} ns"


def item_line(at: int, item: Item) -> bytes:
    """Return an item as a line of a stage's file. Raises DataError: it cannot be written."""
    return line_of({AT: at, **item_to_json(item)})


def write_refusals(folder: Path, labels: Iterable[str]) -> int:
    """Write the refusals of all stages into one file, in the order of the stages; return how many."""
    count = 0
    path = folder / REFUSALS
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as out:
        for label in labels:
            files = StageFiles(folder, label)
            if files.refusals.is_file():
                with files.refusals.open("rb") as lines:
                    for line in lines:
                        out.write(line)
                        count += 1
    part.replace(path)
    return count


def stage_labels(folder: Path) -> list[str]:
    """Return the stages that a run has finished, in order. Raises NotFoundError: it is no run of this kind."""
    if not (folder / STAGES).is_dir():
        raise NotFoundError(f"{folder}: no run of triptych generate: it has no folder {STAGES}.")
    return sorted(path.stem for path in (folder / STAGES).glob("[0-9]*.json"))


def short_id(name: str) -> int:
    """Return 8 bytes that tell an id, for sets of millions."""
    return int.from_bytes(hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest(), "big")


def _pairs(item: Item) -> int:
    return 0 if item.example is None else sum(turn.role == "assistant" for turn in item.example.turns)


def _at(record: Mapping[str, Any], where: str) -> int:
    at = record.get(AT)
    if not isinstance(at, int):
        raise DataError(f"{where}: not written by this program (no {AT!r}). Begin again in a new run folder.")
    return at
