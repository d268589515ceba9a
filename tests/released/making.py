"""What the makers of this folder's JSON files share: stubs, networks with drawn weights, numbers of six digits, files.

They run where Triptych is not installed, so nothing of it is imported here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

from torch import Tensor

from tests.released.drawn import weights

HERE = Path(__file__).resolve().parent


def stub(*names: str, of_anything: bool = False) -> None:
    """Put modules where released code imports what it does not use here: empty ones, or ones of any name."""
    for name in names:
        module = MagicMock() if of_anything else ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        sys.modules[name] = module


def fill(network: Any) -> dict[str, list[int]]:
    """Give a network the weights of its names, and return these with their shapes."""
    shapes = shapes_of(network)
    network.load_state_dict(weights(shapes.items()))
    return shapes


def shapes_of(network: Any) -> dict[str, list[int]]:
    """Return names and shapes of all that a checkpoint holds."""
    return {name: list(value.shape) for name, value in network.state_dict().items()}


def rounded(value: Any) -> Any:
    """Return numbers, nested as they may be, with six significant digits, as JSON holds them."""
    if isinstance(value, Tensor):
        return rounded(value.tolist())
    if isinstance(value, Mapping):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def write(name: str, made: Mapping[str, Any], *, ascii_alone: bool = True, lines: str = "") -> None:
    """Write a maker's JSON.

    Args:
        name: of the file.
        made: what it holds.
        ascii_alone: whether other characters are written as numbers.
        lines: what has a line end put behind its comma.
    """
    text = json.dumps(made, ensure_ascii=ascii_alone, separators=(",", ":"))
    text = text.replace(lines, lines.replace(",", ",\n")) if lines else text
    (HERE / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def made_of(name: str) -> dict[str, Any]:
    """Return what a maker has written."""
    made: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    return made
