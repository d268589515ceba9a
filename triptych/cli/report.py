"""``triptych report``: one page about a run, with what was answered right and wrong, and the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def run(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, e.g. runs/demo.")],
) -> None:
    """Write RUN/report.html from what is measured so far, and print where it is."""
    from triptych.evaluate.report import write_report

    typer.echo(write_report(folder))
