"""``triptych data decontaminate``: which rows a benchmark holds too, and a copy without them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from triptych.cli.groups.sources import AsJson, json_text
from triptych.core.errors import DataError
from triptych.core.log import counted, say

if TYPE_CHECKING:  # pictures are loaded when a command needs them
    from triptych.core.records import Json
    from triptych.data.format import Refused
    from triptych.data.trust.decontaminate import Found

LISTED = 10
"""Matches that are listed one by one, for each kind."""
TORN = ("image unreadable", "video unreadable", "video frame missing", "image too large")
"""Reasons of rows whose pictures or videos are there."""
TOLD = 3
"""Refusals that are told one by one."""
AGAINST = "--against"


def decontaminate_sources(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE", help="FORMAT:PATH, one or more.")],
    *,
    against: Annotated[
        list[str], typer.Option(AGAINST, metavar="SOURCE...", help="Benchmarks, FORMAT:PATH, one or more.")
    ],
    out: Annotated[
        str | None, typer.Option("--out", metavar="DST", help="FORMAT:PATH: write the rows that share nothing.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find rows whose pictures or words a benchmark has: resized, saved again, cut a little; in runs of 13 words."""
    from triptych.data.disk.writing import target_of
    from triptych.data.trust.decontaminate import decontaminate

    if out is not None:
        target_of(out, [*sources, *against])
    found = decontaminate(sources, against)
    if out is not None and not found.unread:
        _write(out, sources, found)
    _tell(found, as_json=as_json)
    if found.unread:
        raise DataError(_unread(found))


def _tell(found: Found, *, as_json: bool) -> None:
    if as_json:
        matches: list[Json] = [
            {"where": it.where, "theirs": it.theirs, "kind": it.kind, "message": it.message} for it in found.matches
        ]
        refused: list[Json] = [it.message for it in (*found.refused, *found.benchmark_refused)]
        typer.echo(json_text({**found.as_json(), "matches": matches, "refusals": refused}))
        return
    for line in _lines(found):
        typer.echo(line)


def spread(arguments: Sequence[str]) -> list[str]:
    """Return the command line with ``--against`` before each benchmark: ``--against A B`` says two."""
    spread_out: list[str] = []
    gathering = False
    for position, argument in enumerate(arguments):
        before = arguments[position - 1] if position else ""
        if argument.startswith("-"):
            gathering = argument == AGAINST or argument.startswith(f"{AGAINST}=")
            spread_out.append(argument)
        else:
            spread_out += [AGAINST, argument] if gathering and before != AGAINST else [argument]
    return spread_out


class SpreadCommand(TyperCommand):
    """A command whose ``--against`` takes all that follows it, up to the next option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return what typer makes of the arguments, spread."""
        return super().parse_args(ctx, spread(args))


def _write(out: str, sources: Sequence[str], found: Found) -> None:
    from triptych.data.disk.writing import target_of
    from triptych.data.trust.decontaminate import clean_rows

    path, write = target_of(out, sources)
    count = write(clean_rows(sources, found), path)
    say(f"{path}: {counted(count, 'row')}")


def _lines(found: Found) -> Iterator[str]:
    rows = counted(found.examples, "row")
    yield f"{rows}: {len(found.clean)} clean, {found.shared} shared, {len(found.refused)} refused"
    yield from _first(found.refused)
    skipped = ""
    if found.benchmark_refused:
        skipped = f"; {len(found.benchmark_refused)} of theirs cannot be read"
        skipped += f"; of {found.benchmark_words or 'none'} of them the words were compared"
    yield f"compared with {counted(found.benchmark_rows, 'row')} of benchmarks{skipped}"
    yield from _first(found.benchmark_refused)
    for kind, count in found.kinds.items():
        note = " (short questions asked alike; not taken for shared)" if kind == "question" else ""
        yield f"{kind}: {count} row{'' if count == 1 else 's'}{note}"
        matches = [match for match in found.matches if match.kind == kind]
        yield from (f"  {match.message}" for match in matches[:LISTED])
        if len(matches) > LISTED:
            yield f"  and {len(matches) - LISTED} more; --json lists all"


def _first(refused: Sequence[Refused]) -> Iterator[str]:
    yield from (f"  {each.message}" for each in refused[:TOLD])
    if len(refused) > TOLD:
        yield f"  and {len(refused) - TOLD} more; --json lists all"


def _unread(found: Found) -> str:
    """Return what is told of benchmarks that no picture was compared with."""
    from triptych.data.format import ABSENT

    first, *_ = found.unread_first
    lacking = first.reason in (*ABSENT, *TORN)
    return (
        f"{', '.join(found.unread)}: not one row of this benchmark can be read, so which rows are clean is not known"
        f" and nothing is written. {'Put its pictures there' if lacking else 'Mend its rows'}, or leave it out."
        f" The first refusal: {first.message}"
    )


COMMANDS: dict[str, Callable[..., None]] = {"decontaminate": decontaminate_sources}
CLASSES: dict[str, type[TyperCommand]] = {"decontaminate": SpreadCommand}
