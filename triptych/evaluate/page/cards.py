"""Answers on a page: questions with their images in place, the reference, and what each condition said.

Not the page (``report.py``), and no judgement: which answers are shown follows from where they stand, nobody picks.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path

from triptych.core.records import Example, ImageRef, Text, VideoRef
from triptych.data.media.images import ImageError, load_image
from triptych.evaluate.benchmark import fact
from triptych.evaluate.reading.scorers import reference_of
from triptych.evaluate.running.gather import Evaluation, Item
from triptych.evaluate.saved.sides import PREFERRED

THUMBNAIL_PX = (220, 220)
"""Most width and height of an image on the page."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Words, or an image at its place."""

    text: str = ""
    number: int = 0
    """Of the image, from 1; 0: these are words."""
    data: str = ""
    """A data URI; empty where the picture is not there any more, or cannot be read."""
    problem: str = ""


Said = tuple[tuple[str, tuple[Piece, ...]], ...]
"""(role, pieces) of each turn before the reference."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What one condition said."""

    condition: str
    text: str
    right: bool


@dataclass(frozen=True, slots=True)
class Card:
    """One question with its images and replies."""

    id: str
    chips: tuple[str, ...]
    said: Said
    reference: str
    replies: tuple[Reply, ...]


def cards_of(evaluations: Sequence[Evaluation], examples: int) -> tuple[str, list[Card], list[Card]]:
    """Return whose answers are shown, and cards of right and of wrong ones, evenly from every part."""
    shown = next((name for name in PREFERRED if any(it.condition == name for it in evaluations)), "")
    chosen = [it for it in evaluations if it.condition == shown] or list(evaluations)
    right: list[Card] = []
    wrong: list[Card] = []
    for number, evaluation in enumerate(chosen):
        share = examples * (number + 1) // len(chosen) - examples * number // len(chosen)
        rivals = [it for it in evaluations if it.part == evaluation.part]
        items = list(evaluation.items.values())
        for cards, picked in (
            (right, [item for item in items if item.score >= 0.5]),
            (wrong, [item for item in items if item.score < 0.5]),
        ):
            cards += [_card(item, evaluation, rivals) for item in _spread(picked, share)]
    return shown or chosen[0].condition, right, wrong


def pieces_of(question: Example, most_px: tuple[int, int]) -> Said:
    """Return what was said before the reference, with pictures of at most that width and height at their places."""
    number = 0
    said = []
    for turn in question.turns[:-1]:
        pieces = []
        for part in turn.parts:
            if isinstance(part, ImageRef):
                number += 1
                pieces.append(_picture(part, number, most_px))
            else:
                pieces.append(Piece(part.text if isinstance(part, Text) else _video(part)))
        said.append((turn.role, tuple(pieces)))
    return tuple(said)


def _spread(items: Sequence[Item], count: int) -> list[Item]:
    """Return ``count`` items, of every skill about as many, from everywhere in the sequence."""
    by_skill: dict[tuple[str, ...], list[Item]] = {}
    for item in items:
        by_skill.setdefault(item.question.skills, []).append(item)
    each = -(-count // max(1, len(by_skill)))
    spaced = [
        [group[number * len(group) // each] for number in range(each)] if len(group) > each else group
        for group in by_skill.values()
    ]
    in_turn = [item for row in zip_longest(*spaced) for item in row if item is not None]
    return in_turn[:count]


def _card(item: Item, evaluation: Evaluation, rivals: Sequence[Evaluation]) -> Card:
    question = item.question
    replies = [
        Reply(rival.condition, found.reply, found.score >= 0.5)
        for rival in reversed(rivals)
        if (found := rival.items.get(question.id)) is not None
    ]
    chips = (*question.skills, fact(question, "scenario"), fact(question, "kind"), evaluation.part)
    named = tuple(dict.fromkeys(chip.replace("_", " ") for chip in chips if chip not in ("", "all")))
    return Card(question.id, named, pieces_of(question, THUMBNAIL_PX), reference_of(question), tuple(replies))


def _video(part: VideoRef) -> str:
    return f"[video: {Path(part.source).name}]"


@lru_cache(maxsize=512)
def _picture(image: ImageRef, number: int, most_px: tuple[int, int]) -> Piece:
    try:
        pixels = load_image(image)
    except ImageError as error:
        return Piece(number=number, problem=str(error))
    pixels.thumbnail(most_px)
    file = io.BytesIO()
    pixels.save(file, "JPEG", quality=80)
    return Piece(number=number, data=f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}")
