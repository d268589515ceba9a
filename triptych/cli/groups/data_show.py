"""``triptych data show``: conversations with their pictures in place, in the terminal or on a page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.groups.sources import Source, measured_rows, usable_rows
from triptych.core.errors import ConfigError, DataError, NotFoundError
from triptych.core.log import say

if TYPE_CHECKING:  # pictures, tokens and networks are loaded when a command needs them
    from triptych.core.records import Example
    from triptych.data.template import Encoded
    from triptych.models.family import Model


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
    examples = list(usable_rows(source)) if everything else [_one(source, row=row, identity=identity)]
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
        Console().print(show_terminal(example, encoded, tokenizer=tokenizer))


def _one(source: str, *, row: int | None, identity: str | None) -> Example:
    """Return the row that is asked for, or say why it cannot be shown."""
    from triptych.core.records import Example

    number = -1
    for number, seen in enumerate(measured_rows(source)):
        wanted = seen.id == identity if isinstance(seen, Example) else seen.where.endswith(f"(id {identity!r})")
        if wanted if identity is not None else number == (row or 0):
            if isinstance(seen, Example):
                return seen
            raise DataError(seen.message)
    if number < 0:
        raise NotFoundError(f"{source}: it has no rows.")
    what = f"no row with the id {identity!r}" if identity is not None else f"no row {row or 0}"
    raise NotFoundError(f"{source}: {what} among its {number + 1} rows, counted from 0.")


def _open(model: str | None) -> Model | None:
    if model is None:
        return None
    from triptych.models.family import open_model

    return open_model(model)


def _encode(model: Model, example: Example) -> Encoded:
    from triptych.data.plan.rendering import tokens_of

    return tokens_of(example, model.rendering)


COMMANDS: dict[str, Callable[..., None]] = {"show": show_source}
