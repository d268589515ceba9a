"""What the commands on recipes share: their arguments, and the right command for a recipe given to a wrong one.

Not a command: its name begins with no group's. The rooms that train and that make data know nothing of each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from triptych.core.errors import ConfigError, TriptychError

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="A YAML file, e.g. recipes/nlvr.yaml.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Changes to it, e.g. stages.tune.length='40 steps'."),
]


@contextmanager
def that_trains(*recipes: Path) -> Iterator[None]:
    """Read recipes of ``train`` in the block; of one that makes data, say what it is run with. Raises ConfigError."""
    try:
        yield
    except ConfigError:
        from triptych.generate.recipe import load_recipe

        for recipe in recipes:
            try:
                load_recipe(recipe)
            except TriptychError:
                continue
            raise ConfigError(
                f"{recipe}: it makes data, and this command is for recipes that train. Write: triptych generate run"
                f" {recipe}"
            ) from None
        raise


@contextmanager
def that_makes_data(recipe: Path) -> Iterator[None]:
    """Read a recipe of ``generate`` in the block; of one that trains, say what it is run with. Raises ConfigError."""
    try:
        yield
    except ConfigError:
        from triptych.train.recipe import load_recipe

        try:
            load_recipe(recipe)
        except TriptychError:
            pass
        else:
            raise ConfigError(
                f"{recipe}: it trains, and this command is for recipes that make data. Write: triptych train {recipe}"
            ) from None
        raise
