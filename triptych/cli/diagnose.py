"""``triptych diagnose``: what does a model lean on? A benchmark's questions, asked as they are and changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from triptych.core.errors import ConfigError
from triptych.core.log import say

JUDGE = "judge."
"""What settings of the judge begin with."""


def run(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A folder, a hub id, or an endpoint: http://host/v1#model-name.")
    ],
    benchmark: Annotated[str, typer.Argument(metavar="BENCHMARK", help="See: triptych list benchmarks.")],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE...]", help="How to ask, e.g. max_tokens=64 concurrency=16 cache=false."),
    ] = None,
    *,
    data: Annotated[
        str | None, typer.Option("--data", metavar="PATH", help="The questions. Default: the folder data beside MODEL.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Ask this many, evenly spaced.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="KIND", help="Only this condition, e.g. blind; may be given again."),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            "--judge", metavar="MODEL", help="Who marks, where a benchmark asks one; judge.KEY=VALUE sets it."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Default: the folder diagnosis beside MODEL.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: scores and differences from 0 to 1.")] = False,
) -> None:
    """Ask blind, with wrong or shuffled images, in other layouts and option orders; write a page about it."""
    from triptych.core.plugins import find
    from triptych.evaluate.benchmark import Benchmark
    from triptych.evaluate.diagnosis.conditions import choose_conditions
    from triptych.evaluate.diagnosis.diagnose import diagnose, diagnosis_to_json, lines_of
    from triptych.evaluate.page.diagnose_page import write_page
    from triptych.infer.opening import open_responder
    from triptych.infer.settings import address_of

    task = find("benchmark", benchmark, Benchmark)
    conditions = choose_conditions(only or ())
    beside = Path() if address_of(model) else Path(model).parent
    questions = Path(data) if data else beside / "data"
    if data is None and not questions.exists():
        raise ConfigError(f"{questions} is not there: say where the questions of {benchmark} are, with --data PATH.")
    folder = out or beside / "diagnosis"
    said = settings or []
    marking = [each.removeprefix(JUDGE) for each in said if each.startswith(JUDGE)]
    judging = open_responder(judge, marking).responder if judge else None
    opened = open_responder(model, [each for each in said if not each.startswith(JUDGE)])
    found = diagnose(
        task,
        questions,
        opened.responder,
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
