"""What a tune stage learns to give: replies by their tokens, or numbers and classes from a score head.

Not the losses (``loss.py``) nor the heads: here are the keys of a recipe.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from triptych.core.config import Settings
from triptych.data.plan.scoring import Asked, Read


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{twice!r} is named twice")
    return names


Targets = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1), AfterValidator(_distinct)]


class Reply(Settings):
    """The assistant's words, one token after the other: cross-entropy where there is supervision."""

    kind: Literal["reply"] = "reply"


class Scores(Settings):
    """What every score head has."""

    read: Read = "last"
    """Where the head reads. ``last``: all targets at the prompt's last token. ``each``: each at the end of a text of
    its own behind the prompt."""
    asked: Asked = "chat"
    """``chat``: as the model's template asks for a reply. ``plain``: the row's words and images alone, without what the
    template writes around turns, as VideoScore was tuned."""


class Regression(Scores):
    """A number for each target, from a score head."""

    kind: Literal["regression"]
    targets: Targets
    """Names of the rows' labels, in the order of the head's outputs."""
    loss: Literal["mse", "bce"] = "mse"
    """``bce``: a target is a share from 0 to 1, its output a logit."""


class Classification(Scores):
    """One of some classes for each target, from a score head: cross-entropy."""

    kind: Literal["classification"]
    targets: Targets
    """Names of the rows' labels, whole numbers from 0, in the order of the head's outputs."""
    classes: Annotated[int, Field(ge=2)]
    """Number of classes, the same for every target."""


Objective = Annotated[Reply | Regression | Classification, Field(discriminator="kind")]
