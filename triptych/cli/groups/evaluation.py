"""What the commands that evaluate share: their arguments, where questions and results are, and the opened models.

Not a command: its name begins with no group's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.core.errors import ConfigError

if TYPE_CHECKING:  # networks are loaded when a command needs them
    from triptych.evaluate.benchmark import Benchmark
    from triptych.infer.opening import Opened
    from triptych.infer.responder import Responder

JUDGE = "judge."
"""Prefix of the settings that are the judge's."""

ModelName = Annotated[
    str, typer.Argument(metavar="MODEL", help="A folder, a hub id, or an endpoint: http://host/v1#model-name.")
]
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
    from triptych.infer.settings import address_of

    folder = Path(model)
    # Before the slash of a hub id stands who owns it, and no folder of a run.
    parent = Path() if address_of(model) or not folder.parent.is_dir() else folder.parent
    if (folder / "model" / "config.json").is_file() and not (folder / "config.json").exists():
        parent = folder  # a run, whose model is in it
    questions = Path(data) if data else parent / "data"
    if data is None and not questions.exists():
        raise ConfigError(f"{questions} is not there: say where the questions of {benchmark} are, with --data PATH.")
    return Paths(questions, parent)


def open_responders(
    benchmark: Benchmark, model: str, *, judge: str | None, settings: Sequence[str]
) -> tuple[Benchmark, Opened, Responder | None]:
    """Return the model that is asked, and the judge where one was named; settings ``judge.KEY=VALUE`` are the judge's.

    The benchmark comes back with the judge's ``max_tokens``, where that is among them.

    Raises:
        ConfigError: the judge's settings were given, and no judge; or as opening a responder.
        NotFoundError, ModelError: as opening a responder.
    """
    from triptych.infer.opening import open_responder

    marking = [each.removeprefix(JUDGE) for each in settings if each.startswith(JUDGE)]
    if marking and not judge:
        raise ConfigError(f"{JUDGE}{marking[0]}: no judge was named. Add --judge MODEL, or leave it out.")
    judging = open_responder(judge, marking) if judge else None
    if judging is not None and judging.asking.max_tokens is not None and benchmark.judge is not None:
        benchmark = replace(benchmark, judge=replace(benchmark.judge, max_tokens=judging.asking.max_tokens))
    opened = open_responder(model, [each for each in settings if not each.startswith(JUDGE)])
    return benchmark, opened, judging.responder if judging else None
