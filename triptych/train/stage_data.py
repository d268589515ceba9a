"""What a tune stage learns from: a plan of steps, and how a step is read; few rows in memory, many as they come.

Few: everything is read and rendered before the first step, so all lengths are known. Many (more than the stage's
``in_memory_rows``): only where rows are is known at the start; a window of them is measured before its steps, and its
bad rows go to the ledger then. Lengths are remembered, so that a run that goes on measures nothing twice, and those of
its own planned steps stay what they were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count, takewhile
from pathlib import Path

import numpy as np

from triptych.data.format import Refused
from triptych.data.plan.ahead import ahead
from triptych.data.plan.balance import Work
from triptych.data.plan.budget import FLOOR_PX, Budget
from triptych.data.plan.corpora import Corpora
from triptych.data.plan.corpus import KeptRows
from triptych.data.plan.measures import REFUSED, CachedMeasures, KnownMeasures, Records, records_of
from triptych.data.plan.mixture import Numbers
from triptych.data.plan.planned import PlannedMeasures
from triptych.data.plan.reader import Read, Reader
from triptych.data.plan.rendering import Rendering, in_pack
from triptych.data.plan.step_loader import LoadedStep, StepLoader
from triptych.data.plan.step_plan import WINDOW_ROWS, PlanSettings, StepPlan
from triptych.data.template import Encoded
from triptych.train.determinism import derive_seed
from triptych.train.ledger import READ, RunningLedger, raise_bad
from triptych.train.prepare import digest_of, mixture_of, open_sources, prepare_encoded
from triptych.train.recipe import Tune
from triptych.train.scores import rendering_for
from triptych.train.signals import Stop
from triptych.train.sources import Limits
from triptych.train.torn_images import enter

Check = Callable[[str], None]
"""Is told the digest of a stage's data. Raises RunError where the run cannot go on with them."""


@dataclass(frozen=True, eq=False)
class StageData:
    """What a stage learns from."""

    plan: StepPlan
    digest: str
    """Digest of all rows and how they become tokens; a run goes on only with the same one."""
    encoded: Sequence[Encoded]
    """All rows by number, where they are in memory."""
    source: Callable[[int], int]
    """Number of the source in the stage that a row, by its number in the plan, is of."""
    read: Callable[[int], Read]
    """Reads a row by its number in the plan."""
    load: StepLoader
    """Reads a step in this process."""
    load_in_worker: StepLoader | None
    """Reads a step in another process, without torch; None: there is nothing to do ahead."""
    refuse: Callable[[int, Refused], None]
    """Is told of a row that is bad when it is read for its step. Raises DataError under ``on_bad: raise``."""
    act: Callable[[int, Read], None]
    """Is told of a row that the budget changed."""
    settle: Callable[[], None]
    """Is told when an epoch ends."""
    flush: Callable[[], None] = lambda: None
    """Waits until what the steps so far were planned with, and without, is on the disk."""
    kept_rows: Sequence[KeptRows | None] = ()
    """Of each source, where its rows are kept, for other processes of the run."""

    @property
    def in_memory(self) -> bool:
        """Whether all rows are in memory."""
        return bool(self.encoded)

    def without_pixels(self) -> StageData:
        """Return the same for steps that need no pixels, where all rows are in memory: there is nothing to do ahead."""
        return replace(self, load=StepLoader(self.read, decode=False), load_in_worker=None)

    def loaded(
        self, first: int, *, workers: int, finished: Callable[[int], bool], rank: int = 0, ranks: int = 1
    ) -> Generator[LoadedStep]:
        """Yield the steps from number ``first`` on until one is ``finished``, read ahead by so many processes.

        Of each step, the packs of ``rank``.
        """
        numbers = takewhile(lambda number: not finished(number), count(first))
        steps = (self.plan.step(number) for number in numbers)
        if ranks > 1:
            steps = (step.of_rank(rank, ranks) for step in steps)
        if self.load_in_worker is None:
            return ahead(self.load, steps, workers=0)
        return ahead(self.load_in_worker if workers else self.load, steps, workers=workers)


def open_stage_data(
    stage: Tune,
    rendering: Rendering,
    *,
    run: Path,
    seed: int,
    anew: bool,
    lengths: Path | None = None,
    check: Check | None = None,
    kept_rows: Sequence[KeptRows | None] = (),
    stop: Stop | None = None,
) -> StageData:
    """Open the sources of a stage and plan its steps.

    Args:
        stage: what to learn from.
        rendering: of the model.
        run: the run's folder, for the ledger.
        seed: of the stage.
        anew: whether the stage begins now.
        lengths: folder of the run, which all its processes share, for the lengths that it plans with; None: it keeps
            none of its own.
        check: is told the digest of the data before the run's own lengths are opened, and may refuse it.
        kept_rows: as ``open_sources``.
        stop: is asked while rows are read; None: nobody may stop it.

    Raises:
        DataError: the data cannot be used.
        RunError: a stop was asked for, or ``check`` refuses the data.
    """
    corpora = open_sources(stage, seed=seed, kept_rows=kept_rows)
    few = len(corpora) <= stage.in_memory_rows
    reader = reader_of(stage, corpora, rendering=rendering, look=few)
    if few:
        data = _in_memory(stage, reader, run=run, seed=seed, check=check, stop=stop)
    else:
        data = _as_they_come(stage, reader, run=run, seed=seed, anew=anew, lengths=lengths, check=check)
    return replace(data, kept_rows=[corpus.kept_rows for corpus in corpora.sources])


