"""``triptych list``: what there is, by name, with the first line that each file says of itself. Imports none of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from triptych.core.errors import NotFoundError

KINDS = ("formats", "families", "benchmarks", "recipes")
SINGULAR = {"formats": "format", "families": "family", "benchmarks": "benchmark"}
RECIPES = Path("recipes")


def run(
    kind: Annotated[
        str | None, typer.Argument(metavar=f"[{'|'.join(KINDS)}]", help="Default: all. Recipes: those of ./recipes.")
    ] = None,
) -> None:
    """List formats, model families, benchmarks and recipes."""
    if kind is not None and kind not in KINDS:
        close = get_close_matches(kind, KINDS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise NotFoundError(f"no kind is called {kind!r}.{hint} There are: {', '.join(KINDS)}.")
    for shown in [kind] if kind else KINDS:
        entries = dict(recipes() if shown == "recipes" else plugins(shown))
        width = max(map(len, entries), default=0)
        typer.echo(f"{shown}:" if entries else f"{shown}: none here")
        for name, about in entries.items():
            typer.echo(f"  {name:<{width}}  {about}".rstrip())


def plugins(kind: str) -> Iterator[tuple[str, str]]:
    """Yield the files of a drawer, each with the first line of its docstring."""
    from triptych.core.plugins import DRAWERS, names

    for name in names(SINGULAR[kind]):
        spec = find_spec(f"{DRAWERS[SINGULAR[kind]]}.{name}")
        source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
        yield name, (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def recipes() -> Iterator[tuple[str, str]]:
    """Yield the recipe files of the working folder, each with its first comment."""
    for path in sorted(RECIPES.glob("*.yaml")):
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        yield str(path), first.removeprefix("#").strip() if first.startswith("#") else ""
