"""plant: beside good questions, controls with known faults, so that a run tells what its own checks catch.

Not training data: ``uproot`` at the end refuses every control that is left, and says which fault went unnoticed. Put it
after ``from_truth``, whose questions are known to be good.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from pydantic import Field, field_validator

from triptych.generate.item import Item
from triptych.generate.kit.planted import FAULTS, plant
from triptych.generate.question import Layout
from triptych.generate.stage import Made, Stage, StageSettings


class Plant(StageSettings):
    """How many controls, with which faults."""

    share: float = Field(default=0.2, gt=0.0, le=1.0)
    """Probability that an item gets a control beside it."""
    faults: tuple[str, ...] = tuple(FAULTS)
    layout: Layout = Layout()

    @field_validator("faults")
    @classmethod
    def _check_faults(cls, faults: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(faults) - FAULTS.keys()):
            raise ValueError(f"no fault is called {unknown[0]!r}. There are: {', '.join(FAULTS)}")
        if not faults:
            raise ValueError("name at least one fault")
        return faults


def each(item: Item, settings: Plant, random: Random) -> Sequence[Made]:
    """Return the item, and perhaps a control."""
    if random.random() >= settings.share:
        return [item]
    faults = list(settings.faults)
    random.shuffle(faults)
    found = (plant(item, fault, random=random, layout=settings.layout) for fault in faults)
    control = next((made for made in found if made is not None), None)
    return [item] if control is None else [item, control]


STAGE = Stage(
    settings=Plant,
    about="controls with known faults beside good questions, so that a run tells what its checks catch",
    each=each,
    samples=({}, {"share": 1.0, "faults": ["personal", "wrong answer"]}),
)
