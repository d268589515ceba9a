"""interleaved: images at the words that name them; with a probability in front instead, which is the mixed format.

Source: arXiv:2407.07895 section 3.2: training on both layouts is better than on either. The share of each was not
published; ``p_front: 0.5`` is the plain reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from pydantic import Field

from triptych.core.config import Settings
from triptych.core.records import Example, Part, Text, Turn, images_of
from triptych.data.text.layout import to_front, to_references
from triptych.data.text.references import UnclearError
from triptych.data.transform import Transform, noted
from triptych.data.transforms.in_front import InFront


class Interleaved(Settings):
    """Which layout a conversation gets is drawn from its id and the seed, and noted."""

    p_front: float = Field(default=0.0, ge=0.0, le=1.0)
    """Probability of the layout in front. 0.5: the mixed format."""
    front: InFront = InFront()
    """How images are put in front then."""


def interleave(example: Example, settings: Interleaved, random: Random) -> Sequence[Example]:
    """Return the example in the layout that is drawn for it; without images, as it is."""
    front = random.random() < settings.p_front
    if not images_of(example):
        return [example]
    if front:
        try:
            return [noted(to_front(example, settings.front.front), "interleaved", layout="in front")]
        except UnclearError as error:
            return [noted(example, "interleaved", layout="as read", left=str(error))]
    placed = to_references(example)
    if placed is not None:
        stand = zip(example.turns, placed.turns, strict=True)
        placed = replace(placed, turns=tuple(turn if _said(turn) == _said(new) else new for turn, new in stand))
    if placed is None or placed.turns == example.turns:
        return [noted(example, "interleaved", layout="as read")]
    return [noted(placed, "interleaved", layout="at references")]


def _said(turn: Turn) -> list[Part | str]:
    """Return a turn's parts without blanks around words: where only those differ, its images stand there already."""
    said = (part.text.strip() if isinstance(part, Text) else part for part in turn.parts)
    return [each for each in said if each]


TRANSFORM = Transform(
    settings=Interleaved,
    about="images at the words that name them, or in front: the mixed format",
    each=interleave,
    keeps=frozenset(("images",)),
    samples=({}, {"p_front": 0.5}),
)
