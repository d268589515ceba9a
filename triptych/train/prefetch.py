"""The pictures of a step's passes; and, while a device computes a step, the next step: read, its first pictures ready.

A GPU that has been told its last pass works on alone, and the host would wait for its loss. What the next step begins
with is got ready in that time. On a CPU nothing is done ahead, as it would compute neither sooner. The steps, their
order and their bits are the same either way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from PIL.Image import Image

from triptych.core.errors import TriptychError
from triptych.core.machine import cores_each
from triptych.core.records import ImageRef
from triptych.data.batch import Batch
from triptych.data.plan.load import Loaded
from triptych.data.template import Encoded
from triptych.models.family import Model, Seen
from triptych.models.vision.preprocess import prepared
from triptych.train.stage_state import TuneRun

Ready = Mapping[tuple[ImageRef, str], Seen]
"""Pictures as the tower wants them, by the picture and what is shown of it."""
MOST_WORKERS = 4
"""Processes that read ahead for a GPU, where the recipe says nothing."""


class Upcoming:
    """The steps of a stage. State: the step that was read ahead, or why it could not be, and its first pictures."""

    def __init__(self, steps: Iterator[Loaded], prepare: Callable[[Loaded], Ready] | None) -> None:
        """Take the steps, and what prepares the first pictures of one; None: nothing is done ahead."""
        self._steps = steps
        self._prepare = prepare
        self._next: list[Loaded | Exception] = []
        self._ready: Ready = {}

    def __iter__(self) -> Iterator[Loaded]:
        """Return itself."""
        return self

    def __next__(self) -> Loaded:
        """Return the next step. Raises what reading it has raised, now or before."""
        found = self._next.pop() if self._next else next(self._steps)
        if isinstance(found, Exception):
            raise found
        return found

    def take(self) -> Ready:
        """Return what is ready of the step that came last, and keep it no longer."""
        ready, self._ready = self._ready, {}
        return ready

    def look(self) -> None:
        """Read the next step and prepare its first pictures, while a device computes; what fails is told later."""
        if self._prepare is None or self._next:
            return
        try:
            step = next(self._steps)
        except (TriptychError, OSError, StopIteration) as error:  # told when it is that step's turn
            self._next.append(error)
            return
        self._next.append(step)
        try:
            self._ready = self._prepare(step)
        except (TriptychError, OSError, ValueError, RuntimeError):  # the step will find it again, and say where
            self._ready = {}


def workers_of(work: TuneRun) -> int:
    """Return how many processes read steps ahead."""
    if work.stage.workers is not None:
        return work.stage.workers
    return 0 if work.model.device.type == "cpu" else min(MOST_WORKERS, cores_each() - 1)


def upcoming(work: TuneRun, steps: Iterator[Loaded]) -> Upcoming:
    """Return the steps of a stage, done ahead where a GPU computes and its tower sees pictures in each step."""
    ahead = work.features is None and work.model.device.type != "cpu"
    return Upcoming(steps, partial(first_pictures, work) if ahead else None)


def first_pictures(work: TuneRun, loaded: Loaded) -> Ready:
    """Return the pictures of a step's first pass, prepared."""
    packs = loaded.packs[: work.stage.packs_a_pass]
    rows = [read.row for pack in packs for read in pack if isinstance(read.row, Encoded)]
    slots = [slot for row in rows for slot in row.slots if slot.image in loaded.pictures]
    return _made(work.model, ((slot.image, slot.stop - slot.start) for slot in slots), loaded.pictures, {})


def features_of(work: TuneRun, batch: Batch, pictures: Mapping[ImageRef, Image], ready: Ready) -> list[Seen]:
    """Return the features of a micro-batch's images, in their order.

    Args:
        work: the stage.
        batch: with images that can be read.
        pictures: the step's, where features are not kept.
        ready: those of them that are prepared already.
    """
    model = work.model
    if work.features is not None:
        return work.features.features(batch.images, spans=batch.spans)
    pairs = list(zip(batch.images, batch.spans, strict=True))
    seen = _made(model, pairs, pictures, ready)
    found = dict(zip(seen, model.encode(list(seen.values())), strict=True))
    return [found[image, model.shown_as(span)] for image, span in pairs]


def _made(
    model: Model, pairs: Iterable[tuple[ImageRef, int]], pictures: Mapping[ImageRef, Image], ready: Ready
) -> dict[tuple[ImageRef, str], Seen]:
    """Return each distinct picture as the tower wants it, in order of first use."""
    wanted = {(image, model.shown_as(span)): (image, span) for image, span in pairs}
    missing = [key for key in wanted if key not in ready]
    made = prepared(lambda key: model.pixels_in(pictures[wanted[key][0]], wanted[key][1]), missing)
    found = dict(zip(missing, made, strict=True))
    return {key: found[key] if key in found else ready[key] for key in wanted}
