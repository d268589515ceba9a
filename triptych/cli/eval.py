"""``triptych eval``: ask a model a benchmark's questions, or those of several, and print each score beside chance.

Under ``torchrun`` each process asks its share of every benchmark, and the first one puts the shares together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.groups.evaluation import (
    JudgeName,
    Limit,
    ModelName,
    Settings,
    names_in,
    open_for_all,
    paths_of_each,
    result_lines,
    settings_of_judge,
    summary_lines,
)
from triptych.core.errors import ConfigError, DataError, NotFoundError, RunError
from triptych.core.log import say

if TYPE_CHECKING:
    from triptych.core.shard import Shard
    from triptych.evaluate.benchmark import Benchmark
    from triptych.evaluate.running.asked import Asked
    from triptych.evaluate.running.result import Result
    from triptych.infer.opening import Opened
    from triptych.infer.responder import Responder
    from triptych.train.parallel.world import World

Names = Annotated[
    str,
    typer.Argument(
        metavar="BENCHMARK",
        help="One, or several with commas: see triptych list benchmarks. own: rows of yours. PACKAGE.MODULE: a file of"
        " yours.",
    ),
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="PATH",
        help="The questions; for own FORMAT:PATH. Of several benchmarks the folder that has each under its name, or"
        " NAME=PATH again and again. Default: the folder data beside MODEL.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evaluation:
    """One benchmark, where its questions are, where results go, and how it is asked."""

    name: str
    benchmark: Benchmark
    questions: Path
    folder: Path
    opened: Opened
    judge: Responder | None
    blind: bool
    limit: int | None

    def ask(self, part: Shard | None) -> Result:
        """Ask all questions, or a part of them, and return what they came to."""
        from triptych.evaluate.running.run import evaluate

        return evaluate(
            self.benchmark,
            self.questions,
            responder=self.opened.responder,
            folder=self.folder / part.folder if part else self.folder,
            blind=self.blind,
            limit=self.limit,
            max_tokens=self.opened.asking.max_tokens,
            judge=self.judge,
            name=self.name,
            shard=part,
            cache=self.opened.cache(),
        )


def run(
    model: ModelName,
    benchmark: Names,
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
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Default: evals/BENCHMARK, with -blind, beside MODEL. Of several: the folder of their folders.",
        ),
    ] = None,
) -> None:
    """Measure a model. What has been answered before is not asked again.

    Exit code 1 where a question has no score, their scores make no total, or one of several benchmarks failed.
    """
    from triptych.core.plugins import find
    from triptych.core.shard import parse_shard
    from triptych.evaluate.benchmark import Benchmark

    names = names_in(benchmark)
    tasks = {name: find("benchmark", name, expected=Benchmark) for name in names}
    part = parse_shard(shard) if shard else None
    paths = paths_of_each(model, data or (), benchmarks=names)
    settings_of_judge(settings or (), judge)
    _check_judges(tasks, judge)

    def opened() -> list[_Evaluation]:
        told, asked, judging = open_for_all(tasks, model, judge=judge, settings=settings or ())
        return [
            _Evaluation(
                name=name,
                benchmark=told[name],
                questions=paths[name].questions,
                folder=_folder(name, paths[name].parent, out=out, blind=blind, several=len(names) > 1),
                opened=asked,
                judge=judging if told[name].judge or len(names) == 1 else None,
                blind=blind,
                limit=limit,
            )
            for name in names
        ]

    with _processes(shared=part is None) as world:
        found = _in_turn(opened(), part) if world is None else _shared(opened, world)
    if len(found) > 1:
        for line in summary_lines(found):
            typer.echo(line)
    if any(isinstance(each, str) or each.failed or not each.total.n for each in found.values()):
        raise typer.Exit(1)


def _folder(name: str, parent: Path, *, out: Path | None, blind: bool, several: bool) -> Path:
    if out and not several:
        return out
    return (out or parent / "evals") / (f"{name}-blind" if blind else name)


def _check_judges(tasks: Mapping[str, Benchmark], judge: str | None) -> None:
    """Refuse, before the model is opened, benchmarks that need a judge and have none, and a judge for none of several.

    Raises:
        ConfigError: one of these.
    """
    from triptych.evaluate.running.result import check_judge

    if judge is None:
        for task in tasks.values():
            check_judge(task, None)
    elif len(tasks) > 1 and not any(task.judge for task in tasks.values()):
        raise ConfigError(f"none of {', '.join(tasks)} asks a judge. Leave --judge out.")


def _in_turn(evaluations: Sequence[_Evaluation], part: Shard | None) -> dict[str, Result | str]:
    """Ask one benchmark after the other and print their tables; return results, or the errors that ended them."""
    several = len(evaluations) > 1

    def measure(one: _Evaluation) -> Result:
        return _shown(one, lambda: one.ask(part), part=part, titled=several)

    return _each(evaluations, measure, several=several)


def _shared(opened: Callable[[], list[_Evaluation]], world: World) -> dict[str, Result | str]:
    """Ask this process's share of each benchmark; where it leads, wait for the others, put all together and print.

    Returns:
        as `_in_turn`; nothing where another process leads.

    Raises:
        TriptychError, SystemExit: as `World.together`.
    """
    from triptych.core.shard import Shard

    shares = [Shard(number, world.ranks) for number in range(1, world.ranks + 1)]
    evaluations: list[_Evaluation] = []

    def ask_share() -> dict[str, str]:
        evaluations.extend(opened())
        asked = _each(evaluations, lambda one: one.ask(shares[world.rank]), several=len(evaluations) > 1)
        return {name: found for name, found in asked.items() if isinstance(found, str)}

    errors: dict[str, str] = {}
    for each in world.gather(world.together(ask_share)):
        errors = {**each, **errors}
    if not world.leads:
        return {}
    whole = [one for one in evaluations if one.name not in errors]
    several = len(evaluations) > 1
    for one in evaluations:
        if one.name in errors:
            _without_result(one.folder)

    def measure(one: _Evaluation) -> Result:
        return _shown(one, lambda: _merged(one, shares), part=None, titled=several)

    merged = _each(whole, measure, several=several)
    return {one.name: errors[one.name] if one.name in errors else merged[one.name] for one in evaluations}


def _merged(one: _Evaluation, shares: Sequence[Shard]) -> Result:
    """Return the result of all shares, as `triptych merge-answers` puts them together; a judge marks the whole."""
    from triptych.evaluate.running.asked import ASKED
    from triptych.evaluate.running.merge import merge
    from triptych.evaluate.running.writing import set_aside

    (one.folder / ASKED).unlink(missing_ok=True)  # as in one process, a result of other questions is replaced
    set_aside(one.folder)
    return merge([one.folder / share.folder for share in shares], out=one.folder) or one.ask(None)


def _each(
    evaluations: Sequence[_Evaluation], do: Callable[[_Evaluation], Result], *, several: bool
) -> dict[str, Result | str]:
    """Return what is done of each by its name; where there are several, an error in the data of one in words."""
    found: dict[str, Result | str] = {}
    for one in evaluations:
        try:
            found[one.name] = do(one)
        except (DataError, NotFoundError) as error:
            if not several:
                raise
            found[one.name] = str(error)
            say(f"error: {one.name}: {error}")
    return found


def _shown(one: _Evaluation, measure: Callable[[], Result], *, part: Shard | None, titled: bool) -> Result:
    """Measure, and print the result; what it replaces is said before. One of several that fails is left without one."""
    folder = one.folder / part.folder if part else one.folder
    before = _announce_replacement(folder, one.name, one.opened.responder.name, blind=one.blind)
    try:
        result = measure()
    except (DataError, NotFoundError):
        if titled:
            _without_result(folder)
        raise
    for line in ([one.name] if titled else []) + result_lines(result):
        typer.echo(line)
    if before is not None:
        _say_what_was(folder, before)
    say(f"answers and scores: {folder}")
    return result


def _without_result(folder: Path) -> None:
    """Set aside, and say so, a result among those of several benchmarks that is none of this evaluation.

    One benchmark alone that is refused changes nothing, and the command ends; beside new results of the others an older
    one would be read as one of them.
    """
    from triptych.evaluate.running.writing import EARLIER, set_aside

    if set_aside(folder):
        say(f"{folder}: its result, of an earlier evaluation, is called {EARLIER} until there is a new one.")


@contextmanager
def _processes(*, shared: bool) -> Iterator[World | None]:
    """Join the processes that ``torchrun`` started; None: this one is alone, or asks the part that it is told.

    Raises:
        ConfigError: there are more processes on this machine than GPUs.
        RunError: another process is gone.
    """
    if not shared or "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield None
        return
    from triptych.train.parallel.world import GONE, joined

    try:
        with joined("none") as world:
            yield world
    except RunError as error:
        if str(error) != GONE:
            raise
        raise RunError(
            "another process of this evaluation ended; its own message says why. Replies are kept: give the same"
            " command again to ask what is left."
        ) from error


def _announce_replacement(folder: Path, benchmark: str, name: str, *, blind: bool) -> Asked | None:
    """Say, before it is replaced, that a folder has the result of another evaluation.

    Returns:
        What the folder says of this very evaluation, asked before; None: nothing.
    """
    from triptych.evaluate.running.asked import read_asked

    with suppress(NotFoundError, DataError):  # nothing is there, or nothing that is kept
        before = read_asked(folder)
        was, now = (
            (before.benchmark or benchmark, before.responder, before.blind),
            (benchmark, name, blind),
        )
        if was == now:
            return before
        names = [f"{model}{', blind' if without else ''}" for _, model, without in (was, now)]
        if was[0] != now[0]:
            names = [f"{each} on {task}" for each, task in zip(names, (was[0], now[0]), strict=True)]
        say(f"{folder}: its result, of {names[0]}, becomes that of {names[1]}; --out DIR keeps both. Replies are kept.")
    return None


def _say_what_was(folder: Path, before: Asked) -> None:
    """Say where a folder's result was of more questions than it is now, or of others."""
    from triptych.evaluate.running.asked import read_asked

    after = read_asked(folder)
    was, now = _questions_in(before), _questions_in(after)
    if before.keys and not before.keys.keys() & after.keys.keys():
        say(f"{folder}: its result was of {was} other questions. --out DIR keeps both. Replies are kept.")
    elif now < was:
        say(f"{folder}: its result was of {was} questions and is now of {now}. Replies are kept.")


def _questions_in(what: Asked) -> int:
    return len(what.keys) + len(what.refused)
