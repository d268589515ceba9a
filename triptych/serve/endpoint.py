"""A model behind an address as a talker: OpenAI's chat completions, streamed, many at once.

Not what is sent for an image (``infer/endpoint``), and no evaluation: nothing is asked again but where the connection
failed before anything was said. A reply that ends without saying why was cut on its way, and is an error. State: one
thread with an event loop, and what is under way in it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import openai

from triptych.core.errors import RunError, TriptychError
from triptych.core.records import Example, Json
from triptych.infer.decoding.sampling import Sampling
from triptych.infer.endpoint.chat_messages import messages_of
from triptych.infer.endpoint.remote import api_key
from triptych.infer.endpoint.response import REFUSED, WHOLE, one_line
from triptych.infer.engine.ticket import Delta, Finish, Listener, Ticket, TokenLogprob, Usage
from triptych.infer.responder import writable
from triptych.infer.settings import Address, EndpointSettings

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
    from openai.types.chat.chat_completion_chunk import ChoiceLogprobs
    from openai.types.completion_usage import CompletionUsage

    from triptych.infer.engine.engine import Layout

RETRIES = 2
"""Times that the client asks again where there was no answer at all, or the endpoint was busy."""


class EndpointTalker:
    """Asks an endpoint. Close it at the end."""

    numbers_images = False
    """Nobody can know: images that stand in front of a message are numbered by whoever asks."""
    longest: int | None = None

    def __init__(self, address: Address, settings: EndpointSettings, *, queue: int | None = None) -> None:
        """Begin; nothing is sent yet.

        Args:
            address: of the endpoint, with the model's name.
            settings: how to ask. ``temperature: null`` sends none, for models that refuse one.
            queue: most that wait, besides the ``concurrency`` that are under way; None: any number.

        Raises:
            ConfigError: the address wants a key that is not in the environment.
        """
        self.address = address
        self.settings = settings
        self._key = api_key(address)
        self._usage = True
        """Whether the endpoint is asked to say what a reply took; some refuse to be."""
        self._most = None if queue is None else settings.concurrency + queue
        self._asked = 0
        """Requests that wait or are under way."""
        self._closed = False
        self._open = threading.Lock()
        """Held while something is begun, so that nothing begins behind the end."""
        self._under_way: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._gate = asyncio.Semaphore(settings.concurrency)
        self._client = openai.AsyncOpenAI(
            api_key=self._key, base_url=address.url, timeout=settings.timeout_s, max_retries=RETRIES
        )
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"talking to {address.model}", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """The model's name at the endpoint."""
        return self.address.model

    def submit(self, question: Example, sampling: Sampling, *, listener: Listener | None = None) -> Ticket:
        """Ask, and return at once (``Talker.submit``). What a reply took is known where the endpoint says so."""
        self._check_open()
        messages = messages_of(question, self.settings)
        ticket = _RemoteTicket(question.id, listener=listener)
        with self._open:
            self._check_open()
            self._asked += 1
            self._loop.call_soon_threadsafe(self._start, messages, sampling, ticket)
        return ticket

    def layout(self, question: Example) -> Layout | None:
        """Return None: an endpoint does not tell what its model sees."""
        del question
        return None

    def close(self) -> None:
        """Cancel what is under way, and end the thread."""
        with self._open:
            if self._closed:
                return
            self._closed = True
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._call(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _check_open(self) -> None:
        """Refuse a request where it is plain that it cannot wait; under the lock this is certain."""
        if self._closed:
            raise RunError(f"{self.address}: closed, it is asked no more.")
        if self._most is not None and self._asked >= self._most:
            from triptych.infer.engine.engine import QueueFull  # which loads networks

            raise QueueFull(f"{self.name}: {self._asked} requests are under way or wait. Ask again in a moment.")

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(function, *arguments)

    # What follows runs in the thread.

    def _start(self, messages: list[dict[str, Json]], sampling: Sampling, ticket: _RemoteTicket) -> None:
        task = self._loop.create_task(self._answer(messages, sampling, ticket))
        self._under_way.add(task)

        def end(_task: asyncio.Task[None]) -> None:
            self._under_way.discard(task)
            with self._open:
                self._asked -= 1
            error = None if task.cancelled() else task.exception()
            if isinstance(error, Exception):  # whatever carries the bytes: who reads the ticket must not wait on
                ticket.fail(RunError(f"{self.address}: the reply was cut on its way ({one_line(error)}). Ask again."))
            elif not ticket.done:  # cancelled, it may be before it began
                ticket.tell(Delta("", finish="cancelled"))

        task.add_done_callback(end)
        ticket.on_cancel(lambda: self._call(task.cancel))
        if ticket.cancelled:
            task.cancel()

    async def _answer(self, messages: list[dict[str, Json]], sampling: Sampling, ticket: _RemoteTicket) -> None:
        """Tell the ticket the whole reply, or why there is none; what is raised is told where the task ends."""
        try:
            async with self._gate:
                await self._stream(messages, sampling, ticket)
        except TriptychError as error:
            ticket.fail(error)
        except openai.OpenAIError as error:
            ticket.fail(RunError(f"{self.address}: {one_line(error)}"))

    async def _stream(self, messages: list[dict[str, Json]], sampling: Sampling, ticket: _RemoteTicket) -> None:
        try:
            chunks = await self._begin(messages, sampling)
        except openai.BadRequestError as error:
            if not (self._usage and "stream_options" in str(error)):
                raise
            self._usage = False
            chunks = await self._begin(messages, sampling)
        finish: Finish | None = None
        async with chunks:
            async for chunk in chunks:
                if chunk.usage is not None:
                    ticket.book(chunk.usage)
                if not chunk.choices:
                    continue
                choice = chunk.choices[0]
                text = writable(choice.delta.content or "")
                logprobs = _logprobs(choice.logprobs) if sampling.logprobs is not None else ()
                if text or logprobs:
                    ticket.tell(Delta(text, logprobs))
                if choice.finish_reason is not None:
                    finish = _finish(choice.finish_reason, choice.delta.refusal, self.address)
        if finish is None:
            raise RunError(f"{self.address}: the reply was cut on its way. Ask again.")
        ticket.tell(Delta("", finish=finish))

    async def _begin(
        self, messages: list[dict[str, Json]], sampling: Sampling
    ) -> openai.AsyncStream[ChatCompletionChunk]:
        wishes = wishes_of(sampling, self.settings)
        if self._usage:
            wishes["stream_options"] = {"include_usage": True}
        return await self._client.chat.completions.create(
            model=self.address.model,
            messages=cast("list[ChatCompletionMessageParam]", []),
            # Here, as what is given to ``messages`` is walked through part by part to no effect.
            extra_body={"messages": messages, **wishes},
            stream=True,
        )

    async def _end(self) -> None:
        tasks = list(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what is to be told at their end is told in the round after
        await self._client.close()


def wishes_of(sampling: Sampling, settings: EndpointSettings) -> dict[str, Json]:
    """Return what a request says besides model and messages; what is as everywhere is not said."""
    said: dict[str, Json] = {settings.limit_name: sampling.max_tokens}
    if settings.temperature is not None:
        said["temperature"] = sampling.temperature
    if sampling.logprobs is not None:
        said |= {"logprobs": True, "top_logprobs": sampling.logprobs}
    optional: dict[str, tuple[Json, Json]] = {
        "top_p": (sampling.top_p, 1.0),
        "seed": (sampling.seed, None),
        "stop": (list(sampling.stop), []),
        # Not OpenAI's, but vLLM's, SGLang's and our own server's.
        "top_k": (sampling.top_k, 0),
        "repetition_penalty": (sampling.repetition_penalty, None),
        "ignore_eos": (sampling.ignore_stop, False),
    }
    return said | {name: value for name, (value, usual) in optional.items() if value != usual}


class _RemoteTicket(Ticket):
    """A ticket whose cancelling hangs up."""

    def __init__(self, name: str, *, listener: Listener | None) -> None:
        super().__init__(name, Usage(0, 0, 0, 0), listener=listener)
        self._hang_up: Callable[[], object] | None = None

    def on_cancel(self, hang_up: Callable[[], object]) -> None:
        """Call this when nobody wants the reply any more."""
        self._hang_up = hang_up

    def cancel(self) -> None:
        """Have no more of it."""
        super().cancel()
        if self._hang_up is not None:
            self._hang_up()

    def book(self, usage: CompletionUsage) -> None:
        """Take note of what the endpoint says that it took."""
        details = usage.prompt_tokens_details
        cached = (details.cached_tokens if details else None) or 0
        images = (getattr(details, "image_tokens", None) if details else None) or 0
        self._usage = replace(
            self._usage,
            tokens_in=usage.prompt_tokens,
            tokens_out=usage.completion_tokens,
            image_tokens=images,
            cached_tokens=cached,
        )


def _finish(reason: str, refusal: str | None, address: Address) -> Finish:
    ended = reason.casefold()
    if refusal or ended in REFUSED:
        raise RunError(f"{address}: refused: {' '.join((refusal or 'by the content filter').split())}")
    return "stop" if ended in WHOLE else "length"  # abort, error: it was cut, whoever did it


def _logprobs(logprobs: ChoiceLogprobs | None) -> tuple[TokenLogprob, ...]:
    found = []
    for each in (logprobs.content if logprobs else None) or ():
        top: list[Any] = list(each.top_logprobs or ())
        found.append(
            TokenLogprob(
                each.token,
                each.logprob,
                _bytes(each.token, each.bytes),
                tuple((other.token, other.logprob) for other in top),
                tuple(_bytes(other.token, other.bytes) for other in top),
            )
        )
    return tuple(found)


def _bytes(token: str, known: list[int] | None) -> bytes:
    return bytes(known) if known is not None else token.encode(errors="replace")
