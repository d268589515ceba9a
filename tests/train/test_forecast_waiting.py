"""Whole packs are dealt: a plan counts the GPUs that wait for want of one, and a run says so when it starts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.train.processes import run_ranks
from tests.train.runs import toy_recipe
from triptych.cli.main import build_app
from triptych.core.records import Json
from triptych.train.forecast.estimate import Assumed, memory_of, most_packs, waiting_for_packs
from triptych.train.forecast.shapes import LLAMA_3, SO400M, joined
from triptych.train.recipe import Tune

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
EIGHT_PACKS = RECIPES / "mantis_idefics2.yaml"


def said(*words: object) -> str:
    result = CliRunner().invoke(build_app(), ["recipe", "plan", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.stdout


def planned(*words: object) -> dict[str, Json]:
    (found,) = json.loads(said(*words, "--json"))
    assert isinstance(found, dict)
    return found


def hours(*words: object) -> float:
    found = planned(*words)["hours"]
    assert isinstance(found, float)
    return found


def test_gpus_beyond_the_packs_of_a_step_make_nothing_faster() -> None:
    eight = hours(EIGHT_PACKS, "--gpus", "8")
    assert hours(EIGHT_PACKS, "--gpus", "16") == hours(EIGHT_PACKS, "--gpus", "64") == eight
    assert hours(EIGHT_PACKS, "--gpus", "4") == pytest.approx(2 * eight, rel=1e-3)


def test_where_packs_do_not_go_round_a_step_waits_for_the_gpus_that_have_one_more() -> None:
    alone = hours(EIGHT_PACKS)
    assert hours(EIGHT_PACKS, "--gpus", "3") == pytest.approx(alone * 3 / 8, rel=1e-3)
    assert hours(EIGHT_PACKS, "--gpus", "5") == hours(EIGHT_PACKS, "--gpus", "4") == pytest.approx(alone / 4, rel=1e-3)


def test_a_trainer_that_does_not_pack_deals_conversations_and_waits_only_where_these_are_fewer() -> None:
    eight, sixteen, many = (planned(EIGHT_PACKS, "--gpus", gpus)["hours_unpacked"] for gpus in ("8", "16", "1024"))
    assert isinstance(eight, list)
    assert [each / 2 for each in eight if isinstance(each, float)] == pytest.approx(sixteen)
    assert isinstance(many, list)
    assert isinstance(many[0], float)
    assert isinstance(eight[0], float)
    conversations = 8 * eight[0] / many[0]
    assert 100 < conversations < 200, "those of a step of 65,536 tokens, fewer than 1,024"


def test_a_plan_says_how_many_gpus_wait_and_what_to_change() -> None:
    line = "8 packs a step: 8 of 16 GPUs have none and wait; raise step_tokens or lower pack_tokens"
    assert line in said(EIGHT_PACKS, "--gpus", "16")
    assert planned(EIGHT_PACKS, "--gpus", "16")["packs_a_step"] == 8
    assert planned(EIGHT_PACKS, "--gpus", "16")["waiting_gpus"] == 8
    assert "and wait" not in said(EIGHT_PACKS, "--gpus", "8")
    assert planned(EIGHT_PACKS, "--gpus", "8")["waiting_gpus"] == 0
    assert "1 of 3 GPUs have one less than the others and wait" in said(EIGHT_PACKS, "--gpus", "3")


def test_the_gpu_with_most_packs_is_the_one_whose_memory_counts() -> None:
    stage = tune(packs=8)
    assert most_packs(stage, 3) == 3
    shape = joined((SO400M, 729), LLAMA_3, image_tokens=None, two_layers=True)
    at_3, as_2_of_6 = (
        memory_of(each, shape, gpus=gpus, parallel="ddp", assumed=replace(Assumed(), supervised_share=0.0))
        for each, gpus in ((stage, 3), (tune(packs=6), 2))
    )
    assert at_3.activations == as_2_of_6.activations


def test_a_run_says_when_it_starts_that_some_of_its_processes_wait(tmp_path: Path) -> None:
    recipe, run = toy_recipe(tmp_path, ("6 steps", "1 steps")), tmp_path / "run"
    assert run_ranks(recipe, run, ranks=3) == [0, 0, 0]
    told = (run / "log.txt").read_text(encoding="utf-8")
    line = "tune: 2 packs a step: 1 of 3 processes have none and wait; raise step_tokens or lower pack_tokens"
    assert told.count(line) == told.count("and wait") == 1
    stage = recipe.stages[0]
    assert isinstance(stage, Tune)
    assert waiting_for_packs(stage, 2, of="processes") is None


def tune(*, packs: int) -> Tune:
    said = {"name": "s", "kind": "tune", "data": [{"source": "messages:x.jsonl"}], "length": "2 steps"}
    sizes = {"pack_tokens": 1024, "step_tokens": packs * 1024}
    return Tune.model_validate_json(
        json.dumps({**said, **sizes, "parts": {"language": {"train": "full", "rate": 1e-3}}})
    )
