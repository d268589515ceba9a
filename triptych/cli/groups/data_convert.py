"""``triptych data convert``: a source written in another layout, with its pictures beside the new file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from triptych.cli.groups.sources import Source, usable_rows
from triptych.core.log import counted, say

LISTED = 10
"""Rows left out that are listed one by one."""


def convert_source(
    source: Source,
    to: Annotated[str, typer.Argument(metavar="DST", help="FORMAT:PATH of the new file, e.g. messages:train.jsonl.")],
    *,
    skip: Annotated[
        bool, typer.Option("--skip", help="Leave out and count the rows that DST's layout cannot say; else stop there.")
    ] = False,
) -> None:
    """Write the rows that can be used in another format; the pictures are copied beside the new file."""
    from triptych.data.disk.writing import LeavingOut, target_of

    path, write = target_of(to, [source])
    if not skip:
        say(f"{path}: {write(usable_rows(source), path)} rows")
        return
    rows = LeavingOut(usable_rows(source))
    count = write(rows, path)
    for refused in rows.left_out[:LISTED]:
        say(f"left out: {refused.message}")
    if len(rows.left_out) > LISTED:
        say(f"and {len(rows.left_out) - LISTED} more")
    say(f"{path}: {counted(count, 'row')}, {len(rows.left_out)} left out that {to.partition(':')[0]} cannot say")


COMMANDS: dict[str, Callable[..., None]] = {"convert": convert_source}
