"""A stand-in for an endpoint: a real HTTP server in this process that says what a test wants and remembers requests."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

from triptych.core.records import Answer, Example, ImageRef, Text, Turn
from triptych.infer.endpoint.remote import RemoteResponder
from triptych.infer.responder import Failed
from triptych.infer.settings import Address, EndpointSettings


@dataclass(frozen=True)
class Said:
    """What the server answers with."""

    body: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    drop: bool = False
    """Close the connection instead."""
    cut: int = 0
    """Leave out so many bytes at the end, and close the connection."""


@dataclass
class Endpoint:
    """What has happened at the server."""

    address: Address
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    most_at_once: int = 0
    at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def completion(text: str | None, *, ended: str = "stop", refusal: str | None = None, usage: bool = True) -> Said:
    """A chat completion of this text; costs 100 tokens and one for each word."""
    message = {"role": "assistant", "content": text, "refusal": refusal}
    body: dict[str, Any] = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
    body["choices"] = [{"index": 0, "message": message, "finish_reason": ended}]
    if usage:
        body["usage"] = {"prompt_tokens": 100, "completion_tokens": len((text or "").split()), "total_tokens": 100}
    return Said(json.dumps(body))


def trouble(status: int, *, code: str = "", headers: dict[str, str] | None = None) -> Said:
    body = json.dumps({"error": {"message": f"sorry, {status}", "type": "x", "code": code or None}})
    return Said(body, status, headers or {})


def words_of(request: dict[str, Any]) -> str:
    """All text of a request's last message."""
    content = request["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


class _Server(ThreadingHTTPServer):
    """A server that does not wonder at callers who are gone."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving(reply: Callable[[dict[str, Any], int], Said], *, model: str = "m") -> Iterator[Endpoint]:
    """Serve while the block runs. ``reply`` gets a request and how many came before with the same last words."""
    seen: dict[str, int] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(length := int(self.headers["Content-Length"]))
            if len(content) < length:
                self.close_connection = True  # the other side was killed while it asked
                return
            request = json.loads(content)
            with found.lock:
                words = words_of(request)
                before = seen.get(words, 0)
                seen[words] = before + 1
                found.requests.append(request)
                found.headers.append({key.lower(): value for key, value in self.headers.items()})
                found.at_once += 1
                found.most_at_once = max(found.most_at_once, found.at_once)
            said = reply(request, before)
            time.sleep(said.after_s)
            with found.lock:
                found.at_once -= 1
            if said.drop:
                self.close_connection = True
                return
            body = said.body.encode()
            kind = "text/event-stream" if request.get("stream") else "application/json"
            try:
                self.send_response(said.status)
                for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **said.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body[: len(body) - said.cut])
                self.close_connection = self.close_connection or said.cut > 0
            except OSError:
                self.close_connection = True  # the other side has stopped waiting

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Endpoint(Address(f"http://127.0.0.1:{server.server_port}/v1", model))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(name: str, *parts: Text | ImageRef) -> Example:
    return Example(name, (Turn("user", (*parts, Text(f"What is {name}?"))),))


def responder(endpoint: Endpoint, *, slept: list[float] | None = None, **settings: Any) -> RemoteResponder:
    """A responder that waits for nothing and writes down how long it would have."""

    async def sleep(seconds: float) -> None:
        if slept is not None:
            slept.append(seconds)

    return RemoteResponder(endpoint.address, EndpointSettings(**settings), sleep=sleep, random=Random(1))


def echo(request: dict[str, Any], before: int) -> Said:
    return completion(f"you said {words_of(request)}")


def one(found: list[Answer | Failed]) -> Answer:
    (answer,) = found
    assert isinstance(answer, Answer), answer
    return answer


def failure(found: list[Answer | Failed]) -> str:
    (failed,) = found
    assert isinstance(failed, Failed), failed
    return failed.reason
