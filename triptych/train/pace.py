"""When a stage ends, when it is saved and how fast it learns: lengths of time against the plan of its steps.

Not the schedule's shape (``optim.schedule_factor``). Where all rows are in memory, every length is turned into steps at
once. Where they are not, the number of steps is not known before the last one is planned: an epoch is then counted in
rows passed, a length in tokens by tokens passed. Both follow from the plan alone, so a run that goes on after a kill
ends at the same step with the same rates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import count

from triptych.core.config import Length
from triptych.data.plan.step_plan import StepPlan
from triptych.train.optim import Schedule, schedule_factor


def steps_in(length: Length, plan: StepPlan) -> int:
    """Return how many steps a length lasts: counted for epochs and tokens, without padding, and rounded up."""
    if length.unit == "steps":
        return int(length.amount)
    if length.unit == "epochs":
        epochs = _exact(length)
        whole = int(epochs)
        rest = math.ceil((epochs - whole) * plan.steps_per_epoch(whole)) if epochs > whole else 0
        return plan.first_step(whole) + rest
    return next(number for number in count() if plan.before(number)[1] >= length.amount)


@dataclass(frozen=True)
class Pace:
    """The lengths of a stage."""

    plan: StepPlan
    length: Length
    warmup: Length
    save_every: Length
    schedule: Schedule
    floor: float = 0.0
    """Share of the highest rate at which the schedule ends."""

    def finished(self, step: int) -> bool:
        """Return whether the stage is done when ``step`` steps are."""
        done, whole = self._passed(self.length, step)
        return done >= whole

    def saves(self, step: int) -> bool:
        """Return whether a checkpoint is due after ``step`` steps."""
        before, whole = self._passed(self.save_every, step - 1)
        return self._passed(self.save_every, step)[0] // whole > before // whole

    def factor(self, number: int) -> float:
        """Return what rates are multiplied by in step ``number``, from 0."""
        warm, warmed = self._passed(self.warmup, number)
        if warm < warmed:
            rungs = self._rungs(number, warmed)
            return schedule_factor(number, total=rungs, warmup=rungs, schedule=self.schedule)
        done, whole = self._passed(self.length, number)
        return schedule_factor(done, total=whole, warmup=self._descent, schedule=self.schedule, floor=self.floor)

    def total(self, step: int) -> int:
        """Return how many steps the stage has; where that is not known yet, as many as the first ``step`` promise."""
        if self.length.unit == "steps":
            return int(self.length.amount)
        done, whole = self._passed(self.length, max(1, step))
        return max(step, math.ceil(whole * max(1, step) / max(1, done)))

    def _rungs(self, number: int, warmed: float) -> int:
        """Return how many steps a warm-up has, where they are as large as those up to ``number``, which is one."""
        reached, _ = self._passed(self.warmup, number + 1)
        return max(number + 1, math.ceil(warmed * (number + 1) / reached))

    @cached_property
    def _descent(self) -> float:
        """Where the warm-up ends, in the unit of the stage's length."""
        if self.warmup.unit == "steps":
            first = int(self.warmup.amount)
        elif self.warmup.unit == self.length.unit:
            return self._passed(self.warmup, 0)[1]
        else:
            first = next(n for n in count() if self._passed(self.warmup, n)[0] >= self._passed(self.warmup, n)[1])
        return self._passed(self.length, first)[0]

    def _passed(self, length: Length, step: int) -> tuple[float, float]:
        """Return how much of a length the first ``step`` steps are, and how much it is; whole numbers of its unit."""
        if length.unit == "steps":
            return step, int(length.amount)
        if length.unit == "tokens":
            return self.plan.before(step)[1], int(length.amount)
        return self.plan.before(step)[0], math.ceil(self.plan.rows_in(_exact(length)))


def _exact(length: Length) -> Fraction:
    """Return an amount as it is written: 1.1 is eleven tenths, which no float is."""
    return Fraction(repr(length.amount))


def pace_of(
    plan: StepPlan, *, length: Length, warmup: Length, save_every: Length, schedule: Schedule, floor: float = 0.0
) -> Pace:
    """Return the pace of a stage; where the whole plan is known, with every length in steps."""
    pace = Pace(plan, length, warmup, save_every, schedule, floor)
    if plan.settings.window is not None:
        return pace

    def in_steps(length: Length, least: int) -> Length:
        return Length(max(least, steps_in(length, plan)), "steps")

    return replace(pace, length=in_steps(length, 1), warmup=in_steps(warmup, 0), save_every=in_steps(save_every, 1))
