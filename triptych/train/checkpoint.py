"""Checkpoints of a run: ``checkpoints/STAGE-STEP/``, whole or not there, whenever the process is killed.

Not a finished model: only what a stage trains (safetensors), the optimizer's state, and where it stood. A checkpoint
counts when its marker ``complete`` lists the sha256 of its other files and they agree; anything else is ignored.
Random states are not in it: each step seeds anew (``determinism.py``).

Where processes hold shares of the weights (FSDP), each writes its own into ``shares/``, and the leading one the marker
when all have. A checkpoint of either kind is taken up by any number of processes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from triptych.core.errors import RunError
from triptych.core.files import flush, sha256_of, share
from triptych.core.log import say
from triptych.train.parallel.saved import INDEX, is_shared, read_shares, share_out, write_shares
from triptych.train.parallel.world import World
from triptych.train.recipe import Recipe, StagePlan

FOLDER = "checkpoints"
MARKER = "complete"
POSITION = "position.json"
WEIGHTS = "weights.safetensors"
OPTIMIZER = "optimizer.safetensors"
SHARES = "shares"
"""Folder of what several processes wrote, in place of weights and optimizer."""
PART = ".part"
"""Ending of a checkpoint that is being written."""
OLD = ".old"
"""Ending of one in whose place another is put; it counts until that is there."""


@dataclass(frozen=True, slots=True)
class Position:
    """The stage and step at which a run stood."""

    stage: str
    step: int
    """Optimizer steps that are done; 1 when a closed-form stage is done."""
    finished: bool
    """Whether the stage is done."""
    plan: str
    """Digest of what the stage learns from; another one, another run."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What is kept of a stage so far."""

    position: Position
    weights: Mapping[str, Tensor]
    """What the stage trains, by part and name."""
    optimizer: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole checkpoint on disk."""

    folder: Path
    position: Position

    def weights(self, like: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Return the trained weights by part and name; as shares, where those of ``like`` are."""
        return self._read(WEIGHTS, like)

    def optimizer(self, like: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Return the optimizer's state, as ``weights``; empty after a closed-form stage."""
        return self._read(OPTIMIZER, like)

    def _read(self, file: str, like: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        if (self.folder / SHARES).is_dir():
            return read_shares(self.folder / SHARES, kind=Path(file).stem, like=like)
        tensors = load_file(self.folder / file)
        return tensors if like is None or not is_shared(like) else share_out(tensors, like=like)


def checkpoint_folder(run: Path, stage: str, *, step: int) -> Path:
    """Return where a stage's checkpoint after so many steps is, or would be."""
    return run / FOLDER / f"{stage}-{step}"


def save_checkpoint(run: Path, outcome: Outcome, *, world: World | None = None) -> Path:
    """Write a checkpoint so that it is there as a whole or not at all; return its folder.

    Args:
        run: the run's folder, which all processes see.
        outcome: what is kept.
        world: all its processes come here; None: this one is alone.

    Raises:
        RunError: it cannot be written (a full disk); what was there before is untouched.
    """
    world = World() if world is None else world
    position = outcome.position
    folder = checkpoint_folder(run, position.stage, step=position.step)
    part = folder.with_name(folder.name + PART)
    tensors = {WEIGHTS: outcome.weights, OPTIMIZER: outcome.optimizer}

    def begin() -> None:
        _remove(part)
        part.mkdir(parents=True)

    def write_share() -> None:
        own = {f"{Path(name).stem}/{key}": tensor for name, each in tensors.items() for key, tensor in each.items()}
        write_shares(part / SHARES, own, world=world)

    try:
        world.lead(begin)
        if is_shared(outcome.weights):
            world.together(write_share)
        else:
            world.lead(lambda: _write_whole(part, tensors))
        world.lead(lambda: _complete(part, folder, position))
    except (OSError, RunError) as error:
        shutil.rmtree(part, ignore_errors=True)
        last = latest_checkpoint(run, position.stage)
        good = f"the last good checkpoint is {last.folder}" if last else "there is no earlier checkpoint"
        raise RunError(
            f"{folder}: the checkpoint cannot be written ({error}); {good}."
            " Make room, then give the same command again."
        ) from error
    return folder


def _write_whole(part: Path, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Write tensors by name into the files by name of an unfinished checkpoint."""
    for name, each in tensors.items():
        try:
            save_file({key: tensor.detach().cpu().contiguous() for key, tensor in each.items()}, part / name)
        except SafetensorError as error:
            raise OSError(str(error)) from error


def _complete(part: Path, folder: Path, position: Position) -> None:
    """Write an unfinished checkpoint's position and marker, bring all of it to the disk, and give it its name."""
    share(part)
    (part / POSITION).write_text(json.dumps(asdict(position), indent=2) + "\n", encoding="utf-8")
    files = sorted(path for path in part.rglob("*") if path.is_file())
    digests = {str(path.relative_to(part)): sha256_of(path) for path in files}
    (part / MARKER).write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")
    for path in (*files, part / MARKER, *(path for path in part.iterdir() if path.is_dir()), part):
        flush(path)
    old = folder.with_name(folder.name + OLD)
    if folder.exists():  # damaged, or of a stage whose steps were done and whose end was not
        _remove(old)
        folder.rename(old)
    part.rename(folder)
    flush(folder.parent)
    _remove(old)


def latest_checkpoint(run: Path, stage: str) -> Checkpoint | None:
    """Return the whole checkpoint of a stage with the most steps, or None. A damaged one is told of and passed over."""
    steps = sorted((step for step, _ in _folders(run, stage)), reverse=True)
    return next((found for step in steps if (found := checkpoint_at(run, stage, step=step))), None)


def checkpoint_at(run: Path, stage: str, *, step: int) -> Checkpoint | None:
    """Return the whole checkpoint of a stage after so many steps; None: there is none, or a damaged one, as is told."""
    folder = dict(_folders(run, stage)).get(step)
    if folder is None:
        return None
    if (problem := _problem(folder)) is not None:
        say(f"{folder}: {problem}; this checkpoint is not used")
        return None
    position = Position(**json.loads((folder / POSITION).read_text(encoding="utf-8")))
    assert (position.stage, position.step) == (stage, step), f"{folder} holds {position}"
    return Checkpoint(folder, position)


def stages_done(recipe: Recipe, run: Path) -> list[tuple[StagePlan, Checkpoint]]:
    """Return the stages of a run up to where it stands, each with its latest whole checkpoint.

    What lies there of stages after one that is not finished was learnt from weights that are no more: it is left out.
    """
    done: list[tuple[StagePlan, Checkpoint]] = []
    for stage in recipe.stages:
        last = latest_checkpoint(run, stage.name)
        if last is None:
            break
        done.append((stage, last))
        if not last.position.finished:
            break
    return done


def stages_until(
    recipe: Recipe, run: Path, *, step: int, stage: str | None = None
) -> list[tuple[StagePlan, Checkpoint]]:
    """Return what `stages_done` would have, when a stage had done so many steps.

    Args:
        recipe: of the run.
        run: its folder.
        step: of the stage.
        stage: its name; None: the last one that has a whole checkpoint after this step.

    Raises:
        RunError: there is no whole checkpoint after this step; the message names those that are there.
    """
    done = stages_done(recipe, run)
    for number in reversed(range(len(done))):
        plan, last = done[number]
        if stage not in (None, plan.name):
            continue
        found = last if last.position.step == step else checkpoint_at(run, plan.name, step=step)
        if found is not None:
            return [*done[:number], (plan, found)]
    there = {plan.name: sorted(each for each, _ in _folders(run, plan.name) if each != step) for plan, _ in done}
    named = [f"{name} after step {', '.join(map(str, steps))}" for name, steps in there.items() if steps]
    of = "any stage" if stage is None else f"stage {stage!r}"
    raise RunError(
        f"{run} has no whole checkpoint of {of} after step {step}; there are: {'; '.join(named) or 'none'}."
        " keep_checkpoints in its recipe says how many stay."
    )


def prune_checkpoints(
    run: Path, stage: str, *, latest: int, keep: int | Literal["all"], also: int | None = None
) -> None:
    """Delete all but the ``keep`` latest checkpoints of a stage, and what a killed writer left.

    Args:
        run: the run's folder.
        stage: whose checkpoints they are.
        latest: steps of the latest whole one: those of more are damaged, were passed over, and count for nothing.
        keep: how many stay, or all of them.
        also: steps of one that stays besides.
    """
    folders = sorted(_folders(run, stage), reverse=True)
    damaged = [folder for step, folder in folders if step > latest]
    whole = [(step, folder) for step, folder in folders if step <= latest]
    old = [] if keep == "all" else whole[keep:]
    for folder in (*damaged, *(folder for step, folder in old if step != also)):
        _remove(folder)
    here = {folder for _, folder in folders}
    for left in (each for ending in (PART, OLD) for each in (run / FOLDER).glob(f"{stage}-*{ending}")):
        if left not in here and _step_in(left.name, stage) is not None:
            _remove(left)


def _folders(run: Path, stage: str) -> Iterator[tuple[int, Path]]:
    """Yield a stage's checkpoints with their steps, whole or damaged; of two of one step the new one."""
    for folder in (run / FOLDER).glob(f"{stage}-*"):
        name, step = folder.name.removesuffix(OLD), _step_in(folder.name, stage)
        is_latest = name == folder.name or not folder.with_name(name).is_dir()
        if step is not None and is_latest and folder.is_dir() and not folder.name.endswith(PART):
            yield step, folder


def _step_in(name: str, stage: str) -> int | None:
    """Return the step that a folder's name says, whatever it ends in; None: it is of another stage."""
    step = name.removesuffix(OLD).removesuffix(PART).removeprefix(f"{stage}-")
    return int(step) if step.isdecimal() else None


def _problem(folder: Path) -> str | None:
    marker = folder / MARKER
    if not marker.is_file():
        return f"it has no file {MARKER!r}"
    try:
        digests = json.loads(marker.read_text(encoding="utf-8"))
        own = (f"{SHARES}/{INDEX}",) if (folder / SHARES).is_dir() else (WEIGHTS, OPTIMIZER)
        for name in sorted({*own, POSITION, *digests}):
            if sha256_of(folder / name) != digests[name]:
                return f"{name} is not what was written"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"it is torn ({type(error).__name__}: {error})"
    return None


def _remove(folder: Path) -> None:
    """Delete a folder, its marker first: a deletion that is killed leaves nothing that looks whole."""
    if folder.exists():
        (folder / MARKER).unlink(missing_ok=True)
        shutil.rmtree(folder)
