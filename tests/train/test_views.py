"""What the tower of a LLaVA-OneVision sees in training: the views that the rows show, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.test_llava_onevision import film_talks
from tests.train.runs import toy_recipe
from triptych.data.formats import messages
from triptych.models.families.llava_onevision import tiny
from triptych.train.recipe import Tune
from triptych.train.stage_state import begin_stage
from triptych.train.start import start_model
from triptych.train.step import train_step

PARTS = ("  family: tiny\n  parts: {vision: vit, language: llama}\n", "  open: OPEN\n")
LENGTHS = ("    pack_tokens: 160\n    step_tokens: 320\n", "    pack_tokens: 1024\n    step_tokens: 4096\n")


@pytest.mark.parametrize("trained", [False, True], ids=["frozen tower", "trained tower"])
def test_the_tower_sees_each_view_once_and_none_that_no_row_shows(trained: bool, tmp_path: Path) -> None:
    tiny(0).save(tmp_path / "model")
    talks = film_talks(tmp_path / "media")
    names = ("two videos", "pictures around a video", "a single frame")
    tower = ("    parts:\n", f"    parts:\n      vision: {{train: {'full, rate: 1e-3' if trained else 'frozen'}}}\n")
    recipe = toy_recipe(tmp_path, (PARTS[0], PARTS[1].replace("OPEN", str(tmp_path / "model"))), LENGTHS, tower)
    messages.write([talks[name] for name in names], tmp_path / "tune.jsonl")
    model = start_model(recipe.model, seed=1)
    (stage,) = recipe.stages
    assert isinstance(stage, Tune)
    views: list[int] = []
    model.parts()["vision"].register_forward_hook(lambda _, given, __: views.append(len(given[0])))
    state = begin_stage(model, stage, run=tmp_path / "run", seed=2)
    report = train_step(state, 0)
    assert report.loss_nats > 0
    assert sum(views) == 2 * 3 + 2, "frames of two videos, and a view of each of two pictures"
