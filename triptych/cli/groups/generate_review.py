"""``triptych generate review``: a page on which a person accepts, edits or rejects a cold start's examples."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

import typer

from triptych.core.errors import ConfigError
from triptych.core.log import say


def review_examples(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's folder or name, its recipe, or its cold_start.yaml.")
    ],
    *,
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="Of this machine; only it can see the page.")
    ] = 8765,
) -> None:
    """Judge the examples that a cold start proposed, with their images, in a browser."""
    import socket

    import uvicorn

    from triptych.cli.groups.generate_run import RUNS
    from triptych.generate.few_shot import read_proposals
    from triptych.generate.review import HOSTS, open_review, review_app

    path = open_review(run, runs=RUNS)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOSTS[0], port))
        except OSError as error:
            raise ConfigError(f"port {port} cannot be used ({error.strerror}). Give another: --port 8766.") from None
        say(f"http://{HOSTS[0]}:{port}/ shows {path}; every change is written at once. End with Ctrl-C.")
        with suppress(KeyboardInterrupt):
            uvicorn.Server(uvicorn.Config(review_app(path), log_level="warning")).run(sockets=[listener])
    accepted = sum(each.state == "accepted" for each in read_proposals(path).proposals)
    say(f"{path}: {accepted} accepted. The ask stage shows them: examples: {path}")


COMMANDS: dict[str, Callable[..., None]] = {"review": review_examples}
