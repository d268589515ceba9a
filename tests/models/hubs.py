"""A small hub on this machine, over real HTTP: what huggingface_hub asks for to fetch a model and to put one there.

Not the hub: no accounts but one token, no large-file storage but a dictionary, no xet.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

import yaml

SHA = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_stand_in"
CARD = {"license", "library_name", "pipeline_tag", "tags", "base_model", "model-index"}
"""Keys of a card that are let through."""


@dataclass
class Repository:
    """A model that is there."""

    files: dict[str, bytes] = field(default_factory=dict)
    private: bool = False
    gated: bool = False
    commit: str = SHA


@dataclass
class Hub:
    """What the server holds and has heard."""

    models: dict[str, Repository] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)
    """Method and path of each request, with the bytes asked for."""
    cut_after: dict[str, int] = field(default_factory=dict)
    """Files whose first answer ends after so many bytes."""
    always_cut: dict[str, int] = field(default_factory=dict)
    """Files of which every answer ends after so many bytes."""
    damaged: set[str] = field(default_factory=set)
    """Files of which one bit arrives changed."""
    broken: int = 0
    """Status of every answer; 0: as it should be."""
    broken_files: int = 0
    """Status of every answer for a file's content; 0: as it should be."""
    url: str = ""


@contextmanager
def stand_in(**models: Repository) -> Iterator[Hub]:
    """Serve models, ``owner__name`` for ``owner/name``, until the block ends."""
    hub = Hub({name.replace("__", "/"): model for name, model in models.items()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def tell(self, status: int, said: object = None, headers: dict[str, str] | None = None) -> None:
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def route(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.heard.append(f"{self.command} {path} {self.headers.get('Range', '')}".strip())
            if hub.broken:
                self.body()
                return self.tell(hub.broken, {"error": "broken"})
            if path == "/api/whoami-v2":
                known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
                return self.tell(200 if known else 401, {"name": "me", "orgs": []} if known else {"error": "who?"})
            if path == "/api/repos/create":
                asked = json.loads(self.body())
                name = f"{asked['organization']}/{asked['name']}"
                there = name in hub.models
                hub.models.setdefault(name, Repository(private=asked.get("visibility") == "private"))
                return self.tell(409 if there else 200, {"url": f"{hub.url}/{name}"})
            if path == "/api/validate-yaml":
                card = json.loads(self.body())["content"]
                known = yaml.safe_load(card.split("---")[1]).keys() <= CARD
                return self.tell(200, {"errors": [] if known else [{"message": "a key"}], "warnings": []})
            if path.startswith("/lfs/"):
                hub.large[path.removeprefix("/lfs/")] = self.body()
                return self.tell(200, {})
            name = next((each for each in hub.models if f"/{each}" in path), None)
            if name is None:
                return self.tell(404, {"error": "no"}, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "no"})
            model = hub.models[name]
            if model.gated and "Authorization" not in self.headers:
                return self.tell(403, {"error": "ask"}, {"X-Error-Code": "GatedRepo", "X-Error-Message": "ask"})
            rest = path.partition(f"/{name}")[2]
            if self.command == "POST":
                return self.take(name, model, rest)
            if rest.startswith("/tree/"):
                return self.tell(200, [_entry(each, content) for each, content in model.files.items()])
            if rest.startswith("/resolve/"):
                return self.give(model, rest.split("/", 3)[3])
            info = {
                "id": name,
                "modelId": name,
                "sha": model.commit,
                "private": model.private,
                "gated": False,
                "siblings": [],
            }
            return self.tell(200, info)

        def give(self, model: Repository, file: str) -> None:
            if file not in model.files:
                return self.tell(404, {"error": "no"}, {"X-Error-Code": "EntryNotFound"})
            content = model.files[file]
            digest = hashlib.sha256(content).hexdigest()
            if hub.broken_files and self.command == "GET":
                return self.tell(hub.broken_files, {"error": "broken"})
            if file in hub.damaged:
                content = bytes([content[0] ^ 1]) + content[1:]
            start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0] or 0)
            headers = {
                "ETag": f'"{digest}"',
                "X-Repo-Commit": model.commit,
                "Accept-Ranges": "bytes",
                "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}",
            }
            if self.command == "GET" and (cut := hub.cut_after.pop(file, hub.always_cut.get(file))) is not None:
                self.send_response(200)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content[:cut])
                self.wfile.flush()
                self.close_connection = True
                return None
            return self.tell(206 if start else 200, content[start:], headers)

        def take(self, name: str, model: Repository, rest: str) -> None:
            asked = self.body()
            if rest.startswith("/preupload/"):
                told = [
                    {
                        "path": each["path"],
                        "uploadMode": "lfs" if each["path"].endswith(".safetensors") else "regular",
                        "shouldIgnore": False,
                        "oid": None,
                    }
                    for each in json.loads(asked)["files"]
                ]
                return self.tell(200, {"files": told})
            if rest == ".git/info/lfs/objects/batch":
                objects = [
                    {**each, "actions": {"upload": {"href": f"{hub.url}/lfs/{each['oid']}", "header": {}}}}
                    for each in json.loads(asked)["objects"]
                ]
                return self.tell(200, {"transfer": "basic", "objects": objects})
            assert rest.startswith("/commit/"), rest
            for line in asked.splitlines():
                entry = json.loads(line)
                value = entry["value"]
                if entry["key"] == "file":
                    model.files[value["path"]] = base64.b64decode(value["content"])
                if entry["key"] == "lfsFile":
                    model.files[value["path"]] = hub.large[value["oid"]]
            said = {"commitOid": SHA, "commitUrl": f"{hub.url}/{name}/commit/{SHA}", "success": True}
            return self.tell(200, said)

        do_GET = do_HEAD = do_POST = do_PUT = route

    return Handler


def _entry(path: str, content: bytes) -> dict[str, object]:
    digest = hashlib.sha256(content).hexdigest()
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(content), "oid": digest[:40]}
    if path.endswith((".safetensors", ".bin")):
        entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 130}
    return entry
