"""``triptych eval``: ask a model a benchmark's questions, and print its score beside chance."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from triptych.evaluate.certainty.statistics import Score
    from triptych.evaluate.running.asked import Asked
    from triptych.evaluate.running.result import Result


def run(
    model: ModelName,
    benchmark: BenchmarkName,
    *,
    settings: Settings = None,
    data: Data = None,
    blind: Annotated[
        bool, typer.Option("--blind", help="Take all images out: what does language alone score?")
    ] = False,
    limit: Limit = None,
    shard: Annotated[
        str | None, typer.Option("--shard", metavar="K/N", help="Ask part k of n; then: triptych merge-answers.")
    ] = None,
    judge: JudgeName = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Default: evals/BENCHMARK, with -blind, beside MODEL.")
    ] = None,
) -> None:
    """Measure a model. What has been answered before is not asked again.

    Exit code 1 where a question has no score, or their scores make no total.
    """
    from triptych.core.plugins import find
    from triptych.core.shard import parse_shard
    from triptych.evaluate.benchmark import Benchmark
    from triptych.evaluate.running.asked import read_asked
    from triptych.evaluate.running.run import evaluate

    task = find("benchmark", benchmark, expected=Benchmark)
    part = parse_shard(shard) if shard else None
    paths = paths_of(model, data, benchmark=benchmark)
    folder = out or paths.parent / "evals" / (f"{benchmark}-blind" if blind else benchmark)
    folder = folder / part.folder if part else folder
    task, opened, judging = open_responders(task, model, judge=judge, settings=settings or ())
    before = _announce_replacement(folder, benchmark, opened.responder.name, blind=blind)
    result = evaluate(
        task,
        paths.questions,
        responder=opened.responder,
        folder=folder,
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
    asked = _questions_in(read_asked(folder))
    if asked < before:
        say(f"{folder}: its result was of {before} questions and is now of {asked}. Replies are kept.")
    say(f"answers and scores: {folder}")
    if result.failed or not result.total.n:
        raise typer.Exit(1)


def _announce_replacement(folder: Path, benchmark: str, name: str, *, blind: bool) -> int:
    """Say, before it is replaced, that a folder has the result of another evaluation.

    Returns:
        of how many questions the folder's result of this very evaluation is; 0: it has none.
    """
    from triptych.core.errors import DataError, NotFoundError
    from triptych.evaluate.running.asked import read_asked

    with suppress(NotFoundError, DataError):  # nothing is there, or nothing that is kept
        before = read_asked(folder)
        was, now = (
            (before.benchmark or benchmark, before.responder, before.blind),
            (benchmark, name, blind),
        )
        if was == now:
            return _questions_in(before)
        names = [f"{model}{', blind' if without else ''}" for _, model, without in (was, now)]
        if was[0] != now[0]:
            names = [f"{each} on {task}" for each, task in zip(names, (was[0], now[0]), strict=True)]
        say(f"{folder}: its result, of {names[0]}, becomes that of {names[1]}; --out DIR keeps both. Replies are kept.")
    return 0


def _questions_in(what: Asked) -> int:
    return len(what.keys) + len(what.refused)


def result_lines(result: Result) -> list[str]:
    """Return the table of a result: all questions, groups where there are several, and the secondary scores."""
    from triptych.evaluate.running.secondary_scores import secondary_lines

    rows = [("all", result.total)]
    for groups in (result.by_split, result.by_skill, result.by_scenario):
        rows += groups.items() if len(groups) > 1 else ()
    width = max(len(name) for name, _ in rows)
    lines = [f"{'':<{width}}  score   95% interval   chance  majority      n  min diff"]
    lines += [f"{name:<{width}}  {_numbers(score)}" for name, score in rows]
    cut = f", {result.cut} cut" if result.cut else ""
    lines.append(f"majority {result.majority:.3f}; {result.unanswered} unanswered, {result.failed} failed{cut}")
    if result.total.detects is not None:
        lines.append(
            "min diff: the smallest difference between two models that n questions show (at 5%, four times in five)"
        )
    return lines + secondary_lines(result)


def _numbers(score: Score) -> str:
    """Return a row; its last number is the smallest difference between two models that so many questions show."""
    if score.n == 0:
        return "    -   nothing was scored"
    majority, least = ("    -" if value is None else f"{value:.3f}" for value in (score.majority, score.detects))
    span = f"{score.low:.3f} - {score.high:.3f}"
    return f"{score.score:.3f}   {span}  {score.chance:.3f}     {majority}  {score.n:>5}  {least}"
