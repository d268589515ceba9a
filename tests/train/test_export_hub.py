"""What is exported is put on the hub, on a stand-in over real HTTP: privately, whole, or told why not."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.models.hubs import TOKEN, Repository, stand_in
from tests.train.runs import toy_recipe
from triptych.core.errors import ConfigError, RunError
from triptych.models.families.tiny import tiny
from triptych.train.export.export import Exported, export
from triptych.train.export.plan import parse_plan
from triptych.train.trainer import train


def _push(folder: Path, *settings: str, url: str, token: str = TOKEN) -> Exported:
    out = folder / f"out{len(list(folder.iterdir()))}"
    return export(str(folder / "model"), out, plan=parse_plan(["push=me/toy", *settings]), endpoint=url, token=token)


def test_an_export_is_put_on_the_hub_privately_with_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    tiny(0).save(tmp_path / "model")
    with stand_in() as hub:
        done = _push(tmp_path, url=hub.url)
        there = hub.models["me/toy"]
    assert done.address == f"{hub.url}/me/toy"
    assert there.private
    own = {path.name: path.read_bytes() for path in done.folder.iterdir()}
    assert there.files == own
    posted = [line.split()[1] for line in hub.heard if line.startswith(("POST", "PUT"))]
    assert posted[0] == "/api/repos/create"
    assert "/api/models/me/toy/preupload/main" in posted
    assert posted[-1] == "/api/models/me/toy/commit/main"
    assert any(path.startswith("/lfs/") for path in posted)
    assert "me/toy" in own["README.md"].decode()


def test_what_the_hub_refuses_is_told_before_anything_is_written(tmp_path: Path) -> None:
    tiny(0).save(tmp_path / "model")
    with stand_in(me__toy=Repository(private=False)) as hub:
        with pytest.raises(RunError, match=r"that repository is public\. Say private=false"):
            _push(tmp_path, url=hub.url)
        with pytest.raises(RunError, match="does not let us in: say who you are"):
            _push(tmp_path, url=hub.url, token="hf_wrong")
    with pytest.raises(RunError, match="the hub cannot be reached"):
        _push(tmp_path, url="http://127.0.0.1:9")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_an_adapter_whose_base_nobody_finds_is_not_pushed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(toy_recipe(tmp_path, ("length: 6 steps", "length: 1 steps")), run=run)
    with stand_in() as hub, pytest.raises(ConfigError, match="whose base is not on the hub"):
        export(
            str(run), tmp_path / "out", plan=parse_plan(["adapter=true", "push=me/toy"]), endpoint=hub.url, token=TOKEN
        )
    assert not (tmp_path / "out").exists()
