"""``triptych eval``: ask a model a benchmark's questions, and print its score beside chance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.core.errors import ConfigError
from triptych.core.log import say

if TYPE_CHECKING:
    from triptych.evaluate.certainty.statistics import Score
    from triptych.evaluate.running.result import Result

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
    blind: Annotated[
        bool, typer.Option("--blind", help="Take all images out: what does language alone score?")
    ] = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Ask this many, evenly spaced.")] = None,
    shard: Annotated[
        str | None, typer.Option("--shard", metavar="K/N", help="Ask part k of n; then: triptych merge-answers.")
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            "--judge", metavar="MODEL", help="Who marks, where a benchmark asks one; judge.KEY=VALUE sets it."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Default: evals/BENCHMARK, with -blind, beside MODEL.")
    ] = None,
) -> None:
    """Measure a model. What has been answered before is not asked again."""
    from triptych.core.plugins import find
    from triptych.evaluate.benchmark import Benchmark
    from triptych.evaluate.running.run import evaluate
    from triptych.evaluate.running.shards import parse_shard
    from triptych.infer.opening import open_responder
    from triptych.infer.settings import address_of

    task = find("benchmark", benchmark, Benchmark)
    part = parse_shard(shard) if shard else None
    beside = Path() if address_of(model) else Path(model).parent
    questions = Path(data) if data else beside / "data"
    if data is None and not questions.exists():
        raise ConfigError(f"{questions} is not there: say where the questions of {benchmark} are, with --data PATH.")
    folder = out or beside / "evals" / (f"{benchmark}-blind" if blind else benchmark)
    said = settings or []
    marking = [each.removeprefix(JUDGE) for each in said if each.startswith(JUDGE)]
    judging = open_responder(judge, marking).responder if judge else None
    opened = open_responder(model, [each for each in said if not each.startswith(JUDGE)])
    result = evaluate(
        task,
        questions,
        opened.responder,
        folder=folder / part.folder if part else folder,
        blind=blind,
        limit=limit,
        max_tokens=opened.asking.max_tokens,
        judge=judging,
        name=benchmark,
        shard=part,
        cache=opened.cache(),
    )
    for line in result_lines(result):
        typer.echo(line)
    say(f"answers and scores: {folder / part.folder if part else folder}")


def result_lines(result: Result) -> list[str]:
    """Return the table of a result: all questions, then each group that has more than one member."""
    rows = [("all", result.total)]
    for groups in (result.by_split, result.by_skill, result.by_scenario):
        rows += groups.items() if len(groups) > 1 else ()
    width = max(len(name) for name, _ in rows)
    lines = [f"{'':<{width}}  score   95% interval   chance  majority      n   sees"]
    lines += [f"{name:<{width}}  {_numbers(score)}" for name, score in rows]
    lines.append(f"majority {result.majority:.3f}; {result.unanswered} unanswered, {result.failed} failed")
    return lines


def _numbers(score: Score) -> str:
    """Return a row; its last number is the smallest difference between two models that so many questions show."""
    majority, sees = ("    -" if value is None else f"{value:.3f}" for value in (score.majority, score.detects))
    span = f"{score.low:.3f} - {score.high:.3f}"
    return f"{score.score:.3f}   {span}  {score.chance:.3f}     {majority}  {score.n:>5}  {sees}"
