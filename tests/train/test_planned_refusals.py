"""A row that somebody found unusable is looked at again by a run that never planned on that, and by no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.train.runs import toy_recipe
from triptych.core.errors import DataError
from triptych.data.plan.measures import REFUSED, doubt_lengths
from triptych.data.plan.planned import PlannedMeasures
from triptych.data.plan.step_plan import Step
from triptych.train.prepare import open_sources
from triptych.train.recipe import Recipe, Tune
from triptych.train.stage_data import StageData, open_stage_data
from triptych.train.start import start_model

ON_DISK = ("checkpoint_every: 2 steps", "checkpoint_every: 2 steps\n    in_memory_rows: 0")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Return a recipe whose first epoch has a half of the rows, and whose second has the other."""
    return toy_recipe(tmp_path, ON_DISK, ('tune.jsonl"}', 'tune.jsonl", weight: 0.5}'))


@pytest.fixture
def picture(recipe: Recipe, tmp_path: Path) -> Path:
    """Return a picture of several rows, which may be away for a while."""
    assert (tmp_path / "tune.jsonl").read_text().count("red-1.png") > 4
    return tmp_path / "red-1.png"


def opened(
    recipe: Recipe, run: Path, *, anew: bool, on_bad: str = "refuse", lengths: bool = True, book: Path | None = None
) -> StageData:
    """Return the data of a run that begins or goes on; without lengths of its own, it is a plan that nobody learns."""
    (stage,) = recipe.stages
    assert isinstance(stage, Tune)
    stage = stage.model_copy(update={"on_bad": on_bad})
    rendering = start_model(recipe.model, seed=1).rendering
    return open_stage_data(stage, rendering, run=book or run, seed=2, anew=anew, lengths=run if lengths else None)


def epochs(data: StageData) -> list[Step]:
    return [data.plan.step(number) for number in range(data.plan.first_step(2))]


def away(picture: Path) -> Path:
    return picture.rename(picture.with_name("away.png"))


def test_a_run_that_goes_on_looks_again_at_rows_that_somebody_else_found_unusable(
    recipe: Recipe, tmp_path: Path, picture: Path
) -> None:
    whole = epochs(opened(recipe, tmp_path / "whole", anew=True))
    doubt_lengths(open_sources(recipe.stages[0], seed=2), [0])  # the others measure by themselves
    run = tmp_path / "run"
    assert opened(recipe, run, anew=True, on_bad="raise").plan.step(0) == whole[0]
    there = away(picture)
    assert epochs(opened(recipe, tmp_path / "plan", anew=True, lengths=False)) != whole
    there.rename(picture)
    data = opened(recipe, run, anew=False, on_bad="raise")
    assert epochs(data) == whole
    data.settle()
    assert '"refused": 0' in (run / "ledger.jsonl").read_text()
    others = opened(recipe, tmp_path / "others", anew=False, lengths=False)
    assert epochs(others) == whole, "and all others know it now"


def test_a_run_that_a_bad_row_stopped_goes_on_once_the_row_is_mended(
    recipe: Recipe, tmp_path: Path, picture: Path
) -> None:
    whole = epochs(opened(recipe, tmp_path / "whole", anew=True))
    run = tmp_path / "run"
    data, there = opened(recipe, run, anew=True, on_bad="raise"), away(picture)
    doubt_lengths(open_sources(recipe.stages[0], seed=2), [0])
    data = opened(recipe, run, anew=True, on_bad="raise")
    with pytest.raises(DataError, match=r"red-1\.png"):
        epochs(data)
    with pytest.raises(DataError, match=r"red-1\.png"):
        epochs(opened(recipe, run, anew=False, on_bad="raise"))
    there.rename(picture)
    assert epochs(opened(recipe, run, anew=False, on_bad="raise")) == whole


@pytest.mark.parametrize("process", [0, 1])
def test_rows_that_steps_were_planned_without_stay_refused(
    recipe: Recipe, tmp_path: Path, picture: Path, process: int
) -> None:
    """In each process of a run, whose others have a ledger of their own that nobody keeps."""
    run, there = tmp_path / "run", away(picture)
    planned = epochs(opened(recipe, run, anew=True))
    there.rename(picture)
    ledger = (run / "ledger.jsonl").read_text()
    assert "red-1.png" in ledger
    (tmp_path / "scratch").mkdir()
    book = tmp_path / "scratch" if process else run
    data = opened(recipe, run, anew=False, on_bad="raise", book=book)
    assert epochs(data) == planned
    data.settle()
    assert process == 0 or (run / "ledger.jsonl").read_text() == ledger


def test_what_one_process_found_is_forgotten_by_none_that_opens_after_the_leading_one(
    recipe: Recipe, tmp_path: Path, picture: Path
) -> None:
    run = tmp_path / "run"
    opened(recipe, run, anew=True)
    (tmp_path / "scratch").mkdir()
    away(picture)
    found = opened(recipe, run, anew=False).plan.measures
    assert isinstance(found, PlannedMeasures)
    rows = np.unique(opened(recipe, run, anew=False).plan.mixture.epoch(0))
    states = found.measure(rows)["state"]
    assert (states == REFUSED).any()
    opened(recipe, run, anew=False, book=tmp_path / "scratch")
    assert (found.look(rows)["state"] == states).all()
    opened(recipe, run, anew=False)
    assert not (found.look(rows)["state"] == REFUSED).any()
