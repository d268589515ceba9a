"""The folder of a data file: finds the pictures and videos that rows name, and puts some beside a file being written.

Not about what is in a picture: ``images`` looks. Invariant: no name in a data file leads out of the file's folder, be
it by ``..``, as an absolute path or through a link, unless the user allowed just that; and none is taken for a locator.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from triptych.core.errors import quoted
from triptych.core.files import sha256_of, write_atomically
from triptych.core.records import ImageRef, VideoRef
from triptych.data.media.kept import SUFFIXES
from triptych.data.media.locate import ImageError, name_of, place_of, read_bytes, zip_members
from triptych.data.media.unpack import suffix_of
from triptych.data.media.video import frame_files

IMAGES = "images"
"""Where a written file's copied pictures lie, beside it."""
VIDEOS = "videos"
"""Where its copied videos lie."""
_SHA_DIGITS = 16
_NAMED_ZIPS = 3
"""Most zips that a message names."""


class ImageFolder:
    """Finds pictures under one folder, and in zips. State: the subfolders and the zips that it has looked at."""

    def __init__(
        self,
        folder: Path,
        *,
        archives: Sequence[Path] = (),
        any_of: bool = False,
        allow_outside: bool = False,
        option: str = "",
    ) -> None:
        """Make one that has looked at nothing yet.

        Args:
            folder: where names begin.
            archives: zips to look in, in order, for what is no file there.
            any_of: the zips are whatever lay there: a name that two of them have is refused, and one that cannot be
                read is named only where none of the others has what is looked for.
            allow_outside: whether names may lead out of the folder.
            option: of the source, the one that says the folder, for messages; empty: there is none.
        """
        self._option = option
        self._root = folder.resolve()
        self._archives = tuple(path.resolve() for path in archives)
        self._any_of = any_of
        self._allow_outside = allow_outside
        self._resolved: dict[str, Path] = {}
        self._members: Sequence[Mapping[str, str]] | None = None
        self._broken: list[ImageError] = []
        """Why zips cannot be read."""

    def find(self, name: str) -> ImageRef:
        """Return the picture that a row calls ``name``: a file, else a zip's member of that name.

        Raises:
            ImageError: ``path leaves the data folder``, ``image file missing``, ``no permission`` or ``image in several
                zips``; a zip cannot be read.
        """
        found = self._look(name)
        if found is not None and stat.S_ISREG(found[1]):
            return ImageRef(str(found[0]))
        member = PurePosixPath(name).as_posix()
        places = [members[member] for members in (self._zips() if found is None else ()) if member in members]
        if self._any_of and len(places) > 1:
            zips = " and in ".join(Path(place_of(place).container).name for place in places)
            raise ImageError(
                "image in several zips", f"image {quoted(name)} is in {zips}. Say which one (#{self._option}=ZIP)."
            )
        if places:
            return ImageRef(places[0])
        if self._broken:
            raise self._broken[0]
        raise self._missing("image", name)

    def find_video(self, name: str) -> VideoRef:
        """Return the video that a row calls ``name``: a file, or a folder of frames.

        Raises:
            ImageError: ``path leaves the data folder``, ``no permission`` or ``video file missing``.
        """
        found = self._look(name)
        if found is not None and (stat.S_ISREG(found[1]) or stat.S_ISDIR(found[1])):
            return VideoRef(str(found[0]))
        raise self._missing("video", name)

    def _look(self, name: str) -> tuple[Path, int] | None:
        """Return what is there and what kind of thing it is; None where nothing is."""
        try:
            path = self._inside(name)
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                path = self._checked(path.resolve(), name)
                mode = path.lstat().st_mode
        except ImageError:
            raise
        except PermissionError as error:
            raise ImageError(
                "no permission",
                f"{quoted(name)} is in a folder that this user may not enter ({error.filename}: permission denied)."
                " Give that folder execute permission or leave the row out.",
            ) from None
        except (OSError, ValueError, RuntimeError):  # Not there; too long a name, a zero byte, a circle of links.
            return None
        # A file's own name may look like a locator; it would then be read as one, of another file.
        return (path, mode) if place_of(str(path)).kind == "file" else None

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
        if not (self._allow_outside or path.is_relative_to(self._root)):
            other = f", or say #{self._option}=FOLDER, or #outside=allow if you trust the file" if self._option else ""
            raise ImageError(
                "path leaves the data folder",
                f"image {quoted(name)} lies outside {self._root}. Put the pictures under that folder{other}.",
            )
        return path

    def _zips(self) -> Sequence[Mapping[str, str]]:
        if self._members is None:
            self._members = list(filter(None, map(self._members_of, self._archives)))
        return self._members

    def _members_of(self, archive: Path) -> Mapping[str, str] | None:
        try:
            return zip_members(archive)
        except ImageError as error:
            if not self._any_of:
                raise
            self._broken.append(error)
            return None

    def _missing(self, kind: str, name: str) -> ImageError:
        other = f", say where names begin (#{self._option}=FOLDER)," if self._option else ""
        zips = [f"in {path.name}" for path in self._archives]
        zips = zips if len(zips) <= _NAMED_ZIPS else [f"in one of {len(zips)} zips"]
        where = " or ".join([f"under {self._root}", *zips])
        return ImageError(
            f"{kind} file missing",
            f"{kind} {quoted(name)} is no file {where}. Put it there{other} or leave the row out.",
        )


