"""The page on which a person judges a cold start's examples: it shows them with their images, and writes the file.

Not the proposing (``stages/cold_start``) nor the showing to teachers (``prompts``). A server for one person on this
machine: it listens here only, answers to its own name only, serves no file but the images of the proposals, by number,
and makes no outside request. Every change is written at once, whole; a file that somebody else has changed meanwhile
is not written over.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import yaml
from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import HTMLResponse, JSONResponse
from PIL import Image
from pydantic import ValidationError
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request

from triptych.core.config import Settings
from triptych.core.errors import ConfigError, DataError, NotFoundError, TriptychError
from triptych.core.records import ImageRef, text_of
from triptych.data.media.images import load_image
from triptych.data.media.locate import frame_at, name_of
from triptych.generate.few_shot import Picture, Proposal, Proposals, read_proposals, write_proposals
from triptych.generate.item import Item
from triptych.generate.prompts import load
from triptych.generate.reply_pairs import read_pairs
from triptych.generate.running.files import StageFiles, stage_labels
from triptych.generate.stages.cold_start import META

FILE = "cold_start.yaml"
"""Where a run keeps its proposals."""
HOSTS = ["127.0.0.1", "localhost"]
THUMBNAIL_PX = 640
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_LARGEST_BYTES = 16 << 20


class _Saved(Settings):
    """What the page sends."""

    version: str
    """Version of the file that the page began with."""
    proposals: tuple[Proposal, ...]


class _Reply(Settings):
    """What the page asks to be looked at."""

    reply: str


def open_review(named: str, *, runs: Path) -> Path:
    """Return the file of proposals that a person means; made, or added to, from the run that proposed them.

    Args:
        named: a run's folder or its name below ``runs``, a recipe, or a file of proposals.
        runs: the folder of all runs.

    Raises:
        NotFoundError: there is no such thing, or no run of it yet.
        ConfigError, DataError: a file is not what it should be.
    """
    path = Path(named).expanduser()
    if path.is_file():
        name = _run_of(path)
        if name is None:
            read_proposals(path)
            return path
        folder = runs / name
    else:
        folder = path if path.is_dir() else runs / named
    if not folder.is_dir():
        raise NotFoundError(f"{named}: no such run, recipe or file. Run a recipe with a cold_start stage first.")
    file = folder / FILE
    proposed = list(_proposed(folder))
    before = read_proposals(file) if file.exists() else None
    if not proposed and before is None:
        raise NotFoundError(f"{folder}: no stage of it has proposed anything yet. Let it run first.")
    if before and (other := next((prompt for prompt, _ in proposed if prompt != before.prompt), None)):
        raise ConfigError(
            f"{file} holds examples for the prompt {before.prompt!r}, and the run has proposed some for {other!r}. Give"
            f" the run another name (name=cold_start_{Path(other).stem}), or move the file away."
        )
    known = {each.id for each in before.proposals} if before else set()
    new = [each for _, each in proposed if each.id not in known]
    if before is None or new:
        prompt = before.prompt if before else proposed[0][0]
        own = tuple(before.proposals) if before else ()
        write_proposals(Proposals(prompt=prompt, prompt_hash=load(prompt).hash, proposals=(*own, *new)), file)
    return file


def review_app(path: Path) -> FastAPI:
    """Return the server of the page on one file of proposals."""
    page, policy = _page()
    app = FastAPI(openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)

    @app.exception_handler(TriptychError)
    def told_wrong(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 409)

    @app.get("/", response_class=HTMLResponse)
    def show() -> HTMLResponse:
        return HTMLResponse(page, headers={"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"})

    @app.get("/proposals")
    def proposals() -> dict[str, object]:
        return _told(path)

    @app.get("/pictures/{proposal}/{number}")
    def picture(proposal: int, number: int) -> Response:
        return _picture_response(path, proposal, number)

    @app.post("/check")
    async def check(request: Request) -> dict[str, int]:
        return _pairs_in(await _body(request))

    @app.put("/proposals")
    async def save(request: Request) -> dict[str, object]:
        _save(path, _saved_in(await _body(request)))
        return _told(path)

    return app


def _page() -> tuple[str, str]:
    """Return the page and its content security policy, which lets only the page's own script run."""
    page = resources.files("triptych.generate").joinpath("review.html").read_text(encoding="utf-8")
    script = _SCRIPT.search(page)
    assert script is not None, "the page has one script"
    digest = base64.b64encode(hashlib.sha256(script[1].encode("utf-8")).digest()).decode("ascii")
    return page, (
        "default-src 'none'; img-src 'self' data:; connect-src 'self'; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _picture_response(path: Path, proposal: int, number: int) -> Response:
    known = read_proposals(path).proposals
    if not (0 <= proposal < len(known) and 0 <= number < len(known[proposal].pictures)):
        raise HTTPException(404, "no such picture")
    try:
        content = _thumbnail(known[proposal].pictures[number])
    except DataError as error:
        raise HTTPException(404, str(error)) from None
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


def _pairs_in(body: bytes) -> dict[str, int]:
    """Return how many pairs a reply holds, and how many of them are torn."""
    try:
        reply = _Reply.model_validate_json(body).reply
    except ValidationError:
        raise HTTPException(422, "expected {reply: text}") from None
    found = read_pairs(reply)
    return {"pairs": len(found.pairs), "torn": len(found.torn)}


def _saved_in(body: bytes) -> _Saved:
    try:
        return _Saved.model_validate_json(body)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise HTTPException(422, f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None


@dataclass(frozen=True, slots=True)
class _Read:
    proposals: Proposals
    version: str


def _read(path: Path) -> _Read:
    version = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    return _Read(read_proposals(path), version)


def _told(path: Path) -> dict[str, object]:
    read = _read(path)
    prompt = load(read.proposals.prompt)
    return {
        "file": path.name,
        "version": read.version,
        "prompt": read.proposals.prompt,
        "about": prompt.about,
        "system": prompt.system,
        "changed": bool(read.proposals.prompt_hash) and read.proposals.prompt_hash != prompt.hash,
        "proposals": [
            {
                **each.model_dump(mode="json"),
                "pictures": [{**it.model_dump(mode="json"), "name": name_of(it.source)} for it in each.pictures],
            }
            for each in read.proposals.proposals
        ],
    }


def _save(path: Path, said: _Saved) -> None:
    read = _read(path)
    if read.version != said.version:
        raise HTTPException(409, f"{path.name} was changed by somebody else. Load the page again.")
    names = [each.id for each in said.proposals]
    if len(set(names)) < len(names):
        raise HTTPException(422, "two examples have one id")
    # Which pictures are shown is the file's to say: the page adds none.
    known = {each.id: each.pictures for each in read.proposals.proposals}
    kept = tuple(each.model_copy(update={"pictures": known.get(each.id, ())}) for each in said.proposals)
    write_proposals(read.proposals.model_copy(update={"proposals": kept}), path)


async def _body(request: Request) -> bytes:
    # Of another type than a form has, so that no foreign page can send it without asking first.
    if request.headers.get("content-type") != "application/json":
        raise HTTPException(415, "send application/json")
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > _LARGEST_BYTES:
            raise HTTPException(413, "too large")
    return bytes(content)


def _thumbnail(picture: Picture) -> bytes:
    image = load_image(ImageRef(picture.source, box=picture.box))
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.convert("RGB").save(file, format="JPEG", quality=85)
    return file.getvalue()


def _run_of(path: Path) -> str | None:
    """Return the name of the run that a recipe makes; None where the file is no recipe."""
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: not YAML: {str(error).splitlines()[0]}") from None
    name = tree.get("name") if isinstance(tree, dict) and "stages" in tree else None
    return name if isinstance(name, str) else None


def _proposed(folder: Path) -> Iterable[tuple[str, Proposal]]:
    """Yield what a run's cold start has proposed, and for which prompt."""
    for label in stage_labels(folder):
        if label.partition("-")[2] == META:
            for placed in StageFiles(folder, label).read_items():
                if isinstance(item := placed.made, Item) and item.example is not None:
                    told = item.facts.get(META)
                    prompt = told.get("prompt") if isinstance(told, dict) else None
                    yield str(prompt), _proposal(item)


def _proposal(item: Item) -> Proposal:
    assert item.example is not None, "a proposal is a conversation"
    asked, replied = item.example.turns
    return Proposal(id=item.id, user=text_of(asked), reply=text_of(replied), pictures=tuple(_pictures(item)))


def _pictures(item: Item) -> Iterable[Picture]:
    for view in item.annotation.views:
        if isinstance(view.media, ImageRef):
            yield Picture(source=view.media.source, box=view.media.box)
        elif Path(view.media.source).is_file():
            yield Picture(source=frame_at(view.media.source, 0))
