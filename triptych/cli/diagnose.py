"""``triptych diagnose``: what does a model lean on? A benchmark's questions, asked as they are and changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from triptych.cli.groups.evaluation import (
    BenchmarkName,
    Data,
    JudgeName,
    Limit,
    ModelName,
    Settings,
    open_responders,
    paths_of,
)
from triptych.core.log import say


def run(
    model: ModelName,
    benchmark: BenchmarkName,
    *,
    settings: Settings = None,
    data: Data = None,
    limit: Limit = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="KIND", help="Only this condition, e.g. blind; may be given again."),
    ] = None,
    judge: JudgeName = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Default: the folder diagnosis beside MODEL.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: scores and differences from 0 to 1.")] = False,
) -> None:
    """Ask blind, with wrong or shuffled images, in other layouts and option orders; write a page about it.

    Exit code 1 where a question got no reply.
    """
    from triptych.core.plugins import find
    from triptych.evaluate.benchmark import Benchmark
    from triptych.evaluate.diagnosis.conditions import choose_conditions
    from triptych.evaluate.diagnosis.diagnose import diagnose
    from triptych.evaluate.diagnosis.outcome import diagnosis_to_json, lines_of
    from triptych.evaluate.page.diagnose_page import write_page

    task = find("benchmark", benchmark, expected=Benchmark)
    conditions = choose_conditions(only or ())
    paths = paths_of(model, data, benchmark=benchmark)
    folder = out or paths.parent / "diagnosis"
    task, opened, judging = open_responders(task, model, judge=judge, settings=settings or ())
    found = diagnose(
        task,
        paths.questions,
        responder=opened.responder,
        folder=folder,
        name=benchmark,
        limit=limit,
        conditions=conditions,
        max_tokens=opened.asking.max_tokens,
        judge=judging,
        cache=opened.cache(),
    )
    page = write_page(folder, found)
    if as_json:
        typer.echo(json.dumps(diagnosis_to_json(found), indent=1, ensure_ascii=False))
    else:
        for line in lines_of(found):
            typer.echo(line)
    say(f"page: {page}")
    if found.failed or any(each.failed for each in found.findings):
        raise typer.Exit(1)
