"""``triptych recipe show`` and ``diff``: a recipe with every key, and what two of them say differently."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.groups.recipes import Overrides, RecipeFile, that_trains
from triptych.cli.groups.sources import AsJson, json_text

if TYPE_CHECKING:
    from triptych.core.records import Json

WIDEST = 48
"""Characters of a value in a line of ``diff``."""


def show_recipe(recipe: RecipeFile, overrides: Overrides = None, *, as_json: AsJson = False) -> None:
    """Print a recipe complete and resolved. What differs from a default says the default; the page is a recipe too."""
    from triptych.core.config import load_config
    from triptych.train.inspection.shown import changed, page_of
    from triptych.train.recipe import Recipe, resolve

    with that_trains(recipe):
        found = load_config(recipe, overrides or [], model=Recipe)
    if as_json:
        record: dict[str, Json] = {"recipe": resolve(found).model_dump(mode="json"), "not_default": [*changed(found)]}
        typer.echo(json_text(record))
        return
    for line in page_of(found):
        typer.echo(line)


def compare_recipes(
    first: Annotated[Path, typer.Argument(metavar="A", help="A YAML file; a run's recipe.yaml is one.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Print every key in which two recipes differ, with both values."""
    from triptych.train.inspection.shown import differences
    from triptych.train.recipe import load_recipe

    with that_trains(first, second):
        found = differences(load_recipe(first), load_recipe(second))
    if as_json:
        typer.echo(json_text([{"key": key, "a": here, "b": there} for key, here, there in found]))
        return
    if not found:
        typer.echo("the same recipe")
        return
    rows = [("key", str(first), str(second)), *((key, _short(here), _short(there)) for key, here, there in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for key, here, there in rows:
        typer.echo(f"{key:<{widths[0]}}  {here:<{widths[1]}}  {there}".rstrip())


def _short(value: str) -> str:
    return value if len(value) <= WIDEST else value[: WIDEST - 3] + "..."


COMMANDS: dict[str, Callable[..., None]] = {"show": show_recipe, "diff": compare_recipes}
