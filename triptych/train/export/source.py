"""What is exported: a run, its finished model, an adapter's folder, any other model; opened as one plain model.

Not what is written. Adapters disappear into their model (``train/merging.py``) before anything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from triptych.core.errors import ModelError, NotFoundError
from triptych.core.log import say
from triptych.models.disk.locate import ADAPTER
from triptych.models.family import Model, open_model
from triptych.train.export.plan import ExportPlan
from triptych.train.merging import merged_model
from triptych.train.recipe import RECIPE

MODEL = "model"
"""Folder of a finished run's model."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def run_of(model: str, plan: ExportPlan) -> Path | None:
    """Return the run's folder that a model is of; None: of none.

    Raises:
        NotFoundError: the plan names one that is none.
    """
    if plan.run is not None:
        run = Path(plan.run)
        if not (run / RECIPE).is_file():
            raise NotFoundError(f"run={plan.run}: no run's folder; it holds no {RECIPE}.")
        return run
    folder = Path(model)
    return next((each for each in (folder, folder.absolute().parent) if (each / RECIPE).is_file()), None)


@dataclass(frozen=True, slots=True, eq=False)
class OpenedModel:
    """A plain model."""

    model: Model
    said: str
    """What was done to open it, for people."""


def open_source(model: str, plan: ExportPlan) -> OpenedModel:
    """Open what is exported, its adapters merged, in the dtype that the plan wants.

    Raises:
        NotFoundError, ModelError, RunError, ConfigError: as ``merged_model`` and ``open_model``.
    """
    folder = Path(model)
    if (folder / RECIPE).is_file() and (folder / MODEL / "config.json").is_file():
        opened = OpenedModel(open_model(folder / MODEL), "the run is finished: its model has its adapters merged")
    elif (folder / RECIPE).is_file():
        opened = OpenedModel(merged_model(folder), "the run is not finished: what it has learnt so far was merged")
    elif (folder / ADAPTER).is_file():
        opened = OpenedModel(merged_model(folder, base=plan.base), "an adapter, merged into its base")
    else:
        if plan.base is not None:
            raise ModelError(f"{model} is no adapter ({ADAPTER}): leave base out.")
        opened = OpenedModel(open_model(model), "a model without adapters")
    say(f"{model}: {opened.said}")
    if plan.dtype is not None:
        # As torch has it: transformers' own `to` refuses models that were quantised, which none is here.
        torch.nn.Module.to(opened.model.network, DTYPES[plan.dtype])
        opened.model.network.config.dtype = DTYPES[plan.dtype]
    return opened


def bytes_of(model: Model) -> int:
    """Return what a model's weights take, those that are tied once."""
    return sum(weight.numel() * weight.element_size() for weight in model.network.parameters())
