"""``triptych data split``: a part of a source held out, without pictures that stand in the other part too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from triptych.cli.groups.sources import Source
from triptych.core.log import counted, say

LISTED = 10
"""Refused rows that are listed one by one."""


def split_source(
    source: Source,
    held: Annotated[str, typer.Argument(metavar="HELD", help="FORMAT:PATH of the rows held out.")],
    rest: Annotated[str, typer.Argument(metavar="REST", help="FORMAT:PATH of the others.")],
    *,
    share: Annotated[
        float,
        typer.Option("--share", help="Of the rows, between 0 and 1: at most so many are held out, but one at least."),
    ] = 0.02,
    seed: Annotated[int, typer.Option("--seed", help="Another one is another choice.")] = 0,
) -> None:
    """Hold rows out for validation or tests: rows with a picture in common stay on one side, copies of it included."""
    from triptych.core.errors import ConfigError
    from triptych.data.disk.writing import target_of
    from triptych.data.trust.split import rows_at, split

    targets = [(*target_of(to, [source]), to) for to in (held, rest)]
    if targets[0][0].resolve() == targets[1][0].resolve():
        raise ConfigError(f"{held} and {rest} are one file: name two.")
    found = split(source, share=share, seed=seed)
    for refused in found.refused[:LISTED]:
        say(f"refused: {refused.message}")
    if len(found.refused) > LISTED:
        say(f"and {len(found.refused) - LISTED} more refused")
    for (path, write, _), places in zip(targets, (found.held, found.rest), strict=True):
        say(f"{path}: {counted(write(rows_at(source, places), path), 'row')}")
    rows = len(found.held) + len(found.rest)
    say(
        f"{len(found.held)} of {counted(rows, 'row')} held out ({len(found.held) / rows:.1%}); {found.groups} groups"
        f" that share no picture, the largest of {counted(found.largest, 'row')}"
    )


COMMANDS: dict[str, Callable[..., None]] = {"split": split_source}
