"""A part that no gradient reaches is told; a stage of nothing else ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.train.runs import toy_recipe
from triptych.core.errors import DataError, RunError
from triptych.core.files import read_json_lines
from triptych.train.trainer import train

PROJECTOR = "projector: {train: full, rate: 3e-3}"
LANGUAGE = "language: {train: lora, rate: 1e-2, rank: 4, alpha: 8, dropout: 0.1}"
UNREAD = "vision: {train: lora, rate: 1e-2, rank: 4, alpha: 8, from_layer: 1}"
"""An adapter in the tower's last layer, which is above the one that the projector reads."""


def test_a_stage_that_no_gradient_reaches_ends(tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path, (PROJECTOR, UNREAD), (LANGUAGE, "language: {train: frozen}"))
    with pytest.raises(RunError, match=r"stage 'tune': no gradient in 6 steps: nothing would be learnt.*from_layer"):
        train(recipe, run=tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()


def test_a_part_that_no_gradient_reaches_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(toy_recipe(tmp_path, (PROJECTOR, UNREAD)), run=tmp_path / "run")
    told = [line for line in capsys.readouterr().err.splitlines() if "no gradient" in line]
    assert len(told) == 1
    assert told[0].startswith("tune: no gradient reached vision in 6 steps. See that ")
    train(toy_recipe(tmp_path), run=tmp_path / "whole")
    assert "no gradient" not in capsys.readouterr().err


@pytest.mark.parametrize("tower", ["full", "frozen"])
def test_a_stage_of_which_no_picture_can_be_read_ends_with_where_it_is_told(tower: str, tmp_path: Path) -> None:
    recipe = toy_recipe(
        tmp_path,
        ("    kind: tune\n", "    kind: tune\n    on_bad: refuse\n    in_memory_rows: 0\n"),
        *([("    parts:\n", "    parts:\n      vision: {train: full, rate: 1e-3}\n")] if tower == "full" else []),
    )
    rows = (tmp_path / "tune.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "tune.jsonl").write_text("".join(row for row in rows if '"images": []' not in row))
    for picture in tmp_path.glob("*.png"):
        picture.write_bytes(picture.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"'tune': no conversation of 6 steps could be read; see .*ledger\.jsonl"):
        train(recipe, run=tmp_path / "run")
    steps = [record for record in read_json_lines(tmp_path / "run" / "metrics.jsonl") if "step" in record]
    assert [(record.get("loss_nats"), record["trained_tokens"]) for record in steps] == [(None, 0)] * 6
