"""Pictures of requests: bombs, torn ones, foreign hosts and this machine's own files; none of it gets through."""

from __future__ import annotations

import io
import json
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.serve.api_server import Running, asking, data_uri, picture, serving, until
from triptych.serve.api.media import MOST_SCANS, MOST_SEGMENTS
from triptych.serve.api.routes import FETCH_THREADS, THREADS


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(
        tmp_path_factory.mktemp("serve"), images=4, image_pixels=1_000_000, request_pixels=1_500_000
    ) as running:
        yield running


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("file:///etc/passwd", "invalid_url"),
        ("/etc/passwd", "invalid_url"),
        ("etc/passwd", "invalid_url"),
        ("ftp://example.org/a.png", "invalid_url"),
        ("gopher://127.0.0.1:6379/_x", "invalid_url"),
        ("", "invalid_url"),
        ("http://example.org/a.png", "url_not_allowed"),
        ("http://169.254.169.254/latest/meta-data", "url_not_allowed"),
        ("http://[::1]/a.png", "url_not_allowed"),
        ("http://[", "url_not_allowed"),
        ("data:image/png;base64,!!!", "invalid_image"),
        ("data:image/png;base64,", "invalid_image"),
        ("data:text/html;base64,aGk=", "invalid_image"),
        ("data:image/png", "invalid_image"),
        ("data:image/png,hello", "invalid_image"),
        ("data:image/svg+xml;base64,PHN2Zy8+", "invalid_image"),
        (data_uri(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "invalid_image"),
        (data_uri(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"), "invalid_image"),
    ],
)
def test_only_pictures_sent_along_or_from_allowed_hosts_are_taken(server: Running, url: str, code: str) -> None:
    body = asking("x")
    body["messages"][0]["content"].append({"type": "image_url", "image_url": {"url": url}})
    error = server.refused(body)
    assert error["code"] == code
    assert error["param"] == "messages.0.content.1.image_url.url"
    assert str(server.folder) not in error["message"]


def png_that_says(width: int, height: int) -> bytes:
    """A PNG of few bytes whose header says a large size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(1001, 1000), (30_000, 30_000), (2**31 - 1, 2**31 - 1), (0, 5)])
def test_a_bomb_is_refused_by_its_header(server: Running, size: tuple[int, int]) -> None:
    error = server.refused(asking("x", data_uri(png_that_says(*size))))
    assert error["param"] == "messages.0.content.1.image_url.url"
    assert server.is_idle()


def test_pictures_that_are_too_many_or_together_too_large_are_refused(server: Running) -> None:
    assert server.refused(asking(*[picture(1)] * 5))["code"] == "too_many_images"
    large = [picture(number, size=(900, 900)) for number in (1, 2)]
    assert server.post(asking(large[0])).status_code == 200
    assert server.refused(asking(*large))["code"] == "image_too_large"


def test_a_torn_picture_is_refused_with_its_number_and_not_our_path(server: Running) -> None:
    file = io.BytesIO()
    Image.effect_noise((200, 200), 80).save(file, "PNG")
    torn = data_uri(file.getvalue()[:-3000])
    for stream in (False, True):
        error = server.refused(asking("a ", picture(1), " b ", torn, stream=stream))
        assert "image 2" in error["message"]
        assert str(server.folder) not in error["message"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"no picture", "image 2: image unreadable"), (png_that_says(1001, 1000), "image 2: 1,001,000 pixels"), (b"", "")],
)
def test_a_refusal_says_which_picture_is_meant(server: Running, content: bytes, said: str) -> None:
    error = server.refused(asking("a ", picture(1), " b ", data_uri(content), " c ", picture(2)))
    assert error["message"].startswith(said or "image 2: it holds no bytes")


def jpeg_of_scans(scans: int) -> bytes:
    """A progressive JPEG with as many scans, all but two of which add nothing; 13 bytes each."""

    def segment(kind: int, content: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, kind, len(content) + 2) + content

    tables = segment(0xC4, b"\x00\x01" + b"\0" * 16) + segment(0xC4, b"\x10\x01" + b"\0" * 15 + b"\x00")
    head = segment(0xDB, b"\0" + b"\1" * 64) + segment(0xC2, struct.pack(">BHHB", 8, 8, 8, 1) + b"\1\x11\0")
    first = segment(0xDA, b"\1\1\0\0\0\0") + b"\x7f"
    more = segment(0xDA, b"\1\1\0\1\x3f\0") + b"\x7f"
    return b"\xff\xd8" + head + tables + first + more * (scans - 1) + b"\xff\xd9"


def test_a_jpeg_of_endless_scans_is_refused_and_one_that_only_holds_such_bytes_is_not(server: Running) -> None:
    assert server.post(asking("x", data_uri(jpeg_of_scans(MOST_SCANS), "image/jpeg"))).status_code == 200
    for content in (jpeg_of_scans(MOST_SCANS + 1), b"\xff\xd8" + b"\xff\xfe\0\2" * MOST_SEGMENTS):
        error = server.refused(asking("x", picture(1), data_uri(content, "image/jpeg")))
        assert error["message"].startswith("image 2: a JPEG of more than 100 scans")
        assert error["code"] == "invalid_image"
    file = io.BytesIO()
    Image.new("RGB", (20, 20)).save(file, "JPEG", comment=b"\xff\xda" * 2 * MOST_SCANS)
    after = file.getvalue() + b"\xff\xda" * 2 * MOST_SCANS  # a film, as telephones append it
    assert server.post(asking("x", data_uri(after, "image/jpeg"))).status_code == 200


def picture_bytes() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(file, "PNG")
    return file.getvalue()


@dataclass
class Web:
    """A web server on this machine: where it listens, and what it was asked for."""

    port: int
    asked: list[str] = field(default_factory=list)
    wait_s: float = 0.0
    go: threading.Event = field(default_factory=threading.Event)
    """What is asked of /held waits for it."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Web]:
    """It has a picture, a redirect, and what is no picture."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            time.sleep(found.wait_s)
            if self.path.startswith("/held"):
                found.go.wait(30)
            moved = {"/file": "file:///etc/passwd", "/on": f"http://localhost:{found.port}/a.png"}.get(self.path)
            self.send_response(302 if moved else 200)
            if moved:
                self.send_header("Location", moved)
            content = b"" if moved else b"hello" if self.path == "/text" else picture_bytes()
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            return

    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    found = Web(web.server_address[1])
    yield found
    web.shutdown()
    web.server_close()
    thread.join()


def test_a_picture_of_an_allowed_host_is_fetched(tmp_path: Path, host: Web) -> None:
    with serving(tmp_path, fetch_hosts=("127.0.0.1",), fetch_private=True) as server:
        assert (
            server.post(asking("x", f"{host.url}/a.png")).json()["usage"]["prompt_tokens_details"]["image_tokens"] == 4
        )
        assert server.refused(asking("x", f"{host.url}/text"))["code"] == "invalid_image"
        assert server.refused(asking("x", f"{host.url}/file"))["code"] == "url_not_allowed"
        host.asked.clear()
        assert server.refused(asking("x", f"{host.url}/on"))["code"] == "url_not_allowed"
        assert host.asked == ["/on"], "a redirect to a host that is not allowed is not followed"
    assert not (tmp_path / "cache" / "urls").exists(), "what is fetched for strangers is not kept"


def test_a_request_that_comes_slowly_has_all_its_time_to_fetch(tmp_path: Path, host: Web) -> None:
    body = json.dumps(asking("x", f"{host.url}/a.png")).encode()

    def slowly() -> Iterator[bytes]:
        yield body[:20]
        time.sleep(2.2)
        yield body[20:]

    with serving(tmp_path, fetch_hosts=("127.0.0.1",), fetch_private=True, fetch_seconds=2) as server:
        host.wait_s = 0.4
        headers = {"Content-Type": "application/json"}
        response = httpx.post(f"{server.url}/v1/chat/completions", content=slowly(), headers=headers, timeout=30)
        assert response.status_code == 200, response.text


def test_slow_hosts_hold_up_only_those_who_have_them_asked(tmp_path: Path, host: Web) -> None:
    with (
        serving(tmp_path, fetch_hosts=("127.0.0.1",), fetch_private=True) as server,
        ThreadPoolExecutor(FETCH_THREADS) as pool,
    ):
        try:
            slow = [
                pool.submit(server.post, asking("x", f"{host.url}/held/{number}", max_tokens=1))
                for number in range(max(THREADS, FETCH_THREADS))
            ]
            until(lambda: len(host.asked) == len(slow))
            assert server.post(asking("others are answered", picture(1), max_tokens=1)).status_code == 200
        finally:
            host.go.set()
        assert {each.result().status_code for each in slow} == {200}


INSIDE = ("localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "[::1]")
MAPPED = ("[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "169.254.169.254", "10.0.0.7", "192.168.1.5", "[fe80::1]")


def test_an_allowed_host_in_ones_own_network_is_not_asked(tmp_path: Path, host: Web) -> None:
    names = tuple(name.strip("[]") for name in (*INSIDE, *MAPPED))
    with serving(tmp_path, fetch_hosts=names) as server:
        for name in (*INSIDE, *MAPPED):
            error = server.refused(asking("x", f"http://{name}:{host.port}/a.png"))
            assert error["code"] in {"url_not_allowed", "url_not_reached"}, error
        for url in (f"http://me:secret@localhost:{host.port}/a.png", "http://localhost:0/a.png"):
            assert server.refused(asking("x", url))["code"] == "url_not_allowed"
    assert host.asked == []
