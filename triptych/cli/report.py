"""``triptych report``: what a run has measured, as a page with answers and pictures, or as a table."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from triptych.core.log import say

METRICS = "metrics.jsonl"
HELD = ("evals", METRICS)
"""What a run's folder holds, one of them at least, as soon as it has measured or trained anything."""


class As(StrEnum):
    """What a report can be."""

    HTML = "html"
    MD = "md"
    CSV = "csv"
    LATEX = "latex"


def run(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, e.g. runs/demo.")],
    *,
    form: Annotated[
        As, typer.Option("--format", help="html writes RUN/report.html, training.html; the others are printed.")
    ] = As.HTML,
) -> None:
    """Write RUN/report.html from what is measured so far, RUN/training.html if it trained, or print a table.

    Exit code 1 where something was asked and nothing could be scored.
    """
    from triptych.core.errors import NotFoundError
    from triptych.evaluate.page.report import report_table, unscored, write_report

    if folder.is_dir() and not any((folder / name).exists() for name in HELD):
        raise NotFoundError(
            f"{folder}: nothing was trained or measured there: it has neither {' nor '.join(HELD)}. Name a run's"
            " folder, e.g. runs/demo; for data that were made: triptych generate report."
        )
    if form is As.HTML:
        typer.echo(write_report(folder))
        if (folder / METRICS).is_file():
            from triptych.train.page.page import write_training

            typer.echo(write_training(folder))
    else:
        typer.echo(report_table(folder, form.value), nl=False)
    empty, all_of_them = unscored(folder)
    for name in empty:
        say(f"{folder / 'evals' / name}: nothing was scored; items.jsonl says why.")
    if all_of_them:
        raise typer.Exit(1)
