"""Checkpoints: whole or not there, the latest whole one is found, old ones go."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import pytest
import torch

from triptych.core.errors import RunError
from triptych.train.checkpoint import (
    MARKER,
    PART,
    WEIGHTS,
    Outcome,
    Position,
    latest_checkpoint,
    prune_checkpoints,
    save_checkpoint,
)


def outcome(step: int, *, stage: str = "tune") -> Outcome:
    weights = {"language.a": torch.full((2, 3), float(step))}
    return Outcome(Position(stage, step, finished=False, plan="p"), weights, {"exp_avg/language.a": torch.zeros(2, 3)})


def test_what_is_saved_is_found_again(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, outcome(7))
    last = latest_checkpoint(tmp_path, "tune")
    assert last is not None
    assert last.position == Position("tune", 7, finished=False, plan="p")
    assert last.weights()["language.a"].tolist() == [[7.0] * 3] * 2
    assert set(last.optimizer()) == {"exp_avg/language.a"}
    (tmp_path / "plain").write_bytes(b"")
    assert {path.stat().st_mode for path in last.folder.iterdir()} == {(tmp_path / "plain").stat().st_mode}


def test_the_latest_is_the_one_with_the_most_steps_of_that_stage(tmp_path: Path) -> None:
    for step in (9, 10, 2):
        save_checkpoint(tmp_path, outcome(step))
    save_checkpoint(tmp_path, outcome(50, stage="tune-2"))
    last = latest_checkpoint(tmp_path, "tune")
    assert last is not None
    assert last.position.step == 10
    assert latest_checkpoint(tmp_path, "align") is None


@pytest.mark.parametrize("damage", ["no marker", "empty marker", "short weights", "no weights", "half written"])
def test_a_torn_checkpoint_is_passed_over(tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    save_checkpoint(tmp_path, outcome(4))
    newer = save_checkpoint(tmp_path, outcome(6))
    if damage == "no marker":
        (newer / MARKER).unlink()
    elif damage == "empty marker":
        (newer / MARKER).write_text("")
    elif damage == "short weights":
        os.truncate(newer / WEIGHTS, 40)
    elif damage == "no weights":
        (newer / WEIGHTS).unlink()
    else:
        newer.rename(newer.with_name(newer.name + PART))
    last = latest_checkpoint(tmp_path, "tune")
    assert last is not None
    assert last.position.step == 4
    said = capsys.readouterr().err
    assert ("this checkpoint is not used" in said) == (damage != "half written")


def test_a_torn_checkpoint_is_written_anew(tmp_path: Path) -> None:
    torn = save_checkpoint(tmp_path, outcome(6))
    (torn / MARKER).unlink()
    save_checkpoint(tmp_path, outcome(6))
    assert latest_checkpoint(tmp_path, "tune") is not None


def test_one_in_whose_place_another_is_put_counts_until_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_checkpoint(tmp_path, outcome(6))
    rename = Path.rename

    def killed(path: Path, target: Path) -> Path:
        if path.name.endswith(PART):
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, outcome(6))
    assert not folder.exists()
    for _ in range(2):
        last = latest_checkpoint(tmp_path, "tune")
        assert last is not None
        assert last.position.step == 6
        assert last.weights()
        prune_checkpoints(tmp_path, "tune", latest=6, keep=1)
        prune_checkpoints(tmp_path, "tu", latest=6, keep=1)
    assert save_checkpoint(tmp_path, outcome(6)) == folder
    assert [path.name for path in folder.parent.iterdir()] == ["tune-6"]


def test_only_the_latest_are_kept_of_the_stage(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, outcome(1, stage="align"))
    for step in (2, 4, 10):
        save_checkpoint(tmp_path, outcome(step))
    (tmp_path / "checkpoints" / f"tune-12{PART}").mkdir()
    prune_checkpoints(tmp_path, "tune", latest=10, keep=2)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["align-1", "tune-10", "tune-4"]


@pytest.mark.parametrize(("keep", "left"), [("all", [2, 4, 8, 10]), (9, [2, 4, 8, 10]), (3, [4, 8, 10]), (1, [10])])
def test_as_many_are_kept_as_are_asked_for(keep: int | Literal["all"], left: list[int], tmp_path: Path) -> None:
    for step in (2, 4, 8, 10, 12):
        save_checkpoint(tmp_path, outcome(step))
    (tmp_path / "checkpoints" / "tune-12" / MARKER).unlink()
    (tmp_path / "checkpoints" / f"tune-14{PART}").mkdir()
    prune_checkpoints(tmp_path, "tune", latest=10, keep=keep)
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {f"tune-{step}" for step in left}


def test_torn_checkpoints_never_drive_out_whole_ones(tmp_path: Path) -> None:
    for step in (70, 80, 90, 100):
        save_checkpoint(tmp_path, outcome(step))
    for step in (90, 100):
        (tmp_path / "checkpoints" / f"tune-{step}" / MARKER).unlink()
    save_checkpoint(tmp_path, outcome(85))  # the run went on from 80
    prune_checkpoints(tmp_path, "tune", latest=85, keep=2)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["tune-80", "tune-85"]


def test_a_checkpoint_that_cannot_be_written_names_the_last_good_one(tmp_path: Path) -> None:
    good = save_checkpoint(tmp_path, outcome(2))
    # A file where the folder is to be written stands for a disk that says no; permissions do not stop root.
    (tmp_path / "checkpoints" / f"tune-4{PART}").write_text("")
    with pytest.raises(RunError, match=f"the last good checkpoint is {good}"):
        save_checkpoint(tmp_path, outcome(4))
    last = latest_checkpoint(tmp_path, "tune")
    assert last is not None
    assert last.folder == good
