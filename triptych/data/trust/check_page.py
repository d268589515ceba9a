"""The page of ``data check``: what was refused and why, and each odd row with its pictures in their places.

Not the terminal's lines: the command prints those. One self-contained HTML file; text from data is escaped, and the
page asks nothing of the network. Of each reason at most ``SHOWN`` rows are shown, and the rest is counted.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from PIL import Image

from triptych.core.records import Example, ImageRef, Part, Text, Turn
from triptych.data.media.images import ImageError, load_image
from triptych.data.media.locate import name_of
from triptych.data.trust.check import Report

SHOWN = 50
"""Rows of one reason that are told on the page."""
THUMBNAIL_PX = 240
_QUALITY = 75
_LONGEST = 1200
"""Characters of one text; the rest is left out with a sign."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Words or an image of a turn."""

    text: str = ""
    number: int = 0
    """Number of an image in its conversation, from 1; 0 for words."""
    name: str = ""
    size: str = ""
    data: str = ""
    """The thumbnail as a data URI; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Said:
    """One turn."""

    role: str
    shown: bool
    """Belongs to a demonstration."""
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One row on the page."""

    where: str
    message: str
    said: tuple[Said, ...] = ()
    beside: tuple[Piece, ...] = ()
    """Pictures to be compared."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """All rows of one reason."""

    reason: str
    count: int
    anchor: str
    cases: tuple[Case, ...]

    @property
    def more(self) -> int:
        """Return how many rows are not shown."""
        return self.count - len(self.cases)


def page_of(report: Report, sources: Sequence[str]) -> str:
    """Return the page.

    Args:
        report: what ``check`` found.
        sources: what was checked, to be named on it.
    """
    refused = [
        Chapter(reason, count, f"refused-{number}", tuple(_refused(report, reason)))
        for number, (reason, count) in enumerate(report.reasons.items())
    ]
    odd = [
        Chapter(reason, count, f"odd-{number}", tuple(_odd(report, reason)))
        for number, (reason, count) in enumerate(report.warnings.items())
    ]
    rows = len({each.where for each in report.doubts})
    return _page().render(report=report, sources=sources, refused=refused, odd=odd, odd_rows=rows)


def _refused(report: Report, reason: str) -> Iterator[Case]:
    cases = [each for each in report.refusals if each.reason == reason]
    return (Case(each.where, _said(each.message, each.where)) for each in cases[:SHOWN])


def _odd(report: Report, reason: str) -> Iterator[Case]:
    cases = [each for each in report.doubts if each.reason == reason]
    for each in cases[:SHOWN]:
        numbers = iter(range(1, 1 << 30))
        said = tuple(_turns(each.example, numbers, shown=False))
        beside = tuple(_picture(image, number) for number, image in enumerate(each.beside, start=1))
        yield Case(each.where, _said(each.message, each.where), said, beside)


def _said(message: str, where: str) -> str:
    """Return what is wrong, without where: the page says that above."""
    return message.removeprefix(f"{where}: ")


def _turns(example: Example, numbers: Iterator[int], *, shown: bool) -> Iterator[Said]:
    for demonstration in example.demonstrations:
        yield from _turns(demonstration, numbers, shown=True)
    for turn in example.turns:
        yield Said(turn.role, shown, tuple(_pieces(turn, numbers)))


def _pieces(turn: Turn, numbers: Iterator[int]) -> Iterator[Piece]:
    for part in turn.parts:
        yield _picture(part, next(numbers)) if isinstance(part, ImageRef) else Piece(text=_words(part))


def _words(part: Part) -> str:
    text = part.text if isinstance(part, Text) else f"[video: {name_of(part.source)}]"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def _picture(image: ImageRef, number: int) -> Piece:
    name = name_of(image.source)
    try:
        pixels = load_image(image)
    except ImageError as error:
        return Piece(text=str(error), number=number, name=name)
    size = f"{pixels.width}×{pixels.height}"
    pixels.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    pixels.save(file, "JPEG", quality=_QUALITY)
    uri = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
    return Piece(number=number, name=name, size=size, data=uri)


@cache
def _page() -> Template:
    here = FileSystemLoader(Path(__file__).parent)
    loader = Environment(loader=here, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return loader.get_template("check.html.jinja")
