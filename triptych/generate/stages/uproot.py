"""uproot: refuse every control that ``plant`` has put in and no check has caught; each fault is a reason of its own.

Nothing else is refused. Put it behind the checks and before ``export``.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from triptych.generate.item import Item, Refusal
from triptych.generate.kit.planted import planted_in
from triptych.generate.stage import Made, Stage, StageSettings


class Uproot(StageSettings):
    """It has no settings."""


def each(item: Item, settings: Uproot, random: Random) -> Sequence[Made]:
    """Return the item, or its refusal where it is a control."""
    fault = planted_in(item)
    if fault is None:
        return [item]
    return [Refusal(item, f"planted, not caught: {fault}", f"no check noticed the planted fault {fault!r}.")]


STAGE = Stage(settings=Uproot, about="refuse the controls that plant has put in and no check has caught", each=each)
