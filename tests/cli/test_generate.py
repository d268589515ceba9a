"""``triptych generate`` as it is typed: run, go on, parts, the list of what there is, and errors in one line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT
from triptych.cli.main import build_app, main
from triptych.core.errors import ConfigError, TriptychError

RECIPE = """
name: typed
teachers:
  writer: {model: "canned:tests.generate.saying.echo", price_in: 1.0, price_out: 2.0}
budget: {tokens: 100000}
stages:
  - {kind: tests.generate.counting, count: 8}
  - {kind: tests.generate.wondering, alike: 2}
  - {kind: tests.generate.gathering}
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "typed.yaml"
    path.write_text(RECIPE)
    return path


def typed(*words: object) -> None:
    build_app()([str(word) for word in words], standalone_mode=False)


def test_a_run_tells_each_stage_the_spend_and_the_cost_of_a_pair(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed("generate", "run", recipe)
    told = capsys.readouterr()
    assert "03-gathering  in         8  out         4  refused         4" in told.out
    assert "said before: 4" in told.out
    assert "writer: 4 replies, 16 tokens in, 24 out, $6.4e-05" in told.out
    assert "kept: 4 items, 4 pairs; $1.6e-05 for each" in told.out
    assert f"report:  {Path('runs/typed/report.html')}" in " ".join(told.err.split("\n"))
    typed("generate", "run", recipe)
    assert "02-wondering: kept, 8 items" in capsys.readouterr().err
    assert (recipe.parent / "runs" / "typed" / "refusals.jsonl").read_text().count("\n") == 4


def test_parts_are_run_and_merged_from_the_folder_that_holds_them(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("1/2", "2/2"):
        typed("generate", "run", recipe, "--shard", part)
        assert "triptych generate merge" in capsys.readouterr().err
    typed("generate", "merge", recipe.parent / "runs" / "typed")
    assert "kept: 4 items, 4 pairs" in capsys.readouterr().out
    assert (recipe.parent / "runs" / "typed" / "stages" / "03-gathering.jsonl").is_file()


def test_a_budget_that_is_used_up_ends_with_one_and_says_how_to_go_on(
    recipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["triptych", "generate", "run", str(recipe), "budget.tokens=60"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[-1].startswith("stopped: the budget of 60 tokens is used up")
    told = " ".join(said.err.split())
    assert "stopped: the budget of 60 tokens is used up" in told
    assert "Raise budget and run again" in told
    typed("generate", "run", recipe)
    assert "kept: 4 items" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("stages.1.colour=3",), "colour: unknown key"),
        (("stages.1.teacher=judge",), "asks 'judge'"),
        (("--shard", "3/2"), "expected k/n"),
        (("teachers.writer.model=canned:tests.generate.saying.nobody",), "neither a file that ends in .jsonl"),
        (("teachers.writer.model=http://127.0.0.1:9/v1#m", "teachers.writer.price_in=1"), "attempts"),
    ],
)
def test_an_error_is_one_line_and_ends_with_two(
    recipe: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    words = (*words, "teachers.writer.attempts=1") if "http" in words[0] else words
    why = "Connection error" if why == "attempts" else why
    monkeypatch.setattr(sys, "argv", ["triptych", "generate", "run", str(recipe), *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert why in last


def test_the_list_names_stages_layouts_and_prompts(capsys: pytest.CaptureFixture[str]) -> None:
    typed("generate", "list", "--json")
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"stages", "annotations", "prompts"}
    assert all(about for entries in told.values() for about in entries.values())
    assert "parse" in told["stages"]
    typed("generate", "list", "stages")
    assert capsys.readouterr().out.startswith("stages:\n")


def below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("words", [(), ("--shard", "1/2"), ("--run", "deep/er")])
def test_a_run_that_fails_before_anything_is_done_leaves_nothing(recipe: Path, words: tuple[str, ...]) -> None:
    wrong = recipe.read_text().replace(
        "{kind: tests.generate.counting, count: 8}", "{kind: annotate, source: 'coco:gone'}"
    )
    recipe.write_text(wrong)
    before = below(recipe.parent)
    with pytest.raises(TriptychError, match="gone"):
        typed("generate", "run", recipe, *words)
    assert below(recipe.parent) == before


def test_what_others_keep_in_the_folder_of_a_failed_run_stays(recipe: Path) -> None:
    folder = recipe.parent / "runs" / "typed"
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("mine")
    (folder / "notes.md").write_text("mine too")
    recipe.write_text(
        recipe.read_text().replace("{kind: tests.generate.counting, count: 8}", "{kind: annotate, source: 'coco:gone'}")
    )
    with pytest.raises(TriptychError):
        typed("generate", "run", recipe)
    assert below(folder) == ["log.txt", "notes.md"]


def test_a_mended_call_is_not_held_to_the_part_that_a_failed_one_meant(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (recipe.parent / "here").mkdir()
    (recipe.parent / "here" / "part.json").write_text('{"shard": "1/2"}')  # as of a process that was killed at once
    typed("generate", "run", recipe, "--run", "here")
    assert "kept: 4 items" in capsys.readouterr().out


def test_a_failure_after_work_keeps_the_work(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = recipe.read_text()
    recipe.write_text(good.replace("saying.echo", "saying.refuses"))
    with pytest.raises(TriptychError, match="no words today"):
        typed("generate", "run", recipe)
    recipe.write_text(good)
    typed("generate", "run", recipe)
    assert "01-counting: kept, 8 items" in capsys.readouterr().err


def test_a_merge_that_fails_leaves_nothing(recipe: Path) -> None:
    typed("generate", "run", recipe, "--shard", "1/2")
    before = below(recipe.parent)
    with pytest.raises(TriptychError, match="part 2/2 is missing"):
        typed("generate", "merge", recipe.parent / "runs" / "typed" / "shard-1-of-2", "--out", "whole")
    assert below(recipe.parent) == before


def test_an_unknown_layout_of_annotations_is_told_before_the_run_begins(recipe: Path) -> None:
    recipe.write_text(
        recipe.read_text().replace("{kind: tests.generate.counting, count: 8}", "{kind: annotate, source: 'cocoo:x'}")
    )
    with pytest.raises(ConfigError, match=r"stages\.0: .*no annotation is called 'cocoo'. Did you mean 'coco'"):
        typed("generate", "run", recipe)


@pytest.mark.parametrize("command", ["train", "recipe show", "recipe check", "recipe plan", "data plan"])
def test_a_recipe_that_makes_data_is_sent_to_the_command_that_does(recipe: Path, command: str) -> None:
    with pytest.raises(ConfigError, match=r"it makes data, .*Write: triptych generate run .*typed\.yaml"):
        typed(*command.split(), recipe)


def test_a_recipe_that_trains_is_sent_to_train() -> None:
    nlvr = ROOT / "recipes" / "nlvr.yaml"
    with pytest.raises(ConfigError, match=r"it trains, .*Write: triptych train .*nlvr\.yaml"):
        typed("generate", "run", nlvr)


def test_a_recipe_with_a_mistake_hears_of_the_mistake(recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("name:", "nmae:"))
    with pytest.raises(ConfigError, match="nmae: unknown key"):
        typed("generate", "run", recipe)
