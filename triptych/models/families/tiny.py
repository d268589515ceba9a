"""Tiny: a LLaVA of toy parts with random weights. No files, no downloads; for tests, docs and trying a recipe.

Its recipe names the tower ``vit`` or ``convolutional`` and the language model ``llama``. What it saves is a LLaVA and
opens as one.
"""

from __future__ import annotations

from typing import Literal

from triptych.models.families import llava
from triptych.models.family import Family, PartsPlan, Projector


def tiny(
    seed: int = 0,
    *,
    tower: Literal["vit", "convolutional"] = "vit",
    projector: Projector = "linear",
    template: str = "chatml",
) -> llava.LlavaModel:
    """Return a model with random weights: four tokens an image, one token a byte. Equal seeds, equal weights."""
    return llava.toy(
        PartsPlan(vision=tower, language="llama", projector=projector, image_tokens=None, template=template, seed=seed)
    )


FAMILY = Family(
    about="a LLaVA of toy parts with random weights, for tests and trying a recipe",
    model_types=(),
    assemble=llava.toy,
    open=llava.open_folder,
    samples={"mlp": lambda seed: tiny(seed, projector="mlp")},
)
