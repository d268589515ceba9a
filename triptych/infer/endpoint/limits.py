"""How hard an endpoint may be asked: requests in flight, requests a minute, tokens and money, and how long to wait.

Not the asking (``remote``). Nothing here looks at a clock, sleeps or draws by itself: all three are handed in.

- In flight: one more for every good reply, until the endpoint is overrun for the first time; then half as many, and
  from there one more for each round of good replies. What was sent before a halving does not halve again.
- Between attempts: twice as long each time, times a random factor, and never shorter than the endpoint asks for.
- Budget: a guess is set aside before a question is sent, and what it really cost is booked afterwards. The first
  question goes alone; from there on a guess is as many times larger as the dearest question so far was than its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil
from random import Random
from typing import Protocol

FIRST_IN_FLIGHT = 8
"""Requests that are sent at once before anything is known of the endpoint."""
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
MILLION = 1_000_000

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


def wait_s(attempt: int, random: Random, *, asked_s: float = 0.0) -> float:
    """Return how long to wait before the next attempt, in seconds.

    Args:
        attempt: how many have failed, from 1.
        random: for a factor from a half to one, so that many do not come back at once; of what was asked for, a tenth
            more at most.
        asked_s: what the endpoint asked for (``Retry-After``).
    """
    drawn = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)
    return max(drawn, min(asked_s, LONGEST_WAIT_S) * random.uniform(1.0, 1.1))


class Gate:
    """Lets so many requests be in flight at once. Its state is that number, and who is inside."""

    def __init__(self, most: int, *, first: int = FIRST_IN_FLIGHT) -> None:
        self._most = most
        self.limit = float(min(first, most))
        """How many may be in flight now; the whole part counts."""
        self.inside = 0
        self._calm = True
        self._round = 0
        self._changed = asyncio.Condition()

    async def enter(self) -> int:
        """Wait for a place, and return the number of the round, to be given back to `leave`."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.inside < int(self.limit))
            self.inside += 1
            return self._round

    async def leave(self, entered: int, *, overrun: bool | None) -> None:
        """Give the place back.

        Args:
            entered: from `enter`.
            overrun: whether the endpoint said that it is asked too hard; None: the reply says nothing of that.
        """
        async with self._changed:
            self.inside -= 1
            if overrun and entered == self._round:
                self.limit = max(1.0, self.limit / 2)
                self._calm = False
                self._round += 1
            elif overrun is False:
                self.limit = min(float(self._most), self.limit + (1.0 if self._calm else 1.0 / self.limit))
            self._changed.notify(max(0, int(self.limit) - self.inside))  # not all: they may be many


class Pace:
    """Lets so many requests begin within any minute. Its state is when the last ones began."""

    def __init__(
        self, per_minute: int | None, *, clock: Clock, sleep: Sleep, begun: deque[float] | None = None
    ) -> None:
        """Begin.

        Args:
            per_minute: most requests within any 60 s; None: no limit.
            clock: seconds, from anywhere.
            sleep: waits so many seconds.
            begun: when the last ones began, kept by who asks several times; None: none has.
        """
        self._per_minute = per_minute
        self._clock = clock
        self._sleep = sleep
        self._begun: deque[float] = deque() if begun is None else begun
        self._turn = asyncio.Lock()

    async def wait(self) -> None:
        """Wait until one more may begin."""
        if self._per_minute is None:
            return
        async with self._turn:
            while len(self._begun) >= self._per_minute:
                if (left_s := self._begun[0] + 60.0 - self._clock()) <= 0:
                    self._begun.popleft()
                else:
                    await self._sleep(left_s)
            self._begun.append(self._clock())


@dataclass(frozen=True, slots=True)
class Cost:
    """What one question takes, in tokens."""

    tokens_in: int
    tokens_out: int


