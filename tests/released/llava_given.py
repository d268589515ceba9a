"""What the tests of LLaVA's works share: rows as the released code wrote them, given to an opened model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from triptych.core.records import ImageRef
from triptych.data.batch import IGNORE, Batch, collate
from triptych.data.media.images import load_image, measure
from triptych.data.template import Encoded, Slot
from triptych.models.family import Model, Seen

LOOSE = 1e-4
"""For sums of some hundred products of six significant digits."""
IMAGE = -200
"""The id of an image in the released code."""


def close(ours: Tensor | Sequence[float], theirs: Sequence[float]) -> bool:
    """Return whether numbers are equal to what six significant digits tell."""
    return torch.allclose(torch.as_tensor(ours).double(), torch.tensor(theirs).double(), atol=LOOSE, rtol=LOOSE)


def one_each(ids: Sequence[int], image: int) -> list[int]:
    """Return ids in which images side by side are one."""
    return [IMAGE if key == image else each for key, run in groupby(ids) for each in ([key] if key == image else run)]


def encoded(name: str, made: Mapping[str, Any], images: Sequence[Path], model: Model) -> Encoded:
    """Return a row with the released ids and labels, in place of those that Triptych renders."""
    ids: list[int] = []
    slots: list[Slot] = []
    left = iter(images)
    cost = model.cost.among(len(images))
    for each in made["ids"]:
        if each == IMAGE:
            image = measure(ImageRef(str(next(left))))
            assert image.size is not None
            slots.append(Slot(len(ids), len(ids) + cost.tokens(image.size), image))
            ids += [model.image_token_id] * cost.tokens(image.size)
        else:
            ids.append(each)
    labels = made.get("spread") or [IGNORE] * len(ids)
    assert len(labels) == len(ids), "pictures cost what they cost in the released code"
    return Encoded(name, tuple(ids), tuple(label != IGNORE for label in labels), tuple(slots))


def batch_of(*rows: Encoded) -> Batch:
    """Return rows under each other."""
    return collate([[row] for row in rows], pad_id=0)


def shown(model: Model, batch: Batch) -> list[Seen]:
    """Return the pictures as their slots show them."""
    return [model.pixels_in(load_image(image), span) for image, span in zip(batch.images, batch.spans, strict=True)]
