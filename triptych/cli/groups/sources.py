"""What the commands on data share: a source as an argument, its rows with measured pictures, JSON for programs.

Not a command: its name begins with no group's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.core.log import counted, say

if TYPE_CHECKING:  # pictures are loaded when a command needs them
    from triptych.core.records import Example, Json
    from triptych.data.format import Refused

Source = Annotated[str, typer.Argument(metavar="SOURCE", help="FORMAT:PATH, e.g. mantis:chat/train.json#limit=100.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def usable_rows(source: str) -> Iterator[Example]:
    """Yield the rows that can be used; say what was refused, at once and at the end."""
    from triptych.core.records import Example

    refused = 0
    for seen in measured_rows(source):
        if isinstance(seen, Example):
            yield seen
        else:
            refused += 1
            say(f"refused: {seen.message}")
    if refused:
        say(f"{source}: {counted(refused, 'row')} refused")


def measured_rows(source: str) -> Iterator[Example | Refused]:
    """Yield the rows of a source with the size of every image; one whose picture cannot be read is refused."""
    from triptych.core.records import Example
    from triptych.data.format import measured, read_source
    from triptych.data.media.images import ImageError, Size

    sizes: dict[str, Size | ImageError] = {}
    for row in read_source(source):
        yield measured(row, sizes) if isinstance(row, Example) else row


def json_text(value: Json) -> str:
    """Return what ``--json`` prints."""
    return json.dumps(value, indent=2, ensure_ascii=False)
