"""``triptych chat``: talk to a model about images, in order, over several turns."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from triptych.core.log import say


def run(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A folder, a hub id, or an endpoint: http://host/v1#model-name.")
    ],
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="[IMAGE...]", help="Pictures, in order; the first is image 1.")
    ] = None,
) -> None:
    """Ask about several images. /help in the chat tells what else it can do; a pipe may do the asking."""
    from triptych.serve.chat import Chat, converse, open_image, typed_lines

    opened_images = [
        open_image(str(path)) for path in images or ()
    ]  # first: an error in one is told before torch is loaded

    from triptych.infer.opening import open_speaker

    speaker, numbers_images = open_speaker(model)
    say("/help lists commands, /quit leaves")
    # Where the template numbers the images itself, they are not numbered twice.
    chat = Chat(opened_images, number_images=not numbers_images)
    lines = typed_lines(_show) if sys.stdin.isatty() else sys.stdin
    converse(speaker, lines, out=_show, chat=chat)


def _show(text: str) -> None:
    typer.echo(text, nl=False)
    sys.stdout.flush()