def reader_of(stage: Tune, corpora: Corpora, *, rendering: Rendering, look: bool = False) -> Reader:
    """Return what reads the rows of a stage, within its budget."""
    shorten = stage.budget is not None and stage.budget.overlong == "shorten"
    budgets = [_budget(stage, entry.budget) for entry in stage.data]
    return Reader(corpora, rendering_for(stage.objective, rendering), budgets=budgets, shorten=shorten, look=look)


def _budget(stage: Tune, own: Limits | None) -> Budget | None:
    """Return the budget of a source: its own limits within the stage's, and a pack at most."""
    limits = [each for each in (stage.budget, own) if each is not None]
    if not limits:
        return None
    budget = Budget(example_tokens=stage.pack_tokens)
    for each in limits:
        budget = budget.within(
            Budget(
                image_tokens=each.image_tokens,
                images_tokens=each.images_tokens,
                example_tokens=each.example_tokens,
                least_side_px=each.least_side_px,
            )
        )
    return budget if budget.least_side_px is not None else replace(budget, least_side_px=FLOOR_PX)


def settings_of(stage: Tune, *, seed: int, in_memory: bool) -> PlanSettings:
    """Return what the plan of a stage follows beside its data."""
    return PlanSettings(
        capacity=stage.pack_tokens,
        packs_per_step=stage.step_tokens // stage.pack_tokens,
        seed=derive_seed(seed, "order"),
        window=None if in_memory else WINDOW_ROWS,
        search=not in_memory,  # a plan in memory is as it was in the first release
        work=Work() if stage.balance else None,
    )


def _in_memory(
    stage: Tune, reader: Reader, *, run: Path, seed: int, check: Check | None, stop: Stop | None
) -> StageData:
    gathered = prepare_encoded(stage, reader, pack_tokens=stage.pack_tokens, run=run, seed=seed, stop=stop)
    digest = digest_of(gathered.rows)
    if check is not None:
        check(digest)
    records = records_of([Read(row) for row in gathered.rows])
    settings = settings_of(stage, seed=seed, in_memory=True)
    plan = StepPlan(KnownMeasures(records), gathered.mixture, settings, stage=stage.name)

    def refuse(row: int, refused: Refused) -> None:
        raise_bad(stage, refused)
        enter([(gathered.sources[row], refused)], stage, run=run)

    held = _Held(gathered.rows)
    return StageData(
        plan=plan,
        digest=digest,
        encoded=gathered.rows,
        source=gathered.sources.__getitem__,
        read=held,
        load=StepLoader(held, decode=True),
        load_in_worker=StepLoader(_Renumbered(reader.portable(), gathered.numbers), decode=True),
        refuse=refuse,
        act=lambda _row, _read: None,  # told when it was read first
        settle=lambda: None,
    )


def _as_they_come(
    stage: Tune,
    reader: Reader,
    *,
    run: Path,
    seed: int,
    anew: bool,
    lengths: Path | None,
    check: Check | None,
) -> StageData:
    corpora = reader.corpora
    mixture = mixture_of(stage, [len(corpus) for corpus in corpora.sources], seed=seed)
    settings = settings_of(stage, seed=seed, in_memory=False)
    told = (*(corpus.digest for corpus in corpora.sources), reader.digest, mixture, settings)
    digest = hashlib.sha256(repr(told).encode("utf-8")).hexdigest()
    if check is not None:
        check(digest)
    cached = CachedMeasures(reader)
    if anew:
        cached.forget_refused()
    planned = None if lengths is None else PlannedMeasures(cached, lengths, stage=stage.name, anew=anew)

    def why(row: int) -> Refused | None:
        read = in_pack(reader.read(row).row, pack_tokens=stage.pack_tokens)
        return read if isinstance(read, Refused) else None

    ledger = RunningLedger(run, stage, corpora, why=why, anew=anew, known=lengths)
    if planned is not None and run == lengths:  # the leading process, which opens them first: others may find some
        planned.forget_refused(but=ledger.refused)

    def watch(rows: Numbers, records: Records) -> None:
        ledger.watch(rows, np.where(records["tokens"] > stage.pack_tokens, np.uint8(REFUSED), records["state"]))

    def flush() -> None:
        ledger.flush()
        if planned is not None:
            planned.flush()

    return StageData(
        plan=StepPlan(planned or cached, mixture, settings, watch=watch, stage=stage.name),
        digest=digest,
        encoded=(),
        source=lambda row: corpora.place(row)[0],
        read=reader.read,
        load=StepLoader(reader.read, decode=True),
        load_in_worker=StepLoader(reader.portable().read, decode=True),
        refuse=lambda row, refused: ledger.refuse(row, refused, when=READ),
        act=ledger.act,
        settle=ledger.settle,
        flush=flush,
    )


class _Held:
    """Reads rows that are in memory."""

    def __init__(self, rows: Sequence[Encoded]) -> None:
        self._rows = rows

    def __call__(self, row: int) -> Read:
        return Read(self._rows[row])


class _Renumbered:
    """Reads rows by their place among those that can be used."""

    def __init__(self, reader: Reader, numbers: Iterable[int]) -> None:
        self._reader = reader
        self._numbers = np.fromiter(numbers, dtype=np.int64)

    def __call__(self, row: int) -> Read:
        return self._reader.read(int(self._numbers[row]))
