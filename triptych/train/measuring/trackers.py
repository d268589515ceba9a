"""Who else is told of a run's records: TensorBoard, Weights & Biases, trackio, as ``log:`` in a recipe says.

Not the records: those are metrics.jsonl's, and nothing is told that does not stand there. trackers.jsonl in the run's
folder says which of them each tracker was told, so that a run that goes on tells each step once, to the same tracker
run, also a tracker that was asked for only later. It also says what each stage learns from: one that begins anew on
other data is told to a new tracker run. A tracker that fails is named once and left; training goes on.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from triptych.core.errors import ConfigError
from triptych.core.files import append_json_line, read_json_lines
from triptych.core.log import say
from triptych.core.records import Json
from triptych.train.measuring.meters import METRICS, VALIDATIONS
from triptych.train.setting import LogPlan

TRACKERS = "trackers.jsonl"
FOLDER = "tensorboard"
"""Folder of TensorBoard's event files, in the run's; those of a later tracker run are in a folder of its name there."""

VALIDATION = "/validation"
"""Behind a stage's name in what trackers are told of its validation."""

Told = tuple[str, int | None]
"""Which record: stage and step; None: the stage's sum."""


@dataclass(frozen=True, slots=True)
class TrackerRun:
    """What trackers tell as one run."""

    run: Path
    """The folder of the run itself."""
    name: str
    events: Path
    """Where TensorBoard's event files are."""


@dataclass(frozen=True, slots=True)
class Tracker:
    """One open tracker."""

    log: Callable[[Mapping[str, float], Told, int], None]
    """Is given numbers by name, which record they are, and how many it was told before."""
    close: Callable[[], None]


class Trackers:
    """The trackers that a recipe asks for. State: which still answer, and what each was told."""

    def __init__(self, plan: LogPlan, *, run: Path, recipe: Mapping[str, Json]) -> None:
        """Open them; ``check_trackers`` comes before. What metrics.jsonl holds already they are told when a stage tells
        its first step, as a stage that begins anew drops what it held.

        Args:
            plan: who is told.
            run: the run's folder.
            recipe: its tree, which some of them keep with the run.
        """
        self._run, self._plan, self._recipe = run, plan, recipe
        self._open: dict[str, Tracker] = {}
        self._told: dict[str, set[Told]] = {}
        self._looked: set[str] = set()
        """Stages of which it was looked whether they began anew."""
        if _asked(plan):
            if not _latest(run)[1]:
                _begin_run(run)
            self._open_all()

    def _open_all(self) -> None:
        """Open the trackers for the latest tracker run."""
        before, lines = _latest(self._run)
        name = str(lines[0]["run"])
        events = self._run / FOLDER / name if before else self._run / FOLDER
        for tracker in _asked(self._plan):
            self._told[tracker] = {_which(line) for line in lines if line.get("tracker") == tracker}
            with self._spared(tracker):
                self._open[tracker] = _OPEN[tracker](self._plan, TrackerRun(self._run, name, events), self._recipe)

    def tell(self, record: Mapping[str, Json]) -> None:
        """Tell a record of metrics.jsonl to those who do not know it, and before the first of a stage what it holds.

        Args:
            record: or what ``validation_told`` makes of one of validation.jsonl.
        """
        if (stage := _which(record)[0].removesuffix(VALIDATION)) not in self._looked:
            self._look(stage)
            self.catch_up()
        self._tell(record)

    def _look(self, stage: str) -> None:
        """Where a stage learns from other data than what was told of it, leave that and begin a new tracker run."""
        self._looked.add(stage)
        if not self._open:
            return
        _, lines = _latest(self._run)
        plans = {str(line["stage"]): line["plan"] for line in lines if "plan" in line}
        if len({line["plan"] for line in lines if "plan" in line and line["stage"] == stage}) < 2:
            return
        self._close()
        _begin_run(self._run)
        for each, plan in plans.items():
            note_plan(self._run, each, plan=str(plan))
        say(f"{stage} began anew on other data: from now on it is told as another run.")
        self._open_all()

    def _tell(self, record: Mapping[str, Json]) -> None:
        which = _which(record)
        for tracker in list(self._open):
            if which in self._told[tracker]:
                continue
            with self._spared(tracker):
                self._open[tracker].log(_numbers(record), which, len(self._told[tracker]))
                self._told[tracker].add(which)
                append_json_line(self._run / TRACKERS, {"tracker": tracker, "stage": which[0], "step": which[1]})

    def catch_up(self) -> None:
        """Tell what metrics.jsonl and validation.jsonl hold and they do not know."""
        for name, told in ((METRICS, dict), (VALIDATIONS, validation_told)):
            if self._open and (self._run / name).exists():
                for record in read_json_lines(self._run / name):
                    self._tell(told(record))

    def close(self) -> None:
        """Tell the rest, and let go of them."""
        self.catch_up()
        self._close()

    def _close(self) -> None:
        for name, tracker in list(self._open.items()):
            with self._spared(name):
                tracker.close()
        self._open.clear()

    def _spared(self, tracker: str) -> _Spared:
        def leave(error: Exception) -> None:
            self._open.pop(tracker, None)
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            say(f"{tracker} is told nothing more: {reason}. Training goes on; {METRICS} has every step.")

        return _Spared(leave)


