"""One file from a server to a disk: goes on where it was cut off, and arrives whole or not at all.

Not about which files: ``remote`` lists them, ``get`` chooses. Invariants: a file under its own name has the size and
the checksum that the server or the catalogue gave; what is on its way is a hidden ``.part`` file beside it, named by
the content that it is a part of, so that parts of two contents are never joined.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from triptych.core.errors import DataError

CHUNK_BYTES = 1 << 20
"""Read from a disk at once."""
PIECE_BYTES = 1 << 15
"""Taken from a network at once: what a break loses at most."""
CONNECT_S, SILENCE_S = 10.0, 60.0
"""How long to wait for a server, and for its next bytes."""
TRIES = 4
"""How often in a row a connection may bring nothing."""


class DownloadError(DataError):
    """A file that is not there now. Its message names it and the remedy; what has arrived is kept for the next time."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """``no network``, ``not allowed``, ``not there``, ``damaged``, ``not written``, ``server``, ``stopped``."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on a server."""

    path: str
    """From the folder that it is put in, with slashes."""
    url: str
    size_bytes: int | None
    checksum: str | None
    """``sha256:...``, or ``git:...``: the SHA-1 of git's blob; None: nobody gives one."""
    etag: str | None = None
    """What the server calls this content, where there is no checksum to know it by."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Sent with the question, e.g. who asks; not to another host that it leads to."""
    site: str = ""
    """Where a person asks for it, when the server does not know who asks."""


def open_session() -> requests.Session:
    """Return a session that asks again, a little later, when a server is busy or does not answer at once."""
    session = requests.Session()
    retry = Retry(
        total=4, connect=2, read=2, backoff_factor=0.3, status_forcelist=(429, 502, 503, 504), raise_on_status=False
    )
    session.mount("https://", HTTPAdapter(max_retries=retry, pool_maxsize=64))
    session.mount("http://", HTTPAdapter(max_retries=retry, pool_maxsize=64))
    session.headers["User-Agent"] = "triptych"
    session.headers["Accept-Encoding"] = "identity"
    return session


def download(
    file: RemoteFile,
    target: Path,
    *,
    session: requests.Session,
    moved: Callable[[int], None] = lambda count: None,
    stop: threading.Event | None = None,
) -> None:
    """Bring a file to ``target``. Bytes of an earlier attempt are kept and not asked for again.

    Args:
        file: what to bring.
        target: its name here; a file of that name is replaced when the new one is whole.
        session: what asks.
        moved: hears of bytes that arrived, and, as a negative number, of such that were of no use.
        stop: once it is set the file is left as it is, to be gone on with later.

    Raises:
        DownloadError: it is not whole; the message says why.
    """
    stop = stop or threading.Event()
    part = part_of(file, target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target, part, keep=_is_known(file))
        resumed = part.exists() and part.stat().st_size > 0
        found = _move(file, part, session, moved, stop)
        if found != file.checksum and file.checksum is not None and resumed:
            moved(-part.stat().st_size)
            part.unlink()  # What was there before may have been the bad piece.
            found = _move(file, part, session, moved, stop)
        if file.checksum is not None and found != file.checksum:
            moved(-part.stat().st_size)
            part.unlink()
            raise DownloadError(
                "damaged",
                f"{file.path}: arrived damaged ({found}, expected {file.checksum}) from {file.url}. Try again; if it"
                " stays so, something on the way changes it.",
            )
        part.replace(target)
    except OSError as error:  # Not the network's: those are turned into a DownloadError where they happen.
        raise DownloadError(
            "not written", f"{target}: cannot be written ({error.strerror or error}). Make room, or use another --to."
        ) from None


def part_of(file: RemoteFile, target: Path) -> Path:
    """Return where the bytes of a file are while it is on its way."""
    known_as = hashlib.sha256(f"{file.checksum or file.etag or ''}".encode()).hexdigest()[:12]
    return target.with_name(f".{target.name}.{known_as}.part")


def checksum_of(path: Path, like: str) -> str:
    """Return a file's checksum, of the kind that ``like`` is."""
    digest = _digest(like, path.stat().st_size)
    _feed(digest, path)
    return _named(digest, like)


def refusal(response: requests.Response, what: str, *, site: str = "") -> DownloadError:
    """Return the error for an answer that is not the content."""
    status = response.status_code
    if status in (401, 403):
        who = "does not know who asks" if status == 401 else "does not let you"
        there = f" at {site}" if site else ""
        return DownloadError(
            "not allowed",
            f"{what}: the server {who} ({status}). It may be gated, private or not there: ask for access{there}, then"
            " set HF_TOKEN or run `hf auth login`.",
        )
    if status == 404:
        there = f" Look{' at ' + site if site else ''} whether it was moved."
        return DownloadError("not there", f"{what}: is not there (404), {response.url}.{there}")
    return DownloadError("server", f"{what}: the server answers {status} {response.reason}, {response.url}. Try later.")


