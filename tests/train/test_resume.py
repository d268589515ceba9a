"""Killed at any moment and started again, a run ends with the same bits, and its records tell each step once."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.train.runs import toy_recipe
from triptych.core.errors import RunError
from triptych.core.files import read_json_lines, sha256_of
from triptych.core.records import Json
from triptych.train.checkpoint import MARKER, PART, latest_checkpoint
from triptych.train.measuring.meters import StepReport
from triptych.train.signals import InterruptedTrainingError
from triptych.train.trainer import Hooks, train

# A child that starts with torch imported, and else with nothing of ours: a second instead of ten.
CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload(["tests.train.runs", "triptych.train.trainer"])
CHANGES = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")
"""Audit events of file operations: the moments at which what is on the disk changes."""


def child(data: Path, run: Path, kill: Callable[[str, str, int], bool] | None) -> None:
    """Train in this process; kill it at the file operation for which ``kill(event, path, number)`` says so."""
    seen = 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event in CHANGES and str(run) in str(arguments[0]):
            seen += 1
            if kill is not None and kill(event, str(arguments[0]), seen):
                os.kill(os.getpid(), signal.SIGKILL)
            elif kill is None:
                operations.append(event)

    operations: list[str] = []
    sys.addaudithook(watch)
    train(toy_recipe(data, align=True), run=run)
    (run / "operations").write_text(str(len(operations)))


class At:
    """Kill at the n-th file operation."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, event: str, path: str, number: int) -> bool:
        return number == self.number


class Writing:
    """Kill as this file of the n-th checkpoint is opened to be written: align-1, tune-2, tune-4, tune-6."""

    def __init__(self, name: str, checkpoint: int) -> None:
        self.name, self.checkpoint = name, checkpoint
        self.seen: set[str] = set()

    def __call__(self, event: str, path: str, number: int) -> bool:
        if event == "open" and PART in path and path.endswith(self.name):
            self.seen.add(path)
        return len(self.seen) == self.checkpoint


def start(data: Path, run: Path, kill: Callable[[str, str, int], bool] | None = None) -> int | None:
    """Train in a child; return its exit code."""
    process = CHILDREN.Process(target=child, args=(data, run, kill))
    process.start()
    process.join(60)
    return process.exitcode


def facts(run: Path) -> list[dict[str, Json]]:
    """Return the records of metrics.jsonl without what a clock or the memory says."""
    records = read_json_lines(run / "metrics.jsonl")
    return [{key: value for key, value in record.items() if not key.endswith(("_s", "_gib"))} for record in records]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    toy_recipe(folder, align=True)
    return folder


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody killed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert start(data, run) == 0
    return run


def same_as(whole: Path, run: Path) -> None:
    assert sha256_of(run / "model" / "model.safetensors") == sha256_of(whole / "model" / "model.safetensors")
    assert facts(run) == facts(whole)
    assert list(read_json_lines(run / "ledger.jsonl")) == list(read_json_lines(whole / "ledger.jsonl"))
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["align-1", "tune-6"]


