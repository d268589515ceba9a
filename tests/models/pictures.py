"""Real small picture files, each unlike the others, and conversations about them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from triptych.core.records import Example, ImageRef, Part, Text, Turn
from triptych.data.batch import Batch
from triptych.data.media.images import load_image, measure
from triptych.data.plan.rendering import prompt_of, tokens_of
from triptych.data.template import Encoded
from triptych.models.family import Model, Seen


def draw_pictures(folder: Path, count: int, *, seed: int = 0) -> tuple[ImageRef, ...]:
    """Write ``count`` PNG files of coarse noise in several sizes and return their measured references."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number in range(count):
        path = folder / f"{seed}-{number}.png"
        coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((40 + number, 30), Image.Resampling.NEAREST).save(path)
        found.append(measure(ImageRef(str(path))))
    return tuple(found)


def ask(name: str, *parts: str | ImageRef, reply: str) -> Example:
    """Return a conversation of one question, images in their places, and its reply."""
    said: tuple[Part, ...] = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    return Example(id=name, turns=(Turn("user", said), Turn("assistant", (Text(reply),))))


def encoded(model: Model, example: Example, *, open_reply: bool = False) -> Encoded:
    """Render an example for a model."""
    return (prompt_of if open_reply else tokens_of)(example, model.rendering)


def pixels_of(model: Model, images: Sequence[ImageRef]) -> list[Seen]:
    """Return picture files as the tower wants them."""
    return [model.pixels(load_image(image)) for image in images]


def stacked(pictures: Sequence[Seen]) -> Tensor:
    """Return the values of pictures of one size, the first axis that of pictures."""
    return torch.stack([picture.values for picture in pictures])


def logits_of(model: Model, batch: Batch) -> Tensor:
    """Return logits_BTV by the pieces of ``Model``, none seeing another."""
    features = model.encode(pixels_of(model, batch.images))
    return model.head(model.hidden(model.weave(batch, features)))
