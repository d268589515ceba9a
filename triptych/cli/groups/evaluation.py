"""What the commands that evaluate share: arguments, where questions and results are, the opened models, tables.

Not a command: its name begins with no group's.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.core.errors import ConfigError

if TYPE_CHECKING:  # networks are loaded when a command needs them
    from triptych.evaluate.benchmark import Benchmark
    from triptych.evaluate.certainty.statistics import Score
    from triptych.evaluate.running.result import Result
    from triptych.infer.opening import Opened
    from triptych.infer.responder import Responder

JUDGE = "judge."
"""Prefix of the settings that are the judge's."""

ModelName = Annotated[
    str, typer.Argument(metavar="MODEL", help="A folder, a hub id, or an endpoint: http://host/v1#model-name.")
]
_OPTIONS = re.compile(r"(?:#\w+=[^#]*)+$")

BenchmarkName = Annotated[str, typer.Argument(metavar="BENCHMARK", help="See: triptych list benchmarks.")]
Settings = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE", help="How to ask, e.g. max_tokens=64 concurrency=16 cache=false; all: docs/engine.md."
    ),
]
Data = Annotated[
    str | None, typer.Option("--data", metavar="PATH", help="The questions. Default: the folder data beside MODEL.")
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit", min=1, help="Ask at most this many: whole groups that share images, from all over the data."
    ),
]
JudgeName = Annotated[
    str | None,
    typer.Option("--judge", metavar="MODEL", help="Who marks, where a benchmark asks one; judge.KEY=VALUE sets it."),
]


AnswersKey = Annotated[
    Path | None, typer.Option("--answers", metavar="KEY", help="What is right: {id: answer} as JSON.")
]
QuestionsPath = Annotated[
    Path | None, typer.Option("--data", metavar="PATH", help="The questions, with what is right in them.")
]


@dataclass(frozen=True, slots=True)
class Paths:
    """Where a benchmark's questions are, and where results go."""

    questions: Path
    parent: Path
    """The folder that a model's folder is in; the working folder for an endpoint and for a model of the hub."""


def paths_of(model: str, data: str | None, *, benchmark: str) -> Paths:
    """Return where the questions are, and the folder beside which results are written.

    Raises:
        ConfigError: no path was given, and there is no folder ``data`` beside the model.
    """
    parent = _parent_of(model)
    questions = Path(data) if data else parent / "data"
    if data is None and not questions.exists():
        raise ConfigError(f"{questions} is not there: say where the questions of {benchmark} are, with --data PATH.")
    return Paths(questions, parent)


def _parent_of(model: str) -> Path:
    """Return ``Paths.parent``."""
    from triptych.infer.settings import address_of

    folder = Path(model)
    if (folder / "model" / "config.json").is_file() and not (folder / "config.json").exists():
        return folder  # a run, whose model is in it
    # Before the slash of a hub id stands who owns it, and no folder of a run.
    return Path() if address_of(model) or not folder.parent.is_dir() else folder.parent


def names_in(benchmarks: str) -> tuple[str, ...]:
    """Return the benchmarks of ``a,b,c``. Raises ConfigError: an empty name, or one twice."""
    found = tuple(name.strip() for name in benchmarks.split(","))
    if not all(found) or len(set(found)) < len(found):
        raise ConfigError(f"{benchmarks}: expected the names of benchmarks, each once, with commas: nlvr2,blink.")
    return found


def paths_of_each(model: str, data: Sequence[str], *, benchmarks: Sequence[str]) -> dict[str, Paths]:
    """Return where each benchmark's questions are, and where results are written.

    Args:
        model: as for `paths_of`.
        data: ``NAME=PATH`` of a benchmark, each once; and at most one path without a name: of the one benchmark that
            is asked, or of the folder in which several have theirs, each a folder or a file of its name.
        benchmarks: their names.

    Raises:
        ConfigError: a path is missing or not there, or it is not clear whose it is.
    """
    named: dict[str, str] = {}
    others = []
    for each in data:
        name, sign, path = each.partition("=")
        if not sign or name not in benchmarks:
            others.append(each)
        elif named.setdefault(name, path) != path or not path:
            raise ConfigError(f"--data {each}: one path for each benchmark, please: --data {name}=PATH.")
    if len(others) > 1:
        raise ConfigError(
            f"--data {others[0]} and --data {others[1]}: whose are they? Write --data NAME=PATH, with a NAME of "
            f"{', '.join(benchmarks)}."
        )
    if absent := [path for path in (*named.values(), *others) if not _is_there(path)]:
        raise ConfigError(f"{absent[0]} is not there: say where the questions are, with --data PATH.")
    folder = others[0] if others else None
    if len(benchmarks) == 1:
        return {name: paths_of(model, named.get(name, folder), benchmark=name) for name in benchmarks}
    parent = _parent_of(model)
    root = Path(folder) if folder else parent / "data"
    missing = [name for name in benchmarks if name not in named and not _in(root, name)]
    if missing:
        raise ConfigError(
            f"{root} has no folder and no one file called {' nor '.join(missing)}: say where those questions are, with "
            f"--data {missing[0]}=PATH."
        )
    return {name: Paths(Path(named[name]) if name in named else _in(root, name)[0], parent) for name in benchmarks}


