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
from triptych.data.template import Encoded, render
from triptych.models.family import Model


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
    return render(
        example,
        model.template,
        tokenizer=model.tokenizer,
        image_token_id=model.image_token_id,
        count_image_tokens=model.count_image_tokens,
        open_reply=open_reply,
    )


def pixels_of(model: Model, images: Sequence[ImageRef]) -> Tensor:
    """Return pixels_NCHW of picture files."""
    return torch.stack([model.pixels(load_image(image)) for image in images])


def logits_of(model: Model, batch: Batch) -> Tensor:
    """Return logits_BTV by the pieces of ``Model``, conversations kept apart."""
    tokens_NKH = model.project(model.encode(pixels_of(model, batch.images))) if batch.images else None
    embeds_BTH = model.embed(batch.ids_BT, batch.slots, tokens_NKH)
    hidden_BTH = model.hidden(embeds_BTH, segments_BT=batch.segments_BT, positions_BT=batch.positions_BT)
    return model.head(hidden_BTH)
