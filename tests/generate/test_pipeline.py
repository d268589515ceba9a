"""A run of stages: what is kept, what is made anew, what is refused, and that nobody is asked twice."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.generate.runs import COUNTING, GATHERING, WONDERING, left, recipe, refused, rows, run
from tests.infer.endpoint import Said, completion, echo, serving, trouble, words_of
from triptych.core.errors import ConfigError, RunError, TriptychError
from triptych.core.files import only_one
from triptych.generate.pipeline import Outcome
from triptych.generate.recipe import Recipe, StagePlan


def test_every_item_has_its_own_reply_and_says_how_it_was_made(tmp_path: Path) -> None:
    outcome = run(recipe(count=30), tmp_path)
    found = left(outcome)
    assert [row["id"] for row in found] == [f"n-{number:05d}" for number in range(30)]
    assert [row["reply"] for row in found] == [f"you said Tell me of {number}." for number in range(30)]
    begun, asked = found[3]["history"]
    assert begun == {"stage": "01-counting", "kind": COUNTING}
    assert (asked["stage"], asked["teacher"], asked["parameters"]) == ("02-wondering", "writer", {"max_tokens": 20})
    assert (asked["tokens_in"], asked["tokens_out"], asked["requests"]) == (4, 6, 1)
    assert outcome.pairs == 30
    assert outcome.totals["writer"].tokens_in == 120


def test_a_run_started_again_asks_nothing_and_leaves_the_same_bytes(tmp_path: Path) -> None:
    with serving(echo) as endpoint:
        plan = recipe(count=20, model=str(endpoint.address))
        once = run(plan, tmp_path)
        before = _bytes(once)
        again = run(plan, tmp_path)
        assert len(endpoint.requests) == 20
        for label in ("02-wondering", "01-counting"):
            (tmp_path / "stages" / f"{label}.json").unlink()
        third = run(plan, tmp_path)
    assert len(endpoint.requests) == 20
    assert _bytes(again) == _bytes(third) == before


def test_equal_requests_are_asked_once_and_each_item_gets_the_reply(tmp_path: Path) -> None:
    with serving(echo) as endpoint:
        plan = recipe({"kind": WONDERING, "alike": 5}, count=20, model=str(endpoint.address))
        found = left(run(plan, tmp_path))
    assert len(endpoint.requests) == 4
    assert [row["reply"] for row in found] == [f"you said Tell me of {number // 5}." for number in range(20)]


def test_further_samples_are_asked_with_seeds_of_their_own(tmp_path: Path) -> None:
    with serving(echo) as endpoint:
        plan = recipe({"kind": WONDERING, "samples": 3}, count=2, model=str(endpoint.address), seed=0)
        run(plan, tmp_path)
    assert sorted(request.get("seed", 0) for request in endpoint.requests) == [0, 0, 1, 1, 2, 2]
    drawn = recipe({"kind": WONDERING, "samples": 3}, count=2, model="canned:tests.generate.saying.draws")
    assert left(run(drawn, tmp_path / "canned"))[0]["reply"] == "draw 0 / draw 1 / draw 2"


def test_a_dry_run_takes_a_recipe_as_it_stands() -> None:
    real: dict[str, Any] = {"temperature": 0.2, "batch": True, "batch_tokens": 9000, "price_in": 2.0, "max_tokens": 9}
    plan = recipe(model="canned:tests.generate.saying.echo", **real)
    assert plan.teachers["writer"].as_json() == {
        "model": "canned:tests.generate.saying.echo",
        "price_in": 2.0,
        "price_out": 0.0,
        "max_tokens": 9,
    }
    with pytest.raises(ConfigError, match="temprature"):
        recipe(model="canned:tests.generate.saying.echo", temprature=0.2)


def test_a_failed_request_refuses_its_item_and_is_asked_again_by_the_next_start(tmp_path: Path) -> None:
    def sick(request: dict[str, Any], before: int) -> Said:
        return trouble(400) if " 3." in words_of(request) and not well.is_set() else echo(request, before)

    well = threading.Event()
    with serving(sick) as endpoint:
        plan = recipe({"kind": WONDERING}, {"kind": GATHERING}, model=str(endpoint.address))
        first = run(plan, tmp_path)
        assert [(row["item"]["id"], row["reason"], row["stage"]) for row in refused(first)] == [
            ("n-00003", "no reply", "02-wondering")
        ]
        assert "status 400" in refused(first)[0]["message"]
        assert first.stages[1].failed == 1
        well.set()
        second = run(plan, tmp_path)
    assert len(endpoint.requests) == 11
    assert refused(second) == []
    assert len(left(second)) == 10


def test_a_changed_stage_is_made_anew_and_those_before_it_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(echo) as endpoint:
        model = str(endpoint.address)
        run(recipe({"kind": WONDERING}, {"kind": GATHERING}, model=model), tmp_path)
        capsys.readouterr()
        plan = recipe({"kind": WONDERING, "words": "What of"}, {"kind": GATHERING}, model=model, concurrency=3)
        changed = run(plan, tmp_path)
        said = " ".join(capsys.readouterr().err.split())
        assert left(changed)[0]["reply"] == "you said What of 0."
        back = run(recipe({"kind": WONDERING}, {"kind": GATHERING}, model=model), tmp_path)
    assert "01-counting: kept, 10 items" in said
    assert "02-wondering: its settings changed" in said
    assert "the recipe changed: " in said
    assert len(endpoint.requests) == 20  # and not 30: the first replies were still there
    assert left(back)[0]["reply"] == "you said Tell me of 0."


def test_an_endpoint_that_is_down_ends_the_run_in_one_line_and_loses_nothing(tmp_path: Path) -> None:
    with serving(echo) as endpoint:
        model = str(endpoint.address)
        run(recipe(count=3, model=model), tmp_path)
    with pytest.raises(
        RunError, match=r"(?s)^http://127.*Connection error.*02-wondering: 0 new replies are kept"
    ) as told:
        run(recipe(count=9, model=model, attempts=1), tmp_path)
    assert "\n" not in str(told.value)
    assert len(rows(tmp_path / "replies" / "writer.jsonl")) >= 3
    with serving(lambda request, before: trouble(401)) as locked, pytest.raises(RunError, match="status 401"):
        run(recipe(count=9, model=str(locked.address)), tmp_path / "locked")
    assert len(locked.requests) <= 9


def test_an_endpoint_in_constant_trouble_is_not_asked_on_for_ever(tmp_path: Path) -> None:
    with serving(lambda request, before: trouble(500)) as endpoint, pytest.raises(RunError, match="status 500"):
        run(recipe(count=500, model=str(endpoint.address), attempts=1, concurrency=4), tmp_path)
    assert len(endpoint.requests) < 100


@pytest.mark.parametrize(("code", "asked_twice"), [("unsupported response_format", 1), ("", 3)])
def test_an_endpoint_that_takes_no_schema_is_asked_without_one_from_there_on(
    code: str, asked_twice: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def plain(request: dict[str, Any], before: int) -> Said:
        return trouble(400, code=code) if "response_format" in request else echo(request, before)

    with serving(plain) as endpoint:
        plan = recipe({"kind": WONDERING, "schema_of": "answer"}, model=str(endpoint.address), concurrency=1)
        assert len(left(run(plan, tmp_path))) == 10
    assert len(endpoint.requests) == 10 + asked_twice  # where the endpoint does not say why, three make it sure
    assert "takes no response_format" in capsys.readouterr().err
    with serving(echo) as endpoint:
        plan = recipe({"kind": WONDERING, "schema_of": "answer"}, model=str(endpoint.address))
        run(plan, tmp_path / "able")
    assert all(request["response_format"]["json_schema"]["strict"] for request in endpoint.requests)


def test_a_status_400_that_passes_is_not_taken_for_a_refused_schema(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def flaky(request: dict[str, Any], before: int) -> Said:
        odd = any(f" {number}." in words_of(request) for number in (4, 6, 7, 8, 9))
        return trouble(400) if odd and before == 0 else echo(request, before)

    with serving(flaky) as endpoint:
        plan = recipe({"kind": WONDERING, "schema_of": "answer"}, model=str(endpoint.address), concurrency=1)
        assert len(left(run(plan, tmp_path))) == 10
    assert sum("response_format" in request for request in endpoint.requests) == 10
    assert "takes no response_format" not in capsys.readouterr().err


def test_a_stage_that_loses_an_item_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="03-gathering lost 1 of 10 items"):
        run(recipe({"kind": WONDERING}, {"kind": GATHERING, "lose": "n-00004"}), tmp_path)


def test_an_id_that_comes_twice_is_refused(tmp_path: Path) -> None:
    plan = recipe()
    twice = plan.model_copy(
        update={"stages": (StagePlan.parse({"kind": COUNTING, "count": 4, "twice": True}), plan.stages[1])}
    )
    outcome = run(twice, tmp_path)
    assert [row["reason"] for row in refused(outcome)] == ["id twice"]
    assert len(left(outcome)) == 3


def test_two_processes_do_not_work_in_one_folder(tmp_path: Path) -> None:
    with only_one(tmp_path / "lock"), pytest.raises(RunError, match="works in this folder"):
        run(recipe(), tmp_path)


def test_an_endpoint_at_its_worst_costs_time_and_no_item(tmp_path: Path) -> None:
    def worst(request: dict[str, Any], before: int) -> Said:
        number = int(words_of(request).split()[-1].rstrip("."))
        if before:
            return echo(request, before)
        return {
            0: trouble(429, headers={"Retry-After": "0"}),
            1: trouble(500),
            2: Said("", drop=True),
            3: Said(echo(request, before).body, after_s=0.6),
            4: Said('{"choices": [{"mess'),
            5: Said(completion("half").body, cut=20),
        }.get(number % 7, echo(request, before))

    with serving(worst) as endpoint:
        plan = recipe(count=14, model=str(endpoint.address), timeout_s=0.3)
        outcome = run(plan, tmp_path)
    assert [row["reply"] for row in left(outcome)] == [f"you said Tell me of {number}." for number in range(14)]
    assert len(endpoint.requests) == 14 + 12
    assert outcome.totals["writer"].lost_tokens > 0  # what was dropped, stalled or cut may have been billed


def test_a_teacher_that_no_stage_asks_is_told_and_the_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def teachers(*names: str, **wonders: str) -> Recipe:
        plan = recipe()
        stages = (plan.stages[0], StagePlan.parse({"kind": WONDERING, **wonders}))
        there = dict.fromkeys(names, plan.teachers["writer"])
        return plan.model_copy(update={"teachers": there, "stages": stages})

    run(teachers("writer", "wrtr"), tmp_path)
    assert "teachers.wrtr: no stage asks it. Did you mean 'writer'?" in capsys.readouterr().err
    teachers("large", "mine", teacher="large").check_order()
    assert "teachers.mine: no stage asks it. Teachers that are asked: large." in capsys.readouterr().err
    teachers("writer", "checker", "judge").check_order()  # which stages ask that are not in this recipe
    teachers("large", "writer", teacher="large").check_order()
    assert not capsys.readouterr().err


def test_an_address_without_its_scheme_is_told_at_the_start_and_not_where_a_recipe_is_read() -> None:
    plan = recipe(model="localhost:1/v1#m", temperature=0.5)
    with pytest.raises(ConfigError, match="localhost:1/v1#m: no such folder, and an address begins with http://"):
        plan.check_order()


def test_unknown_settings_teachers_and_places_are_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"stages\.1.*colour: unknown key"):
        recipe({"kind": WONDERING, "colour": 1})
    with pytest.raises(ConfigError, match="asks 'judge'; teachers there are: writer"):
        recipe({"kind": WONDERING, "teacher": "judge"})
    with pytest.raises(ConfigError, match="stands first"):
        recipe({"kind": COUNTING})
    with pytest.raises(ConfigError, match="budget_usd: say it for all teachers together"):
        recipe(model="http://localhost:1/v1#m", budget_usd=3.0)
    with pytest.raises(ConfigError, match="needs its price_in and price_out"):
        recipe(model="http://localhost:1/v1#m", budget={"usd": 3.0})
    with pytest.raises(ConfigError, match="unknown key"):
        recipe(model="http://localhost:1/v1#m", concurency=3)


def test_the_files_of_a_run_say_what_happened(tmp_path: Path) -> None:
    run(recipe(price_in=1.0, price_out=2.0), tmp_path)
    assert json.loads((tmp_path / "spend.json").read_text())["usd"] == pytest.approx((40 * 1 + 60 * 2) / 1e6)
    assert "02-wondering: 10 in, 10 out" in (tmp_path / "log.txt").read_text()
    assert (tmp_path / "recipe.yaml").is_file()


def _bytes(outcome: Outcome) -> list[bytes]:
    return [(outcome.folder / "stages" / f"{note.label}.jsonl").read_bytes() for note in outcome.stages]


@pytest.mark.parametrize("second", ["messages:train.jsonl", "llava:./train.jsonl", "messages:replies/writer.jsonl"])
def test_no_export_writes_over_another_or_over_what_the_run_keeps(second: str) -> None:
    with pytest.raises(ConfigError, match="give another"):
        recipe({"kind": WONDERING}, {"kind": "export", "to": "messages:train.jsonl"}, {"kind": "export", "to": second})


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"examples": "nowhere.yaml"}, "nowhere.yaml: no such file of examples"),
        ({"values": {"style": "short"}}, "has no slot {style}"),
        ({"prompt": "kit_coref"}, "has no value"),
    ],
)
def test_a_prompt_that_cannot_be_filled_is_told_before_anything_is_asked(said: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        recipe({"kind": "ask", "prompt": "la_conversation", **said})
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("canned:nowhere.jsonl", "nowhere.jsonl"),
        ("runs/gone", "runs/gone"),
        ("https://api.openai.com/v1#gpt-5", "wants a key"),
    ],
)
def test_a_teacher_that_is_not_there_is_told_of_before_any_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, said: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("TRIPTYCH_API_KEY", raising=False)
    with pytest.raises(TriptychError, match=said):
        run(recipe(model=model), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_teacher_of_finished_stages_may_be_gone(tmp_path: Path) -> None:
    replies = tmp_path / "replies.jsonl"
    replies.write_text('{"reply": "so it is"}\n', encoding="utf-8")
    plan = recipe(model=f"canned:{replies}")
    once = left(run(plan, tmp_path / "run"))
    replies.unlink()
    with pytest.raises(TriptychError, match=r"replies\.jsonl"):
        run(plan, tmp_path / "another")
    assert left(run(plan, tmp_path / "run")) == once
