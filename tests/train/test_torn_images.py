"""A picture whose file ends early is found when its pixels are read; its row is refused by name, the others go on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tests.train.runs import toy_recipe
from triptych.core.errors import DataError
from triptych.core.files import read_json_lines, sha256_of
from triptych.core.records import Json
from triptych.train.checkpoint import latest_checkpoint
from triptych.train.measuring.meters import StepReport
from triptych.train.trainer import Hooks, train

REFUSE = ("    kind: tune\n", "    kind: tune\n    on_bad: refuse\n")
ALIGN_REFUSE = ("    kind: closed_form\n", "    kind: closed_form\n    on_bad: refuse\n")
TOWER = ("    parts:\n", "    parts:\n      vision: {train: full, rate: 1e-3}\n")


def tear(folder: Path, name: str = "red-0.png") -> None:
    """Cut a picture's file in the middle: its header still tells its size."""
    picture = folder / name
    picture.write_bytes(picture.read_bytes()[:-40])


def rows_with(folder: Path, name: str = "red-0.png") -> set[str]:
    return {str(row["id"]) for row in read_json_lines(folder / "tune.jsonl") if name in str(row["images"])}


@pytest.mark.parametrize("changes", [[], [TOWER]], ids=["frozen tower", "trained tower"])
def test_the_error_names_the_row(tmp_path: Path, changes: list[tuple[str, str]]) -> None:
    recipe = toy_recipe(tmp_path, *changes)
    tear(tmp_path)
    with pytest.raises(DataError, match=r"tune\.jsonl: row \d+ \(id 'row-\d+'\): .*red-0\.png: image unreadable"):
        train(recipe, run=tmp_path / "run")


@pytest.mark.parametrize("changes", [[], [TOWER]], ids=["frozen tower", "trained tower"])
def test_refused_rows_are_left_out_and_stand_in_the_ledger(tmp_path: Path, changes: list[tuple[str, str]]) -> None:
    recipe = toy_recipe(tmp_path, REFUSE, ("6 steps", "2 epochs"), *changes)
    tear(tmp_path)
    train(recipe, run=tmp_path / "run")
    *refused, total = read_json_lines(tmp_path / "run" / "ledger.jsonl")
    wanted = rows_with(tmp_path)
    assert {str(row["where"]).split("'")[1] for row in refused} == wanted
    assert len(refused) == len(wanted)  # once, though the epoch came twice
    assert {row["reason"] for row in refused} == {"image unreadable"}
    assert (total["all"], total["used"], total["refused"]) == (24, 24 - len(wanted), len(wanted))


@pytest.mark.parametrize("rows_in_memory", [100, 0])
def test_a_run_that_met_a_bad_row_goes_on_without_it_when_told_to(rows_in_memory: int, tmp_path: Path) -> None:
    often = ("checkpoint_every: 2 steps", f"checkpoint_every: 1 step\n    in_memory_rows: {rows_in_memory}")
    models = []
    for refuses in (False, True):
        folder = tmp_path / str(refuses)
        folder.mkdir()

        def break_it(report: StepReport, folder: Path = folder) -> None:
            if report.step == 2:
                picture = folder / "red-0.png"  # as long as it was, as a run takes no other data up
                picture.write_bytes(picture.read_bytes()[:-40] + bytes(40))

        lenient = toy_recipe(folder, TOWER, often, REFUSE)
        if not refuses:
            stages = tuple(stage.model_copy(update={"on_bad": "raise"}) for stage in lenient.stages)
            strict = lenient.model_copy(update={"stages": stages})
            with pytest.raises(DataError, match=r"stages\.tune\.on_bad: refuse; a run that has begun may change it"):
                train(strict, run=folder / "run", hooks=Hooks(after_step=break_it))
            assert latest_checkpoint(folder / "run", "tune") is not None
        hooks = Hooks(after_step=break_it if refuses else None)
        models.append(train(lenient, run=folder / "run", hooks=hooks))
    assert len({sha256_of(model / "model.safetensors") for model in models}) == 1


def test_a_torn_caption_is_left_out_of_the_alignment(tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path, REFUSE, ALIGN_REFUSE, align=True)
    tear(tmp_path)
    train(recipe, run=tmp_path / "run")
    records = [row for row in read_json_lines(tmp_path / "run" / "ledger.jsonl") if row["stage"] == "align"]
    assert [row.get("reason") for row in records] == ["image unreadable", None]
    assert (records[-1]["all"], records[-1]["used"], records[-1]["refused"]) == (8, 7, 1)


