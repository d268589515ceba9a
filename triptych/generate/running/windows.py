"""A responder that takes whole lists, asked as a stream: in windows, each question within the account.

Not an endpoint, which takes a stream itself (``infer/endpoint/in_flight.py``). A local model batches what is in a
window; what it costs is counted in tokens, and in money where the recipe says what the machine costs.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, cast

from triptych.core.records import Answer, Example, Text, parts_of
from triptych.generate.running.spend import Allowance
from triptych.infer.canned import CannedResponder
from triptych.infer.endpoint.chat_messages import AROUND_MESSAGE, TOKENS_PER_IMAGE
from triptych.infer.endpoint.limits import Cost
from triptych.infer.responder import Failed, Query, Responder, Told

if TYPE_CHECKING:
    from triptych.infer.local import LocalResponder


class Windowed:
    """A responder that takes whole lists, asked as a stream, within an allowance."""

    def __init__(self, inner: Responder, allowance: Allowance, *, window: int) -> None:
        """Ask ``inner``, so many questions at a time."""
        self.inner = inner
        self._allowance = allowance
        self._window = window
        self._timed = not isinstance(inner, CannedResponder)

    def answer_each(self, queries: Iterable[Query | None]) -> Iterator[Told]:
        """Yield what each query got, window by window."""
        window: list[Query] = []
        for query in queries:
            if query is None:
                continue
            most = _most(query)
            why = self._allowance.set_aside(most, name=query.question.id)
            if why and window:  # those before it may have cost less than they could have
                yield from self._answer(window)
                window = []
                why = self._allowance.set_aside(most, name=query.question.id)
            if why:
                yield Told(Failed(query.question.id, why, "budget"))
                continue
            window.append(query)
            if len(window) >= self._window:
                yield from self._answer(window)
                window = []
        yield from self._answer(window)

    def _answer(self, window: list[Query]) -> Iterator[Told]:
        asked = {query.question.id: query for query in window}
        begin = time.monotonic()

        def told_of(said: Answer | Failed) -> Told:
            nonlocal begin
            begin, took = time.monotonic(), time.monotonic() - begin
            return self._told(said, asked.pop(said.id), seconds=took if self._timed else 0.0)

        if callable(each := getattr(self.inner, "answer_each", None)):
            for told in each(window):
                yield told_of(told.said)
        else:
            drawn = getattr(self.inner, "sampling", None)
            for (max_tokens, sample), group in groupby(sorted(window, key=_alike), key=_alike):
                if drawn is not None:  # a model of images in this process
                    cast("LocalResponder", self.inner).sampling = replace(drawn, seed=(drawn.seed or 0) + sample)
                for said in self.inner.answer([query.question for query in group], max_tokens=max_tokens):
                    yield told_of(said)
        for query in list(asked.values()):
            name = query.question.id
            yield self._told(Failed(name, f"{self.inner.name} gave no answer to {name!r}."), query, seconds=0.0)

    def _told(self, said: Answer | Failed, query: Query, *, seconds: float) -> Told:
        most = _most(query)
        if isinstance(said, Failed):
            self._allowance.book(most, None, name=said.id)
            return Told(said)
        cost = Cost(said.tokens_in or _words(query.question), said.tokens_out)
        self._allowance.book(most, cost, name=said.id, replied=True)
        cut = said.cut or said.tokens_out >= query.max_tokens
        return Told(replace(said, cut=cut), cost.tokens_in, cost.tokens_out, seconds)


def _alike(query: Query) -> tuple[int, int]:
    return query.max_tokens, query.sample


def _most(query: Query) -> Cost:
    """Return what a question hardly costs more than: a token for each byte of its words, and its images."""
    turns = len(query.question.turns) + sum(len(shown.turns) for shown in query.question.demonstrations)
    tokens = AROUND_MESSAGE * turns
    for part in parts_of(query.question):
        tokens += len(part.text.encode(errors="replace")) if isinstance(part, Text) else TOKENS_PER_IMAGE
    return Cost(tokens, query.max_tokens)


def _words(question: Example) -> int:
    """Return how many words a question has, where nobody counted tokens."""
    return sum(len(part.text.split()) for part in parts_of(question) if isinstance(part, Text))
