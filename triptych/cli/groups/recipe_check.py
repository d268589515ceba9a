"""``triptych recipe check``: whether a recipe can be trained, as far as that is known without training."""

from __future__ import annotations

from collections.abc import Callable

import typer

from triptych.cli.groups.recipes import Overrides, RecipeFile, that_trains
from triptych.cli.groups.sources import AsJson, json_text


def check_recipe(recipe: RecipeFile, overrides: Overrides = None, *, as_json: AsJson = False) -> None:
    """Look at files, family, template, data and lengths, and at the tiny twin. Exit code 1 where anything is wrong.

    A recipe with overrides is another one than its twin is of, so that is then left alone.
    """
    from triptych.train.recipe import load_recipe

    with that_trains(recipe):
        found = load_recipe(recipe, overrides or [])
    from triptych.train.inspection.review import review  # Seconds, which no wrong recipe waits for.
    from triptych.train.inspection.twin import original_of, twin_of

    original, twin = (None, None) if overrides else (original_of(recipe), twin_of(recipe))
    if original is not None:
        findings = [*review(found), *(each for each in review(load_recipe(original), twin=found) if each.key == "twin")]
    else:
        findings = review(found, twin=load_recipe(twin) if twin is not None else None)
    if as_json:
        typer.echo(json_text([{"level": each.level, "key": each.key, "message": each.message} for each in findings]))
    else:
        width = max(len(each.key) for each in findings)
        for each in findings:
            typer.echo(f"{each.level:<8}{each.key:<{width}}  {each.message}")
        counts = {level: sum(each.level == level for each in findings) for level in ("wrong", "missing", "warning")}
        typer.echo(", ".join(f"{count} {level}" for level, count in counts.items()))
    if any(each.level in ("wrong", "missing") for each in findings):
        raise typer.Exit(1)


COMMANDS: dict[str, Callable[..., None]] = {"check": check_recipe}