class Allowance(Protocol):
    """What may be spent: a budget, of one responder or of several together."""

    def set_aside(self, guess: Cost, *, most: Cost | None = None, name: str = "") -> str | None:
        """Set a question's cost aside and return None, or return why it cannot be afforded besides what is set aside.

        Args:
            guess: what it may cost.
            most: what it cannot cost more than, as far as one can tell beforehand.
            name: the question's id.
        """

    def book(
        self,
        guess: Cost,
        spent: Cost | None,
        *,
        most: Cost | None = None,
        name: str = "",
        told: bool = True,
        replied: bool = False,
    ) -> Cost:
        """Replace what was set aside by what was spent, and return that.

        Args:
            guess: as in `set_aside`, as are ``most`` and ``name``.
            spent: None: nothing.
            most: as there.
            name: as there.
            told: whether the endpoint said so; False: it is a guess.
            replied: whether there is a reply.
        """

    @property
    def waits(self) -> bool:
        """Whether something is set aside, so that more may be affordable once it is booked."""


class Budget:
    """Counts what is spent. Its state is that, what is set aside for questions in flight, and how far guesses fall
    short. Never overdrawn, but for a question that costs more of its guess than every one before it."""

    def __init__(self, *, tokens: int | None, usd: float | None, price_in: float, price_out: float) -> None:
        """Begin with nothing spent.

        Args:
            tokens: most tokens in all; None: no limit.
            usd: most US dollars in all; None: no limit.
            price_in: dollars for a million tokens of questions.
            price_out: dollars for a million tokens of replies.
        """
        self._most = {"tokens": tokens, "dollars": usd}
        self._prices = (price_in, price_out)
        self.spent = {"tokens": 0.0, "dollars": 0.0}
        self.aside: list[Cost] = []
        """Guesses that are set aside."""
        self._dear: tuple[float, float] | None = None
        """How many times its guess the dearest question took, and the dearest reply; None: nothing is known yet."""

    @property
    def waits(self) -> bool:
        """Whether something is set aside."""
        return bool(self.aside)

    def set_aside(self, guess: Cost, *, most: Cost | None = None, name: str = "") -> str | None:
        """Set the guess aside and return None, or return why it cannot be afforded besides what is set aside."""
        why = self._short_of(guess)
        if why is None:
            self.aside.append(guess)
        return why

    def book(
        self,
        guess: Cost,
        spent: Cost | None,
        *,
        most: Cost | None = None,
        name: str = "",
        told: bool = True,
        replied: bool = False,
    ) -> Cost:
        """Replace a guess that was set aside by what was spent, and return that; None: nothing."""
        self.aside.remove(guess)
        if spent is None:
            return Cost(0, 0)
        dear_in, dear_out = self._dear or (1.0, 1.0)
        self._dear = (
            max(dear_in, spent.tokens_in / max(1, guess.tokens_in)),
            max(dear_out, spent.tokens_out / max(1, guess.tokens_out)),
        )
        for what, amount in self._values(spent.tokens_in, spent.tokens_out).items():
            self.spent[what] += amount
        return spent

    def _short_of(self, guess: Cost) -> str | None:
        if self._dear is None and self.aside and any(most is not None for most in self._most.values()):
            return "what a question costs is not known yet"
        dear_in, dear_out = self._dear or (1.0, 1.0)
        planned = [
            self._values(ceil(cost.tokens_in * dear_in), ceil(cost.tokens_out * dear_out))
            for cost in (*self.aside, guess)
        ]
        for what, most in self._most.items():
            spent = self.spent[what]
            if most is not None and spent + sum(values[what] for values in planned) > most:
                return f"the budget of {most:g} {what} is used up: {spent:.6g} spent, and a question more is too much"
        return None

    def _values(self, tokens_in: int, tokens_out: int) -> dict[str, float]:
        dollars = (tokens_in * self._prices[0] + tokens_out * self._prices[1]) / MILLION
        return {"tokens": tokens_in + tokens_out, "dollars": dollars}
