"""A server on this machine that answers as the Hugging Face hub and GitHub do, or badly, and says what it heard."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from triptych.data.hub.catalogue import find_dataset
from triptych.data.hub.download import DownloadError, RemoteFile
from triptych.data.hub.get import LOCK, RECORD, Got, get
from triptych.data.hub.remote import Servers

ROOT = Path(__file__).parents[2]
ZIP = "nlvr2/train_images.zip"

COMMIT = "c0ffee" + "0" * 34
PAGE = 5
"""Entries on a page of a listing."""


@dataclass
class Hub:
    """What the server holds, how it behaves, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    """Path -> content, of the one repository there is."""
    large: set[str] = field(default_factory=set)
    """Paths of files in large file storage: known by SHA-256, and served by another host."""
    revisions: dict[str, str] = field(default_factory=lambda: {"main": COMMIT, "script": COMMIT, COMMIT: COMMIT})
    status: int = 200
    """What it answers to questions for listings."""
    file_status: int = 200
    """What it answers to questions for files."""
    token: str | None = None
    """Who may ask; None: everybody."""
    damaged: set[str] = field(default_factory=set)
    """Paths of which one byte arrives changed."""
    cut_after: int | None = None
    """Bytes after which the connection for a file is cut, once for each question."""
    pause_s: float = 0.0
    """Between pieces of a file."""
    ranges: bool = True
    listed: dict[str, int] = field(default_factory=dict)
    """Sizes that it lists instead of the true ones."""
    unlisted: set[str] = field(default_factory=set)
    """What its listing does not say of a file: ``size``, ``oid``, ``path``, ``type``."""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    """(path, the range asked for, who asked)."""
    sent_bytes: int = 0
    url: str = ""

    def asked_files(self) -> list[tuple[str, str]]:
        """Return (path, range) of the questions for contents."""
        return [(path.partition("/held/")[2], asked) for path, asked, _ in self.asked if "/held/" in path]

    def blob(self, path: str) -> str:
        """Return git's name of a file's content."""
        content = self.files[path]
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    hub: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        self.hub.asked.append((path, self.headers.get("Range", ""), self.headers.get("Authorization")))
        words = path.strip("/").split("/")
        if self.hub.token and "/held/" not in path and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            self._send(401, b"who are you")
        elif path.startswith("/held/"):
            self._file(path.removeprefix("/held/"))
        elif "resolve" in words:
            self._resolve("/".join(words[words.index("resolve") + 2 :]))
        elif words[0] == "raw":
            self._moved(f"/held/{'/'.join(words[6:])}")
        elif self.hub.status != 200:
            self._send(self.hub.status, b"no")
        elif "revision" in words:
            self._revision(words[-1])
        elif "trees" in words:
            self._trees(words[-1], recursive="recursive" in parts.query)
        elif "tree" in words:
            self._tree(path, int(parse_qs(parts.query).get("cursor", ["0"])[0]))
        else:
            self._send(404, b"no")

    def _revision(self, name: str) -> None:
        if name in self.hub.revisions:
            self._json({"sha": self.hub.revisions[name]})
        else:
            self._send(404, b"no")

    def _tree(self, path: str, cursor: int) -> None:
        entries: list[dict[str, object]] = []
        for name, content in sorted(self.hub.files.items()):
            size = self.hub.listed.get(name, len(content))
            entry: dict[str, object] = {"type": "file", "oid": self.hub.blob(name), "size": size, "path": name}
            if name in self.hub.large:
                sha = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"oid": sha, "size": size, "pointerSize": 134}
            entries.append({key: value for key, value in entry.items() if key not in self.hub.unlisted})
        folders = sorted({name.partition("/")[0] for name in self.hub.files if "/" in name})
        entries += [{"type": "directory", "oid": "0" * 40, "size": 0, "path": name} for name in folders]
        more = cursor + PAGE < len(entries)
        link = f'<{self.hub.url}{path}?recursive=true&cursor={cursor + PAGE}>; rel="next"'
        self._json(entries[cursor : cursor + PAGE], **({"Link": link} if more else {}))

    def _trees(self, tree: str, *, recursive: bool) -> None:
        """Answer for the tree of a commit, that of its folder ``nlvr``, and that of ``nlvr/dev`` with all below it."""
        if not recursive:
            name = "dev" if tree == "tree-nlvr" else "nlvr"
            self._json({"tree": [{"path": name, "type": "tree", "sha": f"tree-{name}"}]})
            return
        entries: list[dict[str, object]] = [{"path": "images", "type": "tree", "sha": "2"}]
        for name, content in self.hub.files.items():
            entries.append({"path": name, "type": "blob", "sha": self.hub.blob(name), "size": len(content)})
        self._json({"tree": entries, "truncated": False})

    def _resolve(self, path: str) -> None:
        host = "localhost" if path in self.hub.large else "127.0.0.1"
        self._moved(f"http://{host}:{self.hub.url.rpartition(':')[2]}/held/{path}")

    def _moved(self, to: str) -> None:
        self._send(302, b"", Location=to)

    def _file(self, path: str) -> None:
        if self.hub.file_status != 200 or path not in self.hub.files:
            self._send(self.hub.file_status if self.hub.file_status != 200 else 404, b"no")
            return
        content = self.hub.files[path]
        if path in self.hub.damaged:
            content = bytes([content[0] ^ 1]) + content[1:]
        asked = self.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.hub.ranges else 0
        if start and start >= len(content):
            self._send(416, b"")
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.end_headers()
        if self.command == "GET":
            self._pour(content[start:])

    def _pour(self, content: bytes) -> None:
        end = len(content) if self.hub.cut_after is None else min(len(content), self.hub.cut_after)
        for at in range(0, end, 1 << 16):
            piece = content[at : min(end, at + (1 << 16))]
            self.wfile.write(piece)
            self.hub.sent_bytes += len(piece)
            time.sleep(self.hub.pause_s)
        if end < len(content):
            self.close_connection = True

    def _json(self, value: object, **headers: str) -> None:
        self._send(200, json.dumps(value).encode(), **headers)

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            return  # The one who asked was killed, or had enough.

    def log_message(self, format: str, *args: object) -> None:
        del format, args


