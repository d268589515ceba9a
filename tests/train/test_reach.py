"""A part that no gradient reaches is told; a stage of nothing else ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.train.runs import toy_recipe
from triptych.core.errors import RunError
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
