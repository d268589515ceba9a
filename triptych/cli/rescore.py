"""``triptych rescore``: scores of a run worked out anew from its answers, without a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def run(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run, its evals, or one of them.")],
    *,
    benchmark: Annotated[
        str | None, typer.Option("--benchmark", metavar="NAME", help="Whose rules. Default: as the folder is called.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Only tell; leave result.json as it is.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: scores from 0 to 1.")] = False,
) -> None:
    """Score the saved replies again, say what changed, and replace result.json.

    Exit code 1 where none has a score, a judge's verdicts are lost, or questions have not been asked yet.
    """
    from triptych.evaluate.saved.rescore import lines_of, rescore_run, rescored_to_json

    found = rescore_run(folder, benchmark=benchmark, write=not keep)
    if as_json:
        typer.echo(json.dumps(rescored_to_json(found), indent=1, ensure_ascii=False))
    else:
        for line in lines_of(found):
            typer.echo(line)
    if not all(one.after.n and not one.lost and not one.not_asked for one in found):
        raise typer.Exit(1)
