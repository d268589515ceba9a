"""Replies in OpenAI's shapes: one JSON object at the end, or server-sent events as they come.

Not where they come from (``running.py``). What goes wrong before the first words has a status of its own; later it is
an event ``{"error": ...}``, and the stream ends without ``[DONE]``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from triptych.core.records import Json
from triptych.infer.engine.ticket import Delta, TokenLogprob, Usage
from triptych.serve.api.errors import ApiError, as_line
from triptych.serve.api.metrics import Metrics
from triptych.serve.api.running import Heard, Running, unless_gone

NEVER = -9999.0
"""Log-probability of what cannot be, as JSON has no infinity."""
GRACE_S = 5.0
"""Beyond a request's time, for a client that does not read."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What all chunks of a reply begin with."""

    id: str
    model: str
    created: int
    choices: int
    logprobs: bool
    usage: bool
    """Whether a stream ends with what it took."""


async def whole(reply: Reply, running: Running, *, metrics: Metrics) -> dict[str, Json]:
    """Wait for all replies, and return the completion.

    Raises:
        ApiError: one failed, or it takes too long.
    """
    pieces: list[list[Delta]] = [[] for _ in range(reply.choices)]
    first = True
    async for heard in running.pieces():
        if first:
            metrics.first_token(reply.model, time.monotonic() - running.begun)
            first = False
        pieces[heard.choice].append(heard.piece)
    metrics.usage(reply.model, running.usages)
    choices: list[Json] = [
        {
            "index": number,
            "message": {"role": "assistant", "content": "".join(piece.text for piece in said), "refusal": None},
            "logprobs": _logprobs(each for piece in said for each in piece.logprobs) if reply.logprobs else None,
            "finish_reason": said[-1].finish,
        }
        for number, said in enumerate(pieces)
    ]
    return {**_head(reply, "chat.completion"), "choices": choices, "usage": usage_of(running.usages)}


class EventStream(Response):
    """Sends pieces as they come. Ends when they do, when the client goes away, or when it does not read."""

    media_type = "text/event-stream"

    def __init__(self, reply: Reply, running: Running, metrics: Metrics, *, first: Heard, rest: AsyncIterator[Heard]):
        """Take over a request whose first piece has come."""
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._reply = reply
        self._running = running
        self._metrics = metrics
        self._first = first
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all of it; whatever happens, the request is closed."""
        try:
            async with asyncio.timeout(self._running.remaining_s + GRACE_S):
                await unless_gone(receive, self._send(send))
        except (ClientDisconnect, TimeoutError):
            return
        finally:
            self._running.close()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        with suppress(OSError):  # the connection is gone: the same as a client that goes away
            async for event in self._events():
                await send({"type": "http.response.body", "body": f"data: {event}\n\n".encode(), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _events(self) -> AsyncIterator[str]:
        reply = self._reply
        for number in range(reply.choices):
            yield self._chunk(number, {"role": "assistant", "content": "", "refusal": None}, None)
        try:
            for event in self._chunks_of(self._first):
                yield event
            async for heard in self._rest:
                for event in self._chunks_of(heard):
                    yield event
        except ApiError as error:
            yield as_line(error.as_json())
            return
        self._metrics.usage(reply.model, self._running.usages)
        if reply.usage:
            last = {**_head(reply, "chat.completion.chunk"), "choices": [], "usage": usage_of(self._running.usages)}
            yield as_line(last)
        yield "[DONE]"

    def _chunks_of(self, heard: Heard) -> Iterable[str]:
        piece = heard.piece
        if piece.text or piece.logprobs:
            yield self._chunk(heard.choice, {"content": piece.text}, piece)
        if piece.finish is not None:
            yield self._chunk(heard.choice, {}, None, finish=piece.finish)

    def _chunk(self, number: int, delta: dict[str, Json], piece: Delta | None, *, finish: str | None = None) -> str:
        logprobs = _logprobs(piece.logprobs) if piece is not None and self._reply.logprobs else None
        choice: Json = {"index": number, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        usage: dict[str, Json] = {"usage": None} if self._reply.usage else {}
        return as_line({**_head(self._reply, "chat.completion.chunk"), "choices": [choice], **usage})


async def stream(reply: Reply, running: Running, *, metrics: Metrics) -> EventStream:
    """Wait for the first piece, and return what sends it and the rest.

    Raises:
        ApiError: there is none.
    """
    pieces = running.pieces()
    first = await anext(pieces)
    metrics.first_token(reply.model, time.monotonic() - running.begun)
    return EventStream(reply, running, metrics, first=first, rest=pieces)


def usage_of(usages: Sequence[Usage]) -> dict[str, Json]:
    """Return what replies took: the prompt once, and all that was said."""
    said, asked = sum(usage.tokens_out for usage in usages), usages[0]
    return {
        "prompt_tokens": asked.tokens_in,
        "completion_tokens": said,
        "total_tokens": asked.tokens_in + said,
        "prompt_tokens_details": {"cached_tokens": asked.cached_tokens, "image_tokens": asked.image_tokens},
    }


def _head(reply: Reply, kind: str) -> dict[str, Json]:
    return {"id": reply.id, "object": kind, "created": reply.created, "model": reply.model}


def _logprobs(tokens: Iterable[TokenLogprob]) -> Json:
    return {"content": [_token(token) for token in tokens], "refusal": None}


def _token(token: TokenLogprob) -> Json:
    top: list[Json] = [
        _likely(text, logprob, raw) for (text, logprob), raw in zip(token.top, token.top_bytes, strict=True)
    ]
    return {**_likely(token.text, token.logprob, token.bytes), "top_logprobs": top}


def _likely(text: str, logprob: float, raw: bytes) -> dict[str, Json]:
    return {"token": text, "logprob": max(logprob, NEVER), "bytes": list(raw)}
