"""Pictures that have no file of their own, put into the cache folder: one file for each content, named by it.

Not about those that lie in an archive (``locate``): nothing is taken out of one. Invariant: a path tells the content,
so it is known before there is a file. Who reads rows only to choose among them asks for no files (``keeping_only``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import PurePosixPath

from triptych.core.files import cache_folder, write_atomically

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2"})
"""Endings that a kept picture's file has; any other is left off."""


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which pictures are written."""

    wanted: Collection[str]
    left: set[str]
    """Paths of those that were named, and have no file."""


_CHOICE: ContextVar[_Choice | None] = ContextVar("choice", default=None)
"""Of whoever reads at the moment; None: all are written."""


def keep_bytes(content: bytes, name: str = "") -> str:
    """Put a picture's bytes into the cache folder, once for each content, and return the path of that file.

    Args:
        content: as some program wrote them.
        name: what they were called; only its ending is kept, and only one that pictures have.

    Raises:
        ConfigError: the cache folder cannot be made.
    """
    suffix = PurePosixPath(name).suffix.lower()
    sha = hashlib.sha256(content).hexdigest()
    path = cache_folder() / "images" / sha[:2] / f"{sha}{suffix if suffix in SUFFIXES else ''}"
    if not path.exists():
        choice = _CHOICE.get()
        if choice is None or str(path) in choice.wanted:
            write_atomically(path, content)
        else:
            choice.left.add(str(path))
    return str(path)


@contextmanager
def keeping_only(wanted: Collection[str]) -> Iterator[set[str]]:
    """Let ``keep_bytes`` write none but these paths in this thread; yield the set of paths that it leaves unwritten.

    Args:
        wanted: paths as ``keep_bytes`` returned them; none of them: pictures are only named.
    """
    choice = _Choice(wanted, set())
    token = _CHOICE.set(choice)
    try:
        yield choice.left
    finally:
        _CHOICE.reset(token)
