"""What a run may still spend: one account for all teachers, in tokens and dollars, kept over restarts by the replies.

Not the prices' source (the recipe), nor the asking. Before a request is sent, the most that it can cost is set aside;
it is sent only if all that is spent, lost and set aside stays within the budget. The most is: a token for each byte of
its words, what the dearest endpoints take for its images, the longest reply, and what the server adds to every question
(a template of its own). That is not known before the first question, which goes alone; afterwards it is at most what a
question cost beyond a token for every 16 bytes of its own. What was in flight when a process died counts as spent. So
the account is not overdrawn, as long as an endpoint bills what it says.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from triptych.generate.recipe import BudgetPlan
from triptych.generate.running.costs import Learnt, Totals
from triptych.generate.running.replies import ReplyStore
from triptych.infer.endpoint.limits import MILLION, Cost

FIRST_ADDED = 256
"""Tokens that a server may add to the first question."""
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Prices:
    """What a teacher takes, in US dollars for a million tokens."""

    price_in: float = 0.0
    price_out: float = 0.0

    def usd(self, cost: Cost) -> float:
        """Return the dollars of so many tokens."""
        return (cost.tokens_in * self.price_in + cost.tokens_out * self.price_out) / MILLION


class Account:
    """Counts for all teachers of a run. Its state is what is spent and what is set aside; any thread may use it."""

    def __init__(self, budget: BudgetPlan, totals: Mapping[str, Totals]) -> None:
        """Begin with what the replies on disk have taken."""
        self.budget = budget
        self.tokens = sum(total.tokens for total in totals.values())
        """Spent, lost ones included."""
        self.usd = sum(total.all_usd for total in totals.values())
        self._aside: dict[str, tuple[int, float]] = {}
        self._aside_tokens, self._aside_usd = 0, 0.0
        """Sums of all that is set aside: a batch sets tens of thousands aside."""
        self._lock = threading.RLock()

    @property
    def limited(self) -> bool:
        """Whether there is a limit."""
        return self.budget.usd is not None or self.budget.tokens is not None

    @property
    def waits(self) -> bool:
        """Whether something is set aside."""
        return bool(self._aside)

    def set_aside(self, name: str, *, tokens: int, usd: float) -> str | None:
        """Set the cost of a request aside and return None, or return why it cannot be paid."""
        with self._lock:
            most_tokens, most_usd = self.budget.tokens, self.budget.usd
            if most_usd is not None and self.usd + self._aside_usd + usd > most_usd * (1 + ROUNDING):
                return _used_up(f"${most_usd:g}", f"${self.usd:.6g}", f"${usd:.2g}")
            if most_tokens is not None and self.tokens + self._aside_tokens + tokens > most_tokens:
                return _used_up(f"{most_tokens:,.0f} tokens", f"{self.tokens:,}", f"{tokens:,}")
            self._take_back(name)
            self._aside[name] = (tokens, usd)
            self._aside_tokens += tokens
            self._aside_usd += usd
            return None

    def book(self, name: str, *, tokens: int, usd: float) -> None:
        """Replace what was set aside by what was spent."""
        with self._lock:
            self._take_back(name)
            self.tokens += tokens
            self.usd += usd

    def _take_back(self, name: str) -> None:
        """Set nothing aside for a request any more."""
        tokens, usd = self._aside.pop(name, (0, 0.0))
        self._aside_tokens -= tokens
        self._aside_usd = self._aside_usd - usd if self._aside else 0.0  # begins anew, so that no rounding adds up


class Allowance:
    """What one teacher may spend of an account (an ``Allowance``). Its state is what its questions cost."""

    def __init__(
        self, account: Account, store: ReplyStore, *, teacher: str, prices: Prices, bills: bool, known: Learnt
    ) -> None:
        """Take part in the account.

        Args:
            account: of all.
            store: where it is written down what is sent.
            teacher: its name in the recipe.
            prices: its own.
            bills: whether a request that is sent may cost something also where its reply never comes.
            known: from earlier starts.
        """
        self.prices = prices
        self._account, self._store, self._teacher, self._bills = account, store, teacher, bills
        self.learnt = known
        """What its questions so far have shown."""

    @property
    def waits(self) -> bool:
        """Whether something is set aside, so that more may be affordable once it is booked."""
        return self._account.waits

    def set_aside(self, guess: Cost, *, most: Cost | None = None, name: str = "") -> str | None:
        """Set the most that a question can cost aside, write that down, and return None; or return why not."""
        if self.learnt.added is None and self._account.limited and self._account.waits:
            return "what a question costs is not known yet"
        bound = self._bound(most or guess)
        usd = self.prices.usd(bound)
        why = self._account.set_aside(name, tokens=bound.tokens_in + bound.tokens_out, usd=usd)
        if why is None and self._bills:
            self._store.sent(name, self._teacher, tokens=bound.tokens_in + bound.tokens_out, usd=usd)
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
        """Book what a question cost, and return that; what the endpoint does not tell is booked at its most."""
        cost = Cost(0, 0)
        if spent is not None:
            cost = spent if told else self._bound(most or guess)
            if told:
                self.learnt = self.learnt.after(most or guess, spent)
        usd = self.prices.usd(cost)
        if not replied and spent is not None:
            self._store.paid(name, self._teacher, tokens=cost.tokens_in + cost.tokens_out, usd=usd)
        elif not replied and self._bills:
            self._store.back(name, self._teacher)
        self._account.book(name, tokens=cost.tokens_in + cost.tokens_out, usd=usd)
        return cost

    def _bound(self, most: Cost) -> Cost:
        learnt = self.learnt
        added = FIRST_ADDED if learnt.added is None else learnt.added
        return Cost(most.tokens_in + max(added, learnt.over_in), most.tokens_out + learnt.over_out)


def _used_up(most: str, spent: str, more: str) -> str:
    return f"the budget of {most} is used up: {spent} spent, and one more request may take {more}"
