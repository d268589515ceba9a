"""Ask what has no reply yet: every item's requests as one stream, each distinct one once, each reply kept at once.

Not what becomes of the replies (``stage_work``). The teacher is never left waiting: items are read ahead of it. Beside
the replies it leaves, for every item, the keys of its requests, so that nothing is worked out twice.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from triptych.core.errors import DataError, RunError
from triptych.core.log import Advance
from triptych.core.records import Answer
from triptych.generate.item import Item
from triptych.generate.running.replies import ReplyStore
from triptych.generate.running.spend import Account
from triptych.generate.running.teachers import RecentDigests, Teacher, reply_of
from triptych.generate.stage import Request
from triptych.infer.answer_cache import Digests
from triptych.infer.responder import Cause, Failed, Query, Told, writable

IN_A_ROW = 20
"""After so many failures of the endpoint in a row, without a reply between them, it is not asked on."""
LOOK_UP_EVERY = 64
"""Items without a new request after which replies that have come are kept before more are read."""
SHOW_EVERY = 20
CAUSES: dict[Cause, str] = {
    "question": "not taken",
    "refused": "refused",
    "trouble": "no reply",
    "down": "nobody listens",
    "endpoint": "not allowed",
    "budget": "budget",
}
"""Causes of failures in words, for the progress."""


class BudgetUsedError(RunError):
    """The budget does not pay for one more request. What was asked is kept; a run goes on with a higher one."""


class RequestsOf:
    """The requests of an item. A callable, so that it can also be asked again when the replies are there."""

    def __init__(self, ask: Any, settings: Any, draw: Any) -> None:
        """Take the stage's ``ask``, its settings, and what draws for an item."""
        self._ask, self._settings, self._draw = ask, settings, draw

    def __call__(self, item: Item) -> Sequence[Request]:
        """Return the requests. Raises DataError, as the stage does; RunError: two have one name."""
        requests = self._ask(item, self._settings, self._draw(item.id))
        names = Counter(request.name for request in requests)
        if twice := [name for name, count in names.items() if count > 1]:
            raise RunError(f"{item.id}: two requests are called {twice[0]!r}. Mend the stage: names are distinct.")
        return list(requests)


@dataclass
class _Progress:
    """How many items wait for replies, for the progress bar and the forecast. State: the counts."""

    advance: Advance
    account: Account
    total: int
    begun_usd: float = 0.0
    begun_tokens: int = 0
    left: dict[int, int] = field(default_factory=dict)
    done: int = 0
    unshown: int = 0
    asked: int = 0
    failed: Counter[Cause] = field(default_factory=Counter)

    def open(self, number: int, requests: int) -> None:
        if requests:
            self.left[number] = requests
        else:
            self.finish()

    def close(self, number: int) -> None:
        self.left[number] -= 1
        if not self.left[number]:
            del self.left[number]
            self.finish()

    def finish(self) -> None:
        self.done += 1
        self.unshown += 1
        if self.unshown >= SHOW_EVERY or self.done == self.total:
            self.advance(self.unshown, self._told())
            self.unshown = 0

    def _told(self) -> str:
        usd, tokens = self.account.usd, self.account.tokens
        rest = (self.total - self.done) / max(1, self.done)
        later_usd, later_tokens = usd + (usd - self.begun_usd) * rest, tokens + (tokens - self.begun_tokens) * rest
        spent = f"${usd:.4g} of about ${later_usd:.4g}, " if later_usd else ""
        causes = ", ".join(f"{CAUSES[cause]} {count:,}" for cause, count in self.failed.most_common())
        failures = f", {self.failed.total():,} failed ({causes})" if self.failed else ""
        return f"{spent}{tokens:,} tokens of about {later_tokens:,.0f}{failures}"


def ask_all(
    items: Iterable[Item],
    requests_of: RequestsOf,
    *,
    teacher: Callable[[], Teacher],
    store: ReplyStore,
    label: str,
    total: int,
    keys: Path,
    account: Account,
    advance: Advance,
) -> int:
    """Ask what has no reply, keep each reply, write the keys of every item's requests; return how many were asked.

    Args:
        items: of the stage, in order.
        requests_of: what the stage asks about an item.
        teacher: opens who is asked; called when there is a request.
        store: keeps the replies, and why others failed.
        label: of the stage, for messages.
        total: number of items, for the forecast.
        keys: file that gets a line for each item: a list of keys.
        account: for the forecast.
        advance: shows the progress.

    Raises:
        BudgetUsedError: after what was in flight has come.
        RunError: the endpoint is down, or no question would get a reply.
    """
    shown = _Progress(advance, account, total, begun_usd=account.usd, begun_tokens=account.tokens)
    asking = _Asking(requests_of, teacher, store, label, shown)
    stream = asking.queries(items, keys)
    first = next((query for query in stream if query is not None), None)
    if first is not None:  # else everything is there, or nothing is asked
        with closing(_closing(teacher().responder.answer_each(chain([first], stream)))) as answers:
            for told in answers:
                if not asking.hear(told):
                    break
    if asking.stopped:
        _stop(asking.stopped, shown, account, label, total)
    return shown.asked


