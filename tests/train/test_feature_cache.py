"""Features of a stage are kept where the disk has room for them, and a run that is taken up decides alike."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.train.runs import toy_recipe
from triptych.core.errors import RunError
from triptych.core.files import read_json_lines
from triptych.train import feature_cache
from triptych.train.feature_cache import FEATURES
from triptych.train.measuring.meters import METRICS, StepReport
from triptych.train.trainer import Hooks, train


def interrupt(report: StepReport) -> None:
    if report.step == 3:
        signal.raise_signal(signal.SIGTERM)


def losses(run: Path) -> list[object]:
    return [record["loss_nats"] for record in read_json_lines(run / METRICS) if "loss_nats" in record]


def test_without_room_each_step_encodes_its_pictures_and_learns_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = toy_recipe(tmp_path)
    train(recipe, run=tmp_path / "kept")
    assert list((tmp_path / "kept" / FEATURES).glob("*/*.safetensors"))
    assert "would take" not in capsys.readouterr().err
    monkeypatch.setattr(feature_cache, "room_on", lambda _folder: 1000)
    train(recipe, run=tmp_path / "not")
    told = capsys.readouterr().err
    assert "tune: features of 8 pictures would take " in told
    assert "each picture is encoded in every step that shows it" in told
    assert not list((tmp_path / "not").rglob("*.safetensors.*"))
    assert not list((tmp_path / "not" / FEATURES).glob("*/*.safetensors"))
    assert losses(tmp_path / "not") == pytest.approx(losses(tmp_path / "kept"), abs=1e-5)


def test_a_run_that_began_without_room_goes_on_without_and_ends_with_the_same_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = toy_recipe(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(feature_cache, "room_on", lambda _folder: 1000)
        train(recipe, run=tmp_path / "whole")
        with pytest.raises(RunError, match="stopped"):
            train(recipe, run=tmp_path / "halves", hooks=Hooks(after_step=interrupt))
    train(recipe, run=tmp_path / "halves")
    assert not list((tmp_path / "halves" / FEATURES).glob("*/*.safetensors"))
    assert losses(tmp_path / "halves") == losses(tmp_path / "whole")
