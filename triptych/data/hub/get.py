"""Data sets of the catalogue, brought to a disk: in parallel, gone on with after a kill, verified, not unpacked.

Not the catalogue (``catalogue``), nor one file's way (``download``). Nothing is unpacked: zips are read as they are.
What was verified once is written down in the folder (``.got.jsonl``), so that a second call is quick.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from triptych.core.errors import NotFoundError, RunError
from triptych.core.files import append_json_line, only_one, read_json_lines
from triptych.core.log import progress, say
from triptych.core.machine import MIB, SPARE_BYTES, short_of
from triptych.core.records import Json
from triptych.data.hub.catalogue import DataSet, Url, Where
from triptych.data.hub.download import DownloadError, RemoteFile, checksum_of, download, open_session, part_of
from triptych.data.hub.remote import Listing, Servers, list_files, matching, servers
from triptych.data.media.tar import leads_out

JOBS = 4
Record = Mapping[str, Json]
RECORD, LOCK = ".got.jsonl", ".get.lock"
FETCHED = "fetched"
"""Key of a record: whence a file came. Of one without it that was there, it is known that it is what the server has."""

_HOLE = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Got:
    """A data set that is there."""

    name: str
    folder: Path
    files: int
    size_bytes: int
    unverified: int
    """Files that nobody gives a checksum of: their size was compared, where it is known."""
    missing: tuple[str, ...]
    """Patterns of the catalogue that no file of the place has."""
    source: str | None
    """``FORMAT:PATH#key=value``; None: no format reads it as it is."""


def get(
    datasets: Sequence[DataSet],
    to: Path,
    *,
    jobs: int = JOBS,
    revision: str | None = None,
    known: Servers | None = None,
) -> list[Got]:
    """Bring data sets under a folder; files that are there and whole are not asked for again.

    Args:
        datasets: of the catalogue.
        to: each goes to the folder there that the catalogue names.
        jobs: files at a time.
        revision: a branch, tag or commit instead of the catalogue's.
        known: the servers; None: those of the environment.

    Raises:
        NotFoundError: one of them cannot be fetched, or its place has none of its files.
        DownloadError: a file is not there now; others and its own first part may be.
        RunError: the disk is too small, or another process works in the folder.
    """
    asked = known or servers()
    plan: dict[str, tuple[Where, list[DataSet]]] = {}
    for dataset in datasets:
        if dataset.absent is not None or dataset.where is None:
            raise NotFoundError(f"{dataset.name} cannot be fetched: {dataset.absent or 'where it is, is unknown'}.")
        plan.setdefault(dataset.where.model_dump_json(), (dataset.where, []))[1].append(dataset)
    return [got for where, wanted in plan.values() for got in _from_place(where, wanted, to, jobs, revision, asked)]


def _from_place(
    where: Where, wanted: Sequence[DataSet], to: Path, jobs: int, revision: str | None, known: Servers
) -> list[Got]:
    folder = to / where.folder
    with open_session() as session:
        listing = list_files(where, session=session, known=known, revision=revision)
        chosen = {dataset.name: _chosen(dataset, listing) for dataset in wanted}
        files = {file.path: file for found in chosen.values() for each in found.values() for file in each}
        with only_one(folder / LOCK):
            verified = _verified(folder)
            old = _left_over(wanted, where, listing, folder, verified)
            absent = [file for file in files.values() if not _is_there(file, folder, verified)]
            _check_room(absent, folder)

            def bring(file: RemoteFile, moved: Callable[[int], None], stop: threading.Event) -> None:
                download(file, folder / file.path, session=session, moved=moved, stop=stop)

            place = where.url if isinstance(where, Url) else where.repo
            label = wanted[0].name if len(wanted) == 1 else where.folder
            _bring_all(absent, folder, bring, place=place, jobs=jobs, label=label)
            for path in old:
                path.unlink(missing_ok=True)
                say(f"{path}: deleted, as its place does not list it any more")
    return [_got(dataset, chosen[dataset.name], folder) for dataset in wanted]


def _chosen(dataset: DataSet, listing: Listing) -> dict[str, list[RemoteFile]]:
    """Return the files of each of a data set's patterns."""
    found = {pattern: matching(listing.files, pattern) for pattern in dataset.files}
    if not any(found.values()):
        names = ", ".join(sorted({file.path.partition("/")[0] for file in listing.files})[:12]) or "nothing"
        raise NotFoundError(
            f"{dataset.name}: its place has none of {', '.join(dataset.files)}. It has {names}. Try another --revision."
        )
    return found


def _left_over(
    wanted: Sequence[DataSet], where: Where, listing: Listing, folder: Path, verified: Mapping[str, Record]
) -> list[Path]:
    """Return files that were fetched for these data sets, and that their place does not list any more.

    Beside the new ones they would be read, too: rows twice, or pictures of an older zip.

    Raises:
        RunError: such a file was there before, or was changed since.
    """
    if isinstance(where, Url):
        return []
    listed = {file.path for file in listing.files}
    known = [RemoteFile(path, "", None, None) for path in verified if path not in listed and not leads_out(path)]
    names = {file.path for dataset in wanted for pattern in dataset.files for file in matching(known, pattern)}
    found = []
    for name in sorted(names):
        path, record = folder / name, verified[name]
        if not path.is_file() or record.get(FETCHED, where.repo) != where.repo:
            continue
        if FETCHED not in record or not _is_as_fetched(path, record):
            why = "it is not as this command fetched it" if FETCHED in record else "whence it came is not known"
            raise RunError(
                f"{path}: {where.repo} does not list it any more, and {why}. Delete it or move it away, or use another"
                " --to."
            )
        found.append(path)
    return found


