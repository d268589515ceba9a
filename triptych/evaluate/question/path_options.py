"""``PATH#shots=8#seed=1``: what a benchmark may be told beside where its data is. Whole numbers only.

Not the layout of what lies at the path. A file or folder that is really called so is taken for what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from triptych.core.errors import ConfigError


def split_path(path: Path, defaults: Mapping[str, int]) -> tuple[Path, dict[str, int]]:
    """Return the path without its options, and a number for each known option.

    Args:
        path: perhaps with ``#key=number`` behind its last name, once or more often.
        defaults: the known options.

    Raises:
        ConfigError: an option is unknown, or no whole number from 0.
    """
    if "#" not in path.name or path.exists():
        return path, dict(defaults)
    name, *said = path.name.split("#")
    numbers = dict(defaults)
    for option in said:
        key, _, value = option.partition("=")
        if key not in defaults:
            raise ConfigError(f"{path}: no option is called {key!r}. There are: {', '.join(defaults)}.")
        if not (value.isascii() and value.isdecimal()):
            raise ConfigError(f"{path}: {key} is {value!r}. Write a whole number, as in #{key}={defaults[key]}.")
        numbers[key] = int(value)
    return path.with_name(name) if name else path.parent, numbers
