"""The images of a step's passes; and, while a device computes a step, the next one: read, its first images prepared.

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
from triptych.data.plan.step_loader import LoadedStep
from triptych.data.template import Encoded
from triptych.models.family import Model, Seen
from triptych.models.vision.preprocess import prepared
from triptych.train.stage_state import StageState

Ready = Mapping[tuple[ImageRef, str], Seen]
"""Images as the tower wants them, by the image and what is shown of it."""
MOST_WORKERS = 4
"""Processes that read ahead for a GPU, where the recipe says nothing."""


class Prefetcher:
    """Iterates over the steps of a stage. State: the step read ahead, or why it could not be, and its first images."""

    def __init__(self, steps: Iterator[LoadedStep], prepare: Callable[[LoadedStep], Ready] | None) -> None:
        """Take the steps, and what prepares the first images of one; None: nothing is done ahead."""
        self._steps = steps
        self._prepare = prepare
        self._next: list[LoadedStep | Exception] = []
        self._ready: Ready = {}

    def __iter__(self) -> Iterator[LoadedStep]:
        """Return itself."""
        return self

    def __next__(self) -> LoadedStep:
        """Return the next step. Raises what reading it has raised, now or before."""
        found = self._next.pop() if self._next else next(self._steps)
        if isinstance(found, Exception):
            raise found
        return found

    def take_ready(self) -> Ready:
        """Return the images that are ready of the step that came last, and keep them no longer."""
        ready, self._ready = self._ready, {}
        return ready

    def prefetch(self) -> None:
        """Read the next step and prepare its first images, while a device computes; what fails is told later."""
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


def workers_of(state: StageState) -> int:
    """Return how many processes read steps ahead."""
    if state.stage.workers is not None:
        return state.stage.workers
    return 0 if state.model.device.type == "cpu" else min(MOST_WORKERS, cores_each() - 1)


def make_prefetcher(state: StageState, steps: Iterator[LoadedStep]) -> Prefetcher:
    """Return the steps of a stage, prepared ahead where a GPU computes and its tower sees images in each step."""
    ahead = state.features is None and state.model.device.type != "cpu"
    return Prefetcher(steps, partial(first_pictures, state) if ahead else None)


def first_pictures(state: StageState, loaded: LoadedStep) -> Ready:
    """Return the images of a step's first pass, prepared."""
    packs = loaded.packs[: state.stage.packs_a_pass]
    rows = [read.row for pack in packs for read in pack if isinstance(read.row, Encoded)]
    slots = [slot for row in rows for slot in row.slots if slot.image in loaded.pictures]
    return _made(state.model, ((slot.image, slot.stop - slot.start) for slot in slots), loaded.pictures, {})


def features_of(state: StageState, batch: Batch, *, pictures: Mapping[ImageRef, Image], ready: Ready) -> list[Seen]:
    """Return the features of a micro-batch's images, in their order.

    Args:
        state: the stage.
        batch: with images that can be read.
        pictures: pixels of the step's images, where features are not kept.
        ready: those of them that are prepared already.
    """
    model = state.model
    if state.features is not None:
        return state.features.features(batch.images, spans=batch.spans)
    pairs = list(zip(batch.images, batch.spans, strict=True))
    seen = _made(model, pairs, pictures, ready)
    found = dict(zip(seen, model.encode(list(seen.values())), strict=True))
    return [found[image, model.shown_as(span)] for image, span in pairs]


def _made(
    model: Model, pairs: Iterable[tuple[ImageRef, int]], pictures: Mapping[ImageRef, Image], ready: Ready
) -> dict[tuple[ImageRef, str], Seen]:
    """Return each distinct image as the tower wants it, in order of first use."""
    wanted = {(image, model.shown_as(span)): (image, span) for image, span in pairs}
    missing = [key for key in wanted if key not in ready]
    made = prepared(lambda key: model.pixels_in(pictures[wanted[key][0]], wanted[key][1]), missing)
    found = dict(zip(missing, made, strict=True))
    return {key: found[key] if key in found else ready[key] for key in wanted}
