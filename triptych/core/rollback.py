"""What is taken back after a failure: new folders that are empty again, and files of a run that has done nothing yet.

Not how a file is written (``files``). Invariant: only what was made here goes; what was there before, and what somebody
else put beside it, stays.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Before:
    """A folder as it was."""

    folder: Path
    names: frozenset[str]
    """Names of what was in it."""
    missing: tuple[Path, ...]
    """Itself and the folders around it that were not there, the innermost first."""


def look_before(folder: Path) -> Before:
    """Return how a folder is now; it need not be there."""
    names = frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset[str]()
    return Before(folder, names, tuple(each for each in (folder, *folder.parents) if not each.exists()))


@contextmanager
def left_as(before: Before, own: Collection[str], *, worked: Callable[[], bool]) -> Iterator[None]:
    """Take away what the block has made in a folder, and the folder if it is new, where the block fails at once.

    Args:
        before: how the folder was; enter the block when nobody else may work in it.
        own: names of what the block may make there; nothing else is touched.
        worked: whether something was done by now that is worth keeping; then all stays.
    """
    failed = True
    try:
        yield
        failed = False
    finally:
        if failed and not worked():
            for name in set(own) - before.names:
                path = before.folder / name
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
            _remove_empty(before.missing)


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder, with those around it; where the block fails, take the new ones away that are empty again."""
    missing = look_before(folder).missing
    folder.mkdir(parents=True, exist_ok=True)
    failed = True
    try:
        yield
        failed = False
    finally:
        if failed:
            _remove_empty(missing)


def _remove_empty(folders: Collection[Path]) -> None:
    with suppress(OSError):  # gone, or something is in it by now; then those around it are not empty either
        for each in folders:
            each.rmdir()
