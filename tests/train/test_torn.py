"""A picture whose file ends early is found when its pixels are read; its row is refused by name, the others go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.train.runs import toy_recipe
from triptych.core.errors import DataError
from triptych.core.files import read_json_lines
from triptych.train.trainer import train

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