@pytest.mark.parametrize("share", [Random(seed).random() for seed in range(4)] + [0.97])
def test_a_run_killed_at_any_file_operation_ends_with_the_same_bits(
    share: float, data: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    operations = int((whole / "operations").read_text())
    assert start(data, run, At(1 + int(share * operations))) == -signal.SIGKILL
    assert start(data, run) == 0
    same_as(whole, run)


@pytest.mark.parametrize(("name", "checkpoint"), [("position.json", 2), (MARKER, 3)])
def test_a_run_killed_while_it_writes_a_checkpoint_ends_with_the_same_bits(
    name: str, checkpoint: int, data: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert start(data, run, Writing(name, checkpoint)) == -signal.SIGKILL
    assert list((run / "checkpoints").glob(f"*{PART}"))
    assert start(data, run) == 0
    same_as(whole, run)


def test_a_run_killed_again_and_again_ends_with_the_same_bits(data: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    kills = 0
    while start(data, run, At(70)) == -signal.SIGKILL:
        kills += 1
        assert kills < 20, "it comes no further"
    assert kills > 1
    same_as(whole, run)


def test_a_run_killed_from_outside_at_some_time_ends_with_the_same_bits(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = CHILDREN.Process(target=child, args=(data, run, None))
    process.start()
    until = time.monotonic() + 60
    while latest_checkpoint(run, "tune") is None and time.monotonic() < until:
        time.sleep(0.005)
    process.kill()
    process.join(60)
    assert start(data, run) == 0
    same_as(whole, run)


def test_a_torn_checkpoint_is_never_taken(
    data: Path, whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert start(data, run, Writing(MARKER, 4)) == -signal.SIGKILL
    newest = latest_checkpoint(run, "tune")
    assert newest is not None
    weights = newest.folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    older = latest_checkpoint(run, "tune")
    assert older is not None
    assert older.position.step == newest.position.step - 2
    assert f"{newest.folder}: weights.safetensors is not what was written" in capfd.readouterr().err
    assert start(data, run) == 0
    same_as(whole, run)


def test_sigterm_finishes_the_step_and_saves(data: Path, whole: Path, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def ask(report: StepReport) -> None:
        if report.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    run = tmp_path / "run"
    recipe = toy_recipe(data, align=True)
    with pytest.raises(RunError, match=r"stopped by SIGTERM after step 3 of 6 of stage 'tune'; all is in .*tune-3"):
        train(recipe, run=run, hooks=Hooks(after_step=ask))
    assert signal.getsignal(signal.SIGTERM) is before
    assert start(data, run) == 0
    same_as(whole, run)


def test_a_ctrl_c_is_an_error_of_its_own_and_saves_as_sigterm_does(data: Path, whole: Path, tmp_path: Path) -> None:
    def ask(report: StepReport) -> None:
        if report.step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    run = tmp_path / "run"
    with pytest.raises(InterruptedTrainingError, match=r"stopped by SIGINT after step 3 of 6 .* all is in .*tune-3"):
        train(toy_recipe(data, align=True), run=run, hooks=Hooks(after_step=ask))
    assert start(data, run) == 0
    same_as(whole, run)


def test_a_second_sigterm_does_not_end_a_run_before_it_has_saved(data: Path, whole: Path, tmp_path: Path) -> None:
    # A scheduler sends it to all processes of a job; torchrun, which is one of them, sends its own to those it started.
    def ask_twice(report: StepReport) -> None:
        if report.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)

    run = tmp_path / "run"
    with pytest.raises(RunError, match=r"stopped by SIGTERM after step 3 of 6 of stage 'tune'; all is in .*tune-3"):
        train(toy_recipe(data, align=True), run=run, hooks=Hooks(after_step=ask_twice))
    assert start(data, run) == 0
    same_as(whole, run)


def test_a_sigterm_that_comes_while_a_checkpoint_is_written_is_heard(data: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    asked = False

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal asked
        if not asked and event == "open" and "tune-2" in str(arguments[0]) and str(run) in str(arguments[0]):
            asked = True
            os.kill(os.getpid(), signal.SIGTERM)

    sys.addaudithook(watch)
    with pytest.raises(RunError, match=r"stopped by SIGTERM after step 2 of 6 of stage 'tune'; all is in .*tune-2"):
        train(toy_recipe(data, align=True), run=run)
    assert start(data, run) == 0
    same_as(whole, run)


def child_that_reads_ahead(data: Path, run: Path) -> None:
    """Train with processes that read ahead; end these at the third step, and be asked to stop a moment later."""

    def ask(report: StepReport) -> None:
        if report.step == 3:
            for process in multiprocessing.active_children():
                os.kill(process.pid or 0, signal.SIGTERM)
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()

    tower = ("    parts:\n", "    parts:\n      vision: {train: full, rate: 1e-3}\n")
    with pytest.raises(RunError, match="stopped by SIGTERM after step"):
        train(
            toy_recipe(data, tower, ("    schedule:", "    workers: 1\n    schedule:"), ("6 steps", "40 steps")),
            run=run,
            hooks=Hooks(after_step=ask),
        )


def test_a_signal_that_ends_those_who_read_ahead_saves_all_the_same(data: Path, tmp_path: Path) -> None:
    process = CHILDREN.Process(target=child_that_reads_ahead, args=(data, tmp_path / "run"))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    last = latest_checkpoint(tmp_path / "run", "tune")
    assert last is not None
    steps = [record["step"] for record in facts(tmp_path / "run")]
    assert last.position.step == steps[-1], "what was learnt before the signal is kept"


def test_a_ctrl_c_after_a_sigterm_ends_a_run_at_once(data: Path, tmp_path: Path) -> None:
    def ask_and_insist(report: StepReport) -> None:
        signal.raise_signal(signal.SIGTERM)  # to this thread: two that come together may be told in the other order
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            train(toy_recipe(data), run=tmp_path / "run", hooks=Hooks(after_step=ask_and_insist))
    finally:
        signal.signal(signal.SIGINT, before)
    assert latest_checkpoint(tmp_path / "run", "tune") is None


TWO_STAGES = (
    "    checkpoint_every: 2 steps\n",
    """    checkpoint_every: 2 steps
  - name: rough
    kind: tune
    data: [{source: "messages:TUNE"}]
    length: 3 steps
    pack_tokens: 160
    step_tokens: 320
    parts: {language: {train: full, rate: 1e-3}}
    precision: bfloat16
""",
)


def test_stages_of_differing_precision_go_on_with_the_same_bits(tmp_path: Path) -> None:
    toy_recipe(tmp_path)
    recipe = toy_recipe(
        tmp_path, (TWO_STAGES[0], TWO_STAGES[1].replace("TUNE", str(tmp_path / "tune.jsonl"))), ("6 steps", "2 steps")
    )

    def ask(report: StepReport) -> None:
        if (report.stage, report.step) == ("rough", 1):
            os.kill(os.getpid(), signal.SIGTERM)

    train(recipe, run=tmp_path / "through")
    with pytest.raises(RunError, match="stopped by SIGTERM after step 1 of 3 of stage 'rough'"):
        train(recipe, run=tmp_path / "stopped", hooks=Hooks(after_step=ask))
    train(recipe, run=tmp_path / "stopped")
    ends = [sha256_of(tmp_path / run / "model" / "model.safetensors") for run in ("through", "stopped")]
    assert ends[0] == ends[1]


def test_a_finished_run_is_not_done_again(data: Path, whole: Path) -> None:
    written = (whole / "model" / "model.safetensors").stat().st_mtime_ns
    assert train(toy_recipe(data, align=True), run=whole) == whole / "model"
    assert (whole / "model" / "model.safetensors").stat().st_mtime_ns == written


def test_a_run_whose_model_was_deleted_is_put_back_without_training(data: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    shutil.rmtree(run / "model")
    train(toy_recipe(data, align=True), run=run)
    same_as(whole, run)


def test_data_that_changed_since_the_checkpoint_are_refused(data: Path, tmp_path: Path) -> None:
    folder, run = tmp_path / "data", tmp_path / "run"
    folder.mkdir()
    recipe = toy_recipe(folder, align=True)
    assert start(folder, run, Writing(MARKER, 3)) == -signal.SIGKILL
    rows = (folder / "tune.jsonl").read_text()
    (folder / "tune.jsonl").write_text(rows.replace("How many?", "How few?", 1))
    with pytest.raises(RunError, match=r"the data of stage 'tune', or the .* changed since .*tune-2 was written"):
        train(recipe, run=run)
