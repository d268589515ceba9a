"""Files as the house writes and reads them: whole or not at all, one JSON record a line, a cache folder.

Not about what is in them: formats live in ``data/formats``. A reader never sees half a file that was written here,
whenever the writer was killed.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from triptych.core.errors import ConfigError, DataError, NotFoundError, RunError
from triptych.core.full_disk import naming
from triptych.core.records import Json

CACHE_VARIABLE = "TRIPTYCH_CACHE"
CHUNK_BYTES = 1 << 20
LEFT_S = 24 * 3600
"""Seconds without a change after which a file in the making is nobody's, where no process here has its number."""
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""What asking for a lock fails with on a file system that has none, as some of clusters are mounted."""
_PART = re.compile(r"\..+\.(?P<process>\d+)\.\d+\.part")
_unlocked: set[int] = set()
"""Devices without locks that were told of."""


def cache_folder() -> Path:
    """Return the folder for what can be made again: ``$TRIPTYCH_CACHE``, else ``~/.cache/triptych``. Created.

    Raises:
        ConfigError: the folder cannot be made, e.g. a file has its name, or nothing can be written into it.
    """
    folder = Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "triptych").expanduser().absolute()
    remedy = f"Set {CACHE_VARIABLE} to a folder that you may write."
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"{folder}: cannot make the cache folder ({reason}). {remedy}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{folder}: the cache folder may not be written. {remedy}")
    return folder


def flush(path: Path) -> None:
    """Wait until a file or folder is on the disk, so that it outlives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, data: str | bytes) -> None:
    """Write ``data`` (text as UTF-8) so that ``path`` holds all of it or what it held before. Makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = data.encode("utf-8") if isinstance(data, str) else data
    part = part_file(path)
    try:
        with naming(path), part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def part_file(path: Path) -> Path:
    """Return where a file is written before it is whole: it is then renamed to ``path``.

    In the same folder, as a rename is atomic only within one file system; under a name of its own, as two may write at
    once. What killed writers of any file left in that folder is swept away, once in the life of this process.
    """
    _sweep(path.parent)
    return path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")


@lru_cache(maxsize=1024)
def _sweep(folder: Path) -> None:
    """Delete the files in the making whose writers are dead.

    On a folder that machines share, a writer elsewhere looks dead from here: only what has not changed for a day goes.
    """
    for path in folder.glob(".*.part"):
        ours = _PART.fullmatch(path.name)
        with suppress(OSError):  # somebody else was quicker, or it is not ours to delete
            if ours and not _runs(int(ours["process"])) and time.time() - path.lstat().st_mtime > LEFT_S:
                path.unlink()


def _runs(process: int) -> bool:
    """Return whether a process of that number runs on this machine."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # it is somebody else's
    return True


def part_folder(folder: Path) -> Path:
    """Return a new empty folder beside ``folder``, to be filled and then given to `replace_folder`.

    Beside where it truly lies, if the name is a link: what is made is to be on that disk. What killed writers of the
    same folder left there is swept away.

    Raises:
        RunError: the link leads nowhere, or the folder is the root of a disk.
    """
    folder = _followed(folder)
    ours = re.compile(rf"\.{re.escape(folder.name)}\.[0-9a-f]{{8}}(-old)?\.part")
    for path in folder.parent.iterdir():
        if ours.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
    return hidden_folder(folder)


def _followed(folder: Path) -> Path:
    """Return where a folder that is to be replaced truly lies. Raises RunError: nothing can be put there."""
    try:
        real = folder.resolve()
    except (OSError, RuntimeError):  # a link to itself
        real = folder
    if folder.is_symlink() and (real.is_symlink() or not real.parent.is_dir()):
        raise RunError(_leads_nowhere(folder))
    if real.is_mount():
        raise RunError(f"{folder}: the root of a disk cannot be replaced. Name a folder in it.")
    return real


def _leads_nowhere(link: Path) -> str:
    return f"{link}: a link to {link.readlink()}, which is not there. Make it, or name another."


def hidden_folder(folder: Path) -> Path:
    """Return a new empty folder beside ``folder``, as readable as any that the user makes; others' stay."""
    new = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    new.mkdir()
    return new


def share(folder: Path) -> None:
    """Let everybody read each file of a folder who may read the folder: safetensors writes for its owner alone."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(folder.stat().st_mode & 0o666)


def replace_folder(folder: Path, new: Path) -> None:
    """Give ``new``, beside it, the name of ``folder``. What an old folder of that name held is deleted.

    A reader finds the old one, the new one, or between two renames none; never a mixture. Of the old one, text files
    that the new one lacks (``*.md``, ``*.txt``: what a person put there) are kept. Who may read the folder may read
    its files (`share`). A link stays one: what it leads to is replaced.
    """
    folder = _followed(folder)
    share(new)
    if folder.exists():
        for path in folder.iterdir():
            if path.suffix in {".md", ".txt"} and not (new / path.name).exists():
                shutil.copy2(path, new / path.name)
        old = new.with_name(f"{new.name.removesuffix('.part')}-old.part")
        folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old)
    else:
        new.rename(folder)


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` while the block runs; the system lets go of it when the process dies, however.

    On a file system that has no locks nothing is held, and a line says so.

    Raises:
        RunError: another process holds it, or its folder is a link that leads nowhere.
    """
    folder = path.parent
    if folder.is_symlink() and not folder.exists():
        raise RunError(_leads_nowhere(folder))
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise RunError(
                f"{folder}: process {file.read().strip() or '?'} works in this folder. Wait until it is done, or"
                " use another folder."
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            _tell_unlocked(path.parent, error)
        with naming(path):
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
        yield


def _tell_unlocked(folder: Path, error: OSError) -> None:
    """Say, once for each file system, that nobody is kept from working in a folder at the same time."""
    from triptych.core.log import say  # it writes its files with this one

    if (device := folder.stat().st_dev) not in _unlocked:
        _unlocked.add(device)
        say(f"{folder}: its file system has no locks ({error.strerror}), so start one command at a time in this folder")


def append_json_line(path: Path, record: Mapping[str, Json]) -> None:
    """Add one record as one line of JSON, in one write. A torn last line of a killed writer is cut off first."""
    line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path), path.open("a+b") as file:
        _cut_torn_line(path, size_bytes=file.tell())
        file.write(line)


def read_json_lines(path: Path, *, ours: bool = True) -> Iterator[dict[str, Json]]:
    """Yield the records of a JSON Lines file; blank lines are skipped.

    Args:
        path: the file.
        ours: whether `append_json_line` writes it: a last line without its newline was then torn when its writer was
            killed, and is left out, whatever it says. A person's file may end without one: its last line is a line.

    Raises:
        NotFoundError: no such file.
        DataError: a line is not a JSON object; the message names file and line.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file.") from None
    with file:
        for number, line in enumerate(file, start=1):
            if ours and not line.endswith(b"\n"):
                return
            if line.strip():
                yield _record(line, where=f"{path}: line {number}")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _record(line: bytes, *, where: str) -> dict[str, Json]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: not JSON ({error}). Mend the line or delete it.") from None
    if not isinstance(record, dict):
        raise DataError(f"{where}: expected a JSON object {{...}}, found {type(record).__name__}.")
    return record


def _cut_torn_line(path: Path, *, size_bytes: int) -> None:
    with path.open("r+b") as file:
        end = size_bytes
        while end > 0:
            start = max(0, end - CHUNK_BYTES)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size_bytes:
            file.truncate(end)
