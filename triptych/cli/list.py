"""``triptych list``: what there is, by name, with the first line that each file says of itself. Imports none of it.

Data sets are no files of code: the catalogue's facts on them, as a table.
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from triptych.core.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from triptych.core.records import Json
    from triptych.data.hub.catalogue import DataSet, Suite

SINGULAR = {
    "formats": "format",
    "templates": "template",
    "transforms": "transform",
    "families": "family",
    "benchmarks": "benchmark",
}
"""Kinds that are files of a drawer."""
KINDS = (*SINGULAR, "datasets", "recipes")
RECIPES = Path("recipes")
PIPED_COLUMNS = 200
"""How wide a table is that no terminal shows: a line for each data set, for grep."""


def run(
    kind: Annotated[
        str | None, typer.Argument(metavar=f"[{'|'.join(KINDS)}]", help="Default: all. Recipes: those of ./recipes.")
    ] = None,
    *,
    suite: Annotated[str | None, typer.Option("--suite", help="Data sets of a suite: mantis, m4, mimicit...")] = None,
    skill: Annotated[str | None, typer.Option("--skill", help="Data sets for a skill, e.g. temporal.")] = None,
    task: Annotated[str | None, typer.Option("--task", help="Data sets with these words in their task.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; of data sets, all facts with sources.")] = False,
) -> None:
    """List formats, templates, transforms, model families, benchmarks, data sets and recipes."""
    if kind is not None and kind not in KINDS:
        close = get_close_matches(kind, KINDS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise NotFoundError(f"no kind is called {kind!r}.{hint} There are: {', '.join(KINDS)}.")
    if kind == "datasets":
        _list_datasets(suite=suite, skill=skill, task=task, as_json=as_json)
        return
    if asked := [name for name, value in (("--suite", suite), ("--skill", skill), ("--task", task)) if value]:
        raise ConfigError(f"{asked[0]} chooses data sets. Write: triptych list datasets {asked[0]} ...")
    if kind == "benchmarks":
        _list_benchmarks(as_json=as_json)
        return
    shown = {each: dict(_entries(each)) for each in ([kind] if kind else KINDS)}
    if as_json:
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    for each, entries in shown.items():
        width = max(map(len, entries), default=0)
        typer.echo(f"{each}:" if entries else f"{each}: none here")
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


def _entries(kind: str) -> Iterator[tuple[str, str]]:
    if kind == "recipes":
        return recipes()
    if kind == "datasets":
        from triptych.data.hub.catalogue import first_lines

        return first_lines()
    return plugins(kind)


def _list_datasets(*, suite: str | None, skill: str | None, task: str | None, as_json: bool) -> None:
    from triptych.data.hub.catalogue import select, suites

    chosen = select(suite=suite, skill=skill, task=task)
    if as_json:
        held = [_facts(each, chosen) for each in suites().values()]
        typer.echo(json.dumps([each for each in held if each["datasets"]], indent=2, ensure_ascii=False))
        return
    if chosen:
        typer.echo(_table(chosen))
    fetched = sum(each.absent is None for each in chosen)
    typer.echo(f"{len(chosen)} data sets, of which triptych data get NAME fetches {fetched}; --json tells all.")


def _list_benchmarks(*, as_json: bool) -> None:
    from triptych.evaluate.page.listing import HEADINGS, NUMBERS, cells, listed, to_json

    found = listed()
    if as_json:
        typer.echo(json.dumps(to_json(found), indent=2, ensure_ascii=False))
        return
    rows = [cells(one) for one in found]
    typer.echo(_drawn({heading: "right" if heading in NUMBERS else "left" for heading in HEADINGS}, rows))
    typer.echo(f"{len(rows)} benchmarks; --json tells all.")


def _drawn(headings: Mapping[str, Literal["left", "right"]], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of texts, as wide as the terminal; only its last column is broken."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, (heading, side) in enumerate(headings.items(), start=1):
        table.add_column(heading, justify=side, no_wrap=number < len(headings))
    for row in rows:
        table.add_row(*map(escape, row))
    console = Console()
    if not (console.is_terminal or "COLUMNS" in os.environ):
        console.width = PIPED_COLUMNS
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines() if line.strip())


def _facts(suite: Suite, chosen: Sequence[DataSet]) -> dict[str, Json]:
    rows = [each.model_dump(mode="json", by_alias=True) for each in suite.datasets if each in chosen]
    return {**suite.model_dump(mode="json", by_alias=True), "datasets": rows}


def _table(datasets: Sequence[DataSet]) -> str:
    """Return the table as text, as wide as the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("examples", justify="right", no_wrap=True)
    table.add_column("images", justify="right", no_wrap=True)
    for heading, narrowest in (("skill", 12), ("task", 20), ("licence", 12)):
        table.add_column(heading, min_width=narrowest)
    for each in datasets:
        words = (_skill(each), each.task, _licence(each))
        table.add_row(each.name, _size(each), _images(each), *map(escape, words), style="dim" if each.absent else None)
    console = Console()
    if not (console.is_terminal or "COLUMNS" in os.environ):
        console.width = PIPED_COLUMNS
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines() if line.strip())


def _skill(dataset: DataSet) -> str:
    return dataset.skill if isinstance(dataset.skill, str) else ", ".join(dataset.skill)


def _size(dataset: DataSet) -> str:
    from triptych.data.hub.catalogue import size_of

    size = size_of(dataset)
    return "unknown" if size is None else f"{size:,}"


def _images(dataset: DataSet) -> str:
    images = dataset.images
    if isinstance(images, str):
        return "unknown"
    mean = "?" if isinstance(images.mean, str) else f"{images.mean:g}"
    return mean if images.most in ("unknown", images.mean) else f"{mean}, max {images.most}"


def _licence(dataset: DataSet) -> str:
    return dataset.licence.is_ if dataset.licence is not None and not isinstance(dataset.licence, str) else "unknown"
