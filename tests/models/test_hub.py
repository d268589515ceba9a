"""A model brought again is the hub's as it is now: no older weights beside it, nothing damaged, nobody's files lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.models.hubs import Hub, Repository, stand_in
from triptych.core.errors import NotFoundError, RunError
from triptych.core.files import sha256_of
from triptych.models.disk import fetched, hub
from triptych.models.disk.locate import locate

ONE = {"config.json": b"{}", "generation_config.json": b"{}", "model.safetensors": b"one" * 1000}
TWO = {
    "config.json": b'{"a": 1}',
    "model-00001-of-00002.safetensors": b"two" * 600,
    "model-00002-of-00002.safetensors": b"two" * 700,
    "model.safetensors.index.json": b"{}",
}
NEXT = "89abcdef" + "0" * 32


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def there() -> Iterator[Hub]:
    with stand_in(me__toy=Repository(dict(ONE)), me__other=Repository(dict(TWO))) as held:
        yield held


def cut_anew(there: Hub) -> None:
    """Publish the model's weights in two files."""
    there.models["me/toy"] = Repository(dict(TWO), commit=NEXT)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".cache", ".got.json"}


def bring(there: Hub, folder: Path, hub_id: str = "me/toy") -> None:
    hub.bring(hub_id, folder, endpoint=there.url)


def test_files_that_the_model_has_no_more_are_deleted_and_told(
    there: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bring(there, tmp_path / "m")
    cut_anew(there)
    (tmp_path / "m" / "mine.txt").write_text("mine")
    bring(there, tmp_path / "m")
    assert names(tmp_path / "m") == {*TWO, "mine.txt"}
    assert {name: (tmp_path / "m" / name).read_bytes() for name in TWO} == TWO
    told = " ".join(capsys.readouterr().err.split())
    assert f"{tmp_path}/m/model.safetensors: deleted, as me/toy does not have it any more" in told


def test_old_weights_that_were_changed_here_are_left_and_told(there: Hub, tmp_path: Path) -> None:
    bring(there, tmp_path / "m")
    cut_anew(there)
    (tmp_path / "m" / "model.safetensors").write_bytes(b"tuned")
    with pytest.raises(RunError, match=r"model\.safetensors: the model has no such file any more, and it was changed"):
        bring(there, tmp_path / "m")
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == b"tuned"


def test_old_weights_whose_time_alone_is_another_are_still_ours(there: Hub, tmp_path: Path) -> None:
    bring(there, tmp_path / "m")
    cut_anew(there)
    os.utime(tmp_path / "m" / "model.safetensors", ns=(1, 1))
    bring(there, tmp_path / "m")
    assert names(tmp_path / "m") == {*TWO}


def test_weights_that_nobody_brought_are_left_and_told(there: Hub, tmp_path: Path) -> None:
    cut_anew(there)
    bring(there, tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_bytes(b"mine")
    with pytest.raises(RunError, match=r"model\.safetensors: the model has no such file, and it was not brought here"):
        bring(there, tmp_path / "m")
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == b"mine"


def test_weights_that_the_hub_has_and_that_are_not_needed_are_left(there: Hub, tmp_path: Path) -> None:
    there.models["me/toy"].files["pytorch_model.bin"] = b"the same in another spelling"
    bring(there, tmp_path / "m")
    (tmp_path / "m" / "pytorch_model.bin").write_bytes(b"the same in another spelling")
    bring(there, tmp_path / "m")
    assert (tmp_path / "m" / "pytorch_model.bin").is_file()


def test_a_folder_is_of_one_model(there: Hub, tmp_path: Path) -> None:
    bring(there, tmp_path / "m")
    with pytest.raises(RunError, match=r"m holds me/toy, not me/other\. Name another folder"):
        bring(there, tmp_path / "m", "me/other")
    (tmp_path / "tuned").mkdir()
    (tmp_path / "tuned" / "config.json").write_text("{}")
    with pytest.raises(RunError, match="holds other things"):
        bring(there, tmp_path / "tuned")
    assert names(tmp_path / "tuned") == {"config.json"}


def test_a_note_that_is_torn_is_told(there: Hub, tmp_path: Path) -> None:
    bring(there, tmp_path / "m")
    (tmp_path / "m" / fetched.NOTE).write_text('{"hub_id": "me/toy"}')
    with pytest.raises(RunError, match=r"\.got\.json is not as it was written\. Delete it"):
        bring(there, tmp_path / "m")
    (tmp_path / "m" / fetched.NOTE).unlink()
    bring(there, tmp_path / "m")


@pytest.mark.parametrize("cached", [False, True], ids=["in a folder", "in the hub's cache"])
def test_weights_of_the_right_size_and_another_content_are_noticed_and_fetched_anew(
    there: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    there.damaged = {"model.safetensors"}
    with pytest.raises(RunError, match=r"model\.safetensors arrived damaged \(not of the sha256 that the hub gives\)"):
        hub.bring("me/toy", None if cached else tmp_path / "m", endpoint=there.url)
    there.damaged = set()
    got = hub.bring("me/toy", None if cached else tmp_path / "m", endpoint=there.url)
    assert (got.folder / "model.safetensors").read_bytes() == ONE["model.safetensors"]


@pytest.mark.parametrize("cached", [False, True], ids=["in a folder", "in the hub's cache"])
def test_weights_are_compared_once(there: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    read: list[str] = []

    def watched(path: Path) -> str:
        read.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr("triptych.models.disk.fetched.sha256_of", watched)
    for _ in range(2):
        got = hub.bring("me/toy", None if cached else tmp_path / "m", endpoint=there.url)
    assert sorted(read) == sorted(ONE)
    os.utime(got.folder / "model.safetensors", ns=(1, 1))
    hub.bring("me/toy", None if cached else tmp_path / "m", endpoint=there.url)
    assert read[len(ONE) :] == ["model.safetensors"]


TOLD = {
    401: "does not know who asks (401). HF_TOKEN or the login",
    403: "does not let you (403). Accept its terms at https://huggingface.co/me/toy",
    404: "lists what it does not have (404). Is HF_ENDPOINT right?",
    416: "does not fit what the hub has (416). Delete the *.incomplete files",
    418: "the hub answers 418. Try again",
}


@pytest.mark.parametrize("status", sorted(TOLD))
def test_an_answer_of_the_hub_is_not_called_a_network_that_is_not_there(
    there: Hub, tmp_path: Path, status: int
) -> None:
    there.broken_files = status
    with pytest.raises(NotFoundError) as error:
        bring(there, tmp_path / "m")
    assert TOLD[status] in str(error.value)
    assert "\n" not in str(error.value)


@pytest.fixture
def asked(there: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Let hub ids be those of the hub on this machine."""
    monkeypatch.setattr(constants, "ENDPOINT", there.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", there.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return there


def why(name: str) -> str:
    with pytest.raises(NotFoundError) as error:
        locate(name)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_model_of_a_recipe_that_the_hub_does_not_give_is_told_as_models_get_tells_it(asked: Hub) -> None:
    asked.models["me/toy"].gated = True
    assert "accept its terms at https://huggingface.co/me/toy, then say who you are" in why("me/toy")
    assert why("me/gone").startswith("me/gone: no such folder, and the hub has no such model, or it is private")
    for status in (401, 403, 404):
        asked.broken_files = status
        assert TOLD[status].replace("me/toy", "me/other") in why("me/other")


def test_a_model_of_a_recipe_whose_download_is_torn_is_told_in_a_line(
    asked: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    asked.always_cut = {"model.safetensors": 100}
    assert "me/toy: no such folder, and the hub cannot be reached" in why("me/toy")
