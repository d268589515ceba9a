"""``triptych arena``: whose replies are better, by a judge's word or people's votes, rated with intervals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from triptych.core.errors import ConfigError
from triptych.core.log import say


def run(
    answers: Annotated[
        list[str],
        typer.Argument(
            metavar="ANSWERS",
            help="Two or more: answers.jsonl, or folders with one; judge.KEY=VALUE, e.g. judge.max_tokens=1024, sets "
            "how the judge is asked.",
        ),
    ],
    *,
    judge: Annotated[
        str | None, typer.Option("--judge", metavar="MODEL", help="Who compares; sees every pair in both orders.")
    ] = None,
    votes: Annotated[
        Path | None, typer.Option("--votes", metavar="FILE", help="People's votes: lines with id, a, b and winner.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Judge at most this many questions of a pair, as eval does.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where judgements are kept, and found again.")
    ] = Path("arena.jsonl"),
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Rate responders by who is preferred to whom on the questions that they share.

    Exit code 1 where the judge gave no verdict on a pair.
    """
    from triptych.cli.groups.evaluation import JUDGE
    from triptych.evaluate.saved.arena import (
        VERDICT_TOKENS,
        arena_to_json,
        hold_arena,
        judge_pairs,
        lines_of,
        read_contestants,
    )
    from triptych.evaluate.saved.votes import read_votes

    if (judge is None) == (votes is None):
        raise ConfigError("who says which reply is better: --judge MODEL, or --votes FILE? Give one of them.")
    settings = [each.removeprefix(JUDGE) for each in answers if each.startswith(JUDGE) and "=" in each]
    if settings and not judge:
        raise ConfigError(f"{JUDGE}{settings[0]}: no judge was named. Add --judge MODEL, or leave it out.")
    contestants = read_contestants([Path(each) for each in answers if not (each.startswith(JUDGE) and "=" in each)])
    names = [contestant.name for contestant in contestants]
    if votes is not None:
        arena = hold_arena(read_votes(votes, contestants), names=names)
    else:
        from triptych.infer.opening import open_responder

        opened = open_responder(str(judge), settings)
        most = opened.asking.max_tokens or VERDICT_TOKENS
        judging = judge_pairs(contestants, opened.responder, path=out, limit=limit, max_tokens=most)
        say(f"judgements: {out}")
        arena = hold_arena(judging.votes, names=names, judging=judging)
    if as_json:
        typer.echo(json.dumps(arena_to_json(arena), indent=1, ensure_ascii=False))
    else:
        for line in lines_of(arena):
            typer.echo(line)
    if arena.judging is not None and arena.judging.failed:
        raise typer.Exit(1)
