"""The loss of rows that are not learnt, as a stage goes: before its first step, every so often, and after its last.

Not a score (``evaluate``). It changes no weight and draws no random number: a run with a validation takes the same
steps, to the bit, as one without, and ends with the same weights unless the recipe says to keep those of the lowest
loss (``lowest.py``). Each source is packed alone, so that each has a loss of its own.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from triptych.core.config import Length
from triptych.core.errors import DataError
from triptych.core.files import append_json_line, read_json_lines
from triptych.core.log import counted, say
from triptych.core.records import Json
from triptych.data.plan.corpus import KeptRows
from triptych.data.plan.scoring import Loss
from triptych.data.template import Encoded
from triptych.models.family import Model
from triptych.models.vision.features import FeatureStore
from triptych.train.determinism import derive_seed
from triptych.train.encode_ahead import encode_ahead
from triptych.train.feature_cache import VALIDATION_FEATURES, keeps_features
from triptych.train.ledger import LEDGER, write_ledger
from triptych.train.measuring.meters import VALIDATIONS, say_loss
from triptych.train.pace import Pace, pace_of
from triptych.train.parallel.shards import idle_batch
from triptych.train.prepare import image_key
from triptych.train.recipe import VALIDATION
from triptych.train.scores import scoring_of
from triptych.train.signals import Stop
from triptych.train.stage_data import StageData, open_stage_data
from triptych.train.stage_state import StageState
from triptych.train.step import agree, batches_of, loss_of, pad_id_of
from triptych.train.torn_images import TornImages


@dataclass(frozen=True, slots=True)
class SourceLoss:
    """What was found of one source."""

    source: str
    loss: float
    """Mean over its supervised tokens or targets; NaN where there was none."""
    supervised: int
    rows: int
    """Those that could be read."""


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """What was found once, over all sources."""

    stage: str
    step: int
    """Steps that were done."""
    scores: Loss | None
    """As in ``StepReport``."""
    sources: tuple[SourceLoss, ...]
    digest: str
    """Of the rows: losses over other rows say nothing beside each other."""
    wall_s: float

    @property
    def supervised(self) -> int:
        """Supervised tokens, or targets."""
        return sum(each.supervised for each in self.sources)

    @property
    def rows(self) -> int:
        """Rows that could be read."""
        return sum(each.rows for each in self.sources)

    @property
    def loss(self) -> float:
        """Mean over all supervised tokens or targets."""
        total = sum(each.loss * each.supervised for each in self.sources if each.supervised)
        return total / self.supervised if self.supervised else math.nan

    def record(self) -> dict[str, Json]:
        """Return the line of validation.jsonl; a loss that is not finite is null."""
        loss = "loss_squared" if self.scores == "mse" else "loss_nats"
        supervised = "targets" if self.scores else "trained_tokens"
        return {
            "stage": self.stage,
            "step": self.step,
            loss: _finite(self.loss),
            supervised: self.supervised,
            "rows": self.rows,
            "sources": [
                {"source": each.source, loss: _finite(each.loss), supervised: each.supervised} for each in self.sources
            ],
            "data": self.digest,
            "wall_s": round(self.wall_s, 4),
        }


AfterValidation = Callable[[ValidationReport], None]


class Validator:
    """Looks at the rows of a stage's validation when it is time. State: what was found so far."""

    def __init__(
        self,
        state: StageState,
        held: Sequence[StageState],
        *,
        due: Pace,
        stop: Stop,
        after_validation: AfterValidation | None,
    ) -> None:
        """Take up what was found before the run was taken up.

        Args:
            state: the stage that learns.
            held: the stage of each source's rows (``Tune.validating``), which has the same weights.
            due: its ``saves`` tells after which steps it is time.
            stop: is asked between passes.
            after_validation: is told about each, in the process that leads.
        """
        self._state, self._held, self._due, self._stop = state, held, due, stop
        self._after_validation = after_validation
        self._path = state.book / VALIDATIONS
        told = [(each.data.digest, _rows(each)) for each in held]
        self._digest = hashlib.sha256(repr(told).encode()).hexdigest()[:16]
        # All processes must agree on when it is time, and the leading one alone has what the run's folder holds.
        own = state.world.lead(self._before)
        same = [record for record in own if record.get("data") == self._digest]
        self._found = {int(str(record["step"])): (_loss_in(record), record.get("rows")) for record in same}
        if len(same) < len(own):
            say(
                f"{state.stage.name}: other rows are validated than before, or the code makes other tokens of them:"
                f" losses of both stand in {self._path}, and say nothing beside each other"
            )

    def _before(self) -> list[dict[str, Json]]:
        records = read_json_lines(self._path) if self._path.exists() else ()
        return [record for record in records if record.get("stage") == self._state.stage.name]

    def due(self, step: int) -> bool:
        """Return whether it is time to look after so many steps, and nobody did."""
        return step not in self._found and (step == 0 or self._due.saves(step) or self._due.finished(step))

    def losses(self) -> dict[int, float]:
        """Return the finite losses by step, over as many rows as the last one."""
        rows = next((rows for _, rows in reversed(self._found.values())), None)
        same = {step: loss for step, (loss, counted) in self._found.items() if counted == rows}
        return {step: loss for step, loss in same.items() if math.isfinite(loss)}

    def look(self, step: int) -> None:
        """Measure the loss after so many steps, if it is due; say it, and write it down.

        Where somebody asked to stop, who does not wait for it, it stays due.
        """
        if not self.due(step):
            return
        begin, state = time.perf_counter(), self._state
        sources = []
        for held in self._held:
            if (found := _look_at(held, self._stop)) is None:
                return
            sources.append(found)
        scoring = scoring_of(state.stage.objective)
        report = ValidationReport(
            stage=state.stage.name,
            step=step,
            scores=None if scoring is None else scoring.loss,
            sources=tuple(sources),
            digest=self._digest,
            wall_s=time.perf_counter() - begin,
        )
        append_json_line(self._path, report.record())
        self._found[step] = report.loss, report.rows
        say(self._told(report))
        if self._after_validation is not None and state.world.leads:
            self._after_validation(report)

    def _told(self, report: ValidationReport) -> str:
        """Return what was found, for people, beside what was found before."""
        when = f"after step {report.step}" if report.step else "before the first step"
        said = f"{report.stage}: validation {when}: loss {say_loss(report.loss, report.scores)}"
        if len(report.sources) > 1:
            said += f" ({', '.join(f'{each.source} {each.loss:.3f}' for each in report.sources)})"
        before = {step: loss for step, loss in self.losses().items() if step < report.step}
        told = [f"{before[0]:.3f} before the first step"] if 0 in before else []
        least = min(before, key=lambda step: before[step], default=0)
        if least and before[least] < report.loss:
            told.append(f"lowest {before[least]:.3f} after step {least}")
        return f"{said}; {', '.join(told)}" if told else said


