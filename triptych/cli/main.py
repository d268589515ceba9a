"""The command ``triptych``: finds the commands beside it and prints what a user can act on as one line.

A file in ``cli/`` is a command: its ``run`` is the command, or its ``GROUP`` a group of them, under the file's name.
A command imports what it needs when it runs, so that help is instant and knows no torch.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import pkgutil
import re
import sys
import warnings
from contextlib import suppress
from typing import Annotated

import typer
from safetensors import SafetensorError

from triptych import __version__, cli
from triptych.core.errors import TriptychError
from triptych.core.full_disk import NO_ROOM, system_error
from triptych.core.log import say
from triptych.train.signals import InterruptedTrainingError

ORDER = (
    *("demo", "train", "merge", "export", "eval", "compare", "diagnose", "report"),
    *("rescore", "mark", "audit", "merge-answers", "arena", "chat", "serve", "score", "list"),
)
"""How help lists commands. Others come after, by name."""
GROUPS = ("starter", "data", "generate", "recipe", "models")
"""Groups of commands come last."""

MAKE_ROOM = "Make room, and give the same command again."
REFUSED, INTERRUPTED = 2, 130
"""Exit codes: of an error that a user can act on, and of Ctrl-C (128 and the number of SIGINT)."""

_PART = re.compile(r"(?<![^/])\.([^/]+)\.(?:\d+\.\d+|[0-9a-f]{8}(?:-old)?)\.part(?=/|$)")
"""Name of a file or folder before it is whole (``core/files.py``), and within it the name that the user knows."""

HELP = "Interleaved multi-image instruction tuning: build the data, tune, measure, chat."


def main() -> None:
    """Run the command line; exit with 0, with 2 after ``error: ...`` on stderr, or with 130 after Ctrl-C.

    A command may have more exit codes; its help tells them.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a letter that the terminal's encoding lacks ends no command
            stream.reconfigure(errors="backslashreplace")
    warnings.filterwarnings("ignore", message=r"Image size \(\d+ pixels\) exceeds limit")  # refused in our own words
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # peft still uses old names
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)  # peft loads it; a kernel not used here
    try:
        build_app()()
    except TriptychError as error:
        _refuse(str(error), code=INTERRUPTED if isinstance(error, InterruptedTrainingError) else REFUSED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except (OSError, SafetensorError) as error:
        if (explanation := _explanation(error)) is None:
            raise
        _refuse(explanation)


def build_app() -> typer.Typer:
    """Return the application with every command of the folder."""
    app = typer.Typer(
        name="triptych", help=HELP, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False
    )
    app.callback()(_options)
    for name in command_names():
        module = importlib.import_module(f"{cli.__name__}.{name.replace('-', '_')}")
        if isinstance(group := getattr(module, "GROUP", None), typer.Typer):
            app.add_typer(group, name=name)
        else:
            app.command(name)(module.run)
    return app


def command_names() -> list[str]:
    """Return the files beside this one, in the order of help; a dash stands for the file's underscore."""
    files = (module.name for module in pkgutil.iter_modules(cli.__path__) if not module.ispkg)
    names = {file.replace("_", "-") for file in files} - {"main"}
    others = sorted(names.difference(ORDER, GROUPS))
    return [name for name in (*ORDER, *others, *GROUPS) if name in names]


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and leave.")
    ] = False,
) -> None:
    """Take the options that stand before a command; each acts in its callback."""


def _explanation(error: OSError | SafetensorError) -> str | None:
    """Return what a user can act on: a folder one may not write, a full disk; None: it is another error."""
    number = system_error(error)
    # Of a file that should have got another one's name, the second is the one that the user knows.
    named = error.filename2 or error.filename if isinstance(error, OSError) else None
    shown = _PART.sub(r"\1", str(named))
    if number not in NO_ROOM:
        return f"{shown}: {os.strerror(number) if number else type(error).__name__}." if named else None
    if named:
        return f"{shown}: {os.strerror(number)}. {MAKE_ROOM}"
    with suppress(OSError):  # else what is left of the output is tried again at the end, and fails again
        sys.stdout.close()
    return f"{os.strerror(number)}: something could not be written. {MAKE_ROOM}"


def _refuse(message: str, *, code: int = REFUSED) -> None:
    say("error: " + " ".join(message.splitlines()))
    sys.exit(code)
