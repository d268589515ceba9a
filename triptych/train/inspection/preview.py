"""What a recipe's stages will learn from, before anything is trained: ``triptych data plan``.

Not an estimate: the first epoch is planned as the run will plan it, from every row's length. Lengths are remembered, so
a run of the recipe then starts at once. No weights are loaded where the model's family can do without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from triptych.core.files import cache_folder
from triptych.core.log import counted, say
from triptych.core.records import Json
from triptych.data.plan.balance import Work, balance
from triptych.data.plan.measures import SHORTENED, SHRUNK, UNKNOWN, CachedMeasures
from triptych.data.plan.rendering import Rendering
from triptych.data.plan.step_plan import StepPlan
from triptych.data.template import Encoded
from triptych.train.determinism import derive_seed
from triptych.train.ledger import LEDGER, read_ledger
from triptych.train.pace import pace_of
from triptych.train.recipe import Recipe, Tune
from triptych.train.stage_data import StageData, open_stage_data
from triptych.train.start import outline


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePreview:
    """The first epoch of a stage."""

    stage: str
    sources: tuple[dict[str, Json], ...]
    """For each source: its name, and how many rows are there, used, shrunk, shortened, refused."""
    rows: int
    """Rows of the epoch; those that come twice count twice."""
    tokens: int
    images: int
    image_tokens: int
    packs: int
    fill: float
    """Share of the packs that is no padding."""
    steps_an_epoch: int
    total_steps: int
    """Steps of the stage; where it has many rows, estimated from the first epoch."""
    longest_tokens: int
    longest_id: str
    ranks: int
    balance: float
    """Mean over largest work of a rank, at so many ranks."""
    first_steps: tuple[tuple[tuple[str, ...], ...], ...]
    """Ids of each pack of each step."""
    ledger: Path
    """Which rows are not used as they are, and why."""

    def as_json(self) -> dict[str, Json]:
        """Return all of it."""
        return {
            "stage": self.stage,
            "sources": list(self.sources),
            "rows": self.rows,
            "tokens": self.tokens,
            "images": self.images,
            "image_tokens": self.image_tokens,
            "packs": self.packs,
            "fill": round(self.fill, 4),
            "steps_an_epoch": self.steps_an_epoch,
            "total_steps": self.total_steps,
            "longest_tokens": self.longest_tokens,
            "longest_id": self.longest_id,
            "ranks": self.ranks,
            "balance": round(self.balance, 4),
            "first_steps": [[list(pack) for pack in step] for step in self.first_steps],
            "ledger": str(self.ledger),
        }


def preview(recipe: Recipe, *, ranks: int, steps: int) -> list[StagePreview]:
    """Plan the first epoch of each tune stage. Bad rows are counted, whatever the recipe does with them.

    Args:
        recipe: resolved.
        ranks: at which the balance is told, > 0.
        steps: how many first steps are told by their ids.

    Raises:
        NotFoundError, ModelError: the model cannot be looked at.
        DataError: the data cannot be used.
    """
    rendering = outline(recipe.model)
    folder = cache_folder() / "plans" / recipe.name
    return [
        _planned(recipe, stage, rendering, folder=folder, ranks=ranks, steps=steps)
        for stage in recipe.stages
        if isinstance(stage, Tune)
    ]


def _planned(
    recipe: Recipe, stage: Tune, rendering: Rendering, *, folder: Path, ranks: int, steps: int
) -> StagePreview:
    seed = derive_seed(recipe.seed, "stage", stage.name)
    lenient = stage.model_copy(update={"on_bad": "refuse"})
    data = open_stage_data(lenient, rendering, run=folder, seed=seed, anew=True)
    plan = data.plan
    _say_remembered(stage, plan)
    pace = pace_of(
        plan, length=stage.length, warmup=stage.warmup, save_every=stage.checkpoint_every, schedule=stage.schedule
    )
    epoch = [plan.step(number) for number in range(plan.steps_per_epoch(0))]
    rows = np.array([row for step in epoch for pack in step.packs for row in pack])
    records = plan.measures.measure(rows)
    for row in np.unique(rows[np.isin(records["state"], (SHRUNK, SHORTENED))]).tolist():
        data.act(row, data.read(row))  # of rows that come as steps need them, a run tells when it reads their step
    data.settle()
    work = dict(zip(rows.tolist(), Work().of(records).tolist(), strict=True))
    longest = int(rows[np.argmax(records["tokens"])])
    packs = sum(len(step.packs) for step in epoch)
    tokens = int(records["tokens"].sum())
    told = [record for record in read_ledger(folder / LEDGER, stage.name) if "all" in record]
    return StagePreview(
        stage=stage.name,
        sources=tuple({key: value for key, value in record.items() if key != "stage"} for record in told),
        rows=len(rows),
        tokens=tokens,
        images=int(records["images"].sum()),
        image_tokens=int(records["image_tokens"].sum()),
        packs=packs,
        fill=tokens / (packs * stage.pack_tokens),
        steps_an_epoch=len(epoch),
        total_steps=pace.total(len(epoch)),
        longest_tokens=int(records["tokens"].max()),
        longest_id=_id_of(data, longest),
        ranks=ranks,
        balance=balance([[sum(work[row] for row in pack) for pack in step.packs] for step in epoch], ranks),
        first_steps=tuple(_ids_of(data, plan.step(number).packs) for number in range(min(steps, len(epoch)))),
        ledger=folder / LEDGER,
    )


def _say_remembered(stage: Tune, plan: StepPlan) -> None:
    """Say how many rows of the first epoch are not read, as their lengths are known."""
    if not isinstance(plan.measures, CachedMeasures):
        return
    states = plan.measures.look(np.unique(plan.mixture.epoch(0)))["state"]
    if known := int(np.count_nonzero(states != UNKNOWN)):
        say(
            f"{stage.name}: the lengths of {known:,} of {counted(len(states), 'row')} are remembered, and these rows"
            " are not read: whether their pictures are still there is seen when they are learnt"
        )


def _ids_of(data: StageData, packs: Sequence[Sequence[int]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(_id_of(data, row) for row in pack) for pack in packs)


def _id_of(data: StageData, row: int) -> str:
    read = data.read(row).row
    return read.id if isinstance(read, Encoded) else read.where
