"""A projector trained alone (stage 1), read from the file that published codes write, into a model's projector.

Not a whole model's weights. Two spellings: LLaVA's ``mm_projector.bin`` (``model.mm_projector.0.weight``) and that of
transformers (``multi_modal_projector.linear_1.weight``), in any folder or file that holds them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from triptych.core.errors import ModelError, NotFoundError
from triptych.models.disk.locate import HUB_ID, locate
from triptych.models.disk.recognise import json_object
from triptych.models.parts import reason

PROJECTOR = {"linear": "linear", "mlp2x_gelu": "gelu"}
"""LLaVA's ``mm_projector_type`` -> what transformers has between two layers; ``linear`` is the identity."""
SPELLED = re.compile(
    r"(?:^|\.)(?:mm_projector|multi_modal_projector)\.(?:(?P<layer>0|2|linear_1|linear_2)\.)?(?P<kind>weight|bias)$"
)
LAYERS = {None: "linear_1", "0": "linear_1", "2": "linear_2", "linear_1": "linear_1", "linear_2": "linear_2"}
NEWLINE = "image_newline"
FILES = ("mm_projector.bin", "mm_projector.safetensors", "model.safetensors", "pytorch_model.bin")
"""Where a folder keeps a projector."""
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
"""What says in which of several files it is, where there are several."""


def open_projector(projector: nn.Module, name: str, *, kind: Literal["linear", "mlp"]) -> Path:
    """Copy a projector that was trained alone into a model's; return the file it came from.

    Args:
        projector: as for ``load_projector``.
        name: a file, or a folder or hub id that holds one of ``FILES`` or ``INDEXES``, or a run whose model does.
        kind: what the model's is: a linear map, or two layers with a GELU between.

    Raises:
        NotFoundError: nothing is there.
        ModelError: it cannot be read, holds no projector, or one of another kind or shape.
    """
    file = Path(name).expanduser()
    if not file.is_file():
        if not file.is_dir() and not HUB_ID.fullmatch(name):
            raise NotFoundError(f"{name}: no such file. Give a file, a folder or a hub id (OWNER/NAME).")
        folder = file if file.is_dir() else locate(name)
        places = [place / each for place in (folder, folder / "model") for each in FILES]
        found = next((place for place in places if place.is_file()), None) or _shard(folder) or _shard(folder / "model")
        if found is None:
            held = " or ".join([*FILES, *(f"*.{kind}.index.json" for kind in ("safetensors", "bin"))])
            raise NotFoundError(f"{name}: no file of a projector; a folder should hold {held}.")
        file = found
    layers = {found["layer"] for found in map(SPELLED.search, read_weights(file)) if found}
    given = "mlp" if "2" in layers else "linear"
    if layers & {None, "0"} and given != kind:  # transformers writes two layers for either
        raise ModelError(f"{file} holds a projector of kind {given!r}, not {kind!r}: say projector: {given}.")
    load_projector(projector, file)
    return file


def _shard(folder: Path) -> Path | None:
    """Return which of several files holds the projector, as their index says; None: there is no index, or no projector.

    Raises:
        ModelError: the index cannot be read, or names several for it.
    """
    for index in INDEXES:
        places = json_object(folder / index).get("weight_map")
        if not isinstance(places, dict):
            continue
        files = sorted({str(file) for weight, file in places.items() if SPELLED.search(weight)})
        if len(files) > 1:
            raise ModelError(f"{folder / index}: its projector is in {' and '.join(files)}: put it into one file.")
        if files:
            return folder / files[0]
    return None


def load_projector(projector: nn.Module, file: Path) -> Mapping[str, Tensor]:
    """Copy a file's projector into a model's; return what else of it the file holds (``image_newline``).

    Args:
        projector: two linear layers, ``linear_1`` and ``linear_2``.
        file: ``mm_projector.bin``, or a safetensors file; other weights in it are left alone. A linear map makes the
            first layer; the second then is the identity.

    Raises:
        ModelError: it cannot be read, holds no projector, one of another shape, or numbers that are not finite.
    """
    state = read_weights(file)
    found: dict[str, Tensor] = {}
    for name, weight in state.items():
        if spelled := SPELLED.search(name):
            found[f"{LAYERS[spelled['layer']]}.{spelled['kind']}"] = weight
    own = projector.state_dict()
    if found and "linear_2.weight" not in found and "linear_2.weight" in own:
        found["linear_2.weight"] = torch.eye(*own["linear_2.weight"].shape)
        found["linear_2.bias"] = torch.zeros(own["linear_2.bias"].shape)
    wanted = {name: tuple(weight.shape) for name, weight in own.items()}
    given = {name: tuple(weight.shape) for name, weight in found.items()}
    if wanted != given:
        raise ModelError(f"{file}: its projector has the weights {given}, this model's has {wanted}.")
    newlines = {name: weight for name, weight in state.items() if name.split(".")[-1] == NEWLINE}
    taken = newlines | {name: weight for name, weight in state.items() if SPELLED.search(name)}
    if broken := sorted(name for name, weight in taken.items() if not weight.isfinite().all()):
        raise ModelError(
            f"{file}: {broken[0]} holds numbers that are not finite (nan or inf): the training that wrote it broke "
            "down. Take the file of an earlier step, or train it anew."
        )
    projector.load_state_dict({name: weight.to(own[name].dtype) for name, weight in found.items()})
    return {name.split(".")[-1]: weight for name, weight in newlines.items()}


def read_weights(file: Path) -> Mapping[str, Tensor]:
    """Return a file's weights by name, on the CPU; nothing in the file is run.

    Raises:
        ModelError: it is not there, or no file of weights.
    """
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:  # what torch says of it is advice to run what the file holds
        raise ModelError(f"{file} holds no weights that can be read.") from error
    except (OSError, RuntimeError, SafetensorError, EOFError) as error:
        raise ModelError(f"{file} holds no weights that can be read: {reason(error)}") from error
    if not isinstance(state, dict) or not all(isinstance(weight, Tensor) for weight in state.values()):
        raise ModelError(f"{file} holds something else than weights by name.")
    return {str(name): weight for name, weight in state.items()}
