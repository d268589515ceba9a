"""What a recipe says of a stage's data: its sources, and what an example of them may cost.

Not the reading of them (``data/format.py``) nor the budget at work (``data/plan/budget.py``).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from triptych.core.config import Settings
from triptych.data.transform import TransformPlan

Tokens = Annotated[int, Field(ge=1)]


class Limits(Settings):
    """What an example may cost. Its images are shrunk together first; none is cut or parted from its words."""

    image_tokens: Tokens | None = None
    """Most tokens of one image; null: as many as it has."""
    images_tokens: Tokens | None = None
    """Most tokens of all images of an example together."""
    example_tokens: Tokens | None = None
    """Most tokens of an example; null: pack_tokens."""
    least_side_px: Annotated[int, Field(ge=1)] | None = None
    """No image is shrunk to a shorter side than this, nor than the stage's; null: the stage's alone."""


class Source(Settings):
    """One data set."""

    source: Annotated[str, Field(pattern=r"^[^:]+:.+$")]
    """``FORMAT:PATH``; a format is a file in ``triptych/data/formats``."""
    transforms: tuple[TransformPlan, ...] = ()
    """What is done to its rows, in order: ``[{kind: in_front}, ...]``; files in ``triptych/data/transforms``."""
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """How often an epoch has each of its rows: 0.5 is a half and in the next epoch the other half, 2 is all twice."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Most rows that an epoch takes, before the weight; other rows in each epoch. null: all."""
    budget: Limits | None = None
    """What its examples may cost, within the stage's budget."""


class BudgetPlan(Limits):
    """What every example of a stage may cost."""

    least_side_px: Annotated[int, Field(ge=1)] = 56
    """No image is shrunk to a shorter side than this."""
    overlong: Literal["refuse", "shorten"] = "refuse"
    """An example that is too long with shrunk images: leave it out, or leave out its early turns with their images."""