def open_validator(
    state: StageState, *, stop: Stop, after_validation: AfterValidation | None = None
) -> Validator | None:
    """Return what looks at a stage's validation; None: it has none.

    Args:
        state: the stage, as it begins or goes on.
        stop: is asked while rows are read and images encoded.
        after_validation: is told about each, in the process that leads.

    Raises:
        DataError: the rows cannot be used, or are too many to be looked at again and again.
        RunError: a stop was asked for.
    """
    stage = state.stage
    _forget_others(state, len(stage.validation.data) if stage.validation else 0)
    if stage.validation is None:
        return None
    held = [_held(state, number, stop) for number in range(len(stage.validation.data))]
    due = pace_of(
        state.plan, length=stage.length, warmup=stage.warmup, save_every=stage.validation.every, schedule=stage.schedule
    )
    _tell_learnt(state, held)
    return Validator(state, held, due=due, stop=stop, after_validation=after_validation)


def _held(state: StageState, number: int, stop: Stop) -> StageState:
    """Return the stage of a source's rows, its images encoded where features are kept."""
    own, seed = state.stage.validating(number), derive_seed(state.seed, "validation", number)

    def read(kept_rows: Sequence[KeptRows | None] | None) -> StageData:
        return open_stage_data(
            own, state.model.rendering, run=state.book, seed=seed, anew=True, kept_rows=kept_rows or (), stop=stop
        )

    data = state.world.after_lead(read, tell=lambda data: data.kept_rows)
    if not data.in_memory:
        raise DataError(
            f"stages.{state.stage.name}.validation: {own.data[0].source} has more than {own.in_memory_rows:,} rows,"
            " which are all measured each time. Take some of them, e.g. by #limit=1000 behind the path."
        )
    pace = pace_of(
        data.plan, length=own.length, warmup=Length(0, "steps"), save_every=own.length, schedule=own.schedule
    )
    held = replace(state, stage=own, seed=seed, data=data, paces={}, pace=pace, torn_images=TornImages())
    if state.features is None:
        return held
    model, run = state.model, state.run

    def keeps() -> bool:
        return keeps_features(model, data.encoded, run=run, stage=own.name, anew=True, name=VALIDATION_FEATURES)

    if not state.world.lead(keeps):
        return replace(held, features=None)
    folder = run / VALIDATION_FEATURES
    return encode_ahead(
        replace(held, data=data.without_pixels()), FeatureStore(model, folder), folder=folder, stop=stop
    )


