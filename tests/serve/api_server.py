"""The application on a real port, in a thread, over toy weights; and what a client needs."""

from __future__ import annotations

import base64
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from openai import OpenAI
from PIL import Image

from triptych.infer.engine.engine import EngineSettings
from triptych.models.families.tiny import tiny
from triptych.models.family import Model
from triptych.models.vision.features import FeatureStore
from triptych.serve.api.keys import Keys
from triptych.serve.api.routes import Served
from triptych.serve.api.settings import ServeSettings
from triptych.serve.server import TellingServer, build_app
from triptych.serve.speaking import LocalTalker

LONG = {"max_tokens": 1500, "extra_body": {"ignore_eos": True}}
"""What the official client is told for a reply that does not end soon."""
ENDLESS = {"max_tokens": 1500, "ignore_eos": True}
"""The same as JSON."""


@dataclass(frozen=True)
class Running:
    """A server under test."""

    url: str
    served: tuple[Served, ...]
    folder: Path
    end: Callable[[], None]
    """As SIGTERM does; returns at once."""

    @property
    def client(self) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0)

    @property
    def talker(self) -> LocalTalker:
        talker = self.served[0].talker
        assert isinstance(talker, LocalTalker)
        return talker

    def post(self, body: object, *, path: str = "/v1/chat/completions", **options: Any) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", json=body, timeout=60, **options)

    def refused(self, body: object, *, path: str = "/v1/chat/completions", status: int = 400) -> dict[str, Any]:
        """What an error says; it must be one of OpenAI's shape."""
        response = self.post(body, path=path)
        assert response.status_code == status, response.text
        error: dict[str, Any] = response.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert "\n" not in error["message"]
        return error

    def is_idle(self) -> bool:
        state = self.talker.state()
        return (state.running, state.waiting, state.tokens_held) == (0, 0, 0)


@contextmanager
def serving(
    folder: Path,
    models: Sequence[Model] | None = None,
    *,
    keys: frozenset[str] = frozenset(),
    engine: EngineSettings | None = None,
    served: Sequence[Served] = (),
    **settings: Any,
) -> Iterator[Running]:
    """Serve toy models while the block runs; they are called ``toy`` and ``other``."""
    opened = [tiny(3)] if models is None else models
    talkers = [
        Served(name, LocalTalker(model, features=FeatureStore(model), name=name, settings=engine), None)
        for name, model in zip(("toy", "other"), opened, strict=False)
    ]
    chosen = ServeSettings(**{"votes": str(folder / "votes.jsonl"), **settings})
    app = build_app([*talkers, *served], chosen, folder=folder / "media", keys=Keys(keys))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=2)
        server = TellingServer(config, app.state.ending, ending_s=0.3)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        until(lambda: server.started)

        def end() -> None:
            server.should_exit = True

        try:
            yield Running(f"http://127.0.0.1:{listener.getsockname()[1]}", (*talkers, *served), folder, end)
        finally:
            end()
            thread.join()
            for each in talkers:
                each.talker.close()


def until(holds: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def picture(number: int, *, size: tuple[int, int] = (40, 30)) -> str:
    """A data URI of a picture that no other number has."""
    file = io.BytesIO()
    Image.new("RGB", size, (number * 37 % 256, number * 91 % 256, number % 256)).save(file, "PNG")
    return data_uri(file.getvalue())


def data_uri(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def said(*parts: str) -> list[dict[str, Any]]:
    """One message of the user: words, and pictures by their URLs."""
    content = [
        {"type": "image_url", "image_url": {"url": part}}
        if part.startswith(("data:image", "http", "file:", "/"))
        else {"type": "video_url", "video_url": {"url": part}}
        if part.startswith("data:video")
        else {"type": "text", "text": part}
        for part in parts
    ]
    return [{"role": "user", "content": content}]


def asking(*parts: str, model: str = "toy", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": said(*parts), "max_tokens": 8, **more}
