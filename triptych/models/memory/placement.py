"""Where a model that answers computes, and in what: on a GPU where there is one, and there in bfloat16.

Not training, which places its models itself (``train/stage_state.py``) and keeps what it saves whole. In bfloat16 the
matrices of the language model are kept in it, and a pass runs under autocast: norms and sums stay float32 where they
were saved so. The tower computes as it was saved, as what it gives is kept for other runs. In float32 everything does.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, Protocol

import torch
from torch import nn
from transformers import PreTrainedModel

from triptych.core.errors import ConfigError
from triptych.models.family import Model, open_model
from triptych.models.memory.half_precision import downcast_frozen
from triptych.models.memory.upcast import to_float32

Precision = Literal["auto", "float32", "bfloat16"]
AUTO = "auto"
"""A device: a GPU where torch sees one. A precision: bfloat16 there, float32 on a CPU."""


def open_to_answer(path: str, *, device: str = AUTO, precision: Precision = "auto") -> Model:
    """Open a finished model and bring it where it answers.

    Args:
        path: a folder, or the id of a model on the hub.
        device: as torch calls it, ``cpu``, ``cuda``, ``cuda:1``; or auto.
        precision: of matrices; or auto.

    Raises:
        ConfigError: there is no such device.
        NotFoundError, ModelError: as ``open_model``.
    """
    where = device_of(device)
    return place_to_answer(open_model(path), device=where, precision=precision)


def place_to_answer(model: Model, *, device: torch.device, precision: Precision = "auto") -> Model:
    """Bring a model where it answers, in place; return it. From then on it is not to be saved."""
    model.network.requires_grad_(False)
    model.precision = precision_on(device, precision)
    if model.precision == torch.bfloat16:
        _exchange(model.network, torch.float16, torch.bfloat16, but=model.parts()["vision"])
        downcast_frozen(model.network, model.parts()["language"], exact=False)
    else:
        to_float32(model.network)
    place(model, device)
    return model


def _exchange(network: nn.Module, kind: torch.dtype, other: torch.dtype, *, but: nn.Module) -> None:
    """Turn all numbers of one kind into another, in place, but those of a part. Autocast in one kind takes no other."""
    spared = {id(each) for each in (*but.parameters(), *but.buffers())}
    for each in (*network.parameters(), *network.buffers()):
        if each.dtype == kind and id(each) not in spared:
            each.data = each.data.to(other)


def place(model: Model, device: torch.device) -> None:
    """Bring network and score head to a device."""
    choose_kernels(device)
    for each in (model.network, model.score_head):
        if each is not None:
            nn.Module.to(each, device)


def choose_kernels(device: torch.device) -> None:
    """Let torch not take cuDNN's attention on a GPU: it plans anew for each length, and replies grow by one."""
    if device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)


def precision_on(device: torch.device, precision: Precision) -> torch.dtype:
    """Return what is meant by a precision on a device."""
    half = precision == "bfloat16" or (precision == "auto" and device.type == "cuda")
    return torch.bfloat16 if half else torch.float32


def device_of(name: str) -> torch.device:
    """Return the device of this name. Raises ConfigError: there is none."""
    if name == AUTO:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    known = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    known += ["mps"] if torch.backends.mps.is_available() else []
    if name in known or (name == "cuda" and len(known) > 1):
        return torch.device(name)
    raise ConfigError(f"device={name}: torch sees no such device here. There are: auto, {', '.join(known)}.")


class Placed(Protocol):
    """What is used of a ``Model`` that was placed."""

    network: PreTrainedModel
    precision: torch.dtype


def computing(model: Placed) -> AbstractContextManager[object]:
    """Return what the model's passes run under."""
    if model.precision == torch.float32:
        return nullcontext()
    return torch.autocast(model.network.device.type, model.precision)
