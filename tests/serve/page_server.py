"""A server that serves the page and answers as a test says: slowly, with an error, with markup, or not to the end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from triptych.serve.api.gate import HEADERS
from triptych.serve.server import PAGE

KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


@dataclass
class Script:
    """What the server says. State: what it has been asked."""

    names: list[str] = field(default_factory=lambda: ["first", "second"])
    first_number: int = 1
    """Of the images, as the models are told them."""
    pieces: list[str] = field(default_factory=lambda: ["A ", "cat", "."])
    refuse: tuple[int, str] | None = None
    """Status and message, for every POST."""
    go: threading.Event = field(default_factory=threading.Event)
    """Waited for after the first piece."""
    finish: str = "stop"
    """Why a reply ends."""
    torn: bool = False
    """The stream ends with an error, before its end."""
    silent: bool = False
    """Which models there are is not told until it is over."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)
    """The browser has hung up in the middle of a reply."""
    url: str = ""


@contextmanager
def scripted(script: Script) -> Iterator[Script]:
    """Serve the page while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            if self.path == "/v1/models":
                while script.silent:
                    time.sleep(0.02)
                models = [{"id": name, "first_number": script.first_number} for name in script.names]
                self._json(200, {"object": "list", "data": models})
                return
            file = PAGE / (self.path.strip("/") or "index.html")
            self._begin(200, KINDS[file.suffix])
            self.wfile.write(file.read_bytes())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            script.asked.append({"path": self.path, **body})
            if script.refuse is not None:
                status, message = script.refuse
                self._json(status, {"error": {"message": message, "type": "x", "param": None, "code": None}})
            elif self.path == "/v1/chat/completions":
                self._stream()
            else:
                self._json(200, {})

        def _stream(self) -> None:
            self._begin(200, "text/event-stream")
            try:
                for number, piece in enumerate(script.pieces):
                    self._event({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
                    if number == 0:
                        while not script.go.wait(0.05):
                            self._event({"choices": []})
                if script.torn:
                    self._event({"error": {"message": "the engine <b>failed</b>"}})
                    return
                self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": script.finish}]})
                self.wfile.write(b"data: [DONE]\n\n")
            except OSError:
                script.gone.set()

        def _event(self, tree: object) -> None:
            self.wfile.write(f"data: {json.dumps(tree)}\n\n".encode())
            self.wfile.flush()

        def _json(self, status: int, tree: object) -> None:
            self._begin(status, "application/json")
            self.wfile.write(json.dumps(tree).encode())

        def _begin(self, status: int, kind: str) -> None:
            self.send_response(status)
            for name, value in {**HEADERS, "Content-Type": kind}.items():
                self.send_header(name, value)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        script.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield script
        finally:
            script.go.set()
            script.silent = False
            server.shutdown()
            thread.join()