def start(hub: Hub) -> ThreadingHTTPServer:
    """Start a server for ``hub`` and tell it where it is; the caller shuts it down."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Mine", (_Answers,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


@contextmanager
def running() -> Iterator[Hub]:
    """Run a hub that holds Mantis-Instruct's NLVR2 and other files."""
    files = {
        "README.md": b"a card",
        "nlvr2/train.parquet": b"rows" * 1000,
        ZIP: Random(0).randbytes(3_000_000),
        "nlvr2/train_images_zips.txt": b"train_images.zip\n",
        "nlvr2_merged/train.parquet": b"not this one",
        "other.bin": b"not this one either",
    }
    hub = Hub(files, large={ZIP})
    server = start(hub)
    yield hub
    server.shutdown()
    server.server_close()


def bring(hub: Hub, to: Path, name: str = "mantis-nlvr2", *, jobs: int = 2, revision: str | None = None) -> Got:
    """Fetch a data set of the catalogue from it."""
    known = Servers(hub=hub.url, hub_token=hub.token, github_api=hub.url, github_raw=f"{hub.url}/raw")
    (got,) = get([find_dataset(name)], to, jobs=jobs, revision=revision, known=known)
    return got


def refusal_of(hub: Hub, to: Path, name: str = "mantis-nlvr2", *, revision: str | None = None) -> DownloadError:
    """Return why a data set is not fetched."""
    with pytest.raises(DownloadError) as caught:
        bring(hub, to, name, revision=revision)
    assert "\n" not in str(caught.value)
    return caught.value


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder, without what ``get`` writes for itself."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name not in {RECORD, LOCK}}


def typed(hub: Hub, to: Path, name: str) -> tuple[list[str], dict[str, str]]:
    """Return the command that a user types, and its environment."""
    named = {"PYTHONPATH": str(ROOT), "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
    return [sys.executable, "-m", "triptych", "data", "get", name, "--to", str(to)], {**os.environ, **named}


def the_zip(hub: Hub) -> RemoteFile:
    """Return the large file as a listing has it."""
    sha = hashlib.sha256(hub.files[ZIP]).hexdigest()
    return RemoteFile(ZIP, f"{hub.url}/held/{ZIP}", len(hub.files[ZIP]), f"sha256:{sha}")