def _in(root: Path, name: str) -> list[Path]:
    """Return the folder of a benchmark's name in another one, or the one file of that name, with any ending."""
    if (root / name).exists():
        return [root / name]
    found = sorted(path for path in root.glob(f"{glob.escape(name)}.*") if path.is_file())
    return found if len(found) == 1 else []


def _is_there(path: str) -> bool:
    """Return whether what a path names is there, as far as it can be told of one with options, a format or shards."""
    plain = _OPTIONS.sub("", path)
    places = (path, plain, plain.partition(":")[2])
    return "{" in plain or any(place and Path(place).expanduser().exists() for place in places)


def open_responders(
    benchmark: Benchmark, model: str, *, judge: str | None, settings: Sequence[str]
) -> tuple[Benchmark, Opened, Responder | None]:
    """Return the model that is asked, and the judge where one was named; settings ``judge.KEY=VALUE`` are the judge's.

    The benchmark comes back with the judge's ``max_tokens``, where that is among them.

    Raises:
        ConfigError: the judge's settings were given, and no judge; or as opening a responder.
        NotFoundError, ModelError: as opening a responder.
    """
    benchmarks, opened, judging = open_for_all({"": benchmark}, model, judge=judge, settings=settings)
    return benchmarks[""], opened, judging


def settings_of_judge(settings: Sequence[str], judge: str | None) -> list[str]:
    """Return the settings that are the judge's, without their prefix. Raises ConfigError: there is no judge."""
    found = [each.removeprefix(JUDGE) for each in settings if each.startswith(JUDGE)]
    if found and not judge:
        raise ConfigError(f"{JUDGE}{found[0]}: no judge was named. Add --judge MODEL, or leave it out.")
    return found


def open_for_all(
    benchmarks: Mapping[str, Benchmark], model: str, *, judge: str | None, settings: Sequence[str]
) -> tuple[dict[str, Benchmark], Opened, Responder | None]:
    """Do what `open_responders` does, once for several benchmarks, by name."""
    from triptych.infer.opening import open_responder

    marking = settings_of_judge(settings, judge)
    judging = open_responder(judge, marking) if judge else None
    most = None if judging is None else judging.asking.max_tokens
    told = {
        name: replace(each, judge=replace(each.judge, max_tokens=most)) if each.judge and most else each
        for name, each in benchmarks.items()
    }
    opened = open_responder(model, [each for each in settings if not each.startswith(JUDGE)])
    return told, opened, judging.responder if judging else None


def result_lines(result: Result) -> list[str]:
    """Return the table of a result: all questions, groups where there are several, and the secondary scores."""
    from triptych.evaluate.running.secondary_scores import secondary_lines

    rows = [("all", result.total)]
    by_rule = result.by_split == result.by_task  # where rows say how each is marked, that is told of one rule too
    for groups in (result.by_split, result.by_skill, result.by_scenario):
        rows += groups.items() if len(groups) > 1 or (by_rule and groups is result.by_split) else ()
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


def summary_lines(found: Mapping[str, Result | str]) -> list[str]:
    """Return a line for each of several benchmarks."""
    width = max(map(len, (*found, "benchmark")))
    lines = ["", f"{'benchmark':<{width}}  score   95% interval   chance      n"]
    for name, each in found.items():
        if isinstance(each, str):
            lines.append(f"{name:<{width}}  failed: {each}")
        elif each.total.n == 0:
            lines.append(f"{name:<{width}}      -   nothing was scored")
        else:
            total = each.total
            span = f"{total.low:.3f} - {total.high:.3f}"
            failed = f"  {each.failed} failed" if each.failed else ""
            lines.append(f"{name:<{width}}  {total.score:.3f}   {span}  {total.chance:.3f}  {total.n:>5}{failed}")
    return lines
