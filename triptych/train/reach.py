"""Whether a gradient reaches every part that is to move: a setting may leave it where nothing leads to the loss.

An adapter in layers above the one that a model reads of its tower learns nothing, and no loss shows it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from triptych.core.errors import DataError, RunError
from triptych.core.log import say
from triptych.train.ledger import LEDGER
from triptych.train.measuring.meters import StepReport
from triptych.train.stage_state import StageState

LOOKED_AT = 10
"""Steps after which it is told. The first ones may hold no image, or a gate that is still closed."""


class Reach:
    """Looks at the gradients of a stage's steps until all parts that move have had one, or it has told."""

    def __init__(self, state: StageState) -> None:
        self._state = state
        self._parts = frozenset(map(_part, state.weights))
        self._reached: set[str] = set()
        self._steps = 0
        self._learnt = 0

    def look(self, report: StepReport) -> None:
        """Look at the gradients that a step has left; all processes come here.

        Raises:
            DataError: there was nothing to learn from.
            RunError: no part has had one: the stage would learn nothing.
        """
        if self._steps >= LOOKED_AT or self._reached == self._parts:
            return
        self._steps += 1
        self._learnt += report.supervised
        waiting = {name: weight for name, weight in self._state.weights.items() if _part(name) not in self._reached}
        here = {_part(name) for name, weight in waiting.items() if _moves(weight)}
        self._reached.update(*self._state.world.gather(here))
        if self._steps < LOOKED_AT and report.step < report.total_steps:
            return
        if not self._learnt:
            raise DataError(
                f"stage {report.stage!r}: no conversation of {self._steps} steps could be read; see"
                f" {self._state.run / LEDGER}."
            )
        if not self._reached:
            raise RunError(
                f"stage {report.stage!r}: no gradient in {self._steps} steps: nothing would be learnt. {_ADVICE}"
            )
        if left := sorted(self._parts - self._reached):
            say(f"{report.stage}: no gradient reached {', '.join(left)} in {self._steps} steps. {_ADVICE}")


_ADVICE = "See that the layers which move lead to the loss (from_layer, only, targets), and that rows have images."


def _part(name: str) -> str:
    return name.partition(".")[0]


def _moves(weight: Tensor) -> bool:
    gradient = weight.grad
    if gradient is None:
        return False
    own = gradient.to_local() if isinstance(gradient, DTensor) else gradient
    return bool(torch.any(own))
