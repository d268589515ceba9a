"""A request's replies on their way: tickets of a talker, heard in the server's event loop, and given up when it is.

Not how they are told (``replies.py``). Invariant: however a request ends - said, failed, too late, nobody there any
more - its tickets are cancelled, so that their places are free, and its pictures are let go.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from triptych.core.errors import TriptychError
from triptych.core.records import Example
from triptych.infer.decoding.sampling import Sampling
from triptych.infer.engine.ticket import Delta, Ticket, Usage
from triptych.serve.api.errors import ApiError, api_error_of
from triptych.serve.api.media import Media
from triptych.serve.speaking import Talker

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Heard:
    """A piece of one of the replies."""

    choice: int
    piece: Delta


class Running:
    """The replies to one request. Its state: tickets, and what they have said that nobody has read."""

    def __init__(self, talker: Talker, media: Media, *, seconds: float, ending: asyncio.Event) -> None:
        """Begin with nothing asked, in the event loop's thread.

        Args:
            talker: who is asked.
            media: the request's pictures, let go at the end.
            seconds: for all of it, from now.
            ending: set where the server waits for replies no more.
        """
        self.talker = talker
        self.begun = time.monotonic()
        self._media = media
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[tuple[int, Delta | TriptychError]] = asyncio.Queue()
        self._watch = self._loop.create_task(self._end(ending))
        self._tickets: list[Ticket] = []
        self._closed = False

    def ask(self, question: Example, samplings: Sequence[Sampling]) -> None:
        """Ask for each reply. In any thread: tokenising takes a while.

        Raises:
            ApiError: it cannot be asked, or not now; nothing is under way then.
        """
        for number, sampling in enumerate(samplings):
            if self._closed:
                break
            try:
                ticket = self.talker.submit(question, sampling, listener=partial(self._listen, number))
            except TriptychError as error:
                self.cancel()
                raise self._api_error(error) from None
            self._tickets.append(ticket)
        if self._closed:
            self.cancel()

    async def pieces(self) -> AsyncIterator[Heard]:
        """Yield the pieces of all replies as they come, until each has ended.

        Raises:
            ApiError: one failed, or it takes too long.
        """
        left = len(self._tickets)
        while left:
            try:
                async with asyncio.timeout(self.remaining_s):
                    choice, piece = await self._heard.get()
            except TimeoutError:
                raise ApiError(504, f"the reply was not complete within {self._seconds:g} s.", code="timeout") from None
            if isinstance(piece, TriptychError):
                raise self._api_error(piece)
            if piece.finish == "cancelled":
                raise ApiError(503, "the server ends.", code="ending")
            left -= piece.finish is not None
            yield Heard(choice, piece)

    @property
    def remaining_s(self) -> float:
        """Seconds that are left."""
        return max(0.0, self.begun + self._seconds - time.monotonic())

    @property
    def usages(self) -> list[Usage]:
        """What each reply has taken so far."""
        return [ticket.usage for ticket in self._tickets]

    def cancel(self) -> None:
        """Give up all replies."""
        for ticket in self._tickets:
            if not ticket.done:
                ticket.cancel()

    def close(self) -> None:
        """Give up what is left, and let go of the pictures."""
        if not self._closed:
            self._closed = True
            self._watch.cancel()
            self.cancel()
            self._media.close()

    async def _end(self, ending: asyncio.Event) -> None:
        """Tell it at once: the engine may be in a long step."""
        await ending.wait()
        self._heard.put_nowait((0, Delta("", finish="cancelled")))

    def _api_error(self, error: TriptychError) -> ApiError:
        found = api_error_of(error)
        return ApiError(
            found.status,
            self._media.without_paths(str(error)),
            param=found.param,
            code=found.code,
            headers=found.headers,
        )

    def _listen(self, choice: int, piece: Delta | TriptychError) -> None:
        with suppress(RuntimeError):  # the loop has ended, and nobody listens
            self._loop.call_soon_threadsafe(self._heard.put_nowait, (choice, piece))


async def unless_gone(receive: Receive, work: Awaitable[T]) -> T:
    """Return what work gives, or leave it when the client goes away.

    Raises:
        ClientDisconnect: nobody is there any more; the work is cancelled.
    """
    doing = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({doing, watching}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise ClientDisconnect
    finally:
        for task in (doing, watching):
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
