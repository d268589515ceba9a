"""A run's folder is its recipe's: taken up by the same, refused to others, and nothing of anybody else's is touched."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.train.runs import stop_at, toy_recipe
from triptych.core.config import dump_config
from triptych.core.errors import DataError, ModelError, RunError
from triptych.core.files import read_json_lines
from triptych.train.claim import LEARNT, RECORDS, claim_run
from triptych.train.measuring.meters import StepReport
from triptych.train.prepare import Gathered, gather
from triptych.train.recipe import RECIPE, ModelPlan, Stage
from triptych.train.signals import InterruptedTrainingError
from triptych.train.trainer import Hooks, train

LATER_KEYS = {"scale", "rate_b", "floor", "keep_checkpoints"}
"""Keys that came after the first runs."""


def test_a_run_folder_of_the_same_recipe_is_taken_up(tmp_path: Path) -> None:
    claim_run(toy_recipe(tmp_path), tmp_path / "run")
    claim_run(toy_recipe(tmp_path), tmp_path / "run")


def test_a_run_of_when_a_source_had_a_floor_of_its_own_is_taken_up(tmp_path: Path) -> None:
    limited = toy_recipe(tmp_path, ('"}]', '", budget: {image_tokens: 64}}]'))
    claim_run(limited, tmp_path / "run")
    (tmp_path / "run" / "checkpoints").mkdir()
    written = (tmp_path / "run" / RECIPE).read_text()
    assert "least_side_px: null" in written
    (tmp_path / "run" / RECIPE).write_text(written.replace("least_side_px: null", "least_side_px: 56"))
    assert not claim_run(limited, tmp_path / "run")


def test_a_run_of_before_a_key_was_there_goes_on_as_it_would_have(tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path)
    train(recipe, run=tmp_path / "whole")
    with pytest.raises(RunError, match="after step 3 of 6"):
        train(recipe, run=tmp_path / "run", hooks=stop_at(3))
    path = tmp_path / "run" / RECIPE
    lines = path.read_text().splitlines()
    old = [line for line in lines if line.split(":")[0].strip() not in LATER_KEYS]
    assert len(lines) - len(old) == len(LATER_KEYS)
    path.write_text("\n".join(old) + "\n")
    train(recipe, run=tmp_path / "run")
    ours, theirs = (load_file(tmp_path / run / "model" / "model.safetensors") for run in ("run", "whole"))
    assert all(torch.equal(weight, theirs[name]) for name, weight in ours.items())


def test_how_many_checkpoints_stay_may_change_and_what_moves_weights_may_not(tmp_path: Path) -> None:
    claim_run(toy_recipe(tmp_path), tmp_path / "run")
    (tmp_path / "run" / "checkpoints").mkdir()
    more = toy_recipe(tmp_path, ("schedule: linear", "schedule: linear\n    keep_checkpoints: all"))
    assert not claim_run(more, tmp_path / "run")
    assert "keep_checkpoints: all" in (tmp_path / "run" / RECIPE).read_text()
    for change, said in (
        (("rank: 4", "rank: 4, scale: root"), 'language.scale is "rank" there, "root" here'),
        (("rank: 4", "rank: 4, rate_b: 16"), "language.rate_b is 1.0 there, 16.0 here"),
        (("schedule: linear", "schedule: linear\n    floor: 0.1"), "stages.tune.floor is 0.0 there, 0.1 here"),
    ):
        with pytest.raises(RunError, match=said):
            claim_run(toy_recipe(tmp_path, change), tmp_path / "run")


def test_what_a_run_goes_on_with_stands_in_its_recipe_until_it_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run" / RECIPE
    with pytest.raises(RunError):
        train(toy_recipe(tmp_path), run=tmp_path / "run", hooks=stop_at(3))
    capsys.readouterr()
    train(toy_recipe(tmp_path, ("seed: 3", "seed: 3\nparallel: {kind: ddp}")), run=tmp_path / "run")
    assert f'{path}: parallel.kind is "none" there, "ddp" here. It says what is here from now on.' in (
        capsys.readouterr().err
    )
    done = path.read_text()
    assert "kind: ddp" in done
    train(toy_recipe(tmp_path), run=tmp_path / "run")
    assert path.read_text() == done


def test_a_run_folder_of_another_recipe_is_refused_naming_the_key(tmp_path: Path) -> None:
    claim_run(toy_recipe(tmp_path), tmp_path / "run")
    (tmp_path / "run" / "checkpoints").mkdir()
    other = toy_recipe(tmp_path, ("rank: 4", "rank: 2"))
    with pytest.raises(RunError) as caught:
        claim_run(other, tmp_path / "run")
    assert str(caught.value) == (
        f"{tmp_path / 'run'} belongs to another recipe: stages.tune.parts.language.rank is 4 there, 2 here. Use another"
        f" name, or move {tmp_path / 'run'} away to begin anew."
    )


@pytest.mark.parametrize("learnt", [*LEARNT, ""])
def test_a_recipe_that_was_mended_before_anything_was_learnt_takes_its_folder_over(tmp_path: Path, learnt: str) -> None:
    claim_run(toy_recipe(tmp_path), tmp_path / "run")
    other = toy_recipe(tmp_path, ("rank: 4", "rank: 2"))
    if learnt:
        (tmp_path / "run" / learnt).mkdir()
        with pytest.raises(RunError, match=r"belongs to another recipe|is none of this run's"):
            claim_run(other, tmp_path / "run")
        return
    assert claim_run(other, tmp_path / "run")
    assert not claim_run(other, tmp_path / "run")


def test_a_run_folder_whose_recipe_is_unreadable_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / RECIPE).write_text("name: [")
    with pytest.raises(RunError, match="its recipe cannot be read"):
        claim_run(toy_recipe(tmp_path), tmp_path / "run")


@pytest.mark.parametrize("name", RECORDS)
def test_what_stands_in_a_folder_without_a_recipe_is_not_touched(name: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("mine")
    with pytest.raises(RunError, match=rf"holds {name} but no recipe\.yaml, so it is nobody's run"):
        train(toy_recipe(tmp_path), run=tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == [name]
    assert (tmp_path / "run" / name).read_text() == "mine"


def test_a_model_that_a_run_did_not_make_is_not_replaced(tmp_path: Path) -> None:
    recipe, model = toy_recipe(tmp_path), tmp_path / "run" / "model"
    model.mkdir(parents=True)
    (model / "weights.bin").write_text("mine")
    (tmp_path / "run" / RECIPE).write_text(dump_config(recipe))
    with pytest.raises(RunError, match="is none of this run's, which has learnt nothing yet, and it is not touched"):
        train(recipe, run=tmp_path / "run")
    assert (model / "weights.bin").read_text() == "mine"


def test_a_run_does_not_open_the_model_that_it_would_replace(tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path)
    opens = recipe.model_copy(update={"model": ModelPlan(open=str(tmp_path / "run" / "model"))})
    with pytest.raises(RunError, match=r"where this run would write its own model\. Use another name for the run"):
        train(opens, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("align", [True, False])
def test_a_stop_is_heard_while_rows_are_read(align: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.train.prepare.CHUNK_ROWS", 4)
    asked = []

    def asking(stage: Stage, *given: Any, **named: Any) -> Gathered[Any]:
        asked.append(stage.name)
        os.kill(os.getpid(), signal.SIGINT)
        return gather(stage, *given, **named)

    monkeypatch.setattr("triptych.train.prepare.gather", asking)
    stage = "align" if align else "tune"
    with pytest.raises(InterruptedTrainingError, match=f"by SIGINT while the rows of stage '{stage}' were read"):
        train(toy_recipe(tmp_path, align=align), run=tmp_path / "run")
    assert asked == [stage]
    monkeypatch.undo()
    assert train(toy_recipe(tmp_path, align=align), run=tmp_path / "run").is_dir()


def test_a_missing_package_is_told_before_anything_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.train.packages.find_spec", lambda _: None)
    recipe = toy_recipe(tmp_path, ("language: {train: lora", "language: {train: qlora"))
    with pytest.raises(
        ModelError, match=r"^stages\.tune: qlora needs the package bitsandbytes, which is not here: pip"
    ):
        train(recipe, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_source_without_any_row_is_named(tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path)
    (tmp_path / "tune.jsonl").write_text("[]")
    with pytest.raises(DataError, match=r"stage 'tune': there is no row at all in messages:.*tune\.jsonl"):
        train(recipe, run=tmp_path / "run")


def test_a_run_goes_on_in_smaller_passes_when_memory_ran_out(tmp_path: Path) -> None:
    def stop(report: StepReport) -> None:
        if report.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    still = ("dropout: 0.1", "dropout: 0.0")
    runs = [tmp_path / name / "run" for name in ("whole", "less")]
    for run in runs:
        run.parent.mkdir()
    train(toy_recipe(runs[0].parent, still), run=runs[0])
    with pytest.raises(RunError, match="after step 3 of 6"):
        train(toy_recipe(runs[1].parent, still), run=runs[1], hooks=Hooks(after_step=stop))
    less = ("    checkpoint_every: 2 steps", "    checkpoint_every: 1 step\n    forward_tokens: 160")
    train(toy_recipe(runs[1].parent, still, less), run=runs[1])
    losses = [[line["loss_nats"] for line in read_json_lines(run / "metrics.jsonl") if "step" in line] for run in runs]
    assert len(losses[0]) == 6
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
