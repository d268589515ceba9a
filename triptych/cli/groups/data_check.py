"""``triptych data check`` and ``data stats``: what of a source can be used, and what is in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.groups.sources import AsJson, Source, json_text
from triptych.core.errors import DataError
from triptych.core.log import counted, printable, say

if TYPE_CHECKING:  # pictures are loaded when a command needs them
    from triptych.core.records import Json
    from triptych.data.format import Refused
    from triptych.data.trust.check import Report
    from triptych.data.trust.doubts import Doubt

LISTED = 10
"""Rows that are listed one by one, for each reason."""


def check_sources(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE", help="FORMAT:PATH, one or more.")],
    *,
    as_json: AsJson = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 when a row is refused; warnings do not count.")
    ] = False,
    headers: Annotated[
        bool,
        typer.Option("--headers", help="Read the pictures' headers only: faster, finds no torn or repeated one."),
    ] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page: each odd row with its pictures.")] = None,
) -> None:
    """Read every row and every picture; count what can be used, say why the rest cannot, and what is odd."""
    from triptych.data.trust.check import check

    report = check(sources, decode=not headers)
    if not report.examples:
        raise DataError(f"{', '.join(sources)}: there is no row at all. Is it the right file?")
    if html is not None:
        from triptych.core.files import write_atomically
        from triptych.data.trust.check_page import page_of

        write_atomically(html, page_of(report, sources))
        say(f"{html}: {report.refused} refused, {counted(len(report.doubts), 'warning')}")
    if as_json:
        refusals, doubts = _rows_to_json(report.refusals), _rows_to_json(report.doubts)
        typer.echo(json_text({**report.as_json(), "refusals": refusals, "doubts": doubts}))
    else:
        for line in _report_lines(report):
            typer.echo(printable(line))
    if strict and report.refused:
        raise typer.Exit(1)


def count_source(source: Source, *, as_json: AsJson = False) -> None:
    """Count turns, words, pictures, skills and scenarios of the rows that can be used."""
    from triptych.data.trust.stats import stats

    counted = stats(source).as_json()
    if as_json:
        typer.echo(json_text(counted))
        return
    width = max(map(len, counted))
    for key, value in counted.items():
        shown = ", ".join(f"{name} {number}" for name, number in value.items()) if isinstance(value, dict) else value
        typer.echo(f"{key.replace('_', ' '):<{width}}  {'-' if shown == '' else shown}")


def _rows_to_json(rows: Sequence[Refused] | Sequence[Doubt]) -> list[Json]:
    return [{"where": each.where, "reason": each.reason, "message": each.message} for each in rows]


def _report_lines(report: Report) -> Iterator[str]:
    pictures = counted(report.images, "image") + (f", {counted(report.videos, 'video')}" if report.videos else "")
    rows = counted(report.examples, "row")
    yield f"{rows}: {report.used} used, {report.refused} refused; {pictures} in the used ones"
    yield from _reason_lines("", report.reasons, report.refusals)
    yield from _reason_lines("warning: ", report.warnings, report.doubts)


def _reason_lines(what: str, counts: Mapping[str, int], rows: Sequence[Refused] | Sequence[Doubt]) -> Iterator[str]:
    for reason, count in counts.items():
        yield f"{what}{reason}: {count}"
        listed = [each for each in rows if each.reason == reason][:LISTED]
        yield from (f"  {each.message}" for each in listed)
        if count > LISTED:
            yield f"  and {count - LISTED} more; --json lists all"


COMMANDS: dict[str, Callable[..., None]] = {"check": check_sources, "stats": count_source}
