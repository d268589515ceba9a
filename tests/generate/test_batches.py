"""The batch API, against a server: handed in once, waited for over deaths, and each item gets its own reply."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.generate.batching import bureau
from tests.generate.runs import COUNTING, WONDERING, left, recipe, refused, run
from tests.generate.test_killed import start
from tests.infer.endpoint import Said, completion, echo, trouble, words_of
from triptych.core.errors import RunError

REPLIES = [f"you said Tell me of {number}." for number in range(10)]


def test_a_batch_answers_every_item_and_is_not_handed_in_again(tmp_path: Path) -> None:
    with bureau() as office:
        plan = recipe(model=office.url, batch=True, poll_s=0.01, price_in=1.0, price_out=1.0)
        first = run(plan, tmp_path)
        run(plan, tmp_path)
        assert len(office.batches) == 1
    assert [row["reply"] for row in left(first)] == REPLIES
    assert first.totals["writer"].usd == pytest.approx(10 * 106 / 1e6)


@pytest.mark.parametrize("moment", ["before its id was told", "while it was waited for"])
def test_a_killed_run_waits_for_its_batch_and_hands_nothing_in_again(tmp_path: Path, moment: str) -> None:
    child: list[subprocess.Popen[bytes]] = []

    def kill() -> None:
        if child:
            child.pop().send_signal(signal.SIGKILL)

    with bureau(ready_after=10**9) as office:
        if moment.startswith("before"):
            office.after_batch = kill
        teacher = {"model": office.url, "batch": True, "poll_s": 0.05}
        tree = {"name": "b", "teachers": {"writer": teacher}, "stages": [{"kind": COUNTING}, {"kind": WONDERING}]}
        file = tmp_path / "recipe.json"
        file.write_text(json.dumps(tree))
        process = start(file, tmp_path / "run")
        child.append(process)
        while child and office.polls < 3:
            try:
                process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
            break
        kill()
        assert process.wait(60) == -signal.SIGKILL
        assert len(office.batches) == 1
        office.ready_after = 0
        found = run(recipe(model=office.url, batch=True, poll_s=0.01), tmp_path / "run")
        assert len(office.batches) == 1
        assert len(office.asked) == 10
    assert [row["reply"] for row in left(found)] == REPLIES


def test_what_a_changed_recipe_no_longer_asks_is_kept_and_paid_when_its_batch_comes(tmp_path: Path) -> None:
    with bureau(ready_after=10**9) as office:
        tree = {"name": "b", "teachers": {"writer": {"model": office.url, "batch": True, "poll_s": 0.05}}}
        file = tmp_path / "recipe.json"
        file.write_text(json.dumps(tree | {"stages": [{"kind": COUNTING}, {"kind": WONDERING}]}))
        process = start(file, tmp_path / "run")
        while office.polls < 3:
            time.sleep(0.02)
        process.kill()
        process.wait(60)
        office.ready_after = 0
        settings: dict[str, Any] = {"model": office.url, "batch": True, "poll_s": 0.01}
        fewer = run(recipe(count=3, **settings), tmp_path / "run")
        assert (len(left(fewer)), fewer.totals["writer"].replies) == (3, 10)
        whole = run(recipe(**settings), tmp_path / "run")
        assert (len(office.batches), len(office.asked)) == (1, 10)
        assert office.polls < 1000
    assert [row["reply"] for row in left(whole)] == REPLIES
    assert whole.totals["writer"].replies == 10


def test_what_was_worked_on_and_refused_is_not_paid_again(tmp_path: Path) -> None:
    def filtered(request: dict[str, Any], before: int) -> Said:
        return completion(None, ended="content_filter") if " 4." in words_of(request) else echo(request, before)

    with bureau(reply=filtered) as office:
        plan = recipe(model=office.url, batch=True, poll_s=0.01)
        for _ in range(2):
            outcome = run(plan, tmp_path)
            assert "by the content filter" in refused(outcome)[0]["message"]
            assert len(left(outcome)) == 9
            assert (outcome.totals["writer"].replies, outcome.totals["writer"].lost_tokens) == (9, 100)
        assert len(office.asked) == 10


def test_a_batch_whose_answer_was_lost_is_looked_for_and_not_made_twice(tmp_path: Path) -> None:
    with bureau(lose=1) as office:
        found = run(recipe(model=office.url, batch=True, poll_s=0.01), tmp_path)
        assert len(office.batches) == 1
        assert len(office.asked) == 10
    assert [row["reply"] for row in left(found)] == REPLIES


@pytest.mark.parametrize("status", [500, 403])  # a key that may not is no fault of the question
def test_a_line_without_a_reply_is_refused_with_the_reason_and_asked_again_later(status: int, tmp_path: Path) -> None:
    def sick(request: dict[str, Any], before: int) -> Said:
        return trouble(status) if " 4." in words_of(request) and len(office.batches) == 1 else echo(request, before)

    with bureau(reply=sick) as office:
        plan = recipe(model=office.url, batch=True, poll_s=0.01)
        first = run(plan, tmp_path)
        assert refused(first)[0]["reason"] == "no reply"
        assert f"status {status}: sorry, {status}" in refused(first)[0]["message"]
        second = run(plan, tmp_path)
        assert [len(batch["requests"]) for batch in office.batches.values()] == [10, 1]
    assert len(left(second)) == 10


def test_a_schema_that_is_refused_is_left_out_in_a_second_batch(tmp_path: Path) -> None:
    with bureau(reply=lambda request, n: trouble(400) if "response_format" in request else echo(request, n)) as office:
        plan = recipe({"kind": WONDERING, "schema_of": "answer"}, model=office.url, batch=True, poll_s=0.01)
        assert len(left(run(plan, tmp_path))) == 10
        assert [len(batch["requests"]) for batch in office.batches.values()] == [10, 10]


def test_a_batch_takes_no_other_status_400_for_a_refused_schema(tmp_path: Path) -> None:
    def filtered(request: dict[str, Any], before: int) -> Said:
        if " 4." in words_of(request):
            return trouble(400, code="content_filter")
        return trouble(400) if " 5." in words_of(request) and "response_format" in request else echo(request, before)

    with bureau(reply=filtered) as office:
        stages = ({"kind": WONDERING, "schema_of": "answer"}, {"kind": WONDERING, "schema_of": "more"})
        plan = recipe(*stages, model=office.url, batch=True, poll_s=0.01)
        for _ in range(2):
            assert "status 400" in refused(run(plan, tmp_path))[0]["message"]
        assert [len(batch["requests"]) for batch in office.batches.values()] == [10, 1, 9, 1]
        with_schema = [
            sum("response_format" in each["body"] for each in batch["requests"]) for batch in office.batches.values()
        ]
        assert with_schema == [10, 0, 9, 0]


def test_a_batch_is_no_larger_than_the_budget_and_the_run_stops_there(tmp_path: Path) -> None:
    with bureau() as office:
        plan = recipe(
            {"kind": WONDERING, "max_tokens": 10},
            count=40,
            model=office.url,
            batch=True,
            poll_s=0.01,
            budget={"tokens": 1500},
        )
        outcome = run(plan, tmp_path)
    assert "budget of 1,500 tokens is used up" in outcome.stopped
    assert 1000 < outcome.totals["writer"].tokens <= 1500
    assert len(office.asked) == outcome.totals["writer"].replies


def test_an_endpoint_without_batches_is_named(tmp_path: Path) -> None:
    with bureau(able=False) as office, pytest.raises(RunError, match=r"takes no batch .*no such path"):
        run(recipe(model=office.url, batch=True), tmp_path)


def test_a_line_end_within_a_reply_is_no_line_end_of_the_file(tmp_path: Path) -> None:
    with bureau(reply=lambda *_: completion("one\u2028two")) as office:
        office.raw = True
        outcome = run(recipe(model=office.url, batch=True, poll_s=0.01), tmp_path)
    assert {row["reply"] for row in left(outcome)} == {"one\u2028two"}


def test_a_torn_file_of_replies_is_fetched_again(tmp_path: Path) -> None:
    with bureau() as office:
        office.torn = 1
        plan = recipe(model=office.url, batch=True, poll_s=0.01)
        with pytest.raises(RunError, match="holds a line that is no reply"):
            run(plan, tmp_path)
        assert len(left(run(plan, tmp_path))) == 10
        assert len(office.batches) == 1
