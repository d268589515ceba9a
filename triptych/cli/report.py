"""``triptych report``: one page about a run, with what was answered right and wrong, and the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triptych.core.errors import NotFoundError


def run(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, e.g. runs/demo.")],
) -> None:
    """Write RUN/report.html from what is measured so far, and print where it is."""
    from triptych.evaluate.report import write_report

    if not folder.is_dir():
        raise NotFoundError(f"{folder}: no such run. Runs are folders: see ls runs.")
    typer.echo(write_report(folder))
