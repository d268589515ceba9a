"""A stand-in for an endpoint's batch API: a real HTTP server that takes files, works on them, and gives files back."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.infer.endpoint import Said, echo


@dataclass
class Bureau:
    """What has happened at the server."""

    url: str = ""
    files: dict[str, str] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    polls: int = 0
    ready_after: int = 1
    """A batch has ended when it was asked for more often than this."""
    able: bool = True
    """Whether it offers batches."""
    reply: Callable[[dict[str, Any], int], Said] = echo
    lose: int = 0
    """So many batches are made, and the caller is not told."""
    raw: bool = False
    """Whether files of replies hold letters of all scripts as they are."""
    torn: int = 0
    """So many downloads end in the middle."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    after_batch: Callable[[], None] = lambda: None
    """Called when a batch was made, before the caller is told."""

    def file(self, content: str) -> dict[str, Any]:
        name = f"file-{len(self.files)}"
        self.files[name] = content
        return {
            "id": name,
            "object": "file",
            "bytes": len(content),
            "created_at": 1,
            "filename": "x",
            "purpose": "batch",
        }

    def make(self, said: dict[str, Any]) -> dict[str, Any]:
        name = f"batch-{len(self.batches)}"
        requests = [json.loads(line) for line in self.files[said["input_file_id"]].splitlines()]
        self.batches[name] = {"metadata": said["metadata"], "requests": requests, "polls": 0}
        self.after_batch()
        return self.told(name)

    def told(self, name: str) -> dict[str, Any]:
        batch = self.batches[name]
        ended = batch["polls"] > self.ready_after
        if ended and "output" not in batch:
            batch["output"] = self.file("".join(self._line(each) for each in batch["requests"]))["id"]
        count = len(batch["requests"])
        return {
            "id": name,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "created_at": 1,
            "input_file_id": "x",
            "completion_window": "24h",
            "metadata": batch["metadata"],
            "status": "completed" if ended else "in_progress",
            "output_file_id": batch.get("output"),
            "request_counts": {"completed": count * ended, "failed": 0, "total": count},
        }

    def _line(self, request: dict[str, Any]) -> str:
        self.asked.append(request["body"])
        said = self.reply(request["body"], 0)
        body = json.loads(said.body)
        response = {"status_code": said.status, "request_id": "r", "body": body}
        line = {"id": "l", "custom_id": request["custom_id"], "response": response, "error": None}
        return json.dumps(line, ensure_ascii=not self.raw) + "\n"


def handler_of(found: Bureau) -> type[BaseHTTPRequestHandler]:
    """Return the class that answers the server's requests."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if not found.able:
                self._say({"error": {"message": "no such path"}}, status=404)
                return
            if self.path.endswith("/files"):
                part = re.search(r'name="file".*?\r\n\r\n(.*?)\r\n--', content, re.DOTALL)
                assert part
                self._say(found.file(part[1]))
            else:
                made = found.make(json.loads(content))
                if found.lose:
                    found.lose -= 1
                    self.close_connection = True
                    return
                self._say(made)

        def do_GET(self) -> None:
            words = urlsplit(self.path).path.split("/")
            if words[-1] == "content":
                content = found.files[words[-2]]
                found.torn -= 1
                self._say(content if found.torn < 0 else content[:-40])
            elif words[-1] == "batches":
                self._say({"object": "list", "data": [found.told(name) for name in found.batches], "has_more": False})
            else:
                found.polls += 1
                found.batches[words[-1]]["polls"] += 1
                self._say(found.told(words[-1]))

        def _say(self, said: dict[str, Any] | str, *, status: int = 200) -> None:
            content = (said if isinstance(said, str) else json.dumps(said)).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                self.close_connection = True  # the other side was killed

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@contextmanager
def bureau(**settings: Any) -> Iterator[Bureau]:
    """Serve while the block runs."""
    found = Bureau(**settings)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(found))
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_port}/v1#m"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
