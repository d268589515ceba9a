"""Done ahead while a device computes: the next step is read, its first pictures are ready, and nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from tests.train.runs import toy_recipe
from triptych.core.errors import DataError
from triptych.core.records import ImageRef
from triptych.data.plan.step_loader import LoadedStep
from triptych.models.families.llava import LlavaModel
from triptych.models.family import Seen
from triptych.train.prefetch import Prefetcher, Ready, first_pictures, make_prefetcher, workers_of
from triptych.train.recipe import Tune
from triptych.train.stage_state import StageState, begin_stage
from triptych.train.start import start_model
from triptych.train.step import train_step

TOWER = ("    parts:\n", "    parts:\n      vision: {train: full, rate: 1e-3}\n")
PASSES = ("step_tokens: 320", "step_tokens: 320\n    forward_tokens: 160")
KEY = (ImageRef("a"), "")
SEEN = Seen(torch.zeros(1), (1, 1))


def begin(folder: Path, *changes: tuple[str, str]) -> StageState:
    folder.mkdir()
    recipe = toy_recipe(folder, *changes)
    (stage,) = (each for each in recipe.stages if isinstance(each, Tune))
    return begin_stage(start_model(recipe.model, seed=1), stage, run=folder / "run", seed=2)


def steps_of(state: StageState, *, count: int = 3) -> Iterator[LoadedStep]:
    return state.data.loaded(0, workers=0, finished=lambda number: number >= count)


def learn(state: StageState, prefetcher: Prefetcher) -> dict[str, torch.Tensor]:
    for loaded in prefetcher:
        train_step(state, loaded.step.number, loaded=loaded, prefetcher=prefetcher)
    return {name: weight.detach().clone() for name, weight in state.weights.items()}


@pytest.mark.parametrize("changes", [(TOWER,), (TOWER, PASSES)], ids=["one pass", "two passes"])
def test_weights_are_the_same_and_each_first_picture_was_ready(
    changes: tuple[tuple[str, str], ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = begin(tmp_path / "plain", *changes)
    wanted = learn(plain, Prefetcher(steps_of(plain), None))
    state = begin(tmp_path / "ahead", *changes)
    told: list[str] = []
    pixels, project = type(state.model).pixels, type(state.model).project

    def prepare(loaded: LoadedStep) -> Ready:
        told.append(f"ahead of step {loaded.step.number}")
        return first_pictures(state, loaded)

    def seen(*given: object) -> Seen:
        told.append("a picture")
        return pixels(*given)  # type: ignore[arg-type]

    def passed(*given: object, **named: object) -> list[torch.Tensor]:
        told.append("a pass")
        return project(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(type(state.model), "pixels", seen)
    monkeypatch.setattr(type(state.model), "project", passed)
    found = learn(state, Prefetcher(steps_of(state), prepare))
    assert all(torch.equal(found[name], weight) for name, weight in wanted.items())
    for number in (1, 2):
        begun = told.index(f"ahead of step {number}")
        after = told[begun + 1 :]
        assert after[0] == "a picture"
        ready = after.index("a pass")
        assert set(after[:ready]) == {"a picture"}
        assert after[ready] == "a pass", "nothing was prepared between reading ahead and the first pass"
    assert told.count("a pass") == 3 * len(changes)


def test_only_a_device_that_computes_alone_is_worked_ahead_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, moving = begin(tmp_path / "kept"), begin(tmp_path / "moving", TOWER)
    for state in (kept, moving):
        prefetcher = make_prefetcher(state, steps_of(state))
        prefetcher.prefetch()
        assert prefetcher.take_ready() == {}
        assert workers_of(state) == 0
    monkeypatch.setattr(LlavaModel, "device", torch.device("cuda"))
    monkeypatch.setattr("triptych.train.prefetch.cores_each", lambda: 3)
    prefetcher = make_prefetcher(moving, steps_of(moving))
    prefetcher.prefetch()
    ready = prefetcher.take_ready()
    first = next(prefetcher)
    assert {image for image, _ in ready} == set(first.pictures)
    assert prefetcher.take_ready() == {}, "what was taken is kept no longer"
    prefetcher = make_prefetcher(kept, steps_of(kept))
    prefetcher.prefetch()
    assert prefetcher.take_ready() == {}, "features are kept: no step needs pixels"
    assert workers_of(moving) == 2
    assert workers_of(replace(moving, stage=moving.stage.model_copy(update={"workers": 0}))) == 0


def test_an_error_is_told_when_it_is_its_steps_turn(tmp_path: Path) -> None:
    state = begin(tmp_path / "run")
    first, *_ = steps_of(state)

    def steps() -> Iterator[LoadedStep]:
        yield first
        raise DataError("the second step")

    prefetcher = Prefetcher(steps(), lambda _: {KEY: SEEN})
    prefetcher.prefetch()
    prefetcher.prefetch()
    assert next(prefetcher) is first
    prefetcher.prefetch()
    with pytest.raises(DataError, match="the second step"):
        next(prefetcher)


def test_behind_the_last_step_there_is_none(tmp_path: Path) -> None:
    state = begin(tmp_path / "run")
    prefetcher = Prefetcher(steps_of(state, count=1), partial(first_pictures, state))
    next(prefetcher)
    prefetcher.prefetch()
    assert next(prefetcher, None) is None


def test_what_cannot_be_prepared_ahead_is_left_to_the_step(tmp_path: Path) -> None:
    state = begin(tmp_path / "run")

    def fail(_: LoadedStep) -> Ready:
        raise ValueError("a picture that no processor takes")

    prefetcher = Prefetcher(steps_of(state), fail)
    prefetcher.prefetch()
    assert prefetcher.take_ready() == {}
    assert next(prefetcher).step.number == 0
