"""The endpoints: what each takes, whom it asks and what it answers. Knows neither keys nor sockets (``gate``, server).

Everything that takes long is done in threads or waited for, so that ``/health`` answers while models work.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import anyio
from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from triptych.core.errors import RunError, TriptychError
from triptych.core.records import Example, Json
from triptych.infer.decoding.sampling import Sampling
from triptych.infer.engine.engine import Layout
from triptych.serve.api.bodies import Bodies
from triptych.serve.api.errors import ApiError, api_error_of
from triptych.serve.api.media import Media, Shelf, is_fetched
from triptych.serve.api.metrics import Metrics
from triptych.serve.api.questions import question_of
from triptych.serve.api.replies import Reply, stream, whole
from triptych.serve.api.requests import (
    ChatRequest,
    Conversation,
    ImagePart,
    Message,
    VideoPart,
    read_body,
    read_json,
    samplings_of,
)
from triptych.serve.api.running import Running, unless_gone
from triptych.serve.api.scores import ScoreDesk
from triptych.serve.api.settings import ServeSettings
from triptych.serve.api.votes import VoteRequest, Votes
from triptych.serve.speaking import LocalTalker, Talker

T = TypeVar("T")
READ = ["GET", "HEAD"]
THREADS = 16
"""Requests that are taken apart at once."""
FETCH_THREADS = 16
"""Beside those, requests whose pictures are fetched: a slow host costs nobody else."""
VIDEO_THREADS = 2
"""Beside those, requests with videos: decoding one may take long, and nobody can end it."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model as it is served."""

    name: str
    talker: Talker | None
    """None: it has no words."""
    desk: ScoreDesk | None
    """None: it has no score head."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What the endpoints share."""

    models: Mapping[str, Served]
    settings: ServeSettings
    shelf: Shelf
    bodies: Bodies
    metrics: Metrics
    votes: Votes
    clock: Callable[[], float]
    """Seconds since 1970."""
    threads: anyio.CapacityLimiter
    fetch_threads: anyio.CapacityLimiter
    video_threads: anyio.CapacityLimiter
    broken: set[str]
    """Models that answer no more."""
    ending: asyncio.Event
    """The server ends now: replies under way are told so."""


def routes_of(desk: Desk) -> APIRouter:
    """Return the endpoints over models and limits."""
    router = APIRouter()
    since = int(desk.clock())

    @router.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        return await _complete(desk, request)

    @router.post("/v1/layout")
    async def lay_out(request: Request) -> Response:
        return await _lay_out(desk, request)

    @router.post("/v1/score")
    async def score(request: Request) -> Response:
        return await _score(desk, request)

    @router.post("/v1/votes")
    async def vote(request: Request) -> Response:
        async with desk.bodies.body(request) as content:
            said = read_body(read_json(content), model=VoteRequest)
        return JSONResponse(await _thread(desk, partial(desk.votes.keep, said)))

    @router.api_route("/v1/models", methods=READ)
    async def models() -> Response:
        return JSONResponse({"object": "list", "data": [_card(each, since) for each in desk.models.values()]})

    @router.api_route("/v1/models/{name:path}", methods=READ)
    async def model(name: str) -> Response:
        return JSONResponse(_card(_served(desk, name), since))

    @router.api_route("/health", methods=READ)
    async def health() -> Response:
        if desk.broken:
            return JSONResponse({"status": "broken", "models": sorted(desk.broken)}, status_code=503)
        return JSONResponse({"status": "ok"})

    @router.api_route("/metrics", methods=READ)
    async def metrics() -> Response:
        return Response(desk.metrics.text(), media_type="text/plain; version=0.0.4")

    return router


async def _complete(desk: Desk, request: Request) -> Response:
    begun = time.monotonic()
    media = Media(desk.shelf, desk.settings)
    running: Running | None = None
    handed_over = False
    try:
        async with desk.bodies.body(request) as content:
            said = await _thread(desk, lambda: read_body(read_json(content), model=ChatRequest))
            served = _served(desk, said.model)
            talker = _talker(served)
            samplings = samplings_of(said, desk.settings)
            name = f"chatcmpl-{uuid.uuid4().hex}"
            question = await _question(desk, said.messages, media, name=name)
        left_s = max(0.0, desk.settings.seconds - (time.monotonic() - begun))
        running = Running(talker, media, seconds=left_s, ending=desk.ending)
        if said.max_tokens is None and said.max_completion_tokens is None:
            samplings = await _thread(desk, partial(_fitted, talker, question, samplings, media))
        await _ask(desk, served, running, question, samplings)
        wants_usage = bool(said.stream_options and said.stream_options.include_usage)
        reply = Reply(name, served.name, int(desk.clock()), len(samplings), bool(said.logprobs), wants_usage)
        if said.stream:
            events = await unless_gone(request.receive, stream(reply, running, metrics=desk.metrics))
            handed_over = True
            return events
        return JSONResponse(await unless_gone(request.receive, whole(reply, running, metrics=desk.metrics)))
    finally:
        if not handed_over:
            (running or media).close()


