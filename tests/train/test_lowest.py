"""A stage that keeps the weights of its lowest validation loss: which they are, however the run was stopped."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.train.processes import run_ranks
from tests.train.runs import stop_at, toy_recipe
from tests.train.test_validation import (
    EVERY,
    STREAMED,
    TOWER,
    held_rows,
    losses,
    plain_loss,
    records,
    stop_while_it_looks,
)
from triptych.core.errors import RunError
from triptych.models.family import open_model
from triptych.train import validation
from triptych.train.merging import merged_model
from triptych.train.page.page import render_training
from triptych.train.page.story import read_story
from triptych.train.recipe import Recipe
from triptych.train.stage_state import StageState
from triptych.train.trainer import train

LONG = (("length: 6 steps", "length: 16 steps"), ("rate: 1e-2", "rate: 1e-1"), ("rate: 3e-3", "rate: 1e-2"))
"""So long that the loss of rows with other answers falls, then rises."""
OTHER = {"red": "moon", "green": "sea", "blue": "yes", "white": "sky"}
RARELY = (EVERY, "checkpoint_every: 5 steps")
STILL = ("dropout: 0.1", "dropout: 0.0")


def lowest_recipe(folder: Path, *changes: tuple[str, str], keep: str = "lowest", every: str = "1 steps") -> Recipe:
    """Return a recipe that keeps the weights of the lowest loss, or the last ones."""
    path = held_rows(folder)
    for colour, word in OTHER.items():
        path.write_text(
            path.read_text().replace(f'content": "{colour}', f'content": "{word}').replace(f' {colour}"', f' {word}"')
        )
    source = f'{{source: "messages:{path}"}}'
    plan = f"validation: {{every: {every}, keep: {keep}, data: [{source}]}}"
    return toy_recipe(folder, *changes, ("    step_tokens:", f"    {plan}\n    step_tokens:"))


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def same_weights(run: Path, other: Path) -> bool:
    ours, theirs = weights_of(run), weights_of(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def lowest(found: dict[object, float]) -> int:
    """Return the step from the first one on with the lowest loss."""
    return min((step for step in found if isinstance(step, int) and step), key=lambda step: found[step])


def give(monkeypatch: pytest.MonkeyPatch, *sums: float) -> None:
    """Let the looks find these losses a token, one after the other."""
    given, pass_over = count(), validation._look_at

    def look(held: StageState, stop: object) -> object:
        found = pass_over(held, stop)  # type: ignore[arg-type]
        return None if found is None else validation.replace(found, loss=sums[next(given)])

    monkeypatch.setattr(validation, "_look_at", look)


@pytest.mark.parametrize("changes", [[], [TOWER], [STREAMED]], ids=["kept", "tower", "streamed"])
def test_the_model_is_that_of_the_lowest_loss(tmp_path: Path, changes: list[tuple[str, str]]) -> None:
    train(lowest_recipe(tmp_path, *LONG, *changes, RARELY, every="2 steps"), run=tmp_path / "run")
    found = losses(tmp_path / "run")
    assert list(found) == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    assert 2 < lowest(found) < 14, "this tests nothing unless the loss falls and rises"
    loss, _ = plain_loss(open_model(tmp_path / "run" / "model"), tmp_path / "held" / "tune.jsonl")
    assert loss == pytest.approx(found[lowest(found)], rel=1e-4)
    assert loss != pytest.approx(found[16], rel=1e-4)
    assert [each.name for each in (tmp_path / "run" / "checkpoints").iterdir()] == ["tune-16"]
    again, _ = plain_loss(merged_model(tmp_path / "run"), tmp_path / "held" / "tune.jsonl")
    assert again == pytest.approx(loss, rel=1e-5)


def test_the_steps_are_those_of_a_run_that_keeps_the_last(tmp_path: Path) -> None:
    train(lowest_recipe(tmp_path, *LONG), run=tmp_path / "lowest")
    train(lowest_recipe(tmp_path, *LONG, keep="last"), run=tmp_path / "last")
    assert not same_weights(tmp_path / "lowest", tmp_path / "last")
    assert records(tmp_path / "lowest") == records(tmp_path / "last")
    loss, _ = plain_loss(open_model(tmp_path / "last" / "model"), tmp_path / "held" / "tune.jsonl")
    assert loss == pytest.approx(losses(tmp_path / "last")[16], rel=1e-4)


@pytest.mark.parametrize("step", [1, 6, 9, 12, 15])
def test_a_run_that_was_stopped_keeps_the_same(tmp_path: Path, step: int) -> None:
    recipe = lowest_recipe(tmp_path, *LONG, every="3 steps")
    train(recipe, run=tmp_path / "whole")
    with pytest.raises(RunError, match="stopped by SIGTERM"):
        train(recipe, run=tmp_path / "run", hooks=stop_at(step))
    train(recipe, run=tmp_path / "run")
    assert same_weights(tmp_path / "run", tmp_path / "whole")
    assert records(tmp_path / "run") == records(tmp_path / "whole")


@pytest.mark.parametrize("keep", ["last", "lowest"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_stop_during_the_last_look_is_made_up_for(tmp_path: Path, keep: str, *, streamed: bool) -> None:
    recipe = lowest_recipe(tmp_path, *([STREAMED] if streamed else []), keep=keep, every="6 steps")
    train(recipe, run=tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patched:
        stop_while_it_looks(patched, at=3)
        with pytest.raises(RunError, match="stopped by SIGTERM after step 6 of 6"):
            train(recipe, run=tmp_path / "run")
    assert list(losses(tmp_path / "run")) == [0]
    assert not (tmp_path / "run" / "model").exists()
    train(recipe, run=tmp_path / "run")
    assert records(tmp_path / "run") == records(tmp_path / "whole")
    assert same_weights(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ([1.0, 3.0, 2.0, 2.5, 2.0, 4.0, 2.0], 2),
        ([1.0, 3.0, 2.0, 2.5, 2.0, 4.0, 1.9], 6),
        ([5.0, float("nan"), float("inf"), 2.5, float("nan"), 4.0, 3.0], 3),
        ([float("nan")] * 7, 6),
        ([5.0, 4.0, *[float("nan")] * 5], 1),
    ],
    ids=["the earliest of several", "the last", "no number", "no numbers", "the first"],
)
def test_which_step_is_kept(
    found: list[float], kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, *found)
    train(lowest_recipe(tmp_path), run=tmp_path / "run")
    said = capsys.readouterr().err
    assert f"kept are the weights after step {kept} of 6" in said
    assert ("the model was as good before the first step: 1.000" in said) == (found[0] == 1.0)
    story = read_story(tmp_path / "run")
    assert story.stages[0].kept == kept
    assert f"those after step {kept}" in render_training(story)


def test_the_lowest_steps_checkpoint_stays_until_a_lower_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, 9.0, 8.0, 2.0, 7.0, 6.0, 5.0, 4.0)
    recipe = lowest_recipe(tmp_path, ("checkpoint_every: 2 steps", "checkpoint_every: 1 steps"))
    with pytest.raises(RunError):
        train(recipe, run=tmp_path / "run", hooks=stop_at(5))
    there = {each.name for each in (tmp_path / "run" / "checkpoints").iterdir()}
    assert there == {"tune-2", "tune-4", "tune-5"}


def test_a_damaged_checkpoint_of_the_lowest_loss_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, 9.0, 2.0, 7.0, 3.0, 6.0, 8.0, 9.0)
    recipe = lowest_recipe(tmp_path)
    with pytest.raises(RunError):
        train(recipe, run=tmp_path / "run", hooks=stop_at(4))
    (tmp_path / "run" / "checkpoints" / "tune-1" / "weights.safetensors").write_bytes(b"")
    train(recipe, run=tmp_path / "run")
    said = capsys.readouterr().err
    assert "tune-1 is not whole" in said
    assert "kept are the weights after step 4 of 6, of loss 6.000 (after the last step 9.000)" in said


def test_another_choice_is_another_run(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        train(lowest_recipe(tmp_path), run=tmp_path / "run", hooks=stop_at(2))
    for other in (lowest_recipe(tmp_path, keep="last"), lowest_recipe(tmp_path, every="2 steps"), toy_recipe(tmp_path)):
        with pytest.raises(RunError, match=r"belongs to another recipe: .*validation"):
            train(other, run=tmp_path / "run")


def test_a_later_stage_begins_with_what_was_kept(tmp_path: Path) -> None:
    recipe = lowest_recipe(tmp_path, *LONG)
    (first,) = recipe.stages
    second = first.model_copy(update={"name": "more", "validation": first.validation})
    train(recipe.model_copy(update={"stages": (first, second)}), run=tmp_path / "run")
    found = {name: {} for name in ("tune", "more")}  # type: ignore[var-annotated]
    for line in (tmp_path / "run" / "validation.jsonl").read_text().splitlines():
        record = json.loads(line)
        found[record["stage"]][record["step"]] = record["loss_nats"]
    assert found["more"][0] == pytest.approx(found["tune"][lowest(found["tune"])], rel=1e-4)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_several_processes_keep_what_one_keeps(tmp_path: Path, kind: str) -> None:
    train(lowest_recipe(tmp_path, TOWER, STILL, *LONG, every="4 steps"), run=tmp_path / "one")
    shared = ("seed: 3", f"seed: 3\nparallel: {{kind: {kind}}}")
    recipe = lowest_recipe(tmp_path, TOWER, STILL, *LONG, shared, every="4 steps")
    assert run_ranks(recipe, tmp_path / "run", ranks=2) == [0, 0]
    kept = [read_story(tmp_path / run).stages[0].kept for run in ("one", "run")]
    assert kept[0] == kept[1] != 16
    loss, _ = plain_loss(open_model(tmp_path / "run" / "model"), tmp_path / "held" / "tune.jsonl")
    assert loss == pytest.approx(losses(tmp_path / "run")[kept[1]], rel=1e-4)
