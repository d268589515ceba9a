"""URLs: fetched once, within limits, and never from this machine or its neighbours unless that is allowed."""

from __future__ import annotations

import hashlib
import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from triptych.core import fetch as fetching
from triptych.core.fetch import FetchError, fetch

CONTENT = bytes(range(256)) * 40


class Site(BaseHTTPRequestHandler):
    """Answers by path, and writes down what it was asked."""

    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["Host"]))
        answers: dict[str, Callable[[], None]] = {
            "/a.png": lambda: self._send(200, CONTENT),
            "/moved": lambda: self._send(302, b"", Location="/a.png"),
            "/circle": lambda: self._send(302, b"", Location="/circle"),
            "/astray": lambda: self._send(302, b"", Location="http://169.254.169.254/latest/meta-data"),
            "/to-file": lambda: self._send(302, b"", Location="file:///etc/passwd"),
            "/nowhere": lambda: self._send(302, b""),
            "/packed": lambda: self._send(200, CONTENT, **{"Content-Encoding": "gzip"}),
            "/short": lambda: self._send(200, CONTENT, length=len(CONTENT) + 5),
            "/endless": self._endless,
            "/slow": self._slow,
            "/slow-head": self._slow_head,
        }
        answers.get(self.path.partition("?")[0], lambda: self._send(404, b"no"))()

    def _send(self, status: int, body: bytes, *, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def _endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(400):
            self.wfile.write(bytes(1 << 12))

    def _slow(self) -> None:
        self.send_response(200)
        self.end_headers()
        self._drip()

    def _slow_head(self) -> None:
        self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Drip: ")
        self._drip()

    def _drip(self) -> None:
        for _ in range(100):
            self.wfile.write(b".")
            time.sleep(0.05)

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            return  # The one who asked hung up, as it should.

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def asked() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def site(asked: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Mine", (Site,), {"asked": asked}))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def reason_of(url: str, *, allow_private: bool = True, max_bytes: int = 1 << 20, timeout_s: float = 5) -> str:
    with pytest.raises(FetchError) as caught:
        fetch(url, allow_private=allow_private, max_bytes=max_bytes, timeout_s=timeout_s)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def test_content_is_kept_by_its_sha_and_asked_for_once(site: str, asked: list[tuple[str, str]], tmp_path: Path) -> None:
    first = fetch(f"{site}/a.png", allow_private=True)
    assert first.read_bytes() == CONTENT
    sha = hashlib.sha256(CONTENT).hexdigest()
    assert first == tmp_path / "cache" / "images" / sha[:2] / f"{sha}.png"
    assert fetch(f"{site}/a.png", allow_private=True) == first
    assert fetch(f"{site}/moved", allow_private=True).read_bytes() == CONTENT
    assert [path for path, _ in asked] == ["/a.png", "/moved", "/a.png"]


def test_content_that_was_swept_from_the_cache_is_fetched_again(site: str, asked: list[tuple[str, str]]) -> None:
    fetch(f"{site}/a.png", allow_private=True).unlink()
    assert fetch(f"{site}/a.png", allow_private=True).read_bytes() == CONTENT
    assert len(asked) == 2


def test_the_server_hears_its_name_and_the_query_as_written(site: str, asked: list[tuple[str, str]]) -> None:
    fetch(f"{site}/a.png?w=1&name=ä b", allow_private=True)
    assert asked == [("/a.png?w=1&name=%C3%A4%20b", site.removeprefix("http://"))]


def test_this_machine_is_not_asked_unless_allowed(site: str, asked: list[tuple[str, str]]) -> None:
    assert reason_of(f"{site}/a.png", allow_private=False) == "url not allowed"
    assert asked == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0.0.0.0", "10.0.0.1", "192.168.1.1", "172.16.0.9",
        "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "[::1]", "[::]", "[fe80::1]", "[fc00::1]",
        "[::ffff:127.0.0.1]", "[::ffff:a00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "localhost", "[ff02::1]",
        "[fec0::1]", "[::127.0.0.1]", "[::8.8.8.8]", "[::ffff:0:127.0.0.1]", "[64:ff9b:1::7f00:1]", "[64:ff9b::a00:1]",
        "[2002:a00:1::]", "[5f00::1]", "[3fff::1]", "192.0.0.8", "192.0.0.9",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused(host: str) -> None:
    assert reason_of(f"http://{host}/", allow_private=False) == "url not allowed"


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808", "2002:808:808::"])
def test_public_addresses_are_public(address: str) -> None:
    assert fetching._is_public(address)


def test_a_name_is_resolved_once_and_the_checked_address_is_asked(
    site: str, asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    resolve = socket.getaddrinfo

    def rebinding(host: str, *args: object, **kwargs: object) -> object:
        calls.append(host)
        here = "127.0.0.2" if calls.count("pictures.example") > 1 else "127.0.0.1"
        return resolve(here if host == "pictures.example" else host, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    port = site.rpartition(":")[2]
    assert fetch(f"http://pictures.example:{port}/a.png", allow_private=True).read_bytes() == CONTENT
    assert calls.count("pictures.example") == 1
    assert asked == [("/a.png", f"pictures.example:{port}")]


def test_one_private_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("8.8.8.8", "10.0.0.7")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: found)
    assert reason_of("http://pictures.example/", allow_private=False) == "url not allowed"


def test_each_redirect_is_checked(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_is_public", lambda address: address == "127.0.0.1")
    assert reason_of(f"{site}/astray", allow_private=False) == "url not allowed"
    assert reason_of(f"{site}/to-file") == "url not allowed"
    assert reason_of(f"{site}/circle") == "url not reached"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://example.com/a", "data:image/png;base64,AA", "http://", "//example.com/a", "a.png",
        "http://user:secret@example.com/", "http://[::1", "http://example.com:99999/", "gopher://x", "",
    ],
)  # fmt: skip
def test_what_is_no_plain_web_address_is_refused(url: str) -> None:
    assert reason_of(url) == "url not allowed"


@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".com", "nothing.invalid", "\0", "a\udc80"])
def test_a_name_without_an_address_is_not_reached(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    assert reason_of(f"http://{host}/") == "url not reached"


@pytest.mark.parametrize("path", ["/packed", "/short", "/nothing", "/nowhere"])
def test_a_bad_answer_is_not_kept(path: str, site: str, tmp_path: Path) -> None:
    assert reason_of(f"{site}{path}") == "url not reached"
    assert [file for file in (tmp_path / "cache").rglob("*") if file.is_file()] == []


@pytest.mark.parametrize("path", ["/endless", "/a.png"])
def test_more_bytes_than_allowed_are_refused(path: str, site: str) -> None:
    assert reason_of(f"{site}{path}", max_bytes=len(CONTENT) - 1) == "url too large"


def test_as_many_bytes_as_allowed_are_kept(site: str) -> None:
    assert fetch(f"{site}/a.png", allow_private=True, max_bytes=len(CONTENT)).stat().st_size == len(CONTENT)


@pytest.mark.parametrize("path", ["/slow", "/slow-head"])
def test_a_server_that_drips_is_left(path: str, site: str) -> None:
    start = time.monotonic()
    assert reason_of(f"{site}{path}", timeout_s=0.4) == "url not reached"
    assert time.monotonic() - start < 3


def test_nobody_there_is_not_reached(site: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert reason_of(f"http://127.0.0.1:{free.getsockname()[1]}/a.png") == "url not reached"


def test_the_error_comes_home_from_another_process() -> None:
    error = pickle.loads(pickle.dumps(FetchError("url too large", "x: too large")))
    assert (error.reason, str(error)) == ("url too large", "x: too large")
