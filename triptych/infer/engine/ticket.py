"""One request on its way: pieces of a reply as they come, from the thread that makes them to the one that reads them.

Not the making (``engine``). Everything here may be called from any thread.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from triptych.core.errors import TriptychError

Finish = Literal["stop", "length", "cancelled"]
"""``stop``: the model ended its reply, or a stop text came. ``length``: it was as long as allowed."""

Raw = bytes


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token that was said, how likely it was, and what else was likely."""

    text: str
    """Part of a character is a replacement character in here; ``bytes`` has it as it is."""
    logprob: float
    bytes: Raw
    top: tuple[tuple[str, float], ...] = ()
    """The likeliest tokens and their log-probabilities, the likeliest first."""
    top_bytes: tuple[Raw, ...] = ()
    """Bytes of the tokens in ``top``."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a reply."""

    text: str
    """Whole characters only; the pieces join to the reply."""
    logprobs: tuple[TokenLogprob, ...] = ()
    """Log-probabilities of the tokens that came with it, where they were asked for."""
    finish: Finish | None = None
    """Why it ends here; on the last piece only."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request took, in tokens."""

    tokens_in: int
    """Tokens of the prompt, images included."""
    tokens_out: int
    """Tokens of the reply so far, the one that ended it included."""
    image_tokens: int
    """Tokens of the prompt that belong to images, with those that the family puts among them."""
    cached_tokens: int
    """Tokens of the prompt that were not computed again."""


Listener = Callable[[Delta | TriptychError], None]
"""Called in the engine's thread with each piece, or with why there is no reply; it must not wait for anything."""


class Ticket:
    """A request's reply. Its state: the pieces nobody has read yet, and what it took."""

    def __init__(self, name: str, usage: Usage, *, listener: Listener | None = None) -> None:
        """Begin. The name is the question's; with a listener the pieces go there, and are not kept here."""
        self.name = name
        self._usage = usage
        self._listener = listener
        self._pieces: queue.SimpleQueue[Delta | TriptychError] = queue.SimpleQueue()
        self._last: Delta | TriptychError | None = None
        self._done = threading.Event()
        self._cancelled = threading.Event()

    @property
    def usage(self) -> Usage:
        """What it has taken so far; complete when the reply is."""
        return self._usage

    @property
    def done(self) -> bool:
        """Whether the last piece has come, or it has failed."""
        return self._done.is_set()

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants the reply any more."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Have no more of it: its place is free within a step. What has been said stays said."""
        self._cancelled.set()

    def __iter__(self) -> Iterator[Delta]:
        """Yield the pieces as they come, each once; leave the iterator to cancel the rest.

        Raises:
            TriptychError: the request failed.
        """
        try:
            while self._last is None:
                piece = self._pieces.get()
                if isinstance(piece, TriptychError) or piece.finish is not None:
                    self._last = piece
                if isinstance(piece, Delta):
                    yield piece
            if isinstance(self._last, TriptychError):
                raise self._last
        finally:
            if not self.done:
                self.cancel()

    def join(self) -> str:
        """Wait for the reply, or for what is left of it, and return it. Raises as iterating does."""
        return "".join(piece.text for piece in self)

    # What follows is for the engine.

    def take(self, *, cached: int | None = None, said: int | None = None) -> None:
        """Take note of what it took: tokens of the prompt that were known, tokens of the reply so far."""
        if cached is not None:
            self._usage = replace(self._usage, cached_tokens=cached)
        if said is not None:
            self._usage = replace(self._usage, tokens_out=said)

    def tell(self, piece: Delta) -> None:
        """Hand over a piece."""
        if piece.finish is not None:
            self._done.set()
        (self._listener or self._pieces.put)(piece)

    def fail(self, error: TriptychError) -> None:
        """Say that there will be no reply, and why."""
        self._done.set()
        (self._listener or self._pieces.put)(error)
