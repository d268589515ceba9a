"""learn_last: of each conversation only the last reply is learnt; the earlier ones are read, as context.

What ms-swift calls ``loss_scale: last_round`` and LLaMA-Factory ``mask_history``. For rows whose last reply is worth
more than those before it: a dialogue that somebody else's model began, or one that stands in the file once for each of
its rounds, where each reply would be learnt as often as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from triptych.core.config import Settings
from triptych.core.records import Example
from triptych.data.transform import Transform


class LearnLast(Settings):
    """It has no settings. A last reply that the row itself marks as not learnt stays so. No randomness."""


def learn_last(example: Example, settings: LearnLast, random: Random) -> Sequence[Example]:
    """Return the example with no reply learnt but its last one; none of its demonstrations' either."""
    del settings, random
    last = max((at for at, turn in enumerate(example.turns) if turn.role == "assistant"), default=-1)
    shown = tuple(_without(each, -1) for each in example.demonstrations)
    return [replace(_without(example, last), demonstrations=shown)]


def _without(example: Example, last: int) -> Example:
    """Return the example with no reply learnt but the one at this place."""
    turns = tuple(
        replace(turn, learnt=False) if turn.role == "assistant" and at != last else turn
        for at, turn in enumerate(example.turns)
    )
    return replace(example, turns=turns)


TRANSFORM = Transform(
    settings=LearnLast,
    about="of each conversation only the last reply is learnt",
    each=learn_last,
)
