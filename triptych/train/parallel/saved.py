"""Shares of weights and moments on the disk: each process writes its own, any number of processes reads them.

Not what makes a checkpoint whole (``train/checkpoint.py``). The files are torch's distributed checkpoint; no process
ever holds all tensors when they are written. One process reads them as plain tensors, and shares read a whole file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast
from warnings import catch_warnings, simplefilter

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.tensor import DTensor, distribute_tensor

from triptych.train.parallel.world import World

INDEX = ".metadata"
"""The file that says what is where; its name is torch's."""


def is_shared(tensors: Mapping[str, Tensor]) -> bool:
    """Return whether these are shares of tensors."""
    return any(isinstance(tensor, DTensor) for tensor in tensors.values())


def write_shares(folder: Path, tensors: Mapping[str, Tensor], *, world: World) -> None:
    """Write this process's shares; all come here.

    Raises:
        OSError: they cannot be written, here or by another.
    """
    try:
        save(
            {name: tensor.detach() for name, tensor in tensors.items()}, checkpoint_id=folder, process_group=world.talk
        )
    except CheckpointException as error:
        first = next(iter(error.failures.values()))[0]
        raise OSError(str(first)) from error


def read_shares(folder: Path, *, kind: str, like: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    """Return the tensors whose names begin with ``kind/``, without that.

    Args:
        folder: what `write_shares` filled.
        kind: ``weights`` or ``optimizer``.
        like: weights by name; where they are shares, what belongs to them comes as the same shares. None: plain.
    """
    metadata = FileSystemReader(folder).read_metadata().state_dict_metadata
    wanted: dict[str, Tensor] = {}
    for name, found in metadata.items():
        if name.startswith(f"{kind}/") and isinstance(found, TensorStorageMetadata):
            shared = _model_of(name, like)
            if shared is not None and shared.shape == found.size:
                wanted[name] = torch.empty_like(shared, dtype=found.properties.dtype)
            else:
                wanted[name] = torch.empty(found.size, dtype=found.properties.dtype)
    with catch_warnings():
        simplefilter("ignore", UserWarning)  # that nobody else reads along: so it is meant
        load(cast("dict[str, object]", wanted), checkpoint_id=folder, no_dist=True)
    return {name.removeprefix(f"{kind}/"): tensor for name, tensor in wanted.items()}


def share_out(tensors: Mapping[str, Tensor], *, like: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    """Return whole tensors as shares, where the weights ``like`` that they belong to are; nothing is sent."""
    shared: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        model = _model_of(name, like)
        if model is not None and model.shape == tensor.shape:
            here = tensor.to(model.device)
            shared[name] = distribute_tensor(here, model.device_mesh, model.placements, src_data_rank=None)
        else:
            shared[name] = tensor
    return shared


def _model_of(name: str, like: Mapping[str, Tensor] | None) -> DTensor | None:
    """Return the shared weight that ``name``, ``[KIND/]WEIGHT`` or ``exp_avg/WEIGHT``, belongs to."""
    weight = (like or {}).get(name.rpartition("/")[2])
    return weight if isinstance(weight, DTensor) else None
