"""export: the items as rows of a data format; each with its history in its facts. It refuses, and never cuts.

Not a layout: those are ``data/formats``. What a layout has no words for refuses the item, and says which layout has
them. The file takes its name when the last row is in. A demonstration that is itself a row of the file is written as
that row is, so that layouts that name demonstrations by id, as MIMIC-IT, name the row.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from pydantic import field_validator

from triptych.core.errors import TriptychError
from triptych.core.records import Example, ImageRef, Json, Part, replace_parts
from triptych.data.disk.writing import LeavingOut, target_of
from triptych.data.media.images import ImageError, load_image
from triptych.data.media.kept import keep_bytes
from triptych.data.media.locate import name_of
from triptych.generate.item import Item, Refusal
from triptych.generate.spool import Spool, spooled
from triptych.generate.stage import Made, Stage, StageSettings

HISTORY = "history"
_ROW = re.compile(r": row (\d+) \(id ")


class Export(StageSettings):
    """To which file, in which layout."""

    to: str
    """``FORMAT:PATH``, e.g. ``messages:train.jsonl``; a relative path is within the run's folder."""
    history: bool = True
    """Whether each row's facts say how it was made: stages, models, parameters, prompt hashes, cost, time, parents."""
    crop: bool = False
    """Whether a part of a picture is written as a picture of its own, for layouts without boxes."""

    @field_validator("to")
    @classmethod
    def _check_format(cls, value: str) -> str:
        try:
            target_of(value)
        except TriptychError as error:
            raise ValueError(str(error)) from None
        return value


def write(items: Iterable[Item], settings: Export, folder: Path) -> Iterator[Made]:
    """Write the file; then yield every item, those that the layout cannot say as refusals."""
    path, writer = target_of(settings.to)
    with spooled(folder=folder) as spool:
        rows = _Rows(spool, settings)
        for item in items:
            rows.note(item, spool.add(item))
        examples = LeavingOut(rows.examples())
        writer(examples, path if path.is_absolute() else folder / path)
        for refused in examples.left_out:
            place = _ROW.search(refused.where)
            assert place is not None, f"the writer names no row: {refused.where}"
            rows.refuse(rows.written[int(place[1])], refused.reason, refused.message)
        for number in range(len(spool)):
            item = spool.read(number)
            yield Refusal(item, *rows.refused[number]) if number in rows.refused else item


@dataclass
class _Rows:
    """Items on their way to a file. State: which were handed to the writer, and which cannot be written."""

    spool: Spool
    settings: Export
    shown: dict[str, int] = field(default_factory=dict)
    """Ids of demonstrations -> number of the item of that id; -1: none has come."""
    later: dict[str, int] = field(default_factory=dict)
    written: list[int] = field(default_factory=list)
    refused: dict[int, tuple[str, str]] = field(default_factory=dict)

    def note(self, item: Item, number: int) -> None:
        """Remember an item's id, by which others may show it."""
        self.later[item.id] = number
        if item.example is not None:
            self.shown |= dict.fromkeys((each.id for each in item.example.demonstrations), 0)

    def refuse(self, number: int, reason: str, message: str) -> None:
        """Remember that an item cannot be written."""
        self.refused[number] = (reason, message)

    def examples(self) -> Iterator[Example]:
        """Yield what is written, in order."""
        self.later = {name: number for name, number in self.later.items() if name in self.shown}
        for number in range(len(self.spool)):
            item = self.spool.read(number)
            if item.example is None:
                self.refuse(number, "no conversation", f"{item.id}: no stage has made a conversation of it.")
                continue
            try:
                example = self._row(item, item.example)
            except ImageError as error:
                self.refuse(number, error.reason, f"{item.id}: {error}")
                continue
            self.written.append(number)
            yield example

    def _row(self, item: Item, example: Example) -> Example:
        shown = tuple(self._demonstration(each) for each in example.demonstrations)
        facts = _with_history(item, example) if self.settings.history else example.facts
        own = replace(example, id=item.id, demonstrations=(), facts=facts)
        made = replace_parts(own, _cropped) if self.settings.crop else own
        return replace(made, demonstrations=shown)

    def _demonstration(self, shown: Example) -> Example:
        if shown.id in self.later:
            item = self.spool.read(self.later[shown.id])
            if item.example is not None:
                return replace(self._row(item, replace(item.example, demonstrations=())), demonstrations=())
        return replace_parts(shown, _cropped) if self.settings.crop else shown


def _with_history(item: Item, example: Example) -> Mapping[str, Json]:
    told: dict[str, Json] = {
        "parents": list(item.parents),
        "annotation": item.annotation.id,
        "stages": [dict(each) for each in item.history],
    }
    return {**example.facts, HISTORY: told}


def _cropped(part: Part) -> tuple[Part, ...]:
    if not isinstance(part, ImageRef) or (part.box is None and part.resize is None):
        return (part,)
    file = io.BytesIO()
    load_image(part).save(file, format="PNG")
    kept = keep_bytes(file.getvalue(), f"{PurePosixPath(name_of(part.source)).stem}.png")
    return (ImageRef(kept, video=part.video),)


STAGE = Stage(
    settings=Export,
    about="rows of a data format, with their history; what the layout cannot say is refused",
    write=write,
    samples=({"to": "messages:train.jsonl"}, {"to": "mimicit:XX_instructions.json", "crop": True}),
)
