"""A tower shown two images before it is used: what cannot see for a LLaVA is refused in a line, and not in a pass.

Not what it sees: shapes, and whether it sees the same twice. Shapes are computed without weights where that can be, as
a large tower takes many seconds on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from transformers import PreTrainedModel

from triptych.core.errors import ModelError
from triptych.models.memory.transfer import send
from triptych.models.parts import reason

ADVICE = "Take the image processor that it was published with, or a tower of one picture size: CLIP, SigLIP, DINOv2."
RAISED = (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError)
"""What towers raise for images that they do not take."""
TRIES = 16
"""How often a tower that draws random numbers is asked again."""


def shape_of(
    tower: PreTrainedModel, taken: Callable[[Callable[..., Any], Tensor], Tensor], *, pixels: Tensor
) -> Tensor:
    """Return what is taken of a tower's output for one image, on the meta device: its shape [1, ...].

    Args:
        tower: with its weights or without.
        taken: is given what to call in the tower's place, and pixels; returns a row an image.
        pixels: of one image, [1, ...].

    Raises:
        ModelError: it does not take such pixels, or gives other than one row an image.
    """
    two, weight = torch.cat([pixels, pixels]), next(tower.parameters())
    bare = {name: each.to("meta") for name, each in (*tower.named_parameters(), *tower.named_buffers())}

    def without_weights(*given: Any, **more: Any) -> Any:
        return functional_call(tower, bare, given, more)

    with torch.no_grad():
        try:
            found = taken(without_weights, two.to("meta", weight.dtype))
        except RAISED:  # some ask for numbers on their way
            with _refusing(tower):
                found = taken(tower, send(two, weight.device, dtype=weight.dtype))
    if len(found) != len(two):
        raise ModelError(f"a tower of type {_kind(tower)} gives two pictures {len(found)} rows, not one each. {ADVICE}")
    return found[:1].to("meta")


def seen_once(tower: PreTrainedModel, pixels: Tensor) -> Tensor:
    """Return a tower's last output for pixels.

    Raises:
        ModelError: it does not take them, or sees the same image otherwise each time.
    """
    see = partial(tower, send(pixels, tower.device))
    with torch.no_grad(), _refusing(tower):
        before = _random_state(tower)
        last: Tensor = see().last_hidden_state
        drew = tower.device.type != "meta" and not torch.equal(_random_state(tower), before)
        # Of four patches one is left: two passes may well see the same one.
        for again in (see().last_hidden_state for _ in range(TRIES if drew else 0)):
            if last.shape != again.shape or not torch.allclose(last, again, atol=1e-5):
                raise ModelError(
                    f"a tower of type {_kind(tower)} sees the same picture otherwise each time, as it draws random "
                    "numbers (ViTMAE hides patches): nothing can be learnt from it. Choose another."
                )
    return last


@contextmanager
def named(name: str | Path | None) -> Iterator[None]:
    """Say of which part or folder a tower is refused."""
    try:
        yield
    except ModelError as error:
        raise ModelError(str(error) if name is None else f"{name}: {error}") from error


@contextmanager
def _refusing(tower: PreTrainedModel) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RAISED as error:
        if isinstance(error, ModelError):
            raise
        why = reason(error).rstrip(".")
        raise ModelError(
            f"a tower of type {_kind(tower)} does not take the image processor's pictures ({why}). {ADVICE}"
        ) from error


def _kind(tower: PreTrainedModel) -> str:
    return repr(tower.config.model_type)


def _random_state(tower: PreTrainedModel) -> Tensor:
    return torch.cuda.get_rng_state(tower.device) if tower.device.type == "cuda" else torch.get_rng_state()
