"""The first rows of a source as a run takes them: transformed, within the budget, as tokens of its model.

Not the reading of files (``review.py``). The very code of a run does it, so what is refused here is refused there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from triptych.core.errors import TriptychError
from triptych.core.records import Example
from triptych.data.format import Refused, measured
from triptych.data.plan.corpora import Corpora, NeedsSizes
from triptych.data.plan.rendering import Rendering, in_pack
from triptych.data.transform import apply
from triptych.models.disk.llava_kind import parts_elsewhere
from triptych.models.disk.locate import STARTER, locate
from triptych.train.closed_form import caption_of
from triptych.train.recipe import ClosedForm, ModelPlan, StagePlan
from triptych.train.stage_data import reader_of
from triptych.train.start import outline

Row = Example | Refused


def is_here(name: str) -> bool:
    """Return whether a model or a part is on this disk, as a folder of its own."""
    return name.startswith(STARTER) or Path(name).expanduser().is_dir()


def parts_named(name: str) -> list[str]:
    """Return what a model of LLaVA's own code that is on this disk takes from elsewhere; nothing of any other."""
    try:
        return parts_elsewhere(locate(name)) if is_here(name) else []
    except TriptychError:  # what is wrong with it is told where it is opened
        return []


def is_whole_here(name: str) -> bool:
    """Return whether a model or a part is on this disk, with what it takes from elsewhere."""
    return is_here(name) and all(map(is_here, parts_named(name)))


def rendering_here(plan: ModelPlan) -> Rendering | None:
    """Return how the model renders, from what is on this disk; None: it is not there, or something is wrong with it."""
    names = [plan.open] if plan.parts is None else [plan.parts.vision, plan.parts.language]
    here = (name is None or is_whole_here(name) for name in names)
    if plan.sample is None and plan.family != "tiny" and not all(here):
        return None
    try:
        return outline(plan)
    except TriptychError:
        return None


def refused_of(
    stage: StagePlan, index: int, *, rows: Sequence[Row], rendering: Rendering | None
) -> list[Refused | None]:
    """Return of each row, transformed, why a run cannot learn from it; None: it can, as far as can be told.

    Args:
        stage: resolved.
        index: of the source among the stage's.
        rows: the source's first.
        rendering: of the model; None: rows are transformed and looked at, and not rendered.

    Raises:
        TriptychError: a transform fails.
    """
    given = list(apply(stage.data[index].transforms, rows, seed=0))
    if isinstance(stage, ClosedForm):
        captions = [caption_of(row) if isinstance(row, Example) else row for row in map(_looked_at, given)]
        return [each if isinstance(each, Refused) else None for each in captions]
    if rendering is None:
        return [row if isinstance(row, Refused) else None for row in map(_looked_at, given)]
    reader = reader_of(stage, _First(given, index), rendering=rendering, look=True)
    read = reader.read_many(range(len(given)))
    packed = [in_pack(each.row, pack_tokens=stage.pack_tokens) for each in read]
    return [row if isinstance(row, Refused) else None for row in packed]


def _looked_at(row: Row) -> Row:
    """Return the row with the sizes of its images, or why one cannot be read."""
    return measured(row, {}) if isinstance(row, Example) else row


class _First(Corpora):
    """Rows in memory as those of one source of several."""

    def __init__(self, rows: Sequence[Row], index: int) -> None:
        """Take the rows."""
        super().__init__(())
        self._rows, self._index = rows, index

    def place(self, row: int) -> tuple[int, int]:
        """Return (source, row within it)."""
        return self._index, row

    def example(self, row: int, asks: NeedsSizes) -> Row:
        """Return the row, its images looked at."""
        return _looked_at(self._rows[row])

    def examples(self, rows: Sequence[int], asks: NeedsSizes) -> list[Row]:
        """Return ``example`` of each row."""
        return [self.example(row, asks) for row in rows]
