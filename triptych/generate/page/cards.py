"""An item as a card: its conversation with every image at its place, what was known of them, and who has made what.

Not the choice of which are shown (``counts``). Pictures are small JPEGs within the page; one that cannot be read says
why.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path

from triptych.core.records import ImageRef, Json, Part, Text, Turn
from triptych.data.media.images import load_image
from triptych.data.media.locate import ImageError
from triptych.generate.annotation_text import tell
from triptych.generate.item import Item, Refusal
from triptych.generate.page.counts import language_of

PICTURE_PX = (200, 170)
SMALL_PX = (120, 100)
MOST_PICTURES = 12
"""Most images of one card."""
LONGEST_LETTERS = 1500
"""Most characters of one text; the rest is left out."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Words, or an image."""

    text: str = ""
    number: int = 0
    """Number of an image, from 1; 0 for words."""
    data: str = ""
    """The picture as a data URI."""
    problem: str = ""
    """Why it is not shown."""


@dataclass(frozen=True, slots=True)
class Said:
    """One turn."""

    role: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """One item."""

    id: str
    chips: tuple[str, ...]
    demonstrations: tuple[tuple[Said, ...], ...]
    turns: tuple[Said, ...]
    views: tuple[Piece, ...] = ()
    """Its images, where it holds no conversation."""
    reply: str = ""
    """A teacher's words that nothing was made of."""
    known: str = ""
    made: tuple[str, ...] = ()
    """What each stage did that asked or made something."""
    message: str = ""
    """Why it was refused."""


def card_of(item: Item) -> Card:
    """Return a kept item's card."""
    example, counted = item.example, [0]
    skills = example.skills if example is not None else ()
    language = language_of(item)
    chips = [skill.replace("_", " ") for skill in skills] + ([language] if len(language) == 2 else [])
    pages = example.demonstrations if example is not None else ()
    return Card(
        id=item.id,
        chips=tuple(chips),
        demonstrations=tuple(_turns(page.turns, counted, PICTURE_PX) for page in pages),
        turns=_turns(example.turns if example is not None else (), counted, PICTURE_PX),
        views=() if example is not None else _views(item, PICTURE_PX),
        reply="" if example is not None else _clipped(item.reply),
        known=_clipped(tell(item.annotation)),
        made=tuple(line for entry in item.history if (line := _entry(entry))),
    )


def refused_card(refusal: Refusal) -> Card:
    """Return a refused item's card, with small pictures."""
    item, counted = refusal.item, [0]
    turns = item.example.turns if item.example is not None else ()
    return Card(
        id=item.id,
        chips=(),
        demonstrations=(),
        turns=_turns(turns, counted, SMALL_PX),
        views=() if turns else _views(item, SMALL_PX),
        reply="" if turns else _clipped(item.reply),
        message=_clipped(refusal.message),
    )


def spread(items: Iterable[Item], count: int) -> list[Item]:
    """Return ``count`` items, of every skill about as many."""
    by_skill: dict[tuple[str, ...], list[Item]] = {}
    for item in items:
        by_skill.setdefault(item.example.skills if item.example is not None else (), []).append(item)
    return [item for row in zip_longest(*by_skill.values()) for item in row if item is not None][:count]


def _turns(turns: Iterable[Turn], counted: list[int], most_px: tuple[int, int]) -> tuple[Said, ...]:
    return tuple(Said(turn.role, tuple(_piece(part, counted, most_px) for part in turn.parts)) for turn in turns)


def _piece(part: Part, counted: list[int], most_px: tuple[int, int]) -> Piece:
    if isinstance(part, Text):
        return Piece(_clipped(part.text))
    counted[0] += 1
    number = counted[0]
    if not isinstance(part, ImageRef):
        return Piece(number=number, problem=f"video {Path(part.source).name}")
    if number > MOST_PICTURES:
        return Piece(number=number, problem="not shown here")
    data, problem = _picture(part, most_px)
    return Piece(number=number, data=data, problem=problem)


def _views(item: Item, most_px: tuple[int, int]) -> tuple[Piece, ...]:
    counted = [0]
    return tuple(_piece(view.media, counted, most_px) for view in item.annotation.views)


def _entry(entry: Mapping[str, Json]) -> str:
    """Return in a line who was asked with what, and what it took; nothing for a stage that asked nobody."""
    if "model" not in entry:
        return ""
    prompt = f", prompt {entry['prompt']} {str(entry.get('prompt_hash'))[:8]}" if entry.get("prompt") else ""
    usd = entry.get("usd")
    cost = f", ${usd:.2g}" if isinstance(usd, float) and usd else ""
    tokens = f"{entry.get('tokens_in')} tokens in, {entry.get('tokens_out')} out"
    return f"{entry.get('stage')}: {entry['model']}{prompt}, {tokens}{cost}"


def _clipped(text: str) -> str:
    return text if len(text) <= LONGEST_LETTERS else f"{text[:LONGEST_LETTERS]} …"


@lru_cache(maxsize=256)
def _picture(image: ImageRef, most_px: tuple[int, int]) -> tuple[str, str]:
    try:
        pixels = load_image(image)
    except ImageError as error:
        return "", str(error)
    pixels.thumbnail(most_px)
    file = io.BytesIO()
    pixels.save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}", ""