def test_when_every_picture_of_a_step_is_torn_the_others_still_learn(tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path, REFUSE, ("step_tokens: 320", "step_tokens: 160"), ("6 steps", "1 epoch"))
    for picture in tmp_path.glob("*.png"):
        if picture.name != "red-0.png":
            tear(tmp_path, picture.name)
    train(recipe, run=tmp_path / "run")
    steps = [row for row in read_json_lines(tmp_path / "run" / "metrics.jsonl") if row.get("step")]
    assert {row["tokens"] == 0 for row in steps} <= {True, False}
    assert any(row["tokens"] for row in steps)


def test_without_any_whole_row_there_is_nothing_to_learn(tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path, REFUSE)
    for picture in tmp_path.glob("*.png"):
        tear(tmp_path, picture.name)
    path = tmp_path / "tune.jsonl"
    rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join(row for row in rows if ".png" in row))
    with pytest.raises(DataError, match="every conversation has a torn picture"):
        train(recipe, run=tmp_path / "run")


@pytest.mark.parametrize("changes", [[], [TOWER]], ids=["frozen tower", "trained tower"])
@pytest.mark.parametrize("name", ["tune.jsonl", "tune.json"], ids=["the same file", "a file whose name begins so"])
def test_a_refused_row_counts_in_its_own_source(tmp_path: Path, name: str, changes: list[tuple[str, str]]) -> None:
    both = ("data: [{", f'data: [{{source: "messages:{tmp_path / name}"}}, {{')
    recipe = toy_recipe(tmp_path, both, REFUSE, ("6 steps", "1 epoch"), *changes)
    rows = list(read_json_lines(tmp_path / "tune.jsonl"))
    if name == "tune.json":
        (tmp_path / name).write_text(json.dumps(rows[:12]))
    tear(tmp_path)
    train(recipe, run=tmp_path / "run")
    records = list(read_json_lines(tmp_path / "run" / "ledger.jsonl"))
    wanted = [sum("red-0.png" in str(row["images"]) for row in each) for each in (rows[: len(rows) // 2], rows)]
    wanted = wanted if name == "tune.json" else [wanted[1]] * 2
    assert [record["refused"] for record in records if "all" in record] == wanted
    assert sum("reason" in record for record in records) == sum(wanted)
    _check_sums(records)


def test_a_shortened_row_with_a_torn_picture_is_refused_in_the_ledger(tmp_path: Path) -> None:
    budget = "    budget: {overlong: shorten}\n    pack_tokens: 160\n"
    recipe = toy_recipe(tmp_path, REFUSE, ("    pack_tokens: 160\n", budget), ("6 steps", "1 epoch"))
    rows = list(read_json_lines(tmp_path / "tune.jsonl"))
    early = [{"role": "user", "content": "once " * 60}, {"role": "assistant", "content": "upon " * 60}]
    long = [{**row, "messages": [*early, *row["messages"]]} for row in rows[:8] if isinstance(row["messages"], list)]
    (tmp_path / "tune.jsonl").write_text("".join(json.dumps(row) + "\n" for row in (*long, *rows[8:])))
    tear(tmp_path)
    train(recipe, run=tmp_path / "run")
    records = list(read_json_lines(tmp_path / "run" / "ledger.jsonl"))
    refused = {str(each["where"]).split("'")[1] for each in records if "reason" in each}
    assert refused == rows_with(tmp_path)
    assert refused & {str(row["id"]) for row in rows[:8]}, "a long row has the torn picture"
    assert sum(each.get("act") == "shortened" for each in records) == sum(each["id"] not in refused for each in long)
    _check_sums(records)


def test_a_caption_that_comes_twice_in_an_epoch_is_refused_once(tmp_path: Path) -> None:
    twice = ('data: [{source: "messages:', 'data: [{weight: 2.0, source: "messages:')
    recipe = toy_recipe(tmp_path, REFUSE, ALIGN_REFUSE, twice, align=True)
    tear(tmp_path)
    train(recipe, run=tmp_path / "run")
    records = [row for row in read_json_lines(tmp_path / "run" / "ledger.jsonl") if row["stage"] == "align"]
    assert [row.get("reason") for row in records] == ["image unreadable", None]
    _check_sums(records)


def _check_sums(records: Iterable[Mapping[str, Json]]) -> None:
    """Check that every row of a source is counted once."""
    sums = [
        {name: value for name, value in each.items() if isinstance(value, int)} for each in records if "all" in each
    ]
    assert sums
    for each in sums:
        assert each.pop("all") == sum(each.values())
        assert min(each.values()) >= 0
