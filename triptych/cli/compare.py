"""``triptych compare``: is one run better than another, item by item, and is there evidence for it?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def run(
    first: Annotated[Path, typer.Argument(metavar="RUN_A", help="A run, its evals, one of them, or marked items.")],
    second: Annotated[
        Path | None, typer.Argument(metavar="RUN_B", help="Without it: every two conditions of RUN_A.")
    ] = None,
    *,
    benchmark: Annotated[
        list[str] | None, typer.Option("--benchmark", metavar="NAME", help="Only this one; may be given again.")
    ] = None,
    condition: Annotated[
        str | None, typer.Option("--condition", help="Of both runs: tuned, blind... Default: the model itself.")
    ] = None,
    common: Annotated[bool, typer.Option("--common", help="Compare what both were asked, if it is not all.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: scores and differences from 0 to 1.")] = False,
) -> None:
    """Pair the scores of two runs by question; tell the difference with its interval, and the evidence."""
    from triptych.evaluate.saved.compare import compare_folders
    from triptych.evaluate.saved.comparison_text import comparisons_to_json, lines_of

    found = compare_folders(first, second, benchmarks=tuple(benchmark or ()), condition=condition, common=common)
    if as_json:
        typer.echo(json.dumps(comparisons_to_json(found), indent=1, ensure_ascii=False))
        return
    for line in lines_of(found):
        typer.echo(line)
