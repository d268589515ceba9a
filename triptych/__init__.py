"""Triptych: interleaved multi-image instruction tuning. The names most people need, loaded when they are asked for.

The one ``__init__`` with code in it, and all it does is look a name up: ``import triptych`` loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triptych.core.config import load_config as load_config
    from triptych.core.errors import TriptychError as TriptychError
    from triptych.core.records import Answer as Answer
    from triptych.core.records import Example as Example
    from triptych.core.records import ImageRef as ImageRef
    from triptych.core.records import Text as Text
    from triptych.core.records import Turn as Turn
    from triptych.data.format import Format as Format
    from triptych.data.format import Refused as Refused
    from triptych.data.format import load_examples as load_examples
    from triptych.data.format import read_source as read_source
    from triptych.data.media.images import load_image as load_image
    from triptych.data.template import Template as Template
    from triptych.data.template import render as render
    from triptych.evaluate.benchmark import Benchmark as Benchmark
    from triptych.infer.canned import CannedResponder as CannedResponder
    from triptych.infer.local import LocalResponder as LocalResponder
    from triptych.infer.responder import Responder as Responder
    from triptych.models.family import Family as Family
    from triptych.models.family import Model as Model
    from triptych.models.family import open_model as open_model
    from triptych.models.vision.features import FeatureStore as FeatureStore
    from triptych.serve.assistant import Assistant as Assistant
    from triptych.serve.assistant import load as load
    from triptych.serve.pieces import picture as picture
    from triptych.train.recipe import Recipe as Recipe

__version__ = "0.1.0"

_HOMES = {
    "load_config": "core.config",
    "TriptychError": "core.errors",
    "Answer": "core.records",
    "Example": "core.records",
    "ImageRef": "core.records",
    "Text": "core.records",
    "Turn": "core.records",
    "Format": "data.format",
    "Refused": "data.format",
    "load_examples": "data.format",
    "read_source": "data.format",
    "load_image": "data.media.images",
    "Template": "data.template",
    "render": "data.template",
    "Benchmark": "evaluate.benchmark",
    "CannedResponder": "infer.canned",
    "LocalResponder": "infer.local",
    "Responder": "infer.responder",
    "Family": "models.family",
    "Model": "models.family",
    "open_model": "models.family",
    "FeatureStore": "models.vision.features",
    "Assistant": "serve.assistant",
    "load": "serve.assistant",
    "picture": "serve.pieces",
    "Recipe": "train.recipe",
}


def __getattr__(name: str) -> object:
    """Return a public name from the module it lives in; the loop, ``train.trainer``, is imported by its own name."""
    if name not in _HOMES:
        raise AttributeError(f"module 'triptych' has no attribute {name!r}")
    return getattr(importlib.import_module(f"triptych.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
