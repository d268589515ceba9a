"""The folder of a data file: finds the pictures that rows name, and puts pictures beside a file that is written.

Not about what is in a picture: ``images`` looks. Invariant: no name in a data file leads out of the file's folder, be
it by ``..``, as an absolute path or through a link.
"""

from __future__ import annotations

import stat
from pathlib import Path

from triptych.core.files import sha256_of, write_atomically
from triptych.core.records import ImageRef
from triptych.data.images import ImageError

IMAGES = "images"
"""Where a written file's copied pictures lie, beside it."""
_SHA_DIGITS = 16


class ImageFolder:
    """Finds pictures under one folder. State: the subfolders that it has looked at."""

    def __init__(self, folder: Path) -> None:
        self._root = folder.resolve()
        self._resolved: dict[str, Path] = {}

    def find(self, name: str) -> ImageRef:
        """Return the picture that a row calls ``name``.

        Raises:
            ImageError: ``path leaves the data folder``, or ``image file missing``.
        """
        try:
            path = self._inside(name)
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                path = self._checked(path.resolve(), name)
                status = path.lstat()
        except ImageError:
            raise
        except (OSError, ValueError, RuntimeError):  # Not there; too long a name, a zero byte, a circle of links.
            raise self._missing(name) from None
        if not stat.S_ISREG(status.st_mode):
            raise self._missing(name)
        return ImageRef(str(path))

    def _inside(self, name: str) -> Path:
        """Return the path with all links resolved but the last: one look at the disk for each folder, not each file."""
        folder, _, file = name.rpartition("/")
        if file in {"", ".", ".."}:
            return self._checked((self._root / name).resolve(), name)
        if name.startswith("/"):
            folder = folder or "/"
        if folder not in self._resolved:
            self._resolved[folder] = self._checked((self._root / folder).resolve(), name)
        return self._resolved[folder] / file

    def _checked(self, path: Path, name: str) -> Path:
        if not path.is_relative_to(self._root):
            raise ImageError(
                "path leaves the data folder",
                f"image {_short(name)} lies outside {self._root}. Put the pictures under that folder.",
            )
        return path

    def _missing(self, name: str) -> ImageError:
        return ImageError(
            "image file missing",
            f"image {_short(name)} is no file under {self._root}. Put it there or leave the row out.",
        )


class ImageShelf:
    """Names pictures from a file that is being written. State: the names it has given."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._root = folder.resolve()
        self._names: dict[str, str] = {}

    def name(self, source: str) -> str:
        """Return a picture's path from the folder; one that lies elsewhere is copied to ``images/`` in it first.

        Raises:
            ImageError: ``image file missing``.
        """
        if source not in self._names:
            path = Path(source).resolve()
            if not path.is_file():
                raise ImageError("image file missing", f"{source}: no such image. Put it there or leave the row out.")
            inside = path.is_relative_to(self._root)
            self._names[source] = path.relative_to(self._root).as_posix() if inside else self._copied(path)
        return self._names[source]

    def _copied(self, path: Path) -> str:
        # Named by content: equal pictures are stored once, and different ones never collide.
        sha = sha256_of(path)[:_SHA_DIGITS]
        stem = path.stem if path.stem.endswith(sha) else f"{path.stem[:64]}-{sha}"
        copy = self._folder / IMAGES / f"{stem}{path.suffix}"
        if not copy.exists():
            write_atomically(copy, path.read_bytes())
        return f"{IMAGES}/{copy.name}"


def _short(name: str) -> str:
    return repr(name if len(name) <= 200 else f"{name[:200]}...")
