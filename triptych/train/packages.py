"""Packages that are optional here and that a recipe needs: looked for before anything is opened or read.

Not those of trackers (``measuring/trackers.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from triptych.core.errors import ModelError
from triptych.train.recipe import Lora, Recipe, Tune


def missing_packages(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Yield the key of each stage that needs a package which is not here, and what to do."""
    for stage in (each for each in recipe.stages if isinstance(each, Tune)):
        in_4_bits = any(isinstance(plan, Lora) and plan.quantised for _, plan in stage.parts.items())
        for needed, name, what in ((stage.liger, "liger_kernel", "liger"), (in_4_bits, "bitsandbytes", "qlora")):
            if needed and find_spec(name) is None:
                package = name.replace("_", "-")
                why = f"{what} needs the package {package}, which is not here: pip install {package}"
                yield f"stages.{stage.name}", why


def check_packages(recipe: Recipe) -> None:
    """Raise ModelError where a package is missing."""
    for key, why in missing_packages(recipe):
        raise ModelError(f"{key}: {why}")
