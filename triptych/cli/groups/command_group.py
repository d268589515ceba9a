"""Builds a group of commands, such as ``triptych recipe``, from the files ``cli/groups/GROUP_*.py``.

Not a command: its name begins with no group's. A file of a group defines ``COMMANDS``: name -> function, and may define
``CLASSES``: name -> the class that parses the command line of that command.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence

import typer
from typer.core import TyperCommand

from triptych.cli import groups


def command_group(name: str, *, help: str, order: Sequence[str]) -> typer.Typer:
    """Return the group.

    Args:
        name: of the group, which its files' names begin with.
        help: one line on the group.
        order: how help lists the commands; others come after, by name.
    """
    commands: dict[str, Callable[..., None]] = {}
    classes: dict[str, type[TyperCommand]] = {}
    for module in pkgutil.iter_modules(groups.__path__):
        if module.name.startswith(f"{name}_"):
            file = importlib.import_module(f"{groups.__name__}.{module.name}")
            commands |= file.COMMANDS
            classes |= getattr(file, "CLASSES", {})
    group = typer.Typer(help=help, no_args_is_help=True)
    for each in [*(each for each in order if each in commands), *sorted(commands.keys() - set(order))]:
        group.command(each, cls=classes.get(each))(commands[each])
    return group
