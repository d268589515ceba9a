"""Trackers hear what metrics.jsonl says, each step once, also of a run that went on; one that fails stops nothing."""

from __future__ import annotations

import shutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.train.runs import stop_at, toy_recipe
from triptych.core.errors import ConfigError, RunError
from triptych.core.files import append_json_line, read_json_lines
from triptych.core.records import Json
from triptych.train.measuring.meters import METRICS, VALIDATIONS
from triptych.train.measuring.trackers import FOLDER, TRACKERS, Trackers, check_trackers, note_plan
from triptych.train.setting import LogPlan
from triptych.train.trainer import train

SEED = "seed: 3"


def needs(package: str) -> None:
    """Skip where an optional package is not there."""
    if find_spec(package) is None:
        pytest.skip(f"the optional package {package} is not installed")


def scalars(run: Path, folder: str = FOLDER) -> dict[str, list[tuple[int, float]]]:
    """Return what TensorBoard reads from a folder of a run."""
    needs("tensorboard")
    read = import_module("tensorboard.backend.event_processing.event_accumulator").EventAccumulator
    found = read(str(run / folder), size_guidance={"scalars": 0})
    found.Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def told(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what metrics.jsonl holds, as TensorBoard has it."""
    found: dict[str, list[tuple[int, float]]] = {}
    for record in read_json_lines(run / METRICS):
        step = record.get("step")
        for key, value in record.items():
            if isinstance(value, int | float) and key != "step":
                name = key if step is not None else f"stage_{key}"
                found.setdefault(f"{record['stage']}/{name}", []).append((int(str(step or 0)), float(value)))
    return found


def test_tensorboard_holds_what_metrics_hold_also_of_a_run_that_was_stopped(tmp_path: Path) -> None:
    needs("tensorboard")
    run = tmp_path / "run"
    recipe = toy_recipe(tmp_path, (SEED, f"{SEED}\nlog: {{tensorboard: true}}"), align=True)
    with pytest.raises(RunError, match="stopped by SIGTERM after step 3"):
        train(recipe, run=run, hooks=stop_at(3))
    train(recipe, run=run)
    seen, wanted = scalars(run), told(run)
    assert seen.keys() == wanted.keys()
    assert [step for step, _ in seen["tune/loss_nats"]] == [1, 2, 3, 4, 5, 6]
    for tag, points in wanted.items():
        assert [step for step, _ in seen[tag]] == [step for step, _ in points]
        assert [value for _, value in seen[tag]] == pytest.approx([value for _, value in points], rel=1e-6)


def test_tensorboard_holds_each_validation_once_also_of_a_run_that_was_stopped(tmp_path: Path) -> None:
    needs("tensorboard")
    run, every = tmp_path / "run", "checkpoint_every: 2 steps"
    plan = f'validation: {{every: 2 steps, data: [{{source: "messages:{tmp_path / "tune.jsonl"}", limit: 5}}]}}'
    recipe = toy_recipe(tmp_path, (SEED, f"{SEED}\nlog: {{tensorboard: true}}"), (every, f"{every}\n    {plan}"))
    with pytest.raises(RunError):
        train(recipe, run=run, hooks=stop_at(3))
    train(recipe, run=run)
    seen = scalars(run)
    wanted = {record["step"]: record["loss_nats"] for record in read_json_lines(run / VALIDATIONS)}
    assert [step for step, _ in seen["tune/validation/loss_nats"]] == list(wanted) == [0, 2, 4, 6]
    assert [value for _, value in seen["tune/validation/loss_nats"]] == pytest.approx(list(wanted.values()), rel=1e-6)
    assert [step for step, _ in seen["tune/loss_nats"]] == [1, 2, 3, 4, 5, 6]


def test_a_tracker_that_is_asked_for_later_hears_the_steps_before(tmp_path: Path) -> None:
    needs("tensorboard")
    run = tmp_path / "run"
    with pytest.raises(RunError):
        train(toy_recipe(tmp_path), run=run, hooks=stop_at(2))
    train(toy_recipe(tmp_path, (SEED, f"{SEED}\nlog: {{tensorboard: true}}")), run=run)
    assert [step for step, _ in scalars(run)["tune/loss_nats"]] == [1, 2, 3, 4, 5, 6]


def test_a_step_that_is_done_again_after_a_kill_is_not_told_twice(tmp_path: Path) -> None:
    needs("tensorboard")
    for _ in range(2):  # the second session does step 2 again
        trackers = Trackers(LogPlan(tensorboard=True), run=tmp_path, recipe={})
        for step in (1, 2):
            trackers.tell({"stage": "tune", "step": step, "loss_nats": 1 / step})
        trackers.close()
    assert scalars(tmp_path) == {"tune/loss_nats": [(1, 1.0), (2, 0.5)]}
    names = [line["run"] for line in read_json_lines(tmp_path / TRACKERS) if "run" in line]
    assert len(names) == 1  # the same tracker run


def test_a_stage_that_begins_anew_on_other_data_is_told_as_another_run(tmp_path: Path) -> None:
    needs("tensorboard")
    run, log = tmp_path / "run", (SEED, f"{SEED}\nlog: {{tensorboard: true}}")
    recipe = toy_recipe(tmp_path, log, align=True)
    with pytest.raises(RunError):
        train(recipe, run=run, hooks=stop_at(3))
    before = scalars(run)
    data = tmp_path / "tune.jsonl"
    data.write_text(data.read_text().replace("How many?", "How many are there?"))
    with pytest.raises(RunError, match=r"changed since .* or delete \S+checkpoints to begin anew"):
        train(recipe, run=run)
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(RunError):
        train(recipe, run=run, hooks=stop_at(1))
    train(recipe, run=run)
    names = [str(line["run"]) for line in read_json_lines(run / TRACKERS) if "run" in line]
    assert len(names) == 2
    seen, wanted = scalars(run, f"{FOLDER}/{names[1]}"), told(run)
    assert seen.keys() == wanted.keys()
    for tag in ("tune/loss_nats", "align/explained_variance"):
        assert [step for step, _ in seen[tag]] == [step for step, _ in wanted[tag]]
        assert [value for _, value in seen[tag]] == pytest.approx([value for _, value in wanted[tag]], rel=1e-6)
    first = scalars(run)
    assert first["tune/loss_nats"] == before["tune/loss_nats"], "what was told of the data that are gone stays apart"


def test_data_that_were_put_back_after_a_refusal_are_the_same_run(tmp_path: Path) -> None:
    needs("tensorboard")
    run, log = tmp_path / "run", (SEED, f"{SEED}\nlog: {{tensorboard: true}}")
    recipe, data = toy_recipe(tmp_path, log), tmp_path / "tune.jsonl"
    with pytest.raises(RunError):
        train(recipe, run=run, hooks=stop_at(2))
    text = data.read_text()
    data.write_text(text.replace("How many?", "How many are there?"))
    with pytest.raises(RunError, match="changed since"):
        train(recipe, run=run)
    data.write_text(text)
    train(recipe, run=run)
    assert [step for step, _ in scalars(run)["tune/loss_nats"]] == [1, 2, 3, 4, 5, 6]
    assert len([line for line in read_json_lines(run / TRACKERS) if "run" in line]) == 1


def test_a_tracker_run_that_goes_on_knows_which_of_several_is_the_latest(tmp_path: Path) -> None:
    needs("tensorboard")
    for plan, steps in (("a", (1, 2)), ("b", (1,)), ("b", (1, 2)), ("c", (1,))):
        trackers = Trackers(LogPlan(tensorboard=True), run=tmp_path, recipe={})
        note_plan(tmp_path, "tune", plan=plan)
        for step in steps:
            trackers.tell({"stage": "tune", "step": step, "loss_nats": 1 / step})
        trackers.close()
    names = [str(line["run"]) for line in read_json_lines(tmp_path / TRACKERS) if "run" in line]
    assert len(names) == len(set(names)) == 3
    assert scalars(tmp_path) == {"tune/loss_nats": [(1, 1.0), (2, 0.5)]}
    assert scalars(tmp_path, f"{FOLDER}/{names[1]}") == {"tune/loss_nats": [(1, 1.0), (2, 0.5)]}
    assert scalars(tmp_path, f"{FOLDER}/{names[2]}") == {"tune/loss_nats": [(1, 1.0)]}


def test_plans_are_noted_only_where_somebody_is_told(tmp_path: Path) -> None:
    note_plan(tmp_path, "tune", plan="a")
    assert not (tmp_path / TRACKERS).exists()


def test_wandb_without_a_network_keeps_one_run_with_each_step_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    two_sessions(tmp_path, LogPlan(wandb="pictures"))
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 2  # of one id: W&B joins them when it syncs
    assert len({folder.name.split("-", 3)[3] for folder in (tmp_path / "wandb").glob("offline-run-*")}) == 1
    assert_each_once(tmp_path, "wandb")


def test_trackio_keeps_one_run_with_each_step_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # before it is loaded
    needs("trackio")
    two_sessions(tmp_path, LogPlan(trackio="pictures"))
    assert_each_once(tmp_path, "trackio")


def two_sessions(run: Path, plan: LogPlan) -> None:
    for steps in ((1, 2), (2, 3)):
        trackers = Trackers(plan, run=run, recipe={"name": "toy"})
        for step in steps:
            trackers.tell({"stage": "tune", "step": step, "loss_nats": 1 / step})
        trackers.close()


def assert_each_once(run: Path, tracker: str) -> None:
    lines = [line for line in read_json_lines(run / TRACKERS) if line.get("tracker") == tracker]
    assert [line["step"] for line in lines] == [1, 2, 3]


def test_a_package_that_is_not_there_is_told_before_anything_is_trained(
    tmp_path: Path,
) -> None:
    missing = next((name for name in ("wandb", "trackio") if find_spec(name) is None), None)
    if missing is None:
        pytest.skip("wandb and trackio are both installed")
    recipe = toy_recipe(tmp_path, (SEED, f"{SEED}\nlog: {{{missing}: pictures}}"))
    with pytest.raises(
        ConfigError, match=rf"log\.{missing}: the package {missing} is not there: pip install {missing}"
    ):
        train(recipe, run=tmp_path / "run")
    assert not (tmp_path / "run" / METRICS).exists()
    check_trackers(LogPlan())


def test_a_tracker_that_fails_is_named_once_and_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs("tensorboard")
    trackers = Trackers(LogPlan(tensorboard=True), run=tmp_path, recipe={})
    record: dict[str, Json] = {"stage": "tune", "step": 1, "loss_nats": 1.0}
    trackers.tell(record)
    (tmp_path / TRACKERS).unlink()
    (tmp_path / TRACKERS).mkdir()  # what it writes down has no place any more
    for step in (2, 3):
        trackers.tell(record | {"step": step})
    trackers.close()
    said = capsys.readouterr().err
    assert said.count("tensorboard is told nothing more") == 1
    assert "Training goes on" in said


def test_a_tracker_that_cannot_begin_does_not_end_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs("tensorboard")
    run = tmp_path / "run"
    run.mkdir()
    (run / FOLDER).write_text("a file where its folder would be")
    recipe = toy_recipe(tmp_path, (SEED, f"{SEED}\nlog: {{tensorboard: true}}"), ("6 steps", "1 steps"))
    assert train(recipe, run=run) == run / "model"
    assert capsys.readouterr().err.count("tensorboard is told nothing more") == 1


def test_nobody_is_told_where_nobody_asks(tmp_path: Path) -> None:
    append_json_line(tmp_path / METRICS, {"stage": "tune", "step": 1, "loss_nats": 1.0})
    trackers = Trackers(LogPlan(), run=tmp_path, recipe={})
    trackers.tell({"stage": "tune", "step": 2})
    trackers.close()
    assert not (tmp_path / TRACKERS).exists()
