"""``triptych generate list``: the stages, annotation layouts and prompts there are. Imports none of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Annotated

import typer

from triptych.cli.list import plugins
from triptych.core.errors import NotFoundError

KINDS = ("stages", "annotations", "prompts")


def list_all(
    kind: Annotated[str | None, typer.Argument(metavar="|".join(KINDS), help="Default: all.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List stages, annotation layouts and prompts, each with the first line that it says of itself."""
    if kind is not None and kind not in KINDS:
        raise NotFoundError(f"no kind is called {kind!r}. There are: {', '.join(KINDS)}.")
    shown = {each: dict(_entries(each)) for each in ([kind] if kind else KINDS)}
    if as_json:
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    for each, entries in shown.items():
        width = max(map(len, entries), default=0)
        typer.echo(f"{each}:")
        for name, about in entries.items():
            typer.echo(f"  {name:<{width}}  {about}".rstrip())


def _entries(kind: str) -> Iterator[tuple[str, str]]:
    if kind == "prompts":
        drawer = resources.files("triptych.generate").joinpath("prompts")
        for file in sorted(drawer.iterdir(), key=lambda file: file.name):
            if file.name.endswith(".md"):
                first = file.read_text(encoding="utf-8").partition("\n")[0]
                yield file.name.removesuffix(".md"), first.lstrip("# ")
        return
    yield from plugins(kind)


COMMANDS: dict[str, Callable[..., None]] = {"list": list_all}
