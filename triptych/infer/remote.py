"""A model behind an address as a responder: OpenAI's chat completions, many questions in flight.

Not a server, and nothing of what is sent (``wire``) or how hard (``limits``). A question that could not be answered has
failed, with the reason: the endpoint refused it, the budget is used up, a reply was cut before its first word. What
every further question would meet too, a wrong key or a model that is not there, is met once. The key comes from the
environment: ``TRIPTYCH_API_KEY``; for api.openai.com also ``OPENAI_API_KEY``, which no other host is ever shown.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import openai

from triptych.core.errors import ConfigError, DataError, RunError
from triptych.core.records import Answer, Example, Json
from triptych.infer.limits import Budget, Clock, Cost, Gate, Pace, Sleep, wait_s
from triptych.infer.reply import Spoken, Trouble, one_line, read_error, read_reply
from triptych.infer.responder import Failed
from triptych.infer.settings import Address, EndpointSettings
from triptych.infer.wire import guess_tokens, messages_of

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

KEY_VARIABLE = "TRIPTYCH_API_KEY"
PUBLIC_HOST, PUBLIC_KEY_VARIABLE = "api.openai.com", "OPENAI_API_KEY"
NO_KEY = "none"
"""What is sent to a server that wants no key."""

ENOUGH = 20
"""So many that are forbidden, before any reply, and every question would be."""
ANSWERS_CHANGE_WITH = ("temperature", "top_p", "seed", "image_side_px", "image_bytes", "video_frames")


class RemoteResponder:
    """Asks an endpoint. Its state is the budget and when requests began: both hold over all that it is asked."""

    def __init__(
        self,
        address: Address,
        settings: EndpointSettings,
        *,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        random: Random | None = None,
    ) -> None:
        """Take the key from the environment.

        Args:
            address: of the endpoint, with the model's name.
            settings: how to ask.
            clock: seconds, from anywhere.
            sleep: waits so many seconds.
            random: for waits between attempts; None: seeded anew.
        """
        self.address = address
        self.settings = settings
        self.budget = Budget(
            tokens=settings.budget_tokens,
            usd=settings.budget_usd,
            price_in=settings.price_in,
            price_out=settings.price_out,
        )
        self._clock, self._sleep, self._random = clock, sleep, random or Random()
        self._begun: deque[float] = deque()
        self._key = api_key(address)

    @property
    def name(self) -> str:
        """The model's name at the endpoint."""
        return self.address.model

    @property
    def fingerprint(self) -> str:
        """Of the address, the model's name and the settings that change replies; the weights behind it nobody knows."""
        chosen = {name: getattr(self.settings, name) for name in ANSWERS_CHANGE_WITH}
        said = json.dumps([str(self.address), chosen], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def answer(self, questions: Sequence[Example], *, max_tokens: int = 32) -> Iterator[Answer | Failed]:
        """Yield each answer as it comes. Leave the iterator to cancel what is in flight."""
        found: queue.SimpleQueue[Answer | Failed | BaseException] = queue.SimpleQueue()
        loop = asyncio.new_event_loop()
        pace = Pace(self.settings.requests_per_minute, clock=self._clock, sleep=self._sleep, begun=self._begun)
        asking = _Asking(self, max_tokens, pace=pace, sleep=self._sleep, random=self._random)
        task = loop.create_task(asking.ask_all(questions, found.put, self._key))

        def work() -> None:
            try:
                with suppress(asyncio.CancelledError):
                    loop.run_until_complete(task)
                loop.run_until_complete(asyncio.sleep(0))  # connections are closed in the round after
            finally:
                if not task.cancelled() and (error := task.exception()) is not None:
                    found.put(error)
                loop.close()

        worker = threading.Thread(target=work, name=f"asking {self.name}", daemon=True)
        worker.start()
        waiting = len(questions)
        try:
            while waiting:
                said = found.get()
                if isinstance(said, BaseException):
                    raise said
                waiting -= 1
                yield said
        finally:
            if waiting:
                with suppress(RuntimeError):  # the loop has ended by itself
                    loop.call_soon_threadsafe(task.cancel)
            worker.join()

    def stream(self, question: Example, *, max_tokens: int) -> Iterator[str]:
        """Yield the reply in pieces, as the endpoint sends them.

        Raises:
            DataError: the question cannot be asked.
            RunError: the endpoint did not answer.
        """
        messages = messages_of(question, self.settings)
        client = openai.OpenAI(
            api_key=self._key, base_url=self.address.url, timeout=self.settings.timeout_s, max_retries=2
        )
        try:
            with (
                client,
                client.chat.completions.create(
                    model=self.address.model,
                    messages=cast("list[ChatCompletionMessageParam]", messages),
                    extra_body=self.sampling(max_tokens),
                    stream=True,
                ) as chunks,
            ):
                for chunk in chunks:
                    if chunk.choices and (piece := chunk.choices[0].delta.content):
                        yield piece
        except openai.OpenAIError as error:
            raise RunError(f"{self.address}: {one_line(error)}") from None

    def sampling(self, max_tokens: int) -> dict[str, Json]:
        """Return what a request says besides model and messages."""
        settings = self.settings
        chosen = {"temperature": settings.temperature, "top_p": settings.top_p, "seed": settings.seed}
        return {
            settings.limit_name: max_tokens,
            **{name: value for name, value in chosen.items() if value is not None},
        }


class _Asking:
    """All questions of one call. Its state is what is in flight, and what was found to hold for every question."""

    def __init__(self, who: RemoteResponder, max_tokens: int, *, pace: Pace, sleep: Sleep, random: Random) -> None:
        self._who = who
        self._settings = who.settings
        self._max_tokens = max_tokens
        self._sleep, self._random = sleep, random
        self._gate = Gate(who.settings.concurrency)
        self._pace = pace
        self._booked = asyncio.Condition()
        self._hopeless: Trouble | None = None
        self._forbidden, self._replied = 0, False
        # One thread reads the pictures: nothing of that waits for the network, and decoders are not shared.
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pictures")

    async def ask_all(self, questions: Sequence[Example], tell: Callable[[Answer | Failed], None], key: str) -> None:
        """Ask everything, and tell each answer as it comes."""
        client = openai.AsyncOpenAI(
            api_key=key, base_url=self._who.address.url, timeout=self._settings.timeout_s, max_retries=0
        )

        async def ask(question: Example) -> None:
            tell(await self._ask(client, question))

        try:
            async with client, asyncio.TaskGroup() as group:
                for question in questions:
                    group.create_task(ask(question))
        finally:
            self._reader.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, client: openai.AsyncOpenAI, question: Example) -> Answer | Failed:
        attempt = 0
        while True:
            attempt += 1
            said = await self._attempt(client, question)
            if isinstance(said, Spoken):
                cost = said.cost or Cost(0, 0)
                return Answer(question.id, said.text, tokens_in=cost.tokens_in, tokens_out=cost.tokens_out)
            if said.for_all or (said.maybe_for_all and not self._replied and self._forbidden >= ENOUGH):
                self._hopeless = said
            if not said.again or attempt == self._settings.attempts:
                times = f" ({attempt} attempts)" if attempt > 1 else ""
                return Failed(question.id, f"{self._who.address}: {said.reason}{times}")
            await self._sleep(wait_s(attempt, self._random, asked_s=said.asked_s))

    async def _attempt(self, client: openai.AsyncOpenAI, question: Example) -> Spoken | Trouble:
        entered = await self._gate.enter()
        overrun: bool | None = None
        try:
            if self._hopeless is not None:
                return self._hopeless
            try:
                loop = asyncio.get_running_loop()
                messages = await loop.run_in_executor(self._reader, messages_of, question, self._settings)
            except DataError as error:
                return Trouble(reason=str(error))
            said = await self._send(client, messages)
            if isinstance(said, Spoken):
                self._replied = True
            elif said.maybe_for_all:
                self._forbidden += 1
            overrun = False if isinstance(said, Spoken) else said.overrun
            return said
        finally:
            await self._gate.leave(entered, overrun=overrun)

    async def _send(self, client: openai.AsyncOpenAI, messages: list[dict[str, Json]]) -> Spoken | Trouble:
        """Send one request, within the budget and the pace."""
        guess = Cost(guess_tokens(messages), self._max_tokens)
        if why := await self._set_aside(guess):
            return Trouble(reason=f"{why}. Start again for the rest: what is answered is not asked again.")
        spent: Cost | None = None
        try:
            await self._pace.wait()
            async with asyncio.timeout(self._settings.timeout_s):
                response = await client.chat.completions.with_raw_response.create(
                    model=self._who.address.model,
                    messages=cast("list[ChatCompletionMessageParam]", messages),
                    extra_body=self._who.sampling(self._max_tokens),
                )
            said = read_reply(response.text)
            spent = said.cost or (guess if isinstance(said, Spoken) or said.paid else None)
            return said
        except (openai.OpenAIError, TimeoutError) as error:
            lost = read_error(error)
            spent = guess if lost.paid else None
            return lost
        except UnicodeEncodeError:
            return Trouble(reason="its words hold half a letter, which cannot be sent. Mend the question.")
        finally:
            self._who.budget.book(guess, spent)
            async with self._booked:
                self._booked.notify_all()

    async def _set_aside(self, guess: Cost) -> str | None:
        """Return why a question cannot be afforded; wait while that is only for those in flight."""
        budget = self._who.budget
        async with self._booked:
            while (why := budget.set_aside(guess)) and budget.aside:
                await self._booked.wait()
            return why


def api_key(address: Address) -> str:
    """Return the key for an address from the environment, or a word that says there is none.

    Raises:
        ConfigError: the public endpoint, and no key for it; or a key that cannot be sent.
    """
    if key := _key_in(KEY_VARIABLE):
        return key
    if urlsplit(address.url).hostname != PUBLIC_HOST:
        return NO_KEY
    if key := _key_in(PUBLIC_KEY_VARIABLE):
        return key
    raise ConfigError(f"{address.url} wants a key: set {KEY_VARIABLE} or {PUBLIC_KEY_VARIABLE} in the environment.")


def _key_in(variable: str) -> str:
    """Return the key without the line break that a file may have given it. Raises ConfigError."""
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"{variable} holds a letter that no key has (it is not told here). Set it anew.")
    return key
