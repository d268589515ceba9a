"""annotate: begin with annotation files of any layout: each entry becomes an item, or a refusal with its reason.

Not a reader: those are in ``annotations/``. Images are named and not opened, unless ``check`` asks whether they are
there; but where those of the first entries are all missing, it is said. Ids are the layout's name and the entry's own
id; an id that comes twice refuses the second entry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pydantic import field_validator

from triptych.core.errors import TriptychError
from triptych.core.log import say
from triptych.core.plugins import find
from triptych.core.records import ImageRef, VideoRef
from triptych.data.format import Refused
from triptych.data.media.locate import exists
from triptych.generate.annotation import AnnotationLayout, files_of, read_annotations, split_annotations
from triptych.generate.item import Annotation, Item, Refusal
from triptych.generate.stage import Made, Stage, StageSettings

_DIGEST_BYTES = 8
LOOKED_AT = 20
"""First entries whose images are looked for in any case: where none of them is there, it is said before it is paid."""


class Annotate(StageSettings):
    """Which annotations."""

    source: str
    """``LAYOUT:PATH#key=value&key=value``, e.g. ``coco:captions.json#instances=instances.json&images=train2017``."""
    prefix: str | None = None
    """What ids begin with; otherwise the layout's name."""
    check: bool = False
    """Whether an entry whose image is not there is refused at once. Otherwise it is refused when it is needed."""

    @field_validator("source")
    @classmethod
    def _check_layout(cls, value: str) -> str:
        try:
            find("annotation", split_annotations(value)[0], expected=AnnotationLayout)
        except TriptychError as error:
            raise ValueError(str(error)) from None
        return value


def begin(settings: Annotate, seed: int) -> Iterator[Made]:
    """Yield one item or refusal an entry."""
    del seed
    prefix = split_annotations(settings.source)[0] if settings.prefix is None else settings.prefix
    seen: set[bytes] = set()
    bad = 0
    first: list[str] = []
    for entry in read_annotations(settings.source):
        if isinstance(entry, Refused):
            name = f"{prefix}-refused-{bad}"
            bad += 1
            yield Refusal(Item(name, Annotation(name, (), origin=entry.where)), entry.reason, entry.message)
            continue
        item = _named(entry, prefix)
        digest = hashlib.sha256(item.id.encode("utf-8", "surrogatepass")).digest()[:_DIGEST_BYTES]
        if digest in seen:
            again = replace(item, id=f"{item.id}-refused-{bad}")
            bad += 1
            message = f"{item.annotation.origin}: another entry has the id {item.id!r}. Give each its own."
            yield Refusal(again, "duplicate id", message)
            continue
        seen.add(digest)
        looked_at = item.annotation.views and len(first) < LOOKED_AT
        gone = _gone(item.annotation) if settings.check or looked_at else None
        if looked_at:
            first.append("" if gone is None else gone[1])
        yield Refusal(item, *gone) if settings.check and gone is not None else item
    if first and all(first) and not settings.check:
        say(
            f"annotate: of the first {len(first)} entries no image is there. {first[0]} Stages that need images, export"
            " among them, will refuse all; with check: true it is refused here, before a teacher is paid."
        )


def _named(entry: Annotation | Item, prefix: str) -> Item:
    item = entry if isinstance(entry, Item) else Item(entry.id, entry)
    if not prefix or item.id.startswith(f"{prefix}-"):
        return item
    name = f"{prefix}-{item.id}"
    example = None if item.example is None else replace(item.example, id=name)
    return replace(item, id=name, example=example)


def _gone(annotation: Annotation) -> tuple[str, str] | None:
    """Return the reason and the message for the first image or video that is not there."""
    for view in annotation.views:
        there = exists(view.media.source) if isinstance(view.media, ImageRef) else Path(view.media.source).exists()
        if not there:
            kind = "video" if isinstance(view.media, VideoRef) else "image"
            where = f"{annotation.origin} (id {annotation.id!r})"
            return f"{kind} file missing", f"{where}: {view.media.source}: no such {kind}. Put it there."
    return None


STAGE = Stage(
    settings=Annotate,
    about="begin with annotation files: COCO, ActivityNet, Ego4D, Spot-the-Diff, ScanNet, VIST, TVC, NLVR, ...",
    begin=begin,
    reads=lambda settings: files_of(settings.source),
    samples=({"source": "drawn:drawn-scenes#count=4"},),
)
