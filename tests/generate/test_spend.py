"""The budget of a run: never overrun by any endpoint that bills as it says, over teachers, restarts and deaths."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generate.runs import WONDERING, left, recipe, refused, run
from tests.infer.endpoint import Said, completion, echo, serving, trouble, words_of
from triptych.generate.recipe import BudgetPlan
from triptych.generate.running.costs import Reply, Totals
from triptych.generate.running.replies import ReplyStore
from triptych.generate.running.spend import FIRST_ADDED, Account, Allowance, Prices
from triptych.infer.endpoint.limits import Cost


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    limit=st.integers(1, 40_000),
    template=st.integers(0, FIRST_ADDED),
    in_flight=st.integers(1, 40),
    starts=st.integers(1, 3),
)
def test_what_is_billed_stays_within_the_budget(
    seed: int, limit: int, template: int, in_flight: int, starts: int
) -> None:
    """A token is a byte or more of the words; a server adds a template; some replies are lost, some never billed."""
    random = Random(seed)
    billed = 0
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(starts):
            store = ReplyStore(Path(folder))
            totals = store.totals()
            account = Account(BudgetPlan(tokens=float(limit)), totals)
            known = totals.get("w", Totals()).learnt
            allowance = Allowance(account, store, teacher="w", prices=Prices(), bills=True, known=known)
            under_way: list[tuple[str, Cost, Cost]] = []
            for number in range(60):
                size, most_out = random.randrange(1, 500), random.randrange(1, 100)
                most = Cost(size, most_out)
                name = f"{number:032x}"
                if allowance.set_aside(Cost(size // 3, most_out), most=most, name=name) is None:
                    real = Cost(template + random.randrange(size // 16 + 1, size + 1), random.randrange(most_out + 1))
                    under_way.append((name, most, real))
                if len(under_way) >= in_flight or (under_way and random.random() < 0.5):
                    name, most, real = under_way.pop(random.randrange(len(under_way)))
                    billed += _come_back(allowance, store, random, name, most, real)
            billed += sum(real.tokens_in + real.tokens_out for _, _, real in under_way)  # and then it is killed
            assert billed <= limit
            assert account.tokens <= limit


def _come_back(allowance: Allowance, store: ReplyStore, random: Random, name: str, most: Cost, real: Cost) -> int:
    """Book one request as it may end; return what the endpoint bills."""
    match random.randrange(4):
        case 0:  # refused before any work
            allowance.book(most, None, most=most, name=name)
            return 0
        case 1:  # lost on the way, and billed all the same
            allowance.book(most, most, most=most, name=name, told=False)
        case _:
            allowance.book(most, real, most=most, name=name, replied=True)
            reply = Reply("", tokens_in=real.tokens_in, tokens_out=real.tokens_out, learnt=allowance.learnt)
            store.put(name, "w", reply=reply)
    return real.tokens_in + real.tokens_out


def test_a_run_stops_at_its_budget_and_goes_on_with_a_higher_one(tmp_path: Path) -> None:
    billed: list[int] = []

    def count(request: dict[str, Any], before: int) -> Said:
        said = completion(f"about {words_of(request)}")
        usage = json.loads(said.body)["usage"]
        billed.append(usage["prompt_tokens"] + usage["completion_tokens"])
        return said

    with serving(count) as endpoint:
        steps = {"kind": WONDERING, "max_tokens": 10}
        outcomes = []
        for tokens in (300, 900, 901, 2500):
            plan = recipe(steps, count=20, model=str(endpoint.address), budget={"tokens": tokens}, concurrency=4)
            outcomes.append(run(plan, tmp_path))
            assert sum(billed) <= tokens
            assert outcomes[-1].totals["writer"].tokens == sum(billed)
    first, second, third, last = outcomes
    assert "the budget of 300 tokens is used up" in first.stopped
    waiting = 20 - first.totals["writer"].replies
    assert f"about {waiting} of 20 items wait for replies" in first.stopped
    assert first.totals["writer"].replies < second.totals["writer"].replies == third.totals["writer"].replies == 8
    assert last.stopped == ""
    assert len(left(last)) == 20
    assert len(billed) == 20


def test_dollars_of_all_teachers_and_starts_count_together(tmp_path: Path) -> None:
    with serving(lambda request, before: completion("a b c d e")) as endpoint:
        prices: dict[str, Any] = {"price_in": 10.0, "price_out": 1000.0}
        plan = recipe({"kind": WONDERING, "max_tokens": 5}, model=str(endpoint.address), budget={"usd": 0.05}, **prices)
        outcome = run(plan, tmp_path)
        again = run(plan, tmp_path)
    assert len(endpoint.requests) == 8  # 100 tokens in and 5 out are 0.6 cents
    assert outcome.usd == again.usd == pytest.approx(8 * 0.006)
    assert "the budget of $0.05 is used up" in again.stopped


def test_what_a_content_filter_ends_is_paid_once_over_all_starts(tmp_path: Path) -> None:
    def filtered(request: dict[str, Any], before: int) -> Said:
        return completion("Tell", ended="content_filter") if " 4." in words_of(request) else echo(request, before)

    with serving(filtered) as endpoint:
        plan = recipe(model=str(endpoint.address))
        for _ in range(2):
            outcome = run(plan, tmp_path)
            assert "by the content filter" in refused(outcome)[0]["message"]
            assert (outcome.totals["writer"].replies, outcome.totals["writer"].lost_tokens) == (9, 101)
        assert len(endpoint.requests) == 10


def test_what_a_content_filter_refuses_by_its_status_is_asked_once_over_all_starts(tmp_path: Path) -> None:
    def filtered(request: dict[str, Any], before: int) -> Said:
        return trouble(400, code="content_filter") if " 4." in words_of(request) else echo(request, before)

    with serving(filtered) as endpoint:
        plan = recipe({"kind": WONDERING, "schema_of": "answer"}, model=str(endpoint.address))
        for _ in range(2):
            outcome = run(plan, tmp_path)
            assert "status 400" in refused(outcome)[0]["message"]
            assert outcome.totals["writer"].replies == 9
        assert len(endpoint.requests) == 10
    assert all("response_format" in request for request in endpoint.requests)


def test_a_refused_request_costs_nothing_and_a_stalled_one_its_most(tmp_path: Path) -> None:
    def odd(request: dict[str, Any], before: int) -> Said:
        if " 0." in words_of(request):
            return trouble(400)
        return Said(completion("late").body, after_s=0.5 if " 1." in words_of(request) else 0.0)

    with serving(odd) as endpoint:
        plan = recipe(count=3, model=str(endpoint.address), timeout_s=0.2, attempts=1)
        total = run(plan, tmp_path).totals["writer"]
    assert total.replies == 1
    assert 0 < total.lost_tokens < 600