async def _lay_out(desk: Desk, request: Request) -> Response:
    async with _conversation(desk, request, ChatRequest) as (served, question, media):
        talker = _talker(served)
        layout = await _thread(desk, partial(_layout, talker, question, media))
        if layout is None:
            raise ApiError(400, f"{served.name}: an endpoint does not tell what its model sees.", code="no_layout")
        pieces = list(_pieces(layout))
        return JSONResponse({"pieces": pieces, "tokens": layout.tokens, "limit": talker.longest})


async def _score(desk: Desk, request: Request) -> Response:
    async with _conversation(desk, request, Conversation) as (served, question, media):
        if served.desk is None:
            raise ApiError(400, f"{served.name} has no score head, it only talks.", param="model", code="no_score_head")
        try:
            scored = await unless_gone(request.receive, served.desk.score(question))
        except ApiError as error:
            raise ApiError(
                error.status, media.without_paths(str(error)), param=error.param, code=error.code, headers=error.headers
            ) from None
        return JSONResponse(served.desk.as_json(served.name, scored))


@asynccontextmanager
async def _conversation(
    desk: Desk, request: Request, kind: type[Conversation]
) -> AsyncIterator[tuple[Served, Example, Media]]:
    """Give the model and the conversation of a request, and let go of its pictures afterwards."""
    media = Media(desk.shelf, desk.settings)
    try:
        async with desk.bodies.body(request) as content:
            said = await _thread(desk, lambda: read_body(read_json(content), model=kind))
            served = _served(desk, said.model)
            question = await _question(desk, said.messages, media, name="conversation")
        yield served, question, media
    finally:
        media.close()


async def _question(desk: Desk, messages: Sequence[Message], media: Media, *, name: str) -> Example:
    work = partial(question_of, messages, media, name=name, settings=desk.settings)
    return await anyio.to_thread.run_sync(work, limiter=_limiter(desk, messages))


def _limiter(desk: Desk, messages: Sequence[Message]) -> anyio.CapacityLimiter:
    """Return who lends the thread in which a conversation's pictures are taken: those that may be slow wait alone."""
    parts = [part for message in messages if isinstance(message.content, list) for part in message.content]
    if any(isinstance(part, VideoPart) for part in parts):
        return desk.video_threads
    fetched = any(isinstance(part, ImagePart) and is_fetched(part.image_url.url) for part in parts)
    return desk.fetch_threads if fetched else desk.threads


async def _ask(desk: Desk, served: Served, running: Running, question: Example, samplings: Sequence[Sampling]) -> None:
    try:
        await _thread(desk, partial(running.ask, question, samplings))
    except ApiError as error:
        if isinstance(error.__context__, RunError):
            desk.broken.add(served.name)
        raise


def _fitted(talker: Talker, question: Example, samplings: Sequence[Sampling], media: Media) -> list[Sampling]:
    """Return the samplings with no longer a reply than there is room for, where nobody asked for a length."""
    layout = _layout(talker, question, media)
    if layout is None or talker.longest is None:
        return list(samplings)
    room = max(1, talker.longest - layout.tokens)
    return [replace(sampling, max_tokens=min(sampling.max_tokens, room)) for sampling in samplings]


def _layout(talker: Talker, question: Example, media: Media) -> Layout | None:
    try:
        return talker.layout(question)
    except TriptychError as error:
        raise ApiError(400, media.without_paths(str(error)), param="messages", code=api_error_of(error).code) from None


def _pieces(layout: Layout) -> list[dict[str, Json]]:
    pieces: list[dict[str, Json]] = []
    number = layout.first_number - 1
    for each in layout.pieces:
        if each.image is None:
            pieces.append({"kind": "text", "text": each.text, "tokens": each.tokens})
            continue
        number += 1
        width, height = each.image.size or (0, 0)
        size: dict[str, Json] = {"width": width, "height": height, "tokens": each.tokens}
        video: dict[str, Json] = {"video": each.image.video} if each.image.video else {}
        pieces.append({"kind": "image", "number": number, **size, **video})
    return pieces


def _served(desk: Desk, name: str) -> Served:
    if name not in desk.models:
        there = ", ".join(desk.models)
        message = f"the model {name[:200]!r} does not exist here. There are: {there}."
        raise ApiError(404, message, param="model", code="model_not_found")
    return desk.models[name]


def _talker(served: Served) -> Talker:
    if served.talker is None:
        message = f"{served.name} has a head for scores and none for words: ask /v1/score."
        raise ApiError(400, message, param="model", code="no_words")
    return served.talker


def _card(served: Served, since: int) -> dict[str, Json]:
    talker = served.talker
    return {
        "id": served.name,
        "object": "model",
        "created": since,
        "owned_by": "triptych",
        "talks": talker is not None,
        "scores": served.desk is not None,
        "numbers_images": talker is not None and talker.numbers_images,
        "first_number": talker.model.template.first_number if isinstance(talker, LocalTalker) else 1,
        "limit": None if talker is None else talker.longest,
    }


async def _thread(desk: Desk, work: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(work, limiter=desk.threads)
