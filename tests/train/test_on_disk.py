"""Many rows, read as steps need them: killed and taken up, with any number of workers, it is the same run."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.train.runs import toy_recipe, write_tune
from triptych.core.config import Length
from triptych.core.errors import DataError, RunError
from triptych.core.files import read_json_lines, sha256_of
from triptych.core.records import ImageRef, Json
from triptych.data.format import Refused
from triptych.data.plan.balance import Work
from triptych.data.plan.measures import RECORD, REFUSED, UNKNOWN, USED, KnownMeasures
from triptych.data.plan.mixture import mix
from triptych.data.plan.planned import PlannedMeasures
from triptych.data.plan.step_loader import LoadedStep
from triptych.data.plan.step_plan import PlanSettings, StepPlan
from triptych.train.checkpoint import latest_checkpoint
from triptych.train.measuring.meters import StepReport
from triptych.train.pace import pace_of
from triptych.train.recipe import Recipe, Tune
from triptych.train.stage_state import StageState, begin_stage
from triptych.train.start import start_model
from triptych.train.trainer import Hooks, train

ON_DISK = ("checkpoint_every: 2 steps", "checkpoint_every: 2 steps\n    in_memory_rows: 0")
REFUSE = ("    kind: tune\n", "    kind: tune\n    on_bad: refuse\n")
TOWER = ("    parts:\n", "    parts:\n      vision: {train: full, rate: 1e-3}\n")
EPOCHS = ("length: 6 steps", "length: 1.5 epochs")
CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload(["tests.train.runs", "triptych.train.trainer"])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def mixed(folder: Path, *, workers: int = 0) -> Recipe:
    """Return a recipe over two sources with weights, some rows of which cannot be used."""
    (folder / "more").mkdir(parents=True, exist_ok=True)
    recipe = toy_recipe(
        folder,
        REFUSE,
        EPOCHS,
        (ON_DISK[0], f"{ON_DISK[1]}\n    workers: {workers}\n    balance: true"),
        ('data: [{source: "messages:', 'data: [{source: "messages:MORE", weight: 0.5}, {source: "messages:'),
        ("MORE", str(folder / "more" / "tune.jsonl")),
    )
    path = write_tune(folder / "more", rows=20)
    lines = path.read_text().splitlines()
    lines[3] = json.dumps({"id": "broken", "messages": "none"})
    lines[4] = lines[4].replace('"none"', json.dumps("too long " * 60))
    path.write_text("\n".join(lines) + "\n")
    (folder / "blue-1.png").unlink()
    torn = folder / "green-0.png"  # its header is whole, so it is found only when its step is read
    torn.write_bytes(torn.read_bytes()[:-40])
    return recipe


def child(folder: Path, run: Path, workers: int, stop_after: int | None) -> None:
    def watch(report: StepReport) -> None:
        if report.step == stop_after:
            os.kill(os.getpid(), signal.SIGKILL)

    train(mixed(folder, workers=workers), run=run, hooks=Hooks(after_step=watch))


def go(folder: Path, run: Path, *, workers: int = 0, stop_after: int | None = None) -> int | None:
    process = CHILDREN.Process(target=child, args=(folder, run, workers, stop_after))
    process.start()
    process.join(60)
    return process.exitcode


def facts(run: Path) -> list[dict[str, Json]]:
    records = read_json_lines(run / "metrics.jsonl")
    return [{key: value for key, value in record.items() if not key.endswith(("_s", "_gib"))} for record in records]


def begin(folder: Path, *changes: tuple[str, str]) -> StageState:
    recipe = toy_recipe(folder, ON_DISK, *changes)
    return begin_stage(start_model(recipe.model, seed=1), tune_stage(recipe), run=folder / "run", seed=2)


def tune_stage(recipe: Recipe) -> Tune:
    (stage,) = recipe.stages
    assert isinstance(stage, Tune)
    return stage


def test_a_run_killed_and_taken_up_with_more_workers_ends_with_the_same_bits_and_ledger(tmp_path: Path) -> None:
    assert go(tmp_path, tmp_path / "whole") == 0
    run = tmp_path / "run"
    assert go(tmp_path, run, stop_after=3) == -signal.SIGKILL
    assert latest_checkpoint(run, "tune") is not None
    assert go(tmp_path, run, workers=2, stop_after=5) == -signal.SIGKILL
    assert go(tmp_path, run, workers=4) == 0
    assert sha256_of(run / "model" / "model.safetensors") == sha256_of(
        tmp_path / "whole" / "model" / "model.safetensors"
    )
    assert facts(run) == facts(tmp_path / "whole")
    assert (run / "ledger.jsonl").read_bytes() == (tmp_path / "whole" / "ledger.jsonl").read_bytes()


def test_used_and_refused_are_all_rows_that_were_met(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(mixed(tmp_path), run=tmp_path / "run")
    assert re.search(r"tune: \d+ rows of 44 met so far refused \(\d .*image file missing", capsys.readouterr().err)
    records = list(read_json_lines(tmp_path / "run" / "ledger.jsonl"))
    sums = [record for record in records if "all" in record]
    refused = [record for record in records if "reason" in record]
    assert [record["all"] for record in sums] == [20, 24]  # a half and the other half; all, and a half again
    for total in sums:
        assert total["all"] == sum(int(str(total[key])) for key in ("used", "shrunk", "shortened", "refused"))
        assert total["refused"] == len([record for record in refused if record["source"] == total["source"]])
    assert len({record["where"] for record in refused}) == len(refused)
    measured = {"bad row", "longer than pack_tokens", "image file missing"}
    assert {record["reason"] for record in refused if record["when"] == "measured"} == measured
    assert {record["reason"] for record in refused if record["when"] == "read"} == {"image unreadable"}


def test_under_raise_the_first_bad_row_stops_the_run_by_name(tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path, ON_DISK)
    path = tmp_path / "tune.jsonl"
    path.write_text(path.read_text().replace('"role": "user"', '"role": "nobody"', 1))
    with pytest.raises(DataError, match=r"tune\.jsonl: row 0 \(id 'row-0'\)"):
        train(recipe, run=tmp_path / "run")


def test_data_that_changed_since_the_checkpoint_are_refused(tmp_path: Path) -> None:
    assert go(tmp_path, tmp_path / "run", stop_after=3) == -signal.SIGKILL
    path = tmp_path / "more" / "tune.jsonl"
    recipe = mixed(tmp_path)
    path.write_text(path.read_text().replace("See", "Look at", 1))
    with pytest.raises(RunError, match=r"the data of stage 'tune', or the .* changed since .* was written"):
        train(recipe, run=tmp_path / "run")


def test_many_rows_start_without_reading_them_all(tmp_path: Path) -> None:
    recipe = toy_recipe(tmp_path, ON_DISK)
    lines = (tmp_path / "tune.jsonl").read_text()
    (tmp_path / "tune.jsonl").write_text(lines * 400)
    state = begin_stage(start_model(recipe.model, seed=1), tune_stage(recipe), run=tmp_path / "run", seed=2)
    assert state.encoded == ()
    assert state.features is None  # nor are all pictures encoded ahead
    state.plan.step(0)
    assert isinstance(state.plan.measures, PlannedMeasures)
    states = state.plan.measures.look(np.arange(24 * 400))["state"]
    assert np.count_nonzero(states != UNKNOWN) == 4_096


def test_an_epoch_ends_after_all_its_rows(tmp_path: Path) -> None:
    state = begin(tmp_path, ("length: 6 steps", "length: 2 epochs"))
    last = state.plan.first_step(2)
    assert state.pace.finished(last)
    assert not state.pace.finished(last - 1)
    rates = [state.pace.factor(number) for number in range(last)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 1
    assert 0 < rates[-1] < 0.3
    assert state.pace.total(last) == last


@pytest.mark.parametrize("warmup", ["3 steps", "0.5 epochs", "300 tokens"])
def test_rates_rise_and_then_fall(tmp_path: Path, warmup: str) -> None:
    state = begin(tmp_path, ("length: 6 steps", f"length: 3 epochs\n    warmup: {warmup}"))
    rates = [state.pace.factor(number) for number in range(state.plan.first_step(3))]
    peak = rates.index(max(rates))
    assert 1 <= peak < len(rates) - 2
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert min(rates) > 0
    assert max(rates) <= 1


def test_a_checkpoint_is_due_once_an_interval(tmp_path: Path) -> None:
    state = begin(tmp_path, ("checkpoint_every: 2 steps", "checkpoint_every: 0.5 epochs"), EPOCHS)
    due = [step for step in range(1, state.plan.first_step(2) + 1) if state.pace.saves(step)]
    assert len(due) == 4
    assert due[-1] == state.plan.first_step(2)


def test_a_row_that_changed_since_it_was_measured_is_noticed(tmp_path: Path) -> None:
    state = begin(tmp_path)
    step = state.plan.step(0)
    reads = [state.data.read(row).row for pack in step.packs for row in pack]
    assert not any(isinstance(read, Refused) for read in reads)
    step = replace(step, lengths=tuple(length + 1 for length in step.lengths))
    with pytest.raises(DataError, match="the data changed since"):
        state.data.load(step)


@pytest.mark.parametrize("changes", [[ON_DISK], [TOWER]], ids=["as they come", "in memory, trained tower"])
def test_any_number_of_workers_gives_the_same_batches(tmp_path: Path, changes: list[tuple[str, str]]) -> None:
    recipe = toy_recipe(tmp_path, *changes)
    state = begin_stage(start_model(recipe.model, seed=1), tune_stage(recipe), run=tmp_path / "run", seed=2)
    streams = []
    for workers in (0, 2):
        loaded = state.data.loaded(0, workers=workers, finished=state.pace.finished)
        streams.append(
            [(each.step, [[read.row for read in pack] for pack in each.packs], pixels(each)) for each in loaded]
        )
    assert len(streams[0]) == 6
    assert streams[0] == streams[1]


def pixels(loaded: LoadedStep) -> dict[ImageRef, bytes]:
    return {image: picture.tobytes() for image, picture in loaded.pictures.items()}


@pytest.mark.parametrize("rows", [0, 20_000], ids=["as they come", "in memory"])
def test_what_the_budget_did_stands_in_the_ledger(tmp_path: Path, rows: int) -> None:
    budget = "    budget: {overlong: shorten}\n"
    recipe = toy_recipe(
        tmp_path, ("    kind: tune\n", f"    kind: tune\n    in_memory_rows: {rows}\n{budget}"), ("6 steps", "1 epoch")
    )
    path = tmp_path / "tune.jsonl"
    first = json.loads(path.read_text().splitlines()[4])
    said = [
        {"role": "user", "content": "Tell me a long story."},
        {"role": "assistant", "content": "once upon a time " * 4},
    ]
    long = {"id": "long", "images": [], "messages": [*said, *said, *first["messages"]]}
    path.write_text(path.read_text() + json.dumps(long) + "\n")
    train(recipe, run=tmp_path / "run")
    act, total = read_json_lines(tmp_path / "run" / "ledger.jsonl")
    assert (act["id"], act["act"]) == ("long", "shortened")
    assert "left out" in str(act["message"])
    assert [total[key] for key in ("all", "used", "shrunk", "shortened", "refused")] == [25, 24, 0, 1, 0]


def test_rates_rise_and_fall_over_the_steps_that_there_are_though_most_rows_are_refused() -> None:
    records = np.zeros(24_000, dtype=RECORD)
    records["tokens"], records["state"] = 10, USED
    records["state"][np.arange(24_000) % 40 != 0] = REFUSED
    settings = PlanSettings(capacity=100, packs_per_step=2, seed=1, window=4_096, work=Work())
    plan = StepPlan(KnownMeasures(records), mix([24_000], weights=[1.0], limits=[None], seed=0), settings)
    whole, warm, saved = Length(1, "epochs"), Length(0.1, "epochs"), Length(0.25, "epochs")
    pace = pace_of(plan, length=whole, warmup=warm, save_every=saved, schedule="cosine")
    steps = plan.steps_per_epoch(0)
    factors = [pace.factor(number) for number in range(steps)]
    assert steps == 30
    assert not pace.finished(steps - 1)
    assert pace.finished(steps)
    assert factors.index(max(factors)) == 3
    assert max(factors) > 0.99
    assert factors[3:] == sorted(factors[3:], reverse=True)
    assert factors[-1] < 0.02
    assert all(abs(pace.total(number) - steps) <= 1 for number in range(1, steps + 1))
    assert sum(pace.saves(number) for number in range(1, steps + 1)) == 4
