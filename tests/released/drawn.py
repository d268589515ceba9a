"""Weights and pictures that follow from a name or a number alone, so that no file of them is kept.

The makers of this folder's JSON files run in the environment of released code and import this, too: torch, safetensors,
NumPy and Pillow are all it needs.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor


def weight(name: str, shape: Sequence[int]) -> Tensor:
    """Return float32 weights for a name: matrices keep a signal's size, norms are near one, biases near zero."""
    drawn = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    if len(shape) > 1:
        return drawn / (drawn.numel() / shape[0]) ** 0.5
    return 0.1 * drawn + (0.0 if name.endswith("bias") else 1.0)


def weights(shapes: Iterable[tuple[str, Sequence[int]]]) -> dict[str, Tensor]:
    """Return the weights of a whole model, by name."""
    return {name: weight(name, shape) for name, shape in shapes}


def save_weights(folder: Path, shapes: Iterable[tuple[str, Sequence[int]]]) -> None:
    """Write the weights of a whole model as its folder holds them."""
    save_file(weights(shapes), folder / "model.safetensors", metadata={"format": "pt"})


def picture(number: int, width: int, height: int) -> Image.Image:
    """Return an RGB picture: waves of its own colours and directions, the same on every machine."""
    draws = np.random.default_rng(number)
    down, right = np.mgrid[0:height, 0:width]
    pixels = np.zeros((height, width, 3))
    for channel in range(3):
        for _ in range(3):
            slopes = draws.uniform(-0.3, 0.3, 2)
            pixels[:, :, channel] += np.sin(slopes[0] * down + slopes[1] * right + draws.uniform(0, 6))
    return Image.fromarray(np.rint(127.5 + 42 * pixels).clip(0, 255).astype(np.uint8))
