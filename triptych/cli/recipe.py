"""``triptych recipe``: look at a recipe before it is trained: what it says, what it lacks, what it will cost.

Not the commands themselves: each file ``cli/groups/recipe_*.py`` has some, in its ``COMMANDS``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

import typer

from triptych.cli import groups

ORDER = ("show", "diff", "check", "plan")
"""How help lists the commands. Others come after, by name."""


def _group() -> typer.Typer:
    group = typer.Typer(help="Show, compare, check and estimate recipes.", no_args_is_help=True)
    found: dict[str, Callable[..., None]] = {}
    for module in pkgutil.iter_modules(groups.__path__):
        if module.name.startswith("recipe_"):
            found |= importlib.import_module(f"{groups.__name__}.{module.name}").COMMANDS
    for name in [*(name for name in ORDER if name in found), *sorted(found.keys() - set(ORDER))]:
        group.command(name)(found[name])
    return group


GROUP = _group()
