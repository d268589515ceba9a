"""An endpoint at its worst: words half said, connections lost, keys refused; and limits that are never overrun."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.infer.endpoint import (
    Said,
    ask,
    completion,
    echo,
    failure,
    one,
    responder,
    serving,
    trouble,
    words_of,
)
from triptych.core.records import Answer, Text
from triptych.infer.endpoint.remote import RemoteResponder
from triptych.infer.responder import Failed
from triptych.infer.settings import EndpointSettings

pytestmark = pytest.mark.usefixtures("alone")


def test_a_question_that_is_forbidden_is_not_taken_for_a_key_that_is() -> None:
    """Some endpoints say 403 to what their moderation refuses, others to a wrong key."""

    def moderated(request: dict[str, Any], before: int) -> Said:
        return trouble(403) if "q1" in words_of(request) else echo(request, before)

    questions = [ask(f"q{number}") for number in range(60)]
    with serving(moderated) as endpoint:
        found = list(responder(endpoint, concurrency=1).answer(questions))
    assert len([answer for answer in found if isinstance(answer, Failed)]) == 11
    with serving(lambda request, before: trouble(403)) as endpoint:
        found = list(responder(endpoint, concurrency=1).answer(questions))
    assert all(isinstance(answer, Failed) for answer in found)
    assert len(endpoint.requests) == 20


def test_words_come_through_however_they_are_spelled() -> None:
    said = ["\u2028\u2029\x00\u200f\N{ZERO WIDTH JOINER}", "\U0001f469\u200d\U0001f680", "a\ud83d", "x\ud83d\ude00"]
    replies = [completion(text) for text in said]
    with serving(lambda request, before: replies[int(words_of(request)[8])]) as endpoint:
        found = list(responder(endpoint, concurrency=1).answer([ask(str(number)) for number in range(4)]))
    texts = [answer.text for answer in found if isinstance(answer, Answer)]
    assert texts == [said[0], said[1], "a\N{REPLACEMENT CHARACTER}", "x\U0001f600"]


def test_a_reply_in_parts_is_their_text() -> None:
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "the "}, {"type": "text", "text": "red"}]
    body = json.dumps({"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]})
    with serving(lambda request, before: Said(body)) as endpoint:
        assert one(list(responder(endpoint).answer([ask("a")]))).text == "the red"
    nothing = Said(body.replace("text", "tool"))
    with serving(lambda request, before: nothing) as endpoint:
        assert "without words" in failure(list(responder(endpoint).answer([ask("a")])))


def test_half_a_letter_in_a_question_fails_it_alone() -> None:
    with serving(echo) as endpoint:
        found = {each.id: each for each in responder(endpoint).answer([ask("a", Text("\ud83d")), ask("b")])}
    assert isinstance(found["b"], Answer)
    assert isinstance(lost := found["a"], Failed)
    assert "half a letter" in lost.reason


def test_a_lost_connection_says_why() -> None:
    with serving(lambda request, before: Said("no gzip", headers={"Content-Encoding": "gzip"})) as endpoint:
        assert "incorrect header" in failure(list(responder(endpoint, attempts=2).answer([ask("a")])))
    assert "connection" in failure(list(responder(endpoint, attempts=2).answer([ask("a")])))  # nobody serves any more
    assert len(endpoint.requests) == 2


def test_what_came_too_late_is_paid_for() -> None:
    slow = Said(completion("late").body, after_s=0.5)
    with serving(lambda request, before: slow) as endpoint:
        asked = responder(endpoint, budget_tokens=70, timeout_s=0.1, attempts=9)
        reason = failure(list(asked.answer([ask("a")], max_tokens=30)))
    assert "budget of 70 tokens is used up" in reason
    assert len(endpoint.requests) == 2
    assert asked.budget.spent["tokens"] == 66


def test_the_budget_ends_the_asking_and_is_never_overdrawn() -> None:
    questions = [ask(f"q{number}") for number in range(40)]
    with serving(echo) as endpoint:
        asked = responder(endpoint, budget_tokens=1100, concurrency=16)
        found = list(asked.answer(questions, max_tokens=10))
        answered = [answer for answer in found if isinstance(answer, Answer)]
        again = list(asked.answer(questions[:3], max_tokens=10))
    spent = sum(answer.tokens_in + answer.tokens_out for answer in answered)
    assert asked.budget.spent["tokens"] == spent <= 1100
    assert 8 <= len(answered) == len(endpoint.requests) < 40
    reasons = {answer.reason for answer in found if isinstance(answer, Failed)}
    assert all("budget of 1100 tokens is used up" in reason for reason in reasons)
    assert all(isinstance(answer, Failed) for answer in again)


def test_money_is_counted_with_the_prices_given() -> None:
    with serving(echo) as endpoint:
        asked = responder(endpoint, budget_usd=1.0, price_in=2.0, price_out=8.0)
        one(list(asked.answer([ask("a")])))
    assert asked.budget.spent["dollars"] == pytest.approx((100 * 2 + 5 * 8) / 1e6)


def test_requests_keep_to_the_minute() -> None:
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    with serving(echo) as endpoint:
        settings = EndpointSettings(requests_per_minute=10, concurrency=4)
        asked = RemoteResponder(endpoint.address, settings, clock=lambda: now, sleep=sleep)
        assert len(list(asked.answer([ask(f"q{number}") for number in range(25)]))) == 25
    assert now == 120.0


def test_the_minute_goes_on_when_the_same_endpoint_is_asked_again() -> None:
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    with serving(echo) as endpoint:
        settings = EndpointSettings(requests_per_minute=5)
        asked = RemoteResponder(endpoint.address, settings, clock=lambda: now, sleep=sleep)
        for condition in range(3):
            assert len(list(asked.answer([ask(f"{condition}-{number}") for number in range(5)]))) == 5
    assert now == 120.0
