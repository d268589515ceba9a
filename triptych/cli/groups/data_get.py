"""``triptych data get``: bring a data set of the catalogue to a disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.core.log import say

if TYPE_CHECKING:
    from triptych.data.hub.catalogue import DataSet
    from triptych.data.hub.get import Got


def get_dataset(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set or a suite: see triptych list datasets.")],
    *,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where its folder is made.")] = Path("data"),
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=64, help="Files at a time.")] = 4,
    revision: Annotated[
        str | None, typer.Option("--revision", help="A branch, tag or commit; default: the catalogue's.")
    ] = None,
) -> None:
    """Download a data set; whatever ended it, the same command goes on. Files are verified and not unpacked."""
    from triptych.data.hub.get import get

    wanted = _wanted(name)
    for licence in dict.fromkeys(_licence(each) for each in wanted):
        say(licence)
    for got in get(wanted, to, jobs=jobs, revision=revision):
        _report(got)


def _wanted(name: str) -> list[DataSet]:
    from triptych.data.hub.catalogue import find_dataset, select, suite_names

    if name not in suite_names():
        return [find_dataset(name)]
    all_of_it = select(suite=name)
    for each in all_of_it:
        if each.absent:
            say(f"{each.name}: left out, {each.absent}")
    return [each for each in all_of_it if not each.absent]


def _licence(dataset: DataSet) -> str:
    licence = dataset.licence
    if licence is None or isinstance(licence, str):
        return "licence: unknown"
    return f"licence: {licence.is_}" + (f" ({licence.note})" if licence.note else "")


def _report(got: Got) -> None:
    from shlex import quote

    checked = "all with the right checksum"
    if got.unverified:
        checked = f"{got.files - got.unverified} with the right checksum, {got.unverified} of which nobody gives one"
    say(f"{got.name}: {got.files} files, {got.size_bytes / 1e6:,.1f} MB in {got.folder}, {checked}")
    for pattern in got.missing:
        say(f"{got.name}: its place has no {pattern}")
    if got.source is not None:
        typer.echo(f"triptych data check {quote(got.source)}")
    elif not got.missing:
        say(f"{got.name}: no format reads it as it is; its notes in triptych list datasets --json say more")


COMMANDS: dict[str, Callable[..., None]] = {"get": get_dataset}
