"""The scripts for released models run, on a toy of each one's family: weights from the hub are not here."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from triptych.core import plugins
from triptych.core.files import CACHE_VARIABLE
from triptych.data.plan.scoring import Scoring
from triptych.models import zoo
from triptych.models.families.idefics2 import tiny
from triptych.models.family import Family
from triptych.models.heads import ScoreHead

FOLDER = Path(__file__).parents[2] / "examples" / "released"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py"))
TALKING = [name for name in SCRIPTS if name != "video_score"]


def script(name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(f"released_{name}", FOLDER / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    paths = [tmp_path / "pictures" / f"{colour}.png" for colour in ("red", "blue", "green")]
    paths[0].parent.mkdir()
    for path in paths:
        Image.new("RGB", (60, 40), path.stem).save(path)
    return paths


def test_every_family_of_the_zoo_has_a_script() -> None:
    families = {entry.family for entry in zoo.catalogue().checkpoints.values()}
    found = {zoo.find(script(name).MODEL) for name in SCRIPTS}
    assert None not in found
    assert {known[1].family for known in found if known is not None} | {"llava_next"} == families


@pytest.mark.parametrize("name", TALKING)
def test_a_script_that_is_given_one_picture_says_what_it_wants(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "one.png"])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    assert left.value.code == 2
    assert "give two pictures or more" in capsys.readouterr().err


@pytest.mark.parametrize("name", TALKING)
def test_a_script_asks_about_several_pictures(name: str, pictures: list[Path], tmp_path: Path) -> None:
    module = script(name)
    known = zoo.find(module.MODEL)
    assert known is not None
    make = next(iter(plugins.find("family", known[1].family, expected=Family).samples.values()))
    make(0).save(tmp_path / "model")
    assert isinstance(module.ask(pictures, model=str(tmp_path / "model"), max_tokens=3), str)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_that_is_given_no_model_ends_with_a_line_that_says_so(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--model", str(tmp_path / "empty"), "one.png", "two.png"])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    assert left.value.code == 2
    *before, last = capsys.readouterr().err.splitlines()
    assert last.startswith("error: ")
    assert all(line.startswith("opening ") for line in before)


def test_the_script_of_video_score_gives_a_number_for_each_target(pictures: list[Path], tmp_path: Path) -> None:
    targets = ("visual quality", "factual consistency")
    model = tiny(0)
    scoring = Scoring(targets=targets, loss="mse", asked="plain", read="last")
    model.score_head = ScoreHead(scoring, int(model.network.config.get_text_config().hidden_size))
    model.save(tmp_path / "model")
    found = script("video_score").score(pictures[0].parent, "a red room", model=str(tmp_path / "model"))
    assert tuple(found) == targets
    assert all(isinstance(number, float) for number in found.values())
