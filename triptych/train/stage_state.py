"""A tune stage under way: what its loop needs, how it begins, resumes from a checkpoint, and what a checkpoint holds.

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
from triptych.data.plan.corpus import KeptRows
from triptych.data.plan.step_plan import StepPlan
from triptych.data.template import Encoded
from triptych.models.family import Model
from triptych.models.memory.half_precision import downcast_frozen
from triptych.models.memory.placement import choose_kernels, place
from triptych.models.vision.features import FeatureStore
from triptych.train.checkpoint import Checkpoint, Outcome, Position
from triptych.train.feature_cache import FEATURES, keeps_features
from triptych.train.forecast.estimate import waiting_for_packs
from triptych.train.measuring.operations import Counts, Operations, count_image, operations_of
from triptych.train.measuring.trackers import note_plan
from triptych.train.optim import make_optimizer, optimizer_tensors, restore_optimizer
from triptych.train.pace import Pace, pace_of
from triptych.train.parallel.blocks import refit_blocks
from triptych.train.parallel.replicas import Alone, Replicas, Sharing
from triptych.train.parallel.shards import Shards
from triptych.train.parallel.world import World
from triptych.train.recipe import Frozen, Full, Lora, Tune
from triptych.train.release import load_weights, moving_weights
from triptych.train.scores import release_stage, tell_constant
from triptych.train.signals import Stop
from triptych.train.stage_data import Check, StageData, open_stage_data
from triptych.train.torn_images import TornImages


@dataclass(frozen=True, slots=True, eq=False)
class StageState:
    """A tune stage under way: everything the loop needs. Its only state is in the weights and the optimizer."""

    model: Model
    stage: Tune
    seed: int
    """Seed of this stage."""
    run: Path
    world: World
    data: StageData
    paces: Mapping[str, Pace]
    """Pace of each part, which may have a warm-up of its own."""
    pace: Pace
    """Pace of the stage."""
    sharing: Sharing
    """How processes share the gradients."""
    optimizer: AdamW
    operations: Operations | None
    """What a step's work is counted by; None: nobody asks, as the device's peak is not known."""
    peak: float | None
    """Operations a second of one process's device."""
    features: FeatureStore | None
    """None: every image is encoded each time, as the tower is trained or the rows are too many to keep all."""
    torn_images: TornImages = field(default_factory=TornImages)
    """Images that cannot be read. A conversation with one is left out of its pack."""

    @property
    def weights(self) -> Mapping[str, nn.Parameter]:
        """Weights that are trained, by part and name; shares of them under FSDP."""
        return self.sharing.weights

    def mfu(self, counts: Counts, wall_s: float) -> float | None:
        """Return the step's model operations a second over the peak of all devices; None: the peak is not known."""
        if self.operations is None or self.peak is None:
            return None
        return self.operations.of(counts) / (wall_s * self.peak * self.world.ranks)

    @property
    def book(self) -> Path:
        """Folder in which this process writes metrics and ledger."""
        return self.world.book(self.run)

    @property
    def plan(self) -> StepPlan:
        """The plan of its steps."""
        return self.data.plan

    @property
    def encoded(self) -> Sequence[Encoded]:
        """All rows by number, where they are in memory."""
        return self.data.encoded

    @property
    def total(self) -> int:
        """Steps of the stage; an estimate where the last ones are not planned yet."""
        return self.pace.total(0)