@dataclass
class _Asking:
    """The requests of one stage. Its state is which are under way, and why no more are asked."""

    requests_of: RequestsOf
    teacher: Callable[[], Teacher]
    store: ReplyStore
    label: str
    shown: _Progress
    stopped: list[Failed] = field(default_factory=list)
    """Failures that say that going on is of no use."""
    _waiting: dict[str, list[int]] = field(default_factory=dict)
    """Key of a request -> numbers of the items that wait for its reply."""
    _key_of: dict[str, str] = field(default_factory=dict)
    """A question's id -> the key."""
    _in_a_row: int = 0

    def queries(self, items: Iterable[Item], keys: Path) -> Iterator[Query | None]:
        """Yield what is to be asked, each distinct request once; None now and then, where there is nothing."""
        digests, quiet = RecentDigests(), 0
        with keys.open("w", encoding="ascii") as file:
            for number, item in enumerate(items):
                if self.stopped:
                    return
                asked = self._asked(item, digests)
                file.write(json.dumps([key for key, _ in asked]) + "\n")
                fresh = self._take(number, asked)
                yield from fresh
                quiet = 0 if fresh else quiet + 1
                if quiet % LOOK_UP_EVERY == LOOK_UP_EVERY - 1:
                    yield None

    def hear(self, told: Told) -> bool:
        """Keep what a request got; return whether to listen on."""
        said, teacher = told.said, self.teacher()
        key = self._key_of.pop(said.id, None)
        if key is None:
            raise RunError(f"{teacher.model} answered {said.id!r}, which was not asked, or not again.")
        if isinstance(said, Answer):
            if not teacher.keeps:
                reply = reply_of(told, model=teacher.model, allowance=teacher.allowance)
                self.store.put(key, teacher.name, reply=reply)
            self.shown.asked += 1
            self._in_a_row = 0
        elif said.cause == "budget":
            self.stopped.append(said)
        else:
            if said.cause == "refused":
                self.store.refuse(key, teacher.name, reason=writable(said.reason))
            else:
                self.store.fail(key, writable(said.reason))
            self.shown.failed[said.cause] += 1
            self._in_a_row += said.cause == "trouble"
            if said.cause in ("endpoint", "down") or self._in_a_row >= IN_A_ROW:
                self.stopped.append(said)
        waiting = self._waiting.pop(key)
        for number in () if isinstance(said, Failed) and said.cause == "budget" else waiting:
            self.shown.close(number)
        return not isinstance(said, Failed) or said.cause != "down"

    def _take(self, number: int, asked: Sequence[tuple[str, Query]]) -> list[Query]:
        """Note what an item waits for; return what of it nobody has asked yet."""
        fresh: list[Query] = []
        waits: set[str] = set()
        for key, query in asked:
            if key in waits:
                continue
            if key not in self._waiting:
                if self.store.has(key) or self.store.failure(key) is not None:
                    continue
                self._waiting[key] = []
                self._key_of[query.question.id] = key
                fresh.append(query)
            self._waiting[key].append(number)
            waits.add(key)
        self.shown.open(number, len(waits))
        return fresh

    def _asked(self, item: Item, digests: Digests) -> list[tuple[str, Query]]:
        """Return an item's requests with their keys; none where the stage cannot ask: `stage_work` says why."""
        try:
            requests = self.requests_of(item)
        except DataError:
            return []
        names = [f"{item.id}/{self.label}/{request.name}" for request in requests]
        return [
            self.teacher().query(request, label=name, digests=digests)
            for request, name in zip(requests, names, strict=True)
        ]


def _stop(stopped: Sequence[Failed], shown: _Progress, account: Account, label: str, total: int) -> None:
    """Raise what ends the run."""
    worst = next((each for each in stopped if each.cause != "budget"), stopped[0])
    kept = f"{label}: {shown.asked} new replies are kept"
    if worst.cause == "budget":
        spent = f"spent: ${account.usd:.6g} and {account.tokens:,} tokens"
        told = worst.reason.partition(". Start again")[0].rstrip(".")
        why = told[max(0, told.find("the budget")) :]  # without the address: the budget is of all
        rest = f"about {total - shown.done:,} of {total:,} items wait for replies"
        raise BudgetUsedError(f"{why}. {kept}; {rest}; {spent}. Raise budget and run again: it goes on here.")
    raise RunError(f"{worst.reason.rstrip('.')}. {kept}; run again when the endpoint is well: it goes on here.")


def _closing(answers: Iterator[Told]) -> Generator[Told]:
    """Yield the answers; closing this closes them."""
    yield from answers
