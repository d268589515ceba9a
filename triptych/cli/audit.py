"""``triptych audit``: the replies that were hard to read, with what was read in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from triptych.cli.groups.evaluation import AnswersKey, BenchmarkName, QuestionsPath


def run(
    benchmark: BenchmarkName,
    answers: Annotated[Path, typer.Argument(metavar="ANSWERS", help="As for: triptych mark.")],
    *,
    key: AnswersKey = None,
    data: QuestionsPath = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List replies that speak for several options, and replies that choose none."""
    from triptych.core.plugins import find
    from triptych.evaluate.benchmark import Benchmark
    from triptych.evaluate.saved.audit import doubts_of, doubts_to_json, lines_of
    from triptych.evaluate.saved.marking import mark

    marked = mark(find("benchmark", benchmark, expected=Benchmark), answers, data=data, key=key)
    doubts = doubts_of(marked.items)
    if as_json:
        typer.echo(json.dumps(doubts_to_json(doubts, len(marked.items)), indent=1, ensure_ascii=False))
        return
    for line in lines_of(doubts, len(marked.items)):
        typer.echo(line)
