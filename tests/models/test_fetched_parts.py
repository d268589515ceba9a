"""Parts that are on the hub: a server on this machine gives them as the hub does; one format of weights is fetched."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from triptych.models.disk.locate import locate

COMMIT = "c0ffee" + "0" * 34
OLD = ("pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json")


class _Answers(BaseHTTPRequestHandler):
    names: tuple[str, ...] = ()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        name = path.rpartition("/")[2]
        if path.startswith("/api/"):
            files = [{"type": "file", "path": each, "size": len(each), "oid": COMMIT} for each in self.names]
            told = files if "/tree/" in path else {"id": "some/model", "sha": COMMIT}
            content, more = json.dumps(told).encode(), {}
        else:
            content = name.encode()
            more = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        self.send_response(200 if name in {*self.names, "main", COMMIT} else 404)
        for key, value in (more | {"Content-Length": str(len(content))}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Answers]]:
    answers = type("Mine", (_Answers,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), answers)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield answers
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("weights", "fetched"),
    [
        (["model.safetensors", *OLD], {"model.safetensors", OLD[1]}),
        ([*OLD], {*OLD}),
        (["mm_projector.bin", "training_args.bin", "trainer.pth"], {"mm_projector.bin"}),
    ],
)
def test_weights_of_the_old_format_are_fetched_where_there_are_no_others(
    hub: type[_Answers], weights: list[str], fetched: set[str]
) -> None:
    hub.names = ("config.json", *weights)
    folder = locate("some/model")
    assert {path.name for path in folder.iterdir()} == {"config.json", *fetched}