class _Spared:
    """A block that may fail in any way of a library's without ending what is around it."""

    def __init__(self, leave: Callable[[Exception], None]) -> None:
        self._leave = leave

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self._leave(error)
        return True


def check_trackers(plan: LogPlan) -> None:
    """See that the packages of those who are to be told are there, before anything is trained.

    Raises:
        ConfigError: one is not.
    """
    for name in _asked(plan):
        if find_spec(name) is None:
            raise ConfigError(f"log.{name}: the package {name} is not there: pip install {name}, or leave the key out.")


def validation_told(record: Mapping[str, Json]) -> dict[str, Json]:
    """Return a record of validation.jsonl as trackers are told it: ``STAGE/validation/loss_nats``.

    Where there are several sources, each besides, by its number: ``STAGE/validation/0/loss_nats``.
    """
    sources = record.get("sources")
    each = {
        f"{number}/{key}": value
        for number, source in enumerate(sources if isinstance(sources, list) and len(sources) > 1 else ())
        if isinstance(source, dict)
        for key, value in source.items()
    }
    return {**record, **each, "stage": f"{record['stage']}{VALIDATION}"}


def note_plan(run: Path, stage: str, *, plan: str) -> None:
    """Write down what a stage learns from, where a tracker is told of the run.

    Args:
        run: the run's folder.
        stage: its name, which begins, or goes on with the data that it had.
        plan: digest of its data.
    """
    if (run / TRACKERS).exists():
        _, lines = _latest(run)
        noted = [line["plan"] for line in lines if "plan" in line and line["stage"] == stage]
        if noted[-1:] != [plan]:
            append_json_line(run / TRACKERS, {"stage": stage, "plan": plan})


def _begin_run(run: Path) -> None:
    append_json_line(run / TRACKERS, {"run": f"{run.resolve().name}-{secrets.token_hex(4)}"})


def _latest(run: Path) -> tuple[int, list[dict[str, Json]]]:
    """Return how many tracker runs came before the latest, and what trackers.jsonl says of it, its name first; nothing
    where there is none."""
    path = run / TRACKERS
    lines = list(read_json_lines(path)) if path.exists() else []
    begins = [at for at, line in enumerate(lines) if "run" in line]
    return max(0, len(begins) - 1), lines[begins[-1] :] if begins else []


def _asked(plan: LogPlan) -> list[str]:
    return [name for name in _OPEN if getattr(plan, name)]


def _which(record: Mapping[str, Json]) -> Told:
    step = record.get("step")
    return str(record.get("stage")), step if isinstance(step, int) else None


def _numbers(record: Mapping[str, Json]) -> dict[str, float]:
    """Return a record's numbers as ``STAGE/loss_nats``; those of a stage's sum as ``STAGE/stage_wall_s``, those of a
    source by its number, as ``STAGE/0/loss_nats``."""
    stage, step = _which(record)
    told = {key: value for key, value in record.items() if isinstance(value, int | float) and key != "step"}
    sources = record.get("sources")
    for number, source in sources.items() if isinstance(sources, dict) else ():
        if isinstance(source, dict):
            told |= {f"{number}/{key}": value for key, value in source.items() if isinstance(value, int | float)}
    return {f"{stage}/{key if step is not None else f'stage_{key}'}": float(value) for key, value in told.items()}


def _open_tensorboard(plan: LogPlan, run: TrackerRun, recipe: Mapping[str, Json]) -> Tracker:
    writer = import_module("torch.utils.tensorboard").SummaryWriter(str(run.events))

    def log(numbers: Mapping[str, float], which: Told, count: int) -> None:
        for key, value in numbers.items():
            writer.add_scalar(key, value, which[1] or 0)
        writer.flush()  # so that a kill loses nothing

    return Tracker(log, writer.close)


def _open_wandb(plan: LogPlan, run: TrackerRun, recipe: Mapping[str, Json]) -> Tracker:
    wandb, name = import_module("wandb"), run.name
    quiet = wandb.Settings(console="off")
    found = wandb.init(
        project=plan.wandb, id=name, name=name, dir=str(run.run), resume="allow", config=dict(recipe), settings=quiet
    )

    def log(numbers: Mapping[str, float], which: Told, count: int) -> None:
        found.log({**numbers, **_step(which)}, step=count)

    return Tracker(log, found.finish)


def _open_trackio(plan: LogPlan, run: TrackerRun, recipe: Mapping[str, Json]) -> Tracker:
    trackio = import_module("trackio")
    with redirect_stdout(sys.stderr):  # it prints
        trackio.init(project=plan.trackio, name=run.name, resume="allow", config=dict(recipe), embed=False)

    def log(numbers: Mapping[str, float], which: Told, count: int) -> None:
        trackio.log({**numbers, **_step(which)}, step=count)

    def close() -> None:
        with redirect_stdout(sys.stderr):
            trackio.finish()

    return Tracker(log, close)


def _step(which: Told) -> dict[str, float]:
    """Return the stage's own step, for trackers that count through all stages."""
    return {} if which[1] is None else {f"{which[0]}/step": which[1]}


_OPEN: Mapping[str, Callable[[LogPlan, TrackerRun, Mapping[str, Json]], Tracker]] = {
    "tensorboard": _open_tensorboard,
    "wandb": _open_wandb,
    "trackio": _open_trackio,
}
