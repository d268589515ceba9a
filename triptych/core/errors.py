"""What a user can act on, as exceptions. Not for our own invariants: those are ``assert``.

Each message is one line: what is wrong, where (file, row, id, key), what to do. ``cli/main.py`` prints it
without a traceback and exits with 2. Each kind also is the built-in error that it replaces.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST_QUOTE = 200


class TriptychError(Exception):
    """Base of all errors that a user can act on."""


class DataError(TriptychError, ValueError):
    """A row, file or image is not what its format promises."""


class ConfigError(TriptychError, ValueError):
    """A recipe or an override is wrong: unknown key, wrong type, impossible value."""


class ModelError(TriptychError, ValueError):
    """Weights, parts or a checkpoint do not fit together, or are not there."""


class NotFoundError(TriptychError, LookupError):
    """A name is no plug-in, or a path is not there."""


class RunError(TriptychError, RuntimeError):
    """A run cannot go on: NaN loss, a foreign run folder, a damaged checkpoint, a full disk."""


def did_you_mean(name: str, known: Iterable[str], *, most: int = 1, cutoff: float = 0.6) -> str:
    """Return `` Did you mean 'NAME'?`` with what is spelt alike (``difflib``), nearest first; nothing is: no words."""
    close = get_close_matches(name, list(known), n=most, cutoff=cutoff)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""


def quoted(name: str) -> str:
    """Return a name from somebody's data or URL as a message shows it: in quotes, escaped, cut at 200 characters."""
    return repr(name if len(name) <= LONGEST_QUOTE else f"{name[:LONGEST_QUOTE]}...")