def begin_stage(
    model: Model,
    stage: Tune,
    *,
    run: Path,
    seed: int,
    anew: bool = True,
    check: Check | None = None,
    world: World | None = None,
    peak: float | None = None,
    stop: Stop | None = None,
) -> StageState:
    """Read the data, plan the steps, let the parts move and make the optimizer.

    Args:
        model: as the stage before left it.
        stage: what to learn, and how.
        run: the run's folder.
        seed: of this stage.
        anew: whether nothing is done of the stage yet.
        check: is told the digest of the data, and may refuse them.
        world: the processes of the run, which all come here; None: this one is alone.
        peak: operations a second of one device; None: not known, and no operations are counted.
        stop: is asked while rows are read.

    Raises:
        DataError: the data cannot be used.
        RunError: a stop was asked for, or ``check`` refuses the data.
    """
    world = World() if world is None else world

    def read(kept_rows: Sequence[KeptRows | None] | None) -> StageData:
        book, leads = world.book(run), world.leads
        return open_stage_data(
            stage,
            model.rendering,
            run=book,
            seed=seed,
            anew=anew and leads,
            lengths=run,
            check=check,
            kept_rows=kept_rows or (),
            stop=stop,
        )

    data = world.after_lead(read, tell=lambda data: data.kept_rows)
    if anew:
        world.lead(lambda: note_plan(run, stage.name, plan=data.digest))
    if (waiting := waiting_for_packs(stage, world.ranks, of="processes")) is not None:
        say(f"{stage.name}: {waiting}")
    world.lead(lambda: tell_constant(stage, data.encoded))
    sight = None if peak is None else world.together(lambda: count_image(model))
    sharing = world.together(lambda: _share(model, stage, world=world, seed=seed))
    paces = {part: _pace(stage, plan, data.plan) for part, plan in (("", Frozen()), *stage.parts.items())}
    features = None
    if _may_keep_features(model, stage, data):
        rows = data.encoded
        if world.lead(lambda: keeps_features(model, rows, run=run, stage=stage.name, anew=anew)):
            features, data = FeatureStore(model, run / FEATURES), data.without_pixels()
    counted = None if sight is None else operations_of(model, sight, features_kept=features is not None)
    return StageState(
        model=model,
        stage=stage,
        seed=seed,
        run=run,
        world=world,
        data=data,
        paces=paces,
        pace=paces[""],
        sharing=sharing,
        optimizer=make_optimizer(sharing.weights, stage.parts, decay=stage.decay, betas=stage.betas),
        operations=counted,
        peak=peak,
        features=features,
    )


def _pace(stage: Tune, plan: Frozen | Full | Lora, steps: StepPlan) -> Pace:
    """Return the pace of a part, whose plan may have a warm-up of its own."""
    return pace_of(
        steps,
        length=stage.length,
        warmup=stage.warmup if isinstance(plan, Frozen) or plan.warmup is None else plan.warmup,
        save_every=stage.checkpoint_every,
        schedule=stage.schedule,
        floor=stage.floor,
    )


def _may_keep_features(model: Model, stage: Tune, data: StageData) -> bool:
    """Return whether the tower stays as it is and all rows are known, so that features can be encoded ahead."""
    has_tower = any(True for _ in model.parts()["vision"].parameters())
    return isinstance(stage.parts.vision, Frozen) and has_tower and data.in_memory


def _share(model: Model, stage: Tune, *, world: World, seed: int) -> Sharing:
    """Let the parts move, bring the model where it computes, and share it out.

    What is kept in few bits becomes so on its way to the device, which the whole model may not fit.
    """
    choose_kernels(world.device)
    shared = world.kind == "fsdp" and world.ranks > 1
    release_stage(model, stage, seed=seed, device=None if shared else world.device)
    if not shared:
        if stage.precision == "bfloat16":
            downcast_frozen(model.network, model.parts()["language"])
        place(model, world.device)
    refit_blocks(model, stage, device=world.device)
    if world.ranks == 1:
        return Alone(moving_weights(model))
    if world.kind == "fsdp":
        return Shards(model, world, bfloat16=stage.precision == "bfloat16")
    return Replicas(moving_weights(model))


def check_data(last: Checkpoint, digest: str) -> None:
    """Refuse data, by their digest, that are not those of a stage's latest checkpoint.

    Raises:
        RunError: they changed since.
    """
    if last.position.plan != digest:
        raise RunError(
            f"the data of stage {last.position.stage!r}, or the code that reads them, changed since {last.folder} was"
            f" written. Put it back as it was, use another name for the run, or delete {last.folder.parent} to begin"
            " anew."
        )


def resume_stage(state: StageState, last: Checkpoint) -> int:
    """Restore weights and optimizer from the latest checkpoint; return the steps that are done.

    Raises:
        ModelError: it is of another model.
    """
    load_weights(state.weights, last.weights(state.weights))
    restore_optimizer(state.optimizer, state.weights, tensors=last.optimizer(state.weights))
    step, total = last.position.step, state.pace.total(last.position.step)
    say(f"{state.stage.name}: going on after step {step} of {total}, from {last.folder}")
    return last.position.step


def stage_outcome(state: StageState, step: int, *, finished: bool) -> Outcome:
    """Return what is kept of a stage after so many steps; what these were planned with is on the disk by then."""
    state.data.flush()
    position = Position(state.stage.name, step, finished=finished, plan=state.data.digest)
    return Outcome(position, state.weights, optimizer_tensors(state.optimizer, state.weights))
