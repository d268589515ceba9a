"""``data plan`` tells what a run will do, and the run does it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Triptych
from tests.train.runs import recipe_text
from triptych.core.files import read_json_lines
from triptych.train.recipe import load_recipe
from triptych.train.trainer import train


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "toy.yaml"
    path.write_text(recipe_text(tmp_path, align=True).replace("length: 6 steps", "length: 1 epoch"))
    return path


@pytest.mark.parametrize("rows", ["20000", "0"], ids=["in memory", "as they come"])
def test_the_plan_is_what_the_run_does(triptych_here: Triptych, recipe: Path, rows: str, tmp_path: Path) -> None:
    override = f"stages.tune.in_memory_rows={rows}"
    done = triptych_here(tmp_path, "data", "plan", str(recipe), override, "--json", "--steps", "2", "--ranks", "2")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)
    train(load_recipe(recipe, [override]), run=tmp_path / "run")
    steps = [
        row for row in read_json_lines(tmp_path / "run" / "metrics.jsonl") if row["stage"] == "tune" and "step" in row
    ]
    assert told["steps_an_epoch"] == told["total_steps"] == len(steps)
    assert told["tokens"] == sum(int(str(step["tokens"])) for step in steps)
    assert told["rows"] == told["sources"][0]["used"] == 24
    assert told["packs"] * 160 * told["fill"] == pytest.approx(told["tokens"], rel=1e-3)
    assert [len(step) for step in told["first_steps"]] == [2, 2]
    assert 0.5 < told["balance"] <= 1


def test_bad_rows_are_counted_and_named(triptych_here: Triptych, recipe: Path, tmp_path: Path) -> None:
    path = tmp_path / "tune.jsonl"
    path.write_text(path.read_text().replace('"role": "user"', '"role": "nobody"', 1))
    done = triptych_here(tmp_path, "data", "plan", str(recipe))
    assert done.returncode == 0, done.stderr
    assert "24 rows: 23 used, 0 shrunk, 0 shortened, 1 refused" in done.stdout
    ledger = next(line.split()[-1] for line in done.stdout.splitlines() if line.strip().startswith("ledger"))
    assert "nobody" in Path(ledger).read_text()


@pytest.mark.parametrize("rows", ["20000", "0"], ids=["in memory", "as they come"])
def test_what_the_budget_does_stands_in_the_ledger_that_is_told(
    triptych_here: Triptych, recipe: Path, rows: str, tmp_path: Path
) -> None:
    path = tmp_path / "tune.jsonl"
    *others, last = path.read_text().splitlines()
    row = json.loads(last)
    early = [{"role": "user", "content": "Tell me a story."}, {"role": "assistant", "content": "once upon a time " * 4}]
    row["id"], row["messages"] = "long", [*early, *early, *row["messages"]]
    path.write_text("\n".join([*others, json.dumps(row)]) + "\n")
    budget = "stages.tune.budget={overlong: shorten}"
    done = triptych_here(tmp_path, "data", "plan", str(recipe), f"stages.tune.in_memory_rows={rows}", budget, "--json")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)
    assert told["sources"][0]["shortened"] == 1
    act, total = read_json_lines(Path(told["ledger"]))
    assert (act["id"], act["act"], total["shortened"]) == ("long", "shortened", 1)


def test_rows_whose_lengths_are_remembered_are_said_not_to_be_read(
    triptych_here: Triptych, recipe: Path, tmp_path: Path
) -> None:
    plan = ("data", "plan", str(recipe), "stages.tune.in_memory_rows=0")
    assert "remembered" not in triptych_here(tmp_path, *plan).stderr
    (tmp_path / "red-1.png").unlink()
    again = triptych_here(tmp_path, *plan)
    assert "tune: the lengths of 24 of 24 rows are remembered, and these rows are not read" in again.stderr
    assert "24 rows: 24 used" in again.stdout
