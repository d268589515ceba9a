"""Questions in flight at an endpoint: attempts, waits, the budget and the pace, in one thread with an event loop.

Not the responder that people open (``remote``). Which questions are next is asked in the caller's thread, so far ahead
that nothing waits for it; the thread here only sends. Its state is what is in flight, and what was found to hold for
every question.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from itertools import cycle
from math import ceil
from random import Random
from typing import Protocol

import openai

from triptych.core.errors import DataError
from triptych.core.log import say
from triptych.core.records import Answer, Example, Json, Text, parts_of
from triptych.infer.endpoint.chat_messages import guess_tokens, messages_of, most_tokens
from triptych.infer.endpoint.limits import Allowance, Cost, Gate, Pace, Sleep, wait_s
from triptych.infer.endpoint.response import Completion, Trouble, read_error, read_reply
from triptych.infer.responder import Cause, Failed, Query, Told
from triptych.infer.settings import Address, EndpointSettings

NOTHING = Cost(0, 0)
CONNECTIONS = 4
"""Connections of one client: for each request, it looks at all of them."""
ENOUGH = 20
"""After so many forbidden requests and no reply, every question counts as forbidden."""
SURE = 3
"""After so many questions that got a reply without a schema only, and none with one, the endpoint takes none."""


Schema = Mapping[str, Json] | None


class Asker(Protocol):
    """Who asks: where, how, and what of it goes on from one call to the next."""

    address: Address
    settings: EndpointSettings
    allowance: Allowance
    plain: bool
    """Whether the endpoint has refused a reply's schema."""
    keep: Callable[[Told], None] | None
    """Called with each reply as soon as it is there, in the thread that asks; so little is lost with a process."""

    def sampling(self, max_tokens: int, *, sample: int = 0) -> dict[str, Json]:
        """Return what a request says besides model and messages."""


@dataclass(frozen=True, slots=True)
class _Got:
    """One attempt's outcome, with what is booked for it."""

    said: Completion | Trouble
    cost: Cost = NOTHING
    seconds: float = 0.0