def _is_as_fetched(path: Path, record: Record) -> bool:
    state, known_as = path.stat(), str(record["known_as"])
    if (state.st_size, state.st_mtime_ns) == (record["size"], record["mtime_ns"]):
        return True
    return state.st_size == record["size"] and checksum_of(path, known_as) == known_as


def _bring_all(
    files: Sequence[RemoteFile],
    folder: Path,
    bring: Callable[[RemoteFile, Callable[[int], None], threading.Event], None],
    *,
    place: str,
    jobs: int,
    label: str,
) -> None:
    """Bring files, some at a time; the first that fails stops the others, which keep what they have."""
    if not files:
        return
    stop = threading.Event()
    lock = threading.Lock()
    total = sum(file.size_bytes or 0 for file in files)
    here = sum(part.stat().st_size for file in files if (part := part_of(file, folder / file.path)).exists())
    with _megabytes(f"{label} (MiB)", total) as moved:
        moved(here)

        def one(file: RemoteFile) -> None:
            bring(file, moved, stop)
            with lock:
                append_json_line(folder / RECORD, _record(file, folder) | {FETCHED: place})

        with ThreadPoolExecutor(max_workers=max(1, jobs), thread_name_prefix="get") as pool:
            try:
                futures = [pool.submit(one, file) for file in files]
                done, waiting = wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
        _raise_first([*done, *waiting], folder)


def _raise_first(futures: Sequence[Future[None]], folder: Path) -> None:
    errors = [error for each in futures if not each.cancelled() and (error := each.exception()) is not None]
    real = [error for error in errors if not (isinstance(error, DownloadError) and error.reason == "stopped")]
    for error in [*real, *errors]:
        if isinstance(error, DownloadError):
            whole = sum(not each.cancelled() and each.exception() is None for each in futures)
            more = f" {whole} of {len(futures)} files are in {folder}." if whole else ""
            raise DownloadError(error.reason, f"{error}{more}")
        raise error


@contextmanager
def _megabytes(label: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Show progress in MiB; what is yielded hears of bytes, from any thread."""
    lock = threading.Lock()
    moved_bytes, told = 0, 0
    total = max(1, round(total_bytes / MIB))
    with progress(label, total) as advance:

        def moved(count: int) -> None:
            nonlocal moved_bytes, told
            with lock:
                moved_bytes += count
                now = round(moved_bytes / MIB)
                if now != told:
                    advance(now - told)
                    told = now

        yield moved
        if told < total:
            advance(total - told)


def _check_room(files: Sequence[RemoteFile], folder: Path) -> None:
    needed = 0
    for file in files:
        part = part_of(file, folder / file.path)
        needed += max(0, (file.size_bytes or 0) - (part.stat().st_size if part.exists() else 0))
    free = shutil.disk_usage(folder).free
    if needed + SPARE_BYTES > free:
        raise RunError(f"{folder}: {short_of(needed, free)}. Make room, or use another --to.")


def _is_there(file: RemoteFile, folder: Path, verified: Mapping[str, Record]) -> bool:
    """Return whether a file is here as the server has it; one that was never looked at is read once."""
    path = folder / file.path
    if not path.is_file() or (file.size_bytes is not None and path.stat().st_size != file.size_bytes):
        return False
    record = _record(file, folder)
    before = verified.get(file.path, {})
    if before.items() >= record.items():
        return True
    if file.checksum is None:
        return file.size_bytes is not None and file.etag is None
    if checksum_of(path, file.checksum) != file.checksum:
        say(f"{path}: is not what the server has; it is fetched anew")
        return False
    append_json_line(folder / RECORD, record | {key: before[key] for key in (FETCHED,) if key in before})
    return True


def _record(file: RemoteFile, folder: Path) -> dict[str, Json]:
    state = (folder / file.path).stat()
    known_as = file.checksum or file.etag
    return {"path": file.path, "size": state.st_size, "mtime_ns": state.st_mtime_ns, "known_as": known_as}


def _verified(folder: Path) -> dict[str, Record]:
    path = folder / RECORD
    return {str(record["path"]): record for record in read_json_lines(path)} if path.exists() else {}


def _got(dataset: DataSet, found: Mapping[str, Sequence[RemoteFile]], folder: Path) -> Got:
    files = {file.path: file for each in found.values() for file in each}
    return Got(
        name=dataset.name,
        folder=folder,
        files=len(files),
        size_bytes=sum((folder / path).stat().st_size for path in files),
        unverified=sum(file.checksum is None for file in files.values()),
        missing=tuple(pattern for pattern, each in found.items() if not each),
        source=_source(dataset, found, folder),
    )


def _source(dataset: DataSet, found: Mapping[str, Sequence[RemoteFile]], folder: Path) -> str | None:
    """Return the source to read it by; None where there is none, or it names a file that the place does not have."""
    if dataset.read is None:
        return None
    places = {"folder": str(folder)} | {
        pattern: str(folder / min(file.path for file in each)) for pattern, each in found.items() if each
    }
    if not {hole[1] for hole in _HOLE.finditer(dataset.read)} <= places.keys():
        return None
    return _HOLE.sub(lambda hole: places[hole[1]], dataset.read)
