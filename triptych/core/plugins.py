"""A name is a file: find the plug-in ``NAME`` of a drawer by importing ``drawer/NAME.py``.

No registry. A plug-in file defines one typed constant, named like its kind (``FORMAT``, ``FAMILY``, ``BENCHMARK``).
A dotted name is a module of the caller's own.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TypeVar

from triptych.core.errors import NotFoundError, did_you_mean

T = TypeVar("T")

DRAWERS = {
    "format": "triptych.data.formats",
    "template": "triptych.data.templates",
    "family": "triptych.models.families",
    "benchmark": "triptych.evaluate.benchmarks",
    "transform": "triptych.data.transforms",
    "stage": "triptych.generate.stages",
    "annotation": "triptych.generate.annotations",
}


def names(kind: str) -> list[str]:
    """Return the plug-ins of a kind, sorted: the files in its drawer. Imports none of them."""
    drawer = importlib.import_module(DRAWERS[kind])
    return sorted(module.name for module in pkgutil.iter_modules(drawer.__path__))


def find(kind: str, name: str, *, expected: type[T]) -> T:
    """Return the constant of the plug-in ``name``.

    Args:
        kind: one of ``DRAWERS``.
        name: a file of that drawer, or a dotted module of your own.
        expected: type of the constant.

    Raises:
        NotFoundError: no such file; the message offers the nearest names.
    """
    if not all(word.isidentifier() for word in name.split(".")):
        raise _unknown(kind, name)
    path = name if "." in name else f"{DRAWERS[kind]}.{name}"
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        # A library that the plug-in itself imports and that is not installed is another matter.
        if error.name is None or not f"{path}.".startswith(f"{error.name}."):
            raise
        raise _unknown(kind, name) from None
    constant = getattr(module, kind.upper(), None)
    if not isinstance(constant, expected):
        raise NotFoundError(
            f"{path} defines no {kind.upper()} of type {expected.__name__}; see the contract of {kind}s."
        )
    return constant


def _unknown(kind: str, name: str) -> NotFoundError:
    known = names(kind)
    return NotFoundError(
        f"no {kind} is called {name!r}.{did_you_mean(name, known)} There are: {', '.join(known)}."
        " A file of your own is a module, PACKAGE.MODULE with its dot, in a folder of PYTHONPATH."
    )
