"""A model behind an address as a responder: OpenAI's chat completions, many questions in flight.

Not a server, and nothing of what is sent (``chat_messages``), when (``in_flight``) or how hard (``limits``). A question
that could not be answered has failed, with the reason: the endpoint refused it, the budget is used up, a reply was cut
before its first word. What every further question would meet too, a wrong key or a model that is not there, is met
once. The key comes from the environment: ``TRIPTYCH_API_KEY``; for api.openai.com also ``OPENAI_API_KEY``, which no
other host is ever shown.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from random import Random
from urllib.parse import urlsplit

from triptych.core.errors import ConfigError
from triptych.core.records import Answer, Example, Json
from triptych.infer.endpoint.in_flight import ask_all
from triptych.infer.endpoint.limits import Allowance, Budget, Clock, Pace, Sleep
from triptych.infer.responder import Failed, Query, Told
from triptych.infer.settings import Address, EndpointSettings

KEY_VARIABLE = "TRIPTYCH_API_KEY"
PUBLIC_HOST, PUBLIC_KEY_VARIABLE = "api.openai.com", "OPENAI_API_KEY"
NO_KEY = "none"
"""What is sent to a server that wants no key."""

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
        allowance: Allowance | None = None,
        keep: Callable[[Told], None] | None = None,
    ) -> None:
        """Take the key from the environment.

        Args:
            address: of the endpoint, with the model's name.
            settings: how to ask.
            clock: seconds, from anywhere.
            sleep: waits so many seconds.
            random: for waits between attempts; None: seeded anew.
            allowance: a budget shared with others; None: one of its own, as the settings say.
            keep: gets each reply as soon as it is there, in another thread, before it is yielded.
        """
        self.address = address
        self.settings = settings
        self.plain = False
        """Whether the endpoint has refused a reply's schema."""
        self.budget = Budget(
            tokens=settings.budget_tokens,
            usd=settings.budget_usd,
            price_in=settings.price_in,
            price_out=settings.price_out,
        )
        self.allowance: Allowance = allowance or self.budget
        """What is asked before a question is sent: the budget, or one shared with others."""
        self.keep = keep
        self._clock, self._sleep, self._random = clock, sleep, random or Random()
        self._begun: deque[float] = deque()
        self.key = api_key(address)

    @property
    def name(self) -> str:
        """The model's name at the endpoint."""
        return self.address.model

    @property
    def fingerprint(self) -> str:
        """Digest of address, model name and the settings that change replies; the weights behind it are not known."""
        chosen = {name: getattr(self.settings, name) for name in ANSWERS_CHANGE_WITH}
        said = json.dumps([str(self.address), chosen], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def answer(self, questions: Iterable[Example], *, max_tokens: int = 32) -> Iterator[Answer | Failed]:
        """Yield each answer as it comes. Leave the iterator to cancel what is in flight."""
        with closing(self.answer_each(Query(question, max_tokens) for question in questions)) as answers:
            for told in answers:
                yield told.said

    def answer_each(self, queries: Iterable[Query | None]) -> Generator[Told]:
        """Yield what each query got, as it comes (``responder.EachResponder``). Leave the iterator to cancel."""
        pace = Pace(self.settings.requests_per_minute, clock=self._clock, sleep=self._sleep, begun=self._begun)
        yield from ask_all(queries, self, key=self.key, pace=pace, sleep=self._sleep, random=self._random)

    def sampling(self, max_tokens: int, *, sample: int = 0) -> dict[str, Json]:
        """Return what a request says besides model and messages; each further sample has a seed of its own."""
        settings = self.settings
        seed = (settings.seed or 0) + sample if sample else settings.seed
        chosen = {"temperature": settings.temperature, "top_p": settings.top_p, "seed": seed}
        return {
            settings.limit_name: max_tokens,
            **{name: value for name, value in chosen.items() if value is not None},
        }


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
