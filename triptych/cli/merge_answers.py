"""``triptych merge-answers``: put the parts of an evaluation together, and print its score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triptych.cli.groups.evaluation import result_lines
from triptych.core.log import say


def run(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER", help="Of an evaluation, or of one that holds its shard-K-of-N folders."),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The folder of the whole. Default: the first FOLDER.")
    ] = None,
) -> None:
    """Merge what `triptych eval --shard k/n` asked here and elsewhere. Exit code 1 where a reply is missing."""
    from triptych.evaluate.running.merge import merge

    whole = out or folders[0]
    result = merge(folders, out=whole)
    if result is not None:
        for line in result_lines(result):
            typer.echo(line)
        say(f"answers and scores: {whole}")
    if result is None or result.failed:
        raise typer.Exit(1)
