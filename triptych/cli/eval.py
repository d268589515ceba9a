"""``triptych eval``: ask a model a benchmark's questions, and print its score beside chance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.core.errors import ConfigError
from triptych.core.log import say

if TYPE_CHECKING:
    from triptych.evaluate.run import Result
    from triptych.evaluate.statistics import Score


def run(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's folder, or its id on the hub.")],
    benchmark: Annotated[str, typer.Argument(metavar="BENCHMARK", help="See: triptych list benchmarks.")],
    *,
    data: Annotated[
        str | None, typer.Option("--data", metavar="PATH", help="The questions. Default: the folder data beside MODEL.")
    ] = None,
    blind: Annotated[
        bool, typer.Option("--blind", help="Take all images out: what does language alone score?")
    ] = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Ask this many, evenly spaced.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Default: evals/BENCHMARK, with -blind, beside MODEL.")
    ] = None,
) -> None:
    """Measure a model. What has been answered before is not asked again."""
    from triptych.core.files import cache_folder
    from triptych.core.plugins import find
    from triptych.evaluate.benchmark import Benchmark
    from triptych.evaluate.run import evaluate

    task = find("benchmark", benchmark, Benchmark)
    beside = Path(model).parent
    questions = Path(data) if data else beside / "data"
    if data is None and not questions.exists():
        raise ConfigError(f"{questions} is not there: say where the questions of {benchmark} are, with --data PATH.")
    folder = out or beside / "evals" / (f"{benchmark}-blind" if blind else benchmark)

    from triptych.infer.local import LocalResponder
    from triptych.models.family import open_model
    from triptych.models.features import FeatureStore

    say(f"opening {model}")
    opened = open_model(model)
    responder = LocalResponder(opened, features=FeatureStore(opened, cache_folder() / "features"), name=model)
    result = evaluate(task, questions, responder, folder=folder, blind=blind, limit=limit)
    for line in result_lines(result):
        typer.echo(line)
    say(f"answers and scores: {folder}")


def result_lines(result: Result) -> list[str]:
    """Return the table of a result: all questions, then each group that has more than one member."""
    rows = [("all", result.total)]
    for groups in (result.by_split, result.by_skill, result.by_scenario):
        rows += groups.items() if len(groups) > 1 else ()
    width = max(len(name) for name, _ in rows)
    lines = [f"{'':<{width}}  score   95% interval   chance      n"]
    lines += [f"{name:<{width}}  {_numbers(score)}" for name, score in rows]
    lines.append(f"majority {result.majority:.3f}; {result.unanswered} unanswered, {result.failed} failed")
    return lines


def _numbers(score: Score) -> str:
    return f"{score.score:.3f}   {score.low:.3f} - {score.high:.3f}  {score.chance:.3f}  {score.n:>5}"
