"""Every image of a stage through its frozen tower before the first step, by all processes together.

Not whether features are kept (``feature_cache.py``), nor the tower (``models/vision/features.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.records import ImageRef
from triptych.models.vision.features import FeatureStore
from triptych.train.ledger import LEDGER
from triptych.train.signals import Stop
from triptych.train.stage_state import StageState
from triptych.train.torn_images import TornImages, read_ahead


def encode_ahead(state: StageState, features: FeatureStore, *, folder: Path, stop: Stop) -> StageState:
    """Encode every image of the stage's steps before the first of them, in an order that no restart changes.

    The bits of an image's features may depend on which others the tower saw beside it.

    Args:
        state: a stage whose rows are in memory and whose tower is frozen.
        features: what keeps them.
        folder: where it does.
        stop: is asked between some images and the next.

    Returns:
        the stage, which knows the torn images.

    Raises:
        DataError: an image is torn, under ``on_bad: raise``; or each conversation has one.
        RunError: a stop was asked for.
    """
    used = dict.fromkeys(index for n in range(state.total) for pack in state.plan.step(n).packs for index in pack)
    numbered = [(state.data.source(index), state.encoded[index]) for index in used]
    rows = [row for _, row in numbered]
    spans: dict[ImageRef, dict[int, None]] = {}
    for slot in (slot for row in rows for slot in row.slots):
        spans.setdefault(slot.image, {})[slot.stop - slot.start] = None

    def encode(images: Sequence[ImageRef]) -> object:
        pairs = [(image, span) for image in images for span in spans[image]]
        return features.features([image for image, _ in pairs], spans=[span for _, span in pairs])

    world, name = state.world, state.stage.name
    read = partial(read_ahead, rows, encode, label=name, stop=stop, rank=world.rank, ranks=world.ranks)
    torn = TornImages().joined(world.gather(world.together(read)))
    if not world.together(lambda: list(torn.keep(numbered, state.stage, run=state.book))):
        raise DataError(f"stage {name!r}: every conversation has a torn picture; see {state.run / LEDGER}.")
    # Another store finds what the other processes encoded.
    found = features if world.ranks == 1 else FeatureStore(state.model, folder)
    return replace(state, torn_images=torn, features=found)
