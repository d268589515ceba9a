"""Which conversations make up step n: a pure function of (lengths, mixture, seed, n). Needs no pixels.

Not a queue and not a sampler with state: ``StepPlan`` can be asked for any step in any order, which makes a resume
exact. Each epoch shuffles anew and has what its mixture says; its last step may be smaller, never padded with repeats.

Long data are planned by windows: an epoch's order is cut into windows, a window's rows are measured and those that
cannot be used leave, the others are packed together with those that still wait, and the packs are shuffled. So the
first step needs the lengths of one window, and only the steps around the one asked for are in memory. Packs and steps
go on across windows: nothing is left half empty at a window's end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from random import Random

import numpy as np

from triptych.core.errors import DataError
from triptych.data.plan.balance import Work, share
from triptych.data.plan.measures import REFUSED, Measures, Records
from triptych.data.plan.mixture import Mixture, Numbers
from triptych.data.plan.packing import Packer

WINDOW_ROWS = 4096
BALANCED_STEPS = 16
"""Steps among which packs of like work are put together."""
KEPT_STEPS = 256
"""Steps that stay in memory behind the one asked for last."""

Watch = Callable[[Numbers, Records], None]


@dataclass(frozen=True, slots=True)
class Step:
    """What one optimizer step learns from."""

    number: int
    """From 0, over all epochs."""
    epoch: int
    """From 0."""
    packs: tuple[tuple[int, ...], ...]
    """The numbers of the rows in each pack."""
    passed: int = 0
    """Rows of all epochs that were used, or found unusable, before this step. Unusable rows are counted in proportion
    to the used ones of their window, not at the place where they were met."""
    spent: int = 0
    """Tokens of all steps before this one, without padding."""
    lengths: tuple[int, ...] = ()
    """Tokens of each pack, without padding."""
    work: tuple[float, ...] = ()
    """Estimated work of each pack; empty where nobody estimates."""

    def of_rank(self, rank: int, ranks: int) -> Step:
        """Return the step with this rank's packs only: together, the ranks have all of them, each once."""
        mine = share(self.work or self.lengths or [1.0] * len(self.packs), ranks)[rank]
        return replace(
            self,
            packs=tuple(self.packs[at] for at in mine),
            lengths=tuple(self.lengths[at] for at in mine if self.lengths),
            work=tuple(self.work[at] for at in mine if self.work),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSettings:
    """What decides a plan besides its data."""

    capacity: int
    """Most tokens of a pack."""
    packs_per_step: int
    """Number of packs in a step, over all ranks and micro-batches."""
    seed: int
    window: int | None = None
    """How many rows are measured and packed at a time; None: the whole epoch."""
    search: bool = False
    """Look for the fullest pack where the longest-first choice leaves a gap; see ``packing.Packer``."""
    work: Work | None = None
    """Put packs of like work into the same step; None: packs as they come."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where an epoch begins: its first step, and the rows and tokens before it."""

    number: int
    passed: int
    spent: int


class StepPlan:
    """The steps of all epochs. State: where epochs begin, and the steps of the windows that were asked for last."""

    def __init__(
        self,
        measures: Measures,
        mixture: Mixture,
        settings: PlanSettings,
        *,
        watch: Watch | None = None,
        stage: str | None = None,
    ) -> None:
        """Begin a plan; nothing is measured yet.

        Args:
            measures: how long every row is.
            mixture: which rows an epoch has.
            settings: capacity, seed and the like.
            watch: is told the rows and records of each window that is passed, in order and from the first epoch on;
                again when the plan goes back.
            stage: whose steps these are, for messages.
        """
        self.settings = settings
        self.mixture = mixture
        self.measures = measures
        self._watch = watch
        self._stage = stage
        self._marks = [_Mark(0, 0, 0)]
        self._kept: list[tuple[Step, ...]] = []
        self._windows = self._from(0)
        self._next = 0
        """Number of the step that comes after those of the last window."""

    def steps_per_epoch(self, epoch: int) -> int:
        """Return the number of steps in this epoch; epochs differ by a few, as their packings do."""
        return self.first_step(epoch + 1) - self.first_step(epoch)

    def first_step(self, epoch: int) -> int:
        """Return the number of the epoch's first step: also the number of steps in all epochs before it."""
        if len(self._marks) <= epoch and self._next < self._marks[-1].number:
            self._go_to(self._marks[-1].number)
        while len(self._marks) <= epoch:
            self._advance()
        return self._marks[epoch].number

    def step(self, number: int) -> Step:
        """Return step ``number``, from 0. Measures the rows of all windows up to it that were not measured yet."""
        while (step := self._found(number)) is None:
            self._go_on(number)
        return step

    def before(self, number: int) -> tuple[int, int]:
        """Return the rows and the tokens before step ``number`` (``Step.passed``, ``Step.spent``).

        Where an epoch ends there, no row of the next is measured.
        """
        while True:
            for mark in self._marks:
                if mark.number == number:
                    return mark.passed, mark.spent
            if (step := self._found(number)) is not None:
                return step.passed, step.spent
            self._go_on(number)

    def rows_in(self, epochs: Fraction) -> Fraction:
        """Return how many rows so many epochs have."""
        whole = int(epochs)
        part = (epochs - whole) * self.mixture.size(whole) if epochs > whole else Fraction(0)
        return Fraction(sum(map(self.mixture.size, range(whole)))) + part

    def _found(self, number: int) -> Step | None:
        """Return a step that is in memory."""
        for steps in self._kept:
            if steps[0].number <= number <= steps[-1].number:
                return steps[number - steps[0].number]
        return None

    def _go_on(self, number: int) -> None:
        """Plan the next window, from the beginning of the step's epoch where that is past."""
        if number < self._next:
            self._go_to(number)
        self._advance()

    def _go_to(self, number: int) -> None:
        """Go back to the beginning of the epoch of a step."""
        epoch = bisect_right([mark.number for mark in self._marks], number) - 1
        self._windows = self._from(epoch)
        self._next = self._marks[epoch].number
        self._kept = []

    def _advance(self) -> None:
        steps = next(self._windows)
        if steps:
            self._kept.append(steps)
            while sum(map(len, self._kept[1:])) >= KEPT_STEPS:
                self._kept.pop(0)
            self._next = steps[-1].number + 1

    def _from(self, epoch: int) -> Iterator[tuple[Step, ...]]:
        """Yield the steps of each window, and none where an epoch ends, epoch after epoch, without end."""
        while True:
            mark = self._marks[epoch]
            number, passed, spent, unused = mark.number, mark.passed, mark.spent, 0
            for window in self._epoch(epoch):
                learnt = sum(len(pack.rows) for packs in window.steps for pack in packs)
                unused += window.unused
                counted = unused * learnt // max(1, learnt + window.waiting)
                steps, done = [], 0
                for packs in window.steps:
                    rows, lengths = tuple(pack.rows for pack in packs), tuple(pack.tokens for pack in packs)
                    work = tuple(pack.work for pack in packs) if self.settings.work else ()
                    before = passed + done + counted * done // learnt
                    steps.append(Step(number, epoch, rows, before, spent, lengths, work))
                    number += 1
                    done += sum(map(len, rows))
                    spent += sum(lengths)
                passed, unused = passed + learnt + counted, unused - counted
                yield tuple(steps)
            if number == mark.number:
                raise DataError(self._nothing(epoch))
            if len(self._marks) == epoch + 1:
                self._marks.append(_Mark(number, passed + unused, spent))
            yield ()
            epoch += 1

    def _nothing(self, epoch: int) -> str:
        """Return why an epoch has nothing to learn from."""
        where = "" if self._stage is None else f"stage {self._stage!r}: "
        portions = [(number, each) for number, each in enumerate(self.mixture.portions) if each.rows]
        if taken := self.mixture.size(epoch):
            rows, were = ("the 1 row", "was") if taken == 1 else (f"all {taken:,} rows", "were")
            why = f"{rows} that epoch {epoch + 1} takes {were} refused."
        elif portions:
            shares = (f"{float(each.an_epoch):g} of the {each.rows:,} rows of data[{at}]" for at, each in portions)
            return (
                f"{where}epoch {epoch + 1} has no row: by weights, limits and mixing, an epoch takes"
                f" {', '.join(shares)}. Raise a weight or a limit."
            )
        else:
            why = "every source is empty."
        return f"{where}there are no examples to learn from: {why}"

    def _epoch(self, epoch: int) -> Iterator[_Window]:
        """Yield each window of an epoch."""
        settings = self.settings
        random = Random(f"{settings.seed}-{epoch}")
        rows = self.mixture.epoch(epoch)
        order = rows[random.sample(range(len(rows)), len(rows))]
        packer = Packer(capacity=settings.capacity, search=settings.search)
        packing: dict[int, tuple[int, int, float]] = {}
        arrived = 0
        ready: list[_Pack] = []
        window = settings.window or max(1, len(order))
        for start in range(0, len(order), window):
            chunk = order[start : start + window]
            records = self.measures.measure(chunk)
            if self._watch is not None:
                self._watch(chunk, records)
            usable = (records["state"] != REFUSED) & (records["tokens"] <= settings.capacity)
            chunk, records = chunk[usable], records[usable]
            work = settings.work.of(records) if settings.work else np.zeros(len(chunk))
            lengths = records["tokens"].tolist()
            packing.update(enumerate(zip(chunk.tolist(), lengths, work.tolist(), strict=True), start=arrived))
            arrived += len(chunk)
            last = start + window >= len(order)
            packed = packer.add(lengths)
            packed += packer.finish() if last else []
            fresh = [_packed([packing.pop(place) for place in places]) for places in packed]
            steps, ready = self._grouped(ready, fresh, random, last=last)
            waiting = len(packing) + sum(len(pack.rows) for pack in ready)
            yield _Window(steps, int(len(usable) - usable.sum()), waiting)

    def _grouped(
        self, ready: list[_Pack], fresh: list[_Pack], random: Random, *, last: bool
    ) -> tuple[list[list[_Pack]], list[_Pack]]:
        """Return the steps that are settled, and the packs that wait for the next window's."""
        count = self.settings.packs_per_step
        if self.settings.work is None:
            random.shuffle(fresh)  # those packed early hold more of the long examples
            ready = ready + fresh
            settled = len(ready) if last else len(ready) // count * count
            return [ready[at : at + count] for at in range(0, settled, count)], ready[settled:]
        ready = ready + fresh
        if len(ready) < BALANCED_STEPS * count and not last:
            return [], ready
        ready.sort(key=lambda pack: (pack.work, pack.rows))
        # Who is over waits: the lightest, the heaviest or any between, that none of them is always late.
        over = len(ready) % count
        at = random.randint(0, len(ready) // count) * count
        rest = ready[at : at + over]
        ready[at : at + over] = []
        steps = [ready[at : at + count] for at in range(0, len(ready), count)]
        random.shuffle(steps)
        if last and rest:
            return [*steps, rest], []
        return steps, rest


@dataclass(frozen=True, slots=True)
class _Pack:
    rows: tuple[int, ...]
    tokens: int
    work: float


@dataclass(frozen=True, slots=True)
class _Window:
    """What packing one window of an epoch's order gives."""

    steps: list[list[_Pack]]
    """The packs of each step that is settled."""
    unused: int
    """Number of its rows that are not used."""
    waiting: int
    """Number of rows of this and earlier windows that will be used but are in no settled step yet."""


def _packed(rows: Sequence[tuple[int, int, float]]) -> _Pack:
    return _Pack(
        tuple(row for row, _, _ in rows), sum(length for _, length, _ in rows), sum(work for _, _, work in rows)
    )
