"""A run as it stood after an earlier step: its checkpoints stay as its recipe says, and each becomes a model."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from tests.train.processes import run_ranks
from tests.train.runs import stop_at, toy_recipe
from tests.train.test_lowest import lowest_recipe
from triptych.cli.merge import run as merge
from triptych.core.errors import ModelError, RunError
from triptych.models.family import Model, open_model
from triptych.train.measuring.meters import StepReport
from triptych.train.merging import merged_model
from triptych.train.recipe import Recipe
from triptych.train.trainer import Hooks, train

OFTEN = "checkpoint_every: 2 steps"


def stop_in(stage: str, step: int) -> Hooks:
    """Return what asks a run to stop after a step of a stage."""

    def ask(report: StepReport) -> None:
        if (report.stage, report.step) == (stage, step):
            os.kill(os.getpid(), signal.SIGTERM)

    return Hooks(after_step=ask)


def said_of(run: Path, capsys: pytest.CaptureFixture[str], *, step: int) -> str:
    """Return what is said when a run is merged as it stood after a step."""
    capsys.readouterr()
    merged_model(run, step=step)
    return capsys.readouterr().err


def keeping(folder: Path, many: str, *changes: tuple[str, str], align: bool = False) -> Recipe:
    """Return a recipe that saves each step and keeps so many of them."""
    each = f"checkpoint_every: 1 step\n    keep_checkpoints: {many}"
    return toy_recipe(folder, *changes, (OFTEN, each), align=align)


def names(run: Path) -> set[str]:
    return {path.name for path in (run / "checkpoints").iterdir()}


def same(one: Model, other: Model) -> bool:
    ours, theirs = one.network.state_dict(), other.network.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("many", "under_way", "done"),
    [("1", {5}, {6}), ("2", {4, 5}, {6}), ("3", {3, 4, 5}, {4, 5, 6}), ("all", {1, 2, 3, 4, 5}, {1, 2, 3, 4, 5, 6})],
)
def test_as_many_checkpoints_stay_as_are_asked_for(
    many: str, under_way: set[int], done: set[int], tmp_path: Path
) -> None:
    recipe = keeping(tmp_path, many)
    with pytest.raises(RunError, match="after step 5 of 6"):
        train(recipe, run=tmp_path / "run", hooks=stop_at(5))
    assert names(tmp_path / "run") == {f"tune-{step}" for step in under_way}
    train(recipe, run=tmp_path / "run")
    assert names(tmp_path / "run") == {f"tune-{step}" for step in done}


def test_how_many_stay_moves_no_weight_and_may_change_on_the_way(tmp_path: Path) -> None:
    train(toy_recipe(tmp_path), run=tmp_path / "plain")
    with pytest.raises(RunError, match="after step 4 of 6"):
        train(keeping(tmp_path, "all"), run=tmp_path / "run", hooks=stop_at(4))
    train(keeping(tmp_path, "3"), run=tmp_path / "run")
    assert names(tmp_path / "run") == {"tune-4", "tune-5", "tune-6"}
    assert same(open_model(tmp_path / "run" / "model"), open_model(tmp_path / "plain" / "model"))


def test_each_step_that_stayed_is_the_model_that_the_run_was_then(tmp_path: Path) -> None:
    constant = ("linear", "constant")
    train(keeping(tmp_path, "all", constant), run=tmp_path / "run")
    for step in (2, 5):
        shorter = toy_recipe(tmp_path, constant, ("length: 6 steps", f"length: {step} steps"))
        train(shorter, run=tmp_path / f"only-{step}")
        merge(tmp_path / "run", out=tmp_path / f"merged-{step}", step=step)
        assert same(open_model(tmp_path / f"merged-{step}"), open_model(tmp_path / f"only-{step}" / "model"))
    assert same(merged_model(tmp_path / "run", step=6), open_model(tmp_path / "run" / "model"))


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_a_step_of_several_processes_is_that_of_one(kind: str, tmp_path: Path) -> None:
    keys = ("alpha: 8, dropout: 0.1", "alpha: 8, scale: root, rate_b: 4")
    floor = ("schedule: linear", "schedule: linear\n    floor: 0.3")
    train(keeping(tmp_path, "all", keys, floor), run=tmp_path / "one")
    shared = ("seed: 3", f"seed: 3\nparallel: {{kind: {kind}}}")
    assert run_ranks(keeping(tmp_path, "all", keys, floor, shared), tmp_path / "run", ranks=2) == [0, 0]
    assert names(tmp_path / "run") == names(tmp_path / "one")
    ours, theirs, later = (
        merged_model(tmp_path / run, step=step).network.state_dict()
        for run, step in (("run", 3), ("one", 3), ("one", 4))
    )
    assert all(torch.allclose(weight, theirs[name], atol=2e-3) for name, weight in ours.items())
    assert not all(torch.allclose(weight, later[name], atol=2e-3) for name, weight in ours.items())


def two_stages(folder: Path) -> Recipe:
    recipe = keeping(folder, "all", ("length: 6 steps", "length: 3 steps"), align=True)
    align, first = recipe.stages
    return recipe.model_copy(update={"stages": (align, first, first.model_copy(update={"name": "more"}))})


def test_a_step_is_the_last_stages_that_has_it_unless_a_stage_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RunError, match="after step 2 of 3 of stage 'more'"):
        train(two_stages(tmp_path), run=tmp_path / "run", hooks=stop_in("more", 2))
    capsys.readouterr()
    later = merged_model(tmp_path / "run", step=2)
    said = capsys.readouterr().err
    assert "align: finished" in said
    assert "tune: finished" in said
    assert "more: after step 2, not finished" in said
    first = merged_model(tmp_path / "run", step=2, stage="tune")
    said = capsys.readouterr().err
    assert "align: finished" in said
    assert "tune: after step 2, not finished" in said
    assert "more" not in said
    assert not same(first, later)
    said = said_of(tmp_path / "run", capsys, step=3)
    assert "tune: finished" in said
    assert "more" not in said


def test_a_step_without_a_whole_checkpoint_is_told_with_those_that_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    train(two_stages(tmp_path), run=run)
    (run / "checkpoints" / "tune-2" / "weights.safetensors").write_bytes(b"")
    for step, stage, said in (
        (
            9,
            None,
            "of any stage after step 9; there are: align after step 1; tune after step 1, 2, 3; more after step 1",
        ),
        (9, "tune", "of stage 'tune' after step 9; there are: align after step 1; tune after step 1, 2, 3; more"),
        (2, "tune", "of stage 'tune' after step 2; there are: align after step 1; tune after step 1, 3; more after"),
    ):
        with pytest.raises(RunError) as caught:
            merged_model(run, step=step, stage=stage)
        assert str(caught.value).startswith(f"{run} has no whole checkpoint {said}")
        assert str(caught.value).endswith("keep_checkpoints in its recipe says how many stay.")
        assert "\n" not in str(caught.value)
    assert "weights.safetensors is not what was written" in capsys.readouterr().err
    with pytest.raises(RunError, match=r"^--stage: tun is none of align, tune, more"):
        merged_model(run, step=2, stage="tun")
    with pytest.raises(RunError, match=r"^--stage: tune says whose step it is: say --step too"):
        merged_model(run, stage="tune")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="is an adapter, which has no stages nor steps"):
        merged_model(tmp_path / "adapter", step=2)


def test_the_last_step_of_a_stage_that_keeps_its_lowest_loss_says_whose_weights_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = lowest_recipe(tmp_path, (OFTEN, "checkpoint_every: 1 step\n    keep_checkpoints: all"))
    train(recipe, run=tmp_path / "run")
    assert names(tmp_path / "run") == {f"tune-{step}" for step in range(1, 7)}
    assert "lowest validation loss" in said_of(tmp_path / "run", capsys, step=6)
    assert "lowest validation loss" not in said_of(tmp_path / "run", capsys, step=5)
