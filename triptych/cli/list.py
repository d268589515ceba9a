"""``triptych list``: what there is, by name, with the first line that each file says of itself.

Nothing is imported but benchmarks. Data sets are no files of code: the catalogue's facts on them, as a table.
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.core.errors import ConfigError, NotFoundError, did_you_mean

if TYPE_CHECKING:
    from triptych.core.records import Json
    from triptych.data.hub.catalogue import DataSet, Suite

SINGULAR = {
    "formats": "format",
    "templates": "template",
    "transforms": "transform",
    "families": "family",
    "benchmarks": "benchmark",
    "stages": "stage",
    "annotations": "annotation",
}
"""Kinds that are files of a drawer."""
KINDS = (*SINGULAR, "datasets", "recipes")
RECIPES = Path("recipes")
PIPED_COLUMNS = 200
"""How wide a table is that no terminal shows: a line for each data set, for grep."""
GAP = 3
"""Characters between two columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """How a column of a table is drawn."""

    heading: str
    right: bool = False
    least: int | None = None
    """Characters down to which its cells are broken into lines; None: never, as of names that are typed."""
    leave: int | None = None
    """Where a terminal is too narrow, columns go in this order; None: it stays."""


DATA_SETS = (
    Column("name"),
    Column("examples", right=True, leave=5),
    Column("images", right=True, leave=2),
    Column("skill", least=12, leave=3),
    Column("task", least=20, leave=4),
    Column("licence", least=12, leave=1),
)
WORDS = {"metric": 12, "images": 12, "licence": 12}
"""Columns of benchmarks whose cells may be broken, with the characters down to which they are."""
LEAVE = {"licence": 1, "images": 2, "tasks": 3, "metric": 4, "chance": 5, "questions": 6}
"""Order in which columns of benchmarks go where a terminal is too narrow."""


def run(
    kind: Annotated[
        str | None, typer.Argument(metavar="|".join(KINDS), help="Default: all. Recipes: those of ./recipes.")
    ] = None,
    *,
    suite: Annotated[str | None, typer.Option("--suite", help="Data sets of a suite: mantis, m4, mimicit...")] = None,
    skill: Annotated[str | None, typer.Option("--skill", help="Data sets for a skill, e.g. temporal.")] = None,
    task: Annotated[str | None, typer.Option("--task", help="Data sets with these words in their task.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; of data sets, all facts with sources.")] = False,
) -> None:
    """List formats, templates, transforms, model families, benchmarks, stages, annotations, data sets and recipes."""
    if kind is not None and kind not in KINDS:
        raise NotFoundError(f"no kind is called {kind!r}.{did_you_mean(kind, KINDS)} There are: {', '.join(KINDS)}.")
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
        first = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
        yield name, first.removeprefix(f"{name}: ").replace("``", "")


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
    more = ""
    if chosen:
        rows = [(each.name, _size(each), _images(each), _skill(each), each.task, _licence(each)) for each in chosen]
        text, more = _drawn(DATA_SETS, rows, dim=[each.absent is not None for each in chosen])
        typer.echo(text)
    fetched = sum(each.absent is None for each in chosen)
    typer.echo(f"{len(chosen)} data sets, of which triptych data get NAME fetches {fetched};{more} --json tells all.")


def _list_benchmarks(*, as_json: bool) -> None:
    from triptych.evaluate.page.listing import HEADINGS, NUMBERS, cells, listed, to_json

    found = listed()
    if as_json:
        typer.echo(json.dumps(to_json(found), indent=2, ensure_ascii=False))
        return
    rows = [cells(one) for one in found]
    columns = [Column(each, right=each in NUMBERS, least=WORDS.get(each), leave=LEAVE.get(each)) for each in HEADINGS]
    text, more = _drawn(columns, rows, dim=[False] * len(rows))
    typer.echo(text)
    typer.echo(f"{len(rows)} benchmarks;{more} --json tells all.")


def _drawn(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, dim: Sequence[bool]) -> tuple[str, str]:
    """Return a table as wide as the terminal, and a few words on the columns for which that is too narrow."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not (console.is_terminal or "COLUMNS" in os.environ):
        console.width = PIPED_COLUMNS
    wide = [max(len(column.heading), *(len(row[at]) for row in rows)) for at, column in enumerate(columns)]
    needed = [min(width, column.least or width) + GAP for width, column in zip(wide, columns, strict=True)]
    shown = [*range(len(columns))]
    for at in sorted((at for at in shown if columns[at].leave is not None), key=lambda at: columns[at].leave or 0):
        if sum(needed[each] for each in shown) > console.width:
            shown.remove(at)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for at in shown:
        column = columns[at]
        table.add_column(
            column.heading,
            justify="right" if column.right else "left",
            no_wrap=column.least is None,
            min_width=needed[at] - GAP,
        )
    for row, faint in zip(rows, dim, strict=True):
        table.add_row(*(escape(row[at]) for at in shown), style="dim" if faint else None)
    with console.capture() as captured:
        console.print(table)
    text = "\n".join(line.rstrip() for line in captured.get().splitlines() if line.strip())
    left = ", ".join(column.heading for at, column in enumerate(columns) if at not in shown)
    return text, f" too narrow for {left};" if left else ""


def _facts(suite: Suite, chosen: Sequence[DataSet]) -> dict[str, Json]:
    rows = [each.model_dump(mode="json", by_alias=True) for each in suite.datasets if each in chosen]
    return {**suite.model_dump(mode="json", by_alias=True), "datasets": rows}


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
