"""``triptych mark``: score saved replies of any model, without a model and without images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from triptych.cli.groups.evaluation import AnswersKey, BenchmarkName, QuestionsPath
from triptych.core.log import say


def run(
    benchmark: BenchmarkName,
    answers: Annotated[
        Path,
        typer.Argument(
            metavar="ANSWERS",
            help='Lines {"id", "reply"}, or as BLINK, VLMEvalKit, LLaVA, MathVista, MMMU have them (MMMU: a folder), or'
            " the folder of an evaluation.",
        ),
    ],
    *,
    key: AnswersKey = None,
    data: QuestionsPath = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="ITEMS", help="Write a line an item: id, choice, correct...")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: scores from 0 to 1.")] = False,
) -> None:
    """Score a file of replies: total, 95% interval and tasks. Every id of the key counts, replied to or not.

    Exit code 1 where no question has a score.
    """
    from triptych.core.plugins import find
    from triptych.data.media.kept import keeping_only
    from triptych.evaluate.benchmark import Benchmark
    from triptych.evaluate.saved.marking import lines_of, mark, marked_to_json, warnings_of, write_items

    with keeping_only(()):  # of images it needs no more than their names
        marked = mark(find("benchmark", benchmark, expected=Benchmark), answers, data=data, key=key, name=benchmark)
    if out is not None:
        write_items(out, marked)
    if as_json:
        typer.echo(json.dumps(marked_to_json(marked), indent=1, ensure_ascii=False))
    else:
        for line in lines_of(marked):
            typer.echo(line)
    for line in warnings_of(marked):
        say(line)
    if not marked.result.total.n:
        raise typer.Exit(1)
