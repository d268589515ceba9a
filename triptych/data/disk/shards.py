"""Tar shards: which files a pattern names, the samples in them by key, and shards written.

Not what a sample means: ``formats/webdataset.py``. A sample is a run of files that share a key: the folder and the base
name up to its first dot; the rest is the file's extension, ``jpg`` or ``0.jpg``. Headers are read, contents are not.
Files about the shard, and those that a Mac packs beside the real ones (``._a.jpg``, ``__MACOSX/``), are in no sample.
Shards that are written are the same bytes whenever and wherever: no times, no owners.
"""

from __future__ import annotations

import io
import re
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, product
from pathlib import Path

from triptych.core.errors import DataError
from triptych.core.files import part_folder, replace_folder
from triptych.core.rollback import made_folder
from triptych.data.disk.writing import written
from triptych.data.media.locate import index_tar

SHARD_BYTES = 1 << 30
"""Size from which on a folder's next sample begins a new shard; a sample is never divided."""
Content = tuple[str, bytes]
"""A file's extension and its bytes."""

_META = re.compile(r"(?:^|/)__[^/]*__(?:/|$)")
"""Names that the WebDataset library leaves out: they are about the shard."""
_SHADOW = re.compile(r"(?:^|/)(?:__MACOSX/|\._[^/]+$|\.DS_Store$)")
"""Names of files that a Mac packs beside the real ones: they hold icons, dates, and how a folder is shown."""
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")
_MOST_SHARDS = 100_000


@dataclass(frozen=True, slots=True)
class Sample:
    """The files of one key, in their order."""

    key: str
    """The key, with its folder: ``a/b`` of ``a/b.0.jpg``."""
    files: tuple[tuple[str, str], ...]
    """(extension, locator); the extension as it is written, empty where a name has none."""


def shards_of(path: Path) -> list[Path]:
    """Return the files that a path names: one tar, all of a folder, or those of ``train-{00000..00012}.tar``.

    Raises:
        DataError: there are none; or one of the pattern is not there.
    """
    if path.is_dir():
        shards = sorted(shard for shard in path.glob("*.tar") if not _SHADOW.search(shard.name))
        if not shards:
            raise DataError(f"{path}: no .tar file is in this folder. Give a folder of shards.")
        return shards
    if not _BRACES.search(str(path)) or path.exists():
        return [path]
    shards = expand(path)
    if missing := [shard for shard in shards if not shard.exists()]:
        raise DataError(f"{missing[0]}: no such shard, of {len(shards)} that the pattern names. Copy it again.")
    return shards


def expand(path: Path) -> list[Path]:
    """Return the paths that a pattern names: ``{00..12}`` counts, with its zeros; ``{a,b}`` lists.

    Raises:
        DataError: braces that say neither, or too many shards.
    """
    pieces = _BRACES.split(str(path))
    choices = [[piece] if number % 2 == 0 else _choices(piece, path) for number, piece in enumerate(pieces)]
    count = 1
    for each in choices:
        count *= len(each)
    if count > _MOST_SHARDS:
        raise DataError(f"{path}: names {count} shards; {_MOST_SHARDS} are the most.")
    return [Path("".join(each)) for each in product(*choices)]


def samples_of(shard: Path) -> Iterator[Sample]:
    """Yield the samples of one shard, in its order.

    Raises:
        DataError: it is no whole uncompressed tar.
    """
    about = (_META, _SHADOW)
    files = ((*split_name(name), at) for name, at in index_tar(shard) if not any(each.search(name) for each in about))
    for key, run in groupby(files, lambda file: file[0]):
        yield Sample(key, tuple((extension, at) for _, extension, at in run))


def split_name(name: str) -> tuple[str, str]:
    """Return a file's key and its extension: ``a/b.0.jpg`` is ``a/b`` and ``0.jpg``."""
    folder, slash, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return f"{folder}{slash}{stem}", extension


def write_shards(samples: Iterable[Sequence[Content]], path: Path, *, shard_bytes: int = SHARD_BYTES) -> int:
    """Write samples, and return their number; a failure leaves what was there.

    Args:
        samples: the files of each; they are numbered from 0, which is their key.
        path: of a ``.tar``, for one shard; otherwise of a folder, for ``00000.tar`` and so on.
        shard_bytes: from which size on a folder's next sample begins a new shard.

    Raises:
        DataError: the folder holds other things than shards.
    """
    numbered = enumerate(samples)
    if path.suffix.lower() == ".tar":
        return _write_one(numbered, path, None)
    if _BRACES.search(path.name):
        raise DataError(f"{path}: a pattern is only read. Write to a folder, or to one .tar file.")
    if path.exists() and (not path.is_dir() or any(inner.suffix != ".tar" for inner in path.iterdir())):
        raise DataError(f"{path}: holds other things than shards. Write to a folder of their own.")
    with made_folder(path.parent):
        new = part_folder(path)
        try:
            count = _write_one(numbered, new / "00000.tar", shard_bytes)
            for shard, first in enumerate(numbered, start=1):
                count += _write_one(chain([first], numbered), new / f"{shard:05d}.tar", shard_bytes)
            replace_folder(path, new)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return count


def _write_one(samples: Iterator[tuple[int, Sequence[Content]]], path: Path, shard_bytes: int | None) -> int:
    """Write samples until there is no more or the shard is full; return their number."""
    count = 0
    with written(path) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, sample in samples:
            for extension, content in sample:
                entry = tarfile.TarInfo(f"{number:09d}.{extension}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
            count += 1
            if shard_bytes is not None and tar.offset >= shard_bytes:
                break
    return count


def _choices(piece: str, path: Path) -> list[str]:
    if found := _RANGE.fullmatch(piece):
        first, last = int(found[1]), int(found[2])
        width = len(found[1]) if found[1].startswith("0") else 0
        if first <= last < first + _MOST_SHARDS:
            return [f"{number:0{width}d}" for number in range(first, last + 1)]
    elif "," in piece and ".." not in piece:
        return piece.split(",")
    raise DataError(f"{path}: {{{piece}}} is neither a range {{00000..00012}} nor a list {{a,b}} of shards.")
