"""Whether the features of a stage's images are kept: encoded once, before its steps, or anew in each of them.

Not the features (``models/vision/features.py``). They are kept where the tower does not move, all rows are in memory,
and the run's disk has room: of 20,000 conversations with four images each, a CLIP at 336 pixels makes 190 GB. A run
that is taken up decides as it did when it began.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from triptych.core.files import write_atomically
from triptych.core.log import say
from triptych.core.machine import GIB
from triptych.core.records import ImageRef
from triptych.data.media.images import ImageError
from triptych.data.template import Encoded
from triptych.models.family import Model
from triptych.models.vision.feature_limit import room_on
from triptych.models.vision.features import FeatureStore

FEATURES, VALIDATION_FEATURES = "features", "features-validation"
"""Folders of a run. Those of rows that are not learnt lie apart: the bits of an image's features may depend on which
others the tower saw beside it."""
SHARE = 0.5
"""Share of the disk's room that features may take; the rest is for checkpoints."""
MEASURED = 4
"""Images that are encoded to learn how much all will take,"""
LARGEST_BYTES = 64 * 2**20
"""unless there is room for so much of each, more than any released tower makes of an image."""


def keeps_features(
    model: Model, rows: Sequence[Encoded], *, run: Path, stage: str, anew: bool, name: str = FEATURES
) -> bool:
    """Decide for a stage whose tower is frozen; where there is no room, say so.

    Args:
        model: where it computes.
        rows: all of the stage's.
        run: the run's folder.
        stage: its name.
        anew: whether nothing is done of it yet.
        name: of their folder in the run's.
    """
    folder = run / name
    refused = folder / f"{stage}.not-kept"
    if not anew and refused.is_file():
        return False
    refused.unlink(missing_ok=True)
    kept = sum(path.stat().st_size for path in folder.glob("*/*.safetensors"))
    room = kept + room_on(folder) * (SHARE if anew else 1)
    shown = list(dict.fromkeys((slot.image, slot.stop - slot.start) for row in rows for slot in row.slots))
    if len(shown) * LARGEST_BYTES <= room:
        return True
    measured = [found for at in range(MEASURED) if (found := _bytes_of(model, *shown[len(shown) * at // MEASURED]))]
    needed = len(shown) * sum(measured) / max(1, len(measured))
    if needed <= room:
        return True
    take = f"features of {len(shown)} pictures would take {needed / GIB:.3g} GiB"
    why = f"{take}, and {room / GIB:.3g} are free for them"
    say(f"{stage}: {why} ({folder}): each picture is encoded in every step that shows it")
    write_atomically(refused, why + "\n")
    return False


def _bytes_of(model: Model, image: ImageRef, span: int) -> int:
    """Return what the features of an image take; 0: it cannot be read, which is told elsewhere."""
    try:
        return FeatureStore(model).features([image], spans=[span])[0].values.nbytes
    except ImageError:
        return 0