def ask_all(
    queries: Iterable[Query | None], who: Asker, *, key: str, pace: Pace, sleep: Sleep, random: Random
) -> Iterator[Told]:
    """Yield what each query got, as it comes. Leave the iterator to cancel what is in flight."""
    found: queue.SimpleQueue[Told | BaseException] = queue.SimpleQueue()
    loop = asyncio.new_event_loop()
    in_flight = _RequestsInFlight(who, found.put, pace=pace, sleep=sleep, random=random)
    task = loop.create_task(in_flight.run(key))

    def work() -> None:
        try:
            with suppress(asyncio.CancelledError):
                loop.run_until_complete(task)
            loop.run_until_complete(asyncio.sleep(0))  # connections are closed in the round after
        finally:
            if not task.cancelled() and (error := task.exception()) is not None:
                found.put(error)
            loop.close()

    def call(function: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(function, *arguments)

    worker = threading.Thread(target=work, name=f"asking {who.address.model}", daemon=True)
    worker.start()
    ahead = 2 * who.settings.concurrency + ENOUGH
    source, more, waiting = iter(queries), True, 0
    try:
        while more or waiting:
            if more and waiting < ahead and found.empty():
                try:
                    query = next(source)
                except StopIteration:
                    more = False
                    call(in_flight.close)
                    continue
                if query is not None:
                    waiting += 1
                    call(in_flight.send, query)
                continue
            said = found.get()
            if isinstance(said, BaseException):
                raise said
            waiting -= 1
            yield said
    finally:
        if more or waiting:
            call(task.cancel)
        worker.join()


def wishes_of(query: Query, who: Asker, *, schema: Schema) -> dict[str, Json]:
    """Return what a request says besides model and messages.

    Args:
        query: the question.
        who: how it is asked.
        schema: of the reply; None: it is not said, as where the endpoint has refused it.
    """
    said = who.sampling(query.max_tokens, sample=query.sample)
    if schema is not None:
        form: Json = {"name": "reply", "strict": True, "schema": dict(schema)}
        said["response_format"] = {"type": "json_schema", "json_schema": form}
    return said


class _RequestsInFlight:
    """The questions of one `ask_all`, each a task of the event loop."""

    def __init__(self, who: Asker, tell: Callable[[Told], None], *, pace: Pace, sleep: Sleep, random: Random) -> None:
        self._who = who
        self._tell = tell
        self._settings = who.settings
        self._sleep, self._random = sleep, random
        self._gate = Gate(who.settings.concurrency)
        self._pace = pace
        self._booked = asyncio.Condition()
        self._hopeless: Trouble | None = None
        self._forbidden, self._replied = 0, False
        self._only_plain, self._took_schema = 0, False
        # One thread reads the images: nothing of that waits for the network, and decoders are not shared.
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pictures")
        self._closed = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._clients: Iterator[openai.AsyncOpenAI] = iter(())

    async def run(self, key: str) -> None:
        """Ask what is sent until it is closed and everything is told."""
        clients = [
            openai.AsyncOpenAI(
                api_key=key, base_url=self._who.address.url, timeout=self._settings.timeout_s, max_retries=0
            )
            for _ in range(ceil(self._settings.concurrency / CONNECTIONS))
        ]
        self._clients = cycle(clients)
        try:
            async with AsyncExitStack() as stack:
                for client in clients:
                    await stack.enter_async_context(client)
                self._group = await stack.enter_async_context(asyncio.TaskGroup())
                await self._closed.wait()
        finally:
            self._reader.shutdown(wait=False, cancel_futures=True)

    def send(self, query: Query) -> None:
        """Take one more."""
        assert self._group is not None, "sent before the loop ran"
        self._group.create_task(self._ask(query))

    def close(self) -> None:
        """Take no more."""
        self._closed.set()

    async def _ask(self, query: Query) -> None:
        name, attempt = query.question.id, 0
        while True:
            attempt += 1
            got = await self._attempt(query)
            said = got.said
            if isinstance(said, Completion):
                self._tell(_told(name, said, got))
                return
            if said.for_all or (said.maybe_for_all and not self._replied and self._forbidden >= ENOUGH):
                self._hopeless = said
            if not said.again or attempt == self._settings.attempts:
                times = f" ({attempt} attempts)" if attempt > 1 else ""
                reason = f"{self._who.address}: {said.reason}{times}{said.remedy}"
                self._tell(Told(Failed(name, reason, self._cause(said))))
                return
            await self._sleep(wait_s(attempt, self._random, asked_s=said.asked_s))

    def _cause(self, said: Trouble) -> Cause:
        if said.broke:
            return "budget"
        if said is self._hopeless:
            return "endpoint"
        if said.down:
            return "down"
        if said.again:
            return "trouble"
        return "refused" if said.paid else "question"

    async def _attempt(self, query: Query) -> _Got:
        entered = await self._gate.enter()
        overrun: bool | None = None
        try:
            if self._hopeless is not None:
                return _Got(self._hopeless)
            try:
                messages = await self._messages(query.question)
            except DataError as error:
                return _Got(Trouble(reason=str(error)))
            got = await self._send(query, messages)
            if isinstance(got.said, Completion):
                self._replied = True
                if self._who.keep is not None:
                    self._who.keep(_told(query.question.id, got.said, got))
            elif got.said.maybe_for_all:
                self._forbidden += 1
            overrun = False if isinstance(got.said, Completion) else got.said.overrun
            return got
        finally:
            await self._gate.leave(entered, overrun=overrun)

    async def _messages(self, question: Example) -> list[dict[str, Json]]:
        """Return the conversation as it is sent. Raises DataError."""
        if all(isinstance(part, Text) for part in parts_of(question)):
            return messages_of(question, self._settings)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reader, messages_of, question, self._settings)

    async def _send(self, query: Query, messages: list[dict[str, Json]]) -> _Got:
        """Send a request; where its schema may be what the endpoint does not take, once more without.

        A reply to that is no proof that it was: a status 400 may pass by itself. So the others are asked without one
        only where the endpoint speaks of the schema, or where it has never taken one.
        """
        if query.schema is None or self._who.plain:
            return await self._send_once(query, messages, None)
        got = await self._send_once(query, messages, query.schema)
        if isinstance(got.said, Completion):
            self._took_schema = True
            return got
        if not got.said.bad_request:
            return got
        without = await self._send_once(query, messages, None)
        if not isinstance(without.said, Completion) or self._who.plain:
            return without
        self._only_plain += 1
        if got.said.of_schema or (self._only_plain >= SURE and not self._took_schema):
            self._who.plain = True
            say(
                f"{self._who.address} takes no response_format of a schema ({got.said.reason}): asked without it from"
                " here on"
            )
        return without

    async def _send_once(self, query: Query, messages: list[dict[str, Json]], schema: Schema) -> _Got:
        """Send one request, within the budget and the pace."""
        name = query.question.id
        guess = Cost(guess_tokens(messages), query.max_tokens)
        most = Cost(most_tokens(messages, query.schema), query.max_tokens)
        if why := await self._set_aside(guess, most, name):
            rest = "Start again for the rest: what is answered is not asked again."
            return _Got(Trouble(reason=f"{why}. {rest}", broke=True))
        spent: Cost | None = None
        told, replied = True, False
        begin = time.monotonic()
        client = next(self._clients)
        extra = wishes_of(query, self._who, schema=schema)
        said: Completion | Trouble
        try:
            await self._pace.wait()
            begin = time.monotonic()
            async with asyncio.timeout(self._settings.timeout_s):
                # As text, and not by ``chat.completions``, which walks through all that is sent and said to no effect.
                text = await client.post(
                    "/chat/completions",
                    cast_to=str,
                    body={"model": self._who.address.model, "messages": messages, **extra},
                )
            said = read_reply(text)
            told, replied = said.cost is not None, isinstance(said, Completion)
            spent = said.cost or (guess if isinstance(said, Completion) or said.paid else None)
        except (openai.OpenAIError, TimeoutError) as error:
            said = read_error(error)
            told, spent = not said.paid, guess if said.paid else None
        except UnicodeEncodeError:
            said = Trouble(reason="its words hold half a letter, which cannot be sent. Mend the question.")
        except asyncio.CancelledError:
            told, spent = False, guess  # it may have been worked on
            raise
        finally:
            allowance = self._who.allowance
            cost = allowance.book(guess, spent, most=most, name=name, told=told, replied=replied)
            async with self._booked:
                self._booked.notify_all()
        return _Got(said, cost, time.monotonic() - begin)

    async def _set_aside(self, guess: Cost, most: Cost, name: str) -> str | None:
        """Return why a question cannot be afforded; wait while that is only for those in flight."""
        budget = self._who.allowance
        async with self._booked:
            while (why := budget.set_aside(guess, most=most, name=name)) and budget.waits:
                await self._booked.wait()
            return why


def _told(name: str, said: Completion, got: _Got) -> Told:
    known = said.cost or NOTHING
    answer = Answer(name, said.text, tokens_in=known.tokens_in, tokens_out=known.tokens_out, cut=said.cut)
    return Told(answer, got.cost.tokens_in, got.cost.tokens_out, got.seconds)
