"""``triptych data``: look at data before anything is learnt from it, and make other data of it.

Not the commands themselves: each file ``cli/groups/data_*.py`` has some, in its ``COMMANDS``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator

import typer
from typer.core import TyperCommand

from triptych.cli import groups

ORDER = ("get", "import", "check", "stats", "show", "convert", "transform", "render", "plan", "decontaminate")
"""How help lists the commands. Others come after, by name."""


def _commands() -> Iterator[tuple[str, Callable[..., None], type[TyperCommand] | None]]:
    """Yield each command with its name and, where its file has one in ``CLASSES``, the class that parses it."""
    found: dict[str, Callable[..., None]] = {}
    classes: dict[str, type[TyperCommand]] = {}
    for module in pkgutil.iter_modules(groups.__path__):
        if module.name.startswith("data_"):
            file = importlib.import_module(f"{groups.__name__}.{module.name}")
            found |= file.COMMANDS
            classes |= getattr(file, "CLASSES", {})
    for name in [*(name for name in ORDER if name in found), *sorted(found.keys() - set(ORDER))]:
        yield name, found[name], classes.get(name)


def _group() -> typer.Typer:
    group = typer.Typer(help="Get, check, show, count and convert conversations.", no_args_is_help=True)
    for name, command, kind in _commands():
        group.command(name, cls=kind)(command)
    return group


GROUP = _group()