class ImageShelf:
    """Names pictures and videos from a file that is being written. State: the names it has given, its new copies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._root = folder.resolve()
        self._names: dict[str, str] = {}
        self._new: list[Path] = []
        """Files and folders that it has made, each after the folder that it is in."""

    @contextmanager
    def all_or_none(self) -> Iterator[None]:
        """Take away what was copied in the block, where the block fails: nothing that is written refers to it."""
        named, made = len(self._names), len(self._new)
        failed = True
        try:
            yield
            failed = False
        finally:
            if failed:
                self._take_back(named, made)

    def name(self, source: str) -> str:
        """Return a picture's path from the folder; one that is no file in it is copied to ``images/`` first.

        Raises:
            ImageError: ``image file missing``; or it is in something that cannot be read.
        """
        if source not in self._names:
            self._names[source] = self._named(source) if place_of(source).kind == "file" else self._unpacked(source)
        return self._names[source]

    def video_name(self, source: str) -> str:
        """Return a video's path from the folder; one that lies elsewhere is copied to ``videos/`` first.

        Raises:
            ImageError: ``video file missing``.
        """
        if source not in self._names:
            path = Path(source).resolve()
            if not path.exists():
                raise ImageError("video file missing", f"{source}: no such video. Put it there or leave the row out.")
            inside = path.is_relative_to(self._root)
            self._names[source] = path.relative_to(self._root).as_posix() if inside else self._filmed(path)
        return self._names[source]

    def _named(self, source: str) -> str:
        path = Path(source).resolve()
        if not path.is_file():
            raise ImageError("image file missing", f"{source}: no such image. Put it there or leave the row out.")
        inside = path.is_relative_to(self._root)
        return path.relative_to(self._root).as_posix() if inside else self._copied(path, IMAGES)

    def _unpacked(self, source: str) -> str:
        content = read_bytes(source)
        name = PurePosixPath(name_of(source))
        suffix = name.suffix if name.suffix.lower() in SUFFIXES else suffix_of(content)
        file = _with_sha(name.stem, hashlib.sha256(content).hexdigest(), suffix)
        self._keep(self._folder / IMAGES / file, lambda: content)
        return f"{IMAGES}/{file}"

    def _filmed(self, path: Path) -> str:
        if path.is_file():
            return self._copied(path, VIDEOS)
        frames = frame_files(path)
        sha = hashlib.sha256("".join(f"{frame.name} {sha256_of(frame)}\n" for frame in frames).encode("utf-8"))
        copy = self._folder / VIDEOS / _with_sha(path.name, sha.hexdigest(), "")
        for frame in frames:
            self._keep(copy / frame.name, frame.read_bytes)
        return f"{VIDEOS}/{copy.name}"

    def _copied(self, path: Path, shelf: str) -> str:
        # Named by content: equal pictures are stored once, and different ones never collide.
        file = _with_sha(path.stem, sha256_of(path), path.suffix)
        self._keep(self._folder / shelf / file, path.read_bytes)
        return f"{shelf}/{file}"

    def _take_back(self, named: int, made: int) -> None:
        """Forget all names but so many, and delete all new files and folders but so many."""
        while len(self._names) > named:
            self._names.popitem()
        for path in reversed(self._new[made:]):
            with suppress(OSError):  # gone, or somebody else's file is in that folder
                path.rmdir() if path.is_dir() else path.unlink()
        del self._new[made:]

    def _keep(self, copy: Path, read: Callable[[], bytes]) -> None:
        """Write a copy that is not there yet."""
        if copy.exists():
            return
        folders = [copy.parent, *copy.parent.parents]
        self._new += reversed([folder for folder in folders if not folder.exists()])
        self._new.append(copy)
        write_atomically(copy, read())


def _with_sha(stem: str, sha: str, suffix: str) -> str:
    sha = sha[:_SHA_DIGITS]
    return f"{stem if stem.endswith(sha) else f'{stem[:64]}-{sha}'}{suffix}"