def _tell_learnt(state: StageState, held: Sequence[StageState]) -> None:
    """Say how many of the rows are learnt, too, where all that are learnt are known."""
    learnt = {_content(state.encoded[number]) for number in (_rows(state) if state.encoded else ())}
    rows = [each.encoded[number] for each in held for number in _rows(each)]
    if both := sum(_content(row) in learnt for row in rows):
        say(
            f"{state.stage.name}: {both} of {counted(len(rows), 'row')} of its validation are learnt, too, words and"
            " images: their loss says nothing of what the model has not seen"
        )


def _rows(state: StageState) -> list[int]:
    """Return the numbers of the rows that a stage's steps have, in order."""
    return sorted({row for number in range(state.total) for pack in state.plan.step(number).packs for row in pack})


def _forget_others(state: StageState, sources: int) -> None:
    """Drop from the ledger what it says of a validation's sources from this number on: the recipe has no more."""
    path, begin = state.book / LEDGER, f"{state.stage.name}{VALIDATION}"
    names = {str(record.get("stage")) for record in read_json_lines(path)} if path.exists() else set()
    for name in sorted(names):
        if name.startswith(begin) and int(name.removeprefix(begin)) >= sources:
            write_ledger(path, name, records=[])


def _content(row: Encoded) -> tuple[object, ...]:
    """Return a row's tokens and images, wherever it was read."""
    return row.ids, row.targets, tuple((slot.start, *image_key(slot.image)) for slot in row.slots)


def _look_at(held: StageState, stop: Stop) -> SourceLoss | None:
    """Return what is found of a source; None: somebody asked to stop."""
    total, supervised, rows = 0.0, 0, 0
    with _without_dropout(held.model), torch.no_grad():
        for number in range(held.total):
            if any(held.world.gather(stop.asked_by)):
                return None
            step_total, step_supervised, step_rows = _sum_of(held, number)
            total, supervised, rows = total + step_total, supervised + step_supervised, rows + step_rows
    (entry,) = held.stage.data
    return SourceLoss(entry.source, total / supervised if supervised else math.nan, supervised, rows)


def _sum_of(held: StageState, number: int) -> tuple[float, int, int]:
    """Return the sum of the losses of a step, over all processes, and of how many tokens or targets, and rows."""
    world, step = held.world, held.plan.step(number)
    loaded = held.data.load(step.of_rank(world.rank, world.ranks) if world.ranks > 1 else step)
    batches = list(batches_of(held, loaded))
    rows = sum(len(batch.example_ids) for batch in batches)
    shares = agree(held, loaded, batches=batches)
    if held.sharing.in_step:
        batches += [idle_batch(pad_id_of(held))] * (max(share.passes for share in shares) - len(batches))
    with held.sharing.looking(sees=any(share.images for share in shares)):
        found = (loss_of(held, batch, pictures=loaded.pictures, ready={}, step_supervised=1) for batch in batches)
        losses = [each.share for each in found]
        own = sum(torch.stack(losses).tolist()) if losses else 0.0
    told = world.gather((own, rows))
    return sum(each for each, _ in told), sum(share.supervised for share in shares), sum(each for _, each in told)


@contextmanager
def _without_dropout(model: Model) -> Iterator[None]:
    """Let nothing drop out while the block runs."""
    networks = [each for each in (model.network, model.score_head) if each is not None]
    learning = [module for network in networks for module in network.modules() if module.training]
    for module in learning:
        module.training = False
    try:
        yield
    finally:
        for module in learning:
            module.training = True


def _finite(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None


def _loss_in(record: Mapping[str, Json]) -> float:
    found = record.get("loss_nats", record.get("loss_squared"))
    return float(found) if isinstance(found, int | float) else math.nan
