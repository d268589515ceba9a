"""What files a tar holds and where their bytes lie, from its headers alone. GNU's long names and pax headers are read.

Not unpacking: nothing is ever extracted. Invariant: every file of the tar is told, or an error is raised; a torn tar
never looks like a short one.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from triptych.core.errors import DataError, quoted

_PACKED = {b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"\xfd7": "xz", b"(\xb5": "zstd"}
"""First two bytes of a file -> what it was packed with."""
_BLOCK = bytes(tarfile.BLOCKSIZE)


def tar_files(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield (name, first byte, length in bytes) of each file, in the tar's order.

    Raises:
        DataError: it is missing, compressed, no tar, torn, or holds a link, a device or a name that leads out.
    """
    with _opened(path) as file, _read(path, file) as tar:
        size_bytes = path.stat().st_size
        while member := _next(path, tar):
            tar.members.clear()  # type: ignore[attr-defined]  # Else all headers stay in memory.
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                raise DataError(f"{path}: {quoted(member.name)} is a link or no file. Pack the tar without links.")
            if leads_out(member.name):
                raise DataError(f"{path}: the name {quoted(member.name)} leads out of it. Pack the tar again.")
            if member.offset_data + member.size > size_bytes:
                raise _torn(path, member.offset_data, "a file ends early")
            yield PurePosixPath(member.name).as_posix(), member.offset_data, member.size
        file.seek(tar.offset)
        # Python's reader stops without a word at a damaged header. A tar ends in blocks of zeros.
        if file.read(len(_BLOCK)) != _BLOCK:
            raise _torn(path, tar.offset, "neither a header nor the end")


def leads_out(name: str) -> bool:
    """Tell whether a member's name would lead out of the folder that it is unpacked to."""
    return name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/")


def _opened(path: Path) -> BinaryIO:
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    packed = _PACKED.get(file.read(2))
    file.seek(0)
    if packed is not None:
        file.close()
        raise DataError(f"{path}: packed with {packed}. Unpack it to a plain .tar first: pictures are read in place.")
    return file


def _read(path: Path, file: BinaryIO) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=file, mode="r:")
    except (tarfile.TarError, OSError, ValueError, LookupError) as error:
        raise _torn(path, 0, str(error)) from None


def _next(path: Path, tar: tarfile.TarFile) -> tarfile.TarInfo | None:
    try:
        return tar.next()
    except (tarfile.TarError, OSError, ValueError, LookupError) as error:
        raise _torn(path, tar.offset, str(error)) from None


def _torn(path: Path, at: int, why: str) -> DataError:
    return DataError(f"{path}: no whole tar, it breaks off at byte {at} ({why}). Copy or pack it again.")
