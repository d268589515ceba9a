"""``triptych data check|show|stats|convert``: look at data before anything is learnt from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.core.errors import ConfigError, DataError, NotFoundError
from triptych.core.log import say

if TYPE_CHECKING:  # pictures, tokens and networks are loaded when a command needs them
    from triptych.core.records import Example, Json
    from triptych.data.check import Report
    from triptych.data.format import Refused
    from triptych.data.template import Encoded
    from triptych.models.family import Model

GROUP = typer.Typer(help="Check, show, count and convert conversations.", no_args_is_help=True)
Source = Annotated[str, typer.Argument(metavar="SOURCE", help="FORMAT:PATH, e.g. mantis:chat/train.json#limit=100.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TOLD = 10
"""Refused rows that are told one by one, for each reason."""


@GROUP.command("check")
def check_sources(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="FORMAT:PATH, one or more.")],
    *,
    as_json: AsJson = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when a row is refused.")] = False,
    headers: Annotated[
        bool, typer.Option("--headers", help="Read the pictures' headers only: faster, finds no picture that is torn.")
    ] = False,
) -> None:
    """Read every row and every picture; count what can be used, and say why the rest cannot."""
    from triptych.data.check import check

    report = check(sources, decode=not headers)
    if as_json:
        rows: list[Json] = [{"where": it.where, "reason": it.reason, "message": it.message} for it in report.refusals]
        typer.echo(_json({**report.as_json(), "refusals": rows}))
    else:
        for line in _report_lines(report):
            typer.echo(line)
    if strict and report.refused:
        raise typer.Exit(1)


@GROUP.command("stats")
def count_source(source: Source, *, as_json: AsJson = False) -> None:
    """Count turns, words, pictures, skills and scenarios of the rows that can be used."""
    from triptych.data.check import stats

    counted = stats(source).as_json()
    if as_json:
        typer.echo(_json(counted))
        return
    width = max(map(len, counted))
    for key, value in counted.items():
        shown = ", ".join(f"{name} {number}" for name, number in value.items()) if isinstance(value, dict) else value
        typer.echo(f"{key.replace('_', ' '):<{width}}  {'-' if shown == '' else shown}")


@GROUP.command("show")
def show_source(
    source: Source,
    *,
    row: Annotated[
        int | None, typer.Option("--row", min=0, help="Which row, counted from 0. Default: the first.")
    ] = None,
    identity: Annotated[str | None, typer.Option("--id", help="The row with this id.")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page; of all rows, if neither --row nor --id says which.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="A model's folder: show the tokens it reads and what the loss sees.")
    ] = None,
) -> None:
    """Show conversations with their pictures in place."""
    from triptych.data.show import show_html, show_terminal

    if row is not None and identity is not None:
        raise ConfigError("--row and --id both say which row. Give one of them.")
    everything = html is not None and row is None and identity is None
    examples = list(_usable(source)) if everything else [_one(source, row=row, identity=identity)]
    opened = _open(model)
    shown = [(example, _encode(opened, example)) for example in examples] if opened else [(it, None) for it in examples]
    tokenizer = opened.tokenizer if opened else None
    if html is not None:
        from triptych.core.files import write_atomically

        write_atomically(html, show_html(shown, tokenizer=tokenizer))
        say(f"{html}: {len(shown)} conversations")
        return
    from rich.console import Console

    for example, encoded in shown:
        Console().print(show_terminal(example, encoded, tokenizer))


@GROUP.command("convert")
def convert_source(
    source: Source,
    to: Annotated[str, typer.Argument(metavar="DST", help="FORMAT:PATH of the new file, e.g. messages:train.jsonl.")],
) -> None:
    """Write the rows that can be used in another format; the pictures are copied beside the new file."""
    from triptych.core.plugins import find
    from triptych.data.format import Format, split_source

    name, path = split_source(to)
    write = find("format", name, Format).write
    if write is None:
        raise ConfigError(f"format {name!r} can only be read. Convert to messages instead.")
    if path.resolve() == split_source(source)[1].resolve():
        raise ConfigError(f"{path} is the source itself. Write to another file.")
    count = write(_usable(source), path)
    say(f"{path}: {count} rows")


def _report_lines(report: Report) -> Iterator[str]:
    pictures = f"{report.images} images" + (f", {report.videos} videos" if report.videos else "")
    yield f"{report.examples} rows: {report.used} used, {report.refused} refused; {pictures} in the used ones"
    for reason, count in report.reasons.items():
        yield f"{reason}: {count}"
        told = [refused for refused in report.refusals if refused.reason == reason][:TOLD]
        yield from (f"  {refused.message}" for refused in told)
        if count > TOLD:
            yield f"  and {count - TOLD} more; --json lists all"


def _usable(source: str) -> Iterator[Example]:
    """Yield the rows that can be used; say what was refused, at once and at the end."""
    from triptych.core.records import Example

    refused = 0
    for seen in _measured_rows(source):
        if isinstance(seen, Example):
            yield seen
        else:
            refused += 1
            say(f"refused: {seen.message}")
    if refused:
        say(f"{source}: {refused} rows refused")


def _one(source: str, *, row: int | None, identity: str | None) -> Example:
    """Return the row that is asked for, or say why it cannot be shown."""
    from triptych.core.records import Example

    number = -1
    for number, seen in enumerate(_measured_rows(source)):
        wanted = seen.id == identity if isinstance(seen, Example) else seen.where.endswith(f"(id {identity!r})")
        if wanted if identity is not None else number == (row or 0):
            if isinstance(seen, Example):
                return seen
            raise DataError(seen.message)
    what = f"no row with the id {identity!r}" if identity is not None else f"no row {row or 0}"
    raise NotFoundError(f"{source}: {what} among its {number + 1} rows, counted from 0.")


def _measured_rows(source: str) -> Iterator[Example | Refused]:
    from triptych.core.records import Example
    from triptych.data.format import measured, read_source
    from triptych.data.images import ImageError, Size

    sizes: dict[str, Size | ImageError] = {}
    for row in read_source(source):
        yield measured(row, sizes) if isinstance(row, Example) else row


def _open(model: str | None) -> Model | None:
    if model is None:
        return None
    from triptych.models.family import open_model

    return open_model(model)


def _encode(model: Model, example: Example) -> Encoded:
    from triptych.data.template import render

    return render(
        example,
        model.template,
        tokenizer=model.tokenizer,
        image_token_id=model.image_token_id,
        count_image_tokens=model.count_image_tokens,
    )


def _json(value: Json) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
