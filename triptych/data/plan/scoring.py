"""What a score head is to say of a conversation, and where it reads: values that go with a rendering.

Not the head (``models/heads.py``) nor its loss. A head reads hidden states of the language model: all targets at the
prompt's last token (He et al. 2024, VideoScore, arXiv:2406.15252), or each at the end of a short text of its own behind
the prompt, which says what is asked; no new words in the vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from triptych.core.records import Example
from triptych.data.format import RowError
from triptych.data.template import Around, Template

Loss = Literal["mse", "bce", "ce"]
Read = Literal["last", "each"]
Asked = Literal["chat", "plain"]

NO_TARGET = "target missing"
ODD_TARGET = "target out of range"
LARGEST_TARGET = 1e18
"""Largest target that the loss mse takes: it is summed in float32, which cannot hold the square of much more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """What a head says of a conversation."""

    targets: tuple[str, ...]
    """Names, in the order of the head's outputs; those of the rows' labels."""
    loss: Loss = "mse"
    """mse: a target is a number. bce: a share from 0 to 1, its output a logit. ce: one of ``classes``, from 0."""
    classes: int = 1
    """Outputs for each target: 1, or with ce how many classes it has."""
    read: Read = "last"
    """last: all at the prompt's last token. each: each at the end of its own text behind the prompt."""
    asked: Asked = "chat"
    """chat: as the model's template asks for a reply. plain: words and images alone, without what the template writes
    around turns, as VideoScore was tuned."""

    @property
    def texts(self) -> tuple[str, ...]:
        """What stands behind the prompt, at the end of which each target is read; empty where all read at once."""
        return tuple(f"\n{name}:" for name in self.targets) if self.read == "each" else ()

    def template(self, template: Template) -> Template:
        """Return what stands around turns and images in a prompt."""
        if self.asked == "chat":
            return template
        nothing = Around("", "")
        return replace(
            template, system=nothing, user=nothing, assistant=nothing, after_system=None, default_system="", end=""
        )


def targets_of(example: Example, scoring: Scoring) -> tuple[float, ...]:
    """Return a row's targets, in the order of the head's outputs.

    Raises:
        RowError: the row has no such label, or its value is none that the loss can take.
    """
    labels = dict(example.labels)
    found = []
    for name in scoring.targets:
        if name not in labels:
            there = ", ".join(repr(each) for each in labels) or "none"
            raise RowError(NO_TARGET, f"it has no label {name!r}; there are: {there}. Add it, or leave the row out.")
        value = labels[name]
        if scoring.loss == "mse" and not abs(value) <= LARGEST_TARGET:
            raise RowError(
                ODD_TARGET,
                f"label {name!r} is {value:g}; with loss mse it is from {-LARGEST_TARGET:g} to {LARGEST_TARGET:g}. Give"
                " it in another unit, or leave the row out.",
            )
        if scoring.loss == "bce" and not 0 <= value <= 1:
            raise RowError(ODD_TARGET, f"label {name!r} is {value:g}; with loss bce it is a share from 0 to 1.")
        if scoring.loss == "ce" and not (value.is_integer() and 0 <= value < scoring.classes):
            last = scoring.classes - 1
            raise RowError(ODD_TARGET, f"label {name!r} is {value:g}; a class is a whole number from 0 to {last}.")
        found.append(float(value))
    return tuple(found)
