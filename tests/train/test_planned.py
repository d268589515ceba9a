"""A run goes on with the lengths that its steps were planned with, whatever else measured the same rows meanwhile."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.train.runs import stop_at, toy_recipe, write_tune
from triptych.core.errors import RunError
from triptych.data.format import split_source
from triptych.data.plan import beginning as beginning_file
from triptych.data.plan import corpus as corpus_file
from triptych.data.plan import measures as measures_file
from triptych.data.plan.corpus import KeptRows
from triptych.data.plan.measures import LengthFiles, Records, doubt_lengths, records_of
from triptych.data.plan.reader import Read
from triptych.data.plan.step_plan import Step
from triptych.train import checkpoint as checkpoint_file
from triptych.train.prepare import open_sources
from triptych.train.recipe import Recipe, Tune
from triptych.train.stage_data import open_stage_data, reader_of
from triptych.train.stage_state import begin_stage
from triptych.train.start import start_model
from triptych.train.trainer import train

ON_DISK = ("checkpoint_every: 2 steps", "checkpoint_every: 2 steps\n    in_memory_rows: 0")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return toy_recipe(tmp_path, ON_DISK)


def tune_of(recipe: Recipe) -> Tune:
    (stage,) = recipe.stages
    assert isinstance(stage, Tune)
    return stage


def steps(recipe: Recipe, run: Path, *, anew: bool) -> list[Step]:
    """Return the first steps of a run that is started, or taken up."""
    state = begin_stage(start_model(recipe.model, seed=1), tune_of(recipe), run=run, seed=2, anew=anew)
    return [state.plan.step(number) for number in range(4)]


def other_code(monkeypatch: pytest.MonkeyPatch, *, longer: int) -> None:
    """Let it seem as if the code were another, by which each row has so many tokens more."""

    def measured(reads: Sequence[Read]) -> Records:
        records = records_of(reads)
        records["tokens"] += longer
        return records

    monkeypatch.setattr(measures_file, "code_digest", lambda _plugins: f"another, {longer}")
    monkeypatch.setattr(measures_file, "records_of", measured)


def test_a_run_keeps_its_plan_where_a_new_run_under_other_code_measured_the_rows_again(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = steps(recipe, tmp_path / "old", anew=True)
    other_code(monkeypatch, longer=20)
    new = steps(recipe, tmp_path / "new", anew=True)
    assert [step.lengths for step in new] != [step.lengths for step in before]
    assert steps(recipe, tmp_path / "old", anew=False) == before
    assert steps(recipe, tmp_path / "new", anew=False) == new
    assert "planned with" not in capsys.readouterr().err


def test_a_run_keeps_its_plan_where_lengths_were_found_to_be_others(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = steps(recipe, tmp_path / "old", anew=True)
    doubt_lengths(open_sources(tune_of(recipe), seed=2), [0])
    with monkeypatch.context() as patched:
        patched.setattr(measures_file, "records_of", lambda _reads: pytest.fail("its lengths are known"))
        assert steps(recipe, tmp_path / "old", anew=False) == before


def test_a_run_begun_anew_in_the_same_folder_forgets_its_lengths(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = steps(recipe, tmp_path / "run", anew=True)
    other_code(monkeypatch, longer=20)
    assert steps(recipe, tmp_path / "run", anew=True) != before


def test_nothing_is_measured_twice_where_nothing_changed(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = steps(recipe, tmp_path / "one", anew=True)
    monkeypatch.setattr(measures_file, "records_of", lambda _reads: pytest.fail("its lengths are known"))
    assert steps(recipe, tmp_path / "two", anew=True) == before


def shared_before(recipe: Recipe, cache: Path) -> tuple[Path, Records]:
    """Write lengths of the last source as the version did whose runs shared them; return the file, and what it has."""
    stage = tune_of(recipe)
    corpora = open_sources(stage, seed=2)
    reader = reader_of(stage, corpora, rendering=start_model(recipe.model, seed=1).rendering)
    corpus = corpora.sources[-1]
    shared = records_of(reader.read_many(range(len(corpora) - len(corpus), len(corpora))))
    shared["tokens"] += 20
    told = (corpus.digest, str(split_source(corpus.source)[1].absolute()), reader.digest)
    path = cache / "lengths" / f"{hashlib.sha256(repr(told).encode()).hexdigest()[:32]}.lengths"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(shared.tobytes())
    path.with_suffix(".code").write_text("what there was before")
    return path, shared


def test_a_run_of_before_goes_on_with_the_lengths_that_all_runs_shared_then(
    recipe: Recipe, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, shared = shared_before(recipe, cache)
    first = steps(recipe, tmp_path / "run", anew=False)
    said = capsys.readouterr().err
    assert f"tune: begun by an earlier version, it goes on with the lengths of messages:{tmp_path}" in said
    assert "are gone" not in said
    taken = [shared["tokens"][np.array(pack)].sum() for step in first for pack in step.packs]
    assert [tokens for step in first for tokens in step.lengths] == taken
    steps(recipe, tmp_path / "new", anew=True)
    path.unlink()
    assert steps(recipe, tmp_path / "run", anew=False) == first, "from now on they are its own"
    assert capsys.readouterr().err.count("lengths of") == 0


def test_a_run_that_began_with_its_own_lengths_never_takes_those_of_an_earlier_version(
    recipe: Recipe, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared_before(recipe, cache)
    before = steps(recipe, tmp_path / "run", anew=True)
    shutil.rmtree(tmp_path / "run" / "lengths")
    assert steps(recipe, tmp_path / "run", anew=False) == before
    assert "are gone" in capsys.readouterr().err


@pytest.mark.parametrize("begun", [True, False])
def test_data_that_changed_are_refused_before_lengths_are_missed(
    recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str], begun: bool
) -> None:
    run = tmp_path / "run"
    with pytest.raises(RunError):
        train(recipe, run=run, hooks=stop_at(2))
    shutil.rmtree(run / "lengths")
    if not begun:
        (run / ".planned").unlink()
    rows = tmp_path / "tune.jsonl"
    rows.write_text(rows.read_text().replace("How many?", "How many are there?"))
    with pytest.raises(RunError, match="changed since"):
        train(recipe, run=run)
    assert "lengths" not in capsys.readouterr().err
    assert not (run / "lengths").exists()


@pytest.mark.parametrize("begun", [True, False])
def test_each_source_whose_lengths_are_gone_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], begun: bool, cache: Path
) -> None:
    (tmp_path / "more").mkdir()
    more = f'[{{source: "messages:{write_tune(tmp_path / "more", rows=20)}"}}, '
    two = toy_recipe(tmp_path, ON_DISK, ("data: [", f"data: {more}"))
    shared_before(two, cache)
    run = tmp_path / "run"
    if begun:
        steps(two, run, anew=True)
        (gone,) = (run / "lengths" / "tune").glob("0-*")
        gone.write_bytes(gone.read_bytes()[:-1])
    steps(two, run, anew=False)
    said = capsys.readouterr().err
    assert said.count(f"the lengths of messages:{tmp_path / 'more' / 'tune.jsonl'} that its steps were planned") == 1
    assert said.count("are gone") == 1
    assert said.count("begun by an earlier version") == (not begun)


def test_the_names_of_a_runs_lengths_are_as_they_were(tmp_path: Path) -> None:
    """A run that earlier code began finds what its steps were planned with, and its data are the same."""
    twice = f'[{{source: "messages:{tmp_path}/tune.jsonl", budget: {{images_tokens: 75}}}}, '
    recipe = toy_recipe(tmp_path, ON_DISK, ("data: [", f"data: {twice}"))
    steps(recipe, tmp_path / "run", anew=True)
    stage, rendering = tune_of(recipe), start_model(recipe.model, seed=1).rendering
    reader = reader_of(stage, corpora := open_sources(stage, seed=2), rendering=rendering)
    digest = hashlib.sha256(repr((rendering.digest, reader.budgets, False)).encode()).hexdigest()
    told = [hashlib.sha256(repr((corpus.digest, digest)).encode()).hexdigest()[:16] for corpus in corpora.sources]
    names = [file.name for file in sorted((tmp_path / "run" / "lengths" / "tune").iterdir())]
    assert names == [f"{number}-{each}.lengths" for number, each in enumerate(told)]


def test_lengths_that_are_gone_are_told_of_once(
    recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps(recipe, tmp_path / "run", anew=False)
    assert re.search(r"tune: the lengths of \S+ that its steps were planned with are gone", capsys.readouterr().err)
    steps(recipe, tmp_path / "run", anew=False)
    assert "are gone" not in capsys.readouterr().err


def test_the_room_of_lengths_is_taken_when_they_are_begun(recipe: Recipe, tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "tune.jsonl"
    path.write_text(path.read_text() * 400)
    state = begin_stage(start_model(recipe.model, seed=1), tune_of(recipe), run=tmp_path / "run", seed=2)
    files = [*(tmp_path / "run" / "lengths" / "tune").iterdir(), *(cache / "lengths").iterdir()]
    assert [file.stat().st_size for file in files] == [24 * 400 * 19] * 2
    assert all(file.stat().st_blocks * 512 >= 24 * 400 * 19 for file in files)
    assert state.plan.step(0).lengths


@pytest.mark.parametrize("which", [1, 2], ids=["in the cache folder", "in the run's"])
def test_a_disk_without_room_for_lengths_is_told_of(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    asked: list[int] = []

    def reserve(_file: int, _start: int, size_bytes: int) -> None:
        asked.append(size_bytes)
        if len(asked) == which:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))  # then it is a hole

    monkeypatch.setattr(os, "posix_fallocate", reserve)
    with pytest.raises(RunError, match=r"\.lengths: no more can be written .*No space left.*make room"):
        train(recipe, run=tmp_path / "run")
    assert not list(tmp_path.rglob("*.part"))


def test_lengths_are_on_the_disk_before_the_checkpoint_that_goes_on_with_them(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    flush, save = LengthFiles.flush, checkpoint_file._complete

    def flushed(files: LengthFiles) -> None:
        done.append("flushed")
        flush(files)

    def saved(*args: Any) -> None:
        done.append("saved")
        save(*args)

    monkeypatch.setattr(LengthFiles, "flush", flushed)
    monkeypatch.setattr(checkpoint_file, "_complete", saved)
    train(recipe, run=tmp_path / "run")
    assert done == ["flushed", "saved"] * 3


def test_a_stage_that_is_done_keeps_no_lengths(recipe: Recipe, tmp_path: Path) -> None:
    train(recipe, run=tmp_path / "run")
    assert not (tmp_path / "run" / "lengths").exists()
    assert not (tmp_path / "run" / ".planned").exists()


def test_pictures_are_looked_at_by_the_leading_process_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_file, "IN_MEMORY_ROWS", 3)
    near = 'tune.jsonl", transforms: [{kind: in_context, by: image, k: 1}]}'
    recipe = toy_recipe(tmp_path, ON_DISK, ('tune.jsonl"}', near))
    rendering = start_model(recipe.model, seed=1).rendering
    asked: list[str] = []

    def noted(path: str | Path) -> os.stat_result | None:
        asked.append(str(path))
        return state(path)

    state = corpus_file.state_of
    for module in (corpus_file, beginning_file):
        monkeypatch.setattr(module, "state_of", noted)
    told: Sequence[KeptRows | None] = ()
    for anew, looks in ((True, True), (False, False)):
        run = tmp_path / "run"
        data = open_stage_data(tune_of(recipe), rendering, run=run, seed=2, anew=anew, lengths=run, kept_rows=told)
        assert any(path.endswith(".png") for path in asked) == looks
        told = data.kept_rows
        asked.clear()
