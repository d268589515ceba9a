"""A tune stage under way: what its loop needs, how it is begun, taken up from a checkpoint and kept in one.

Not the loop (``tune.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn
from torch.optim import AdamW

from triptych.core.errors import RunError
from triptych.core.log import say
from triptych.data.plan.loader import StepPlan
from triptych.data.template import Encoded
from triptych.models.family import Model
from triptych.models.memory.half_precision import narrow
from triptych.models.memory.placement import choose_kernels, place
from triptych.models.vision.features import FeatureStore
from triptych.train.checkpoint import Checkpoint, Outcome, Position
from triptych.train.feature_cache import FEATURES, keeps
from triptych.train.measuring.operations import Counts, Operations, look_once, operations_of
from triptych.train.optim import make_optimizer, optimizer_tensors, restore_optimizer
from triptych.train.pace import Pace, pace_of
from triptych.train.parallel.blocks import refit_blocks
from triptych.train.parallel.replicas import Alone, Replicas, Sharing
from triptych.train.parallel.shards import Shards
from triptych.train.parallel.world import World
from triptych.train.recipe import Frozen, Tune
from triptych.train.release import load_weights, moving_weights
from triptych.train.scores import release_stage, tell_constant
from triptych.train.signals import Stop
from triptych.train.stage_data import Material, open_material
from triptych.train.torn_images import Torn


@dataclass(frozen=True, slots=True, eq=False)
class TuneRun:
    """A tune stage under way: everything the loop needs. Its only state is in the weights and the optimizer."""

    model: Model
    stage: Tune
    seed: int
    """Of this stage."""
    run: Path
    world: World
    material: Material
    paces: Mapping[str, Pace]
    """Of each part, which may have a warm-up of its own."""
    pace: Pace
    """Of the stage."""
    sharing: Sharing
    """How processes share the gradients."""
    optimizer: AdamW
    operations: Operations | None
    """What a step's work is counted by; None: nobody asks, as the device's peak is not known."""
    peak: float | None
    """Operations a second of one process's device."""
    features: FeatureStore | None
    """None: every picture is encoded each time, as the tower is trained or the rows are too many to keep all."""
    torn: Torn = field(default_factory=Torn)
    """Pictures that cannot be read. A conversation with one is left out of its pack."""

    @property
    def weights(self) -> Mapping[str, nn.Parameter]:
        """Those that may move, by part and name; shares of them under FSDP."""
        return self.sharing.weights

    def mfu(self, counts: Counts, wall_s: float) -> float | None:
        """Return the step's model operations a second over the peak of all devices; None: the peak is not known."""
        if self.operations is None or self.peak is None:
            return None
        return self.operations.of(counts) / (wall_s * self.peak * self.world.ranks)

    @property
    def book(self) -> Path:
        """Where this process writes metrics and ledger."""
        return self.world.book(self.run)

    @property
    def plan(self) -> StepPlan:
        """The plan of its steps."""
        return self.material.plan

    @property
    def encoded(self) -> Sequence[Encoded]:
        """All rows by number, where they are in memory."""
        return self.material.encoded

    @property
    def total(self) -> int:
        """Steps of the stage; an estimate where the last ones are not planned yet."""
        return self.pace.total(0)


def start(
    model: Model,
    stage: Tune,
    *,
    run: Path,
    seed: int,
    anew: bool = True,
    world: World | None = None,
    peak: float | None = None,
    stop: Stop | None = None,
) -> TuneRun:
    """Read the data, plan the steps, let the parts move and make the optimizer.

    Args:
        model: as the stage before left it.
        stage: what to learn, and how.
        run: the run's folder.
        seed: of this stage.
        anew: whether nothing is done of the stage yet.
        world: the processes of the run, which all come here; None: this one is alone.
        peak: operations a second of one device; None: not known, and no operations are counted.
        stop: is asked while rows are read.

    Raises:
        DataError: the data cannot be used.
        RunError: a stop was asked for.
    """
    world = World() if world is None else world

    def read() -> Material:
        book, leads = world.book(run), world.leads
        return open_material(stage, model.rendering, run=book, seed=seed, anew=anew and leads, stop=stop)

    material = world.after_lead(read)
    world.lead(lambda: tell_constant(stage, material.encoded))
    sight = None if peak is None else world.together(lambda: look_once(model))
    sharing = world.together(lambda: _share(model, stage, world=world, seed=seed))
    paces = {
        part: pace_of(
            material.plan,
            length=stage.length,
            warmup=stage.warmup if isinstance(plan, Frozen) or plan.warmup is None else plan.warmup,
            save_every=stage.checkpoint_every,
            schedule=stage.schedule,
        )
        for part, plan in (("", Frozen()), *stage.parts.items())
    }
    has_tower = any(True for _ in model.parts()["vision"].parameters())
    features = None
    if isinstance(stage.parts.vision, Frozen) and has_tower and material.in_memory:
        rows = material.encoded
        if world.lead(lambda: keeps(model, rows, run, stage=stage.name, anew=anew)):
            features, material = FeatureStore(model, run / FEATURES), material.without_pixels()
    counted = None if sight is None else operations_of(model, sight, features_kept=features is not None)
    return TuneRun(
        model=model,
        stage=stage,
        seed=seed,
        run=run,
        world=world,
        material=material,
        paces=paces,
        pace=paces[""],
        sharing=sharing,
        optimizer=make_optimizer(sharing.weights, stage.parts, decay=stage.decay, betas=stage.betas),
        operations=counted,
        peak=peak,
        features=features,
    )


def _share(model: Model, stage: Tune, *, world: World, seed: int) -> Sharing:
    """Let the parts move, bring the model where it computes, and share it out.

    What is kept in few bits becomes so on its way to the device, which the whole model may not fit.
    """
    choose_kernels(world.device)
    shared = world.kind == "fsdp" and world.ranks > 1
    release_stage(model, stage, seed=seed, device=None if shared else world.device)
    if not shared:
        if stage.precision == "bfloat16":
            narrow(model.network, model.parts()["language"])
        place(model, world.device)
    refit_blocks(model, stage, world.device)
    if world.ranks == 1:
        return Alone(moving_weights(model))
    if world.kind == "fsdp":
        return Shards(model, world, bfloat16=stage.precision == "bfloat16")
    return Replicas(moving_weights(model))


def take_up(work: TuneRun, last: Checkpoint) -> int:
    """Put back what the latest checkpoint holds; return the steps that are done.

    Raises:
        RunError: the data changed since.
        ModelError: it is of another model.
    """
    if last.position.plan != work.material.digest:
        raise RunError(
            f"the data of stage {work.stage.name!r} changed since {last.folder} was written. Put it back as it was, use"
            f" another name for the run, or delete {last.folder.parent} to begin anew."
        )
    load_weights(work.weights, last.weights(work.weights))
    restore_optimizer(work.optimizer, work.weights, last.optimizer(work.weights))
    step, total = last.position.step, work.pace.total(last.position.step)
    say(f"{work.stage.name}: going on after step {step} of {total}, from {last.folder}")
    return last.position.step


def outcome(work: TuneRun, step: int) -> Outcome:
    """Return what is kept of a stage after so many steps."""
    position = Position(work.stage.name, step, finished=work.pace.finished(step), plan=work.material.digest)
    return Outcome(position, work.weights, optimizer_tensors(work.optimizer, work.weights))
