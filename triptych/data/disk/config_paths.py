"""Paths of others' mixture files: where they begin, what of them a source can say, and notes on what it cannot.

Not the files' keys (``config_files``) nor their meaning (``configs``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from triptych.core.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class Where:
    """Where paths of a file begin. State: the notes so far."""

    config: Path
    root: Path | None
    images: Path | None
    videos: Path | None
    notes: list[str] = field(default_factory=list)

    def find(self, name: str, entry: str) -> Path:
        """Return a path that the file names; a note where nothing is there."""
        if self.root is not None:
            path = self.root / Path(name).expanduser()
        else:
            beside, here = self.config.parent / Path(name).expanduser(), Path(name).expanduser()
            path = beside if beside.exists() or not here.exists() else here
        if not path.exists():
            self.notes.append(f"{entry}: {path} is not there. Say where paths begin: --root FOLDER.")
        return Path(sayable(path.resolve(), entry))

    def note(self, entry: str, said: str) -> None:
        """Note what cannot be said of an entry."""
        self.notes.append(f"{entry}: {said}")


def counted(path: Path, count: Callable[[], int], *, where: Where) -> int | None:
    """Return the number of rows of a file; None where it cannot be read, or has none."""
    if not path.exists():
        return None
    try:
        return count() or None
    except DataError as error:
        where.note(path.name, str(error))
        return None


def sayable(path: Path, entry: str) -> str:
    """Return a path as part of a source."""
    if re.search(r"#[a-z_]+=", str(path)) or "#" in path.name:
        raise ConfigError(f"{entry}: {path} holds a '#', which begins an option in a source. Rename it.")
    return str(path)