def unreachable(error: requests.RequestException, what: str) -> DownloadError:
    """Return the error for a server that was not reached, or went away."""
    request = error.request
    host = getattr(request, "url", None) or "the server"
    cause = "it took too long" if isinstance(error, requests.Timeout) else _innermost(error)
    return DownloadError(
        "no network",
        f"{what}: {host} cannot be reached ({cause}). Is there a network? The same command goes on where this one"
        " ended.",
    )


def _move(
    file: RemoteFile, part: Path, session: requests.Session, moved: Callable[[int], None], stop: threading.Event
) -> str | None:
    """Fill the part file; return its checksum, None where nobody gives one to compare it with."""
    failures = 0
    while True:
        have = part.stat().st_size if part.exists() else 0
        if file.size_bytes is not None and have > file.size_bytes:
            part.unlink()
            have = 0
        if have and have == file.size_bytes:
            break
        try:
            if _ask(file, part, have, session, moved, stop):
                break
            failures = 0
        except requests.RequestException as error:
            now = part.stat().st_size if part.exists() else 0
            failures = 0 if now > have else failures + 1
            if failures >= TRIES:
                raise unreachable(error, file.path) from None
        if stop.wait(0.2 * failures):
            raise _stopped(file)
    if file.checksum is None:
        return None
    return checksum_of(part, file.checksum)


def _ask(
    file: RemoteFile,
    part: Path,
    have: int,
    session: requests.Session,
    moved: Callable[[int], None],
    stop: threading.Event,
) -> bool:
    """Ask for what is missing and write it; return whether that was all of it."""
    headers = dict(file.headers)
    if have:
        headers["Range"] = f"bytes={have}-"
        if file.etag is not None:
            headers["If-Range"] = file.etag
    with session.get(file.url, headers=headers, stream=True, timeout=(CONNECT_S, SILENCE_S)) as response:
        if response.status_code == 416:  # There is no more than what is here, or it is another file.
            moved(-have)
            part.unlink()
            return False
        if response.status_code not in (200, 206):
            raise refusal(response, file.path, site=file.site)
        starts = _start_of(response)
        if starts not in (0, have):
            raise DownloadError("server", f"{file.path}: the server answers bytes that were not asked for, {file.url}.")
        if have and starts == 0:
            moved(-have)
        with part.open("ab" if have and starts == have else "wb") as out:
            for chunk in response.iter_content(PIECE_BYTES):
                if stop.is_set():
                    raise _stopped(file)
                out.write(chunk)
                moved(len(chunk))
            out.flush()
            os.fsync(out.fileno())
    return _is_whole(file, part, response)


def _is_whole(file: RemoteFile, part: Path, response: requests.Response) -> bool:
    size = part.stat().st_size
    if file.size_bytes is None or size == file.size_bytes:
        return True
    if size > file.size_bytes or "Content-Length" in response.headers:
        raise DownloadError(
            "damaged",
            f"{file.path}: {size:,} bytes arrived, {file.size_bytes:,} were announced, {file.url}. Try again.",
        )
    raise requests.ConnectionError("the answer ends early", request=response.request)


def _start_of(response: requests.Response) -> int:
    """Return the place of an answer's first byte in the file; -1 where it does not say."""
    if response.status_code == 200:
        return 0
    start = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(start) if start.isdecimal() else -1


def _is_known(file: RemoteFile) -> bool:
    """Return whether a part can be told from a part of other content."""
    return file.checksum is not None or (file.etag is not None and not file.etag.startswith("W/"))


def _sweep(target: Path, part: Path, *, keep: bool) -> None:
    """Delete parts of other contents, and one of which nobody can say whether it is the same."""
    ours = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{12}}\.part")
    for stale in target.parent.iterdir():
        if ours.fullmatch(stale.name) and (stale != part or not keep):
            stale.unlink()


def _digest(like: str, size_bytes: int) -> hashlib._Hash:
    if like.startswith("sha256:"):
        return hashlib.sha256()
    assert like.startswith("git:"), like
    return hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)


def _feed(digest: hashlib._Hash, path: Path) -> None:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)


def _named(digest: hashlib._Hash, like: str) -> str:
    return f"{like.partition(':')[0]}:{digest.hexdigest()}"


def _stopped(file: RemoteFile) -> DownloadError:
    return DownloadError("stopped", f"{file.path}: stopped. The same command goes on where this one ended.")


def _innermost(error: BaseException) -> str:
    """Return what a chain of errors began with, in few words: requests wraps urllib3's, which wrap the system's."""
    inner: BaseException = error
    while True:
        reason = getattr(inner, "reason", None)
        following = reason if isinstance(reason, BaseException) else inner.__cause__ or inner.__context__
        if following is None or following is inner:
            break
        inner = following
    said = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return " ".join(str(said).split())[:200]
