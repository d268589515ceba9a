"""``triptych chat``: talk to a model about images, in order, over several turns."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from typing import Annotated

import typer

from triptych.cli.groups.evaluation import ModelName
from triptych.core.log import say


def run(
    model: ModelName,
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="IMAGE", help="Pictures and videos, in order: paths, URLs, patterns."),
    ] = None,
) -> None:
    """Ask about several images. /help in the chat tells what else it can do; a pipe may do the asking."""
    from triptych.infer.opening import check_name
    from triptych.serve.media import open_shown

    # First: an error in one is told before torch is loaded.
    opened = [(name, open_shown(name)) for name in images or ()]
    check_name(model)

    from rich.console import Console

    from triptych.core.files import cache_folder
    from triptych.infer.decoding.sampling import Sampling
    from triptych.serve.commands import Session
    from triptych.serve.conversation import Conversation
    from triptych.serve.speaking import LocalTalker, open_talker
    from triptych.serve.terminal import HISTORY, converse, typed_lines
    from triptych.serve.thumbnails import painter

    talker = open_talker(model)
    try:
        chat = Conversation(
            [image for _, found in opened for image in found],
            # Where the template numbers the images itself, they are not numbered twice.
            numbered_by_model=talker.numbers_images,
            name=f"chat-{datetime.now():%Y%m%d-%H%M%S}",
        )
        for name, found in opened:
            chat.call(name, found)
        say("/help lists commands, /quit leaves")
        if isinstance(talker, LocalTalker) and talker.numbers_images and talker.model.template.first_number == 0:
            say("this model counts images from 0: what is image 1 here is told to it as 0")
        typed = sys.stdin.isatty()
        paint = painter(Console(), os.environ) if typed else None
        session = Session(talker, chat, _show, Sampling(), paint)
        failed = converse(session, typed_lines(_show, history=cache_folder() / HISTORY) if typed else sys.stdin)
    finally:
        talker.close()
    if failed and not typed:
        raise typer.Exit(1)


def _show(text: str) -> None:
    typer.echo(text, nl=False)
    sys.stdout.flush()
