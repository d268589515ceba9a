"""``data get`` that cannot: each reason is one clear line that names the file or the place, and nothing bad is kept."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data.hub import ZIP, Hub, bring, contents, refusal_of, running, the_zip, typed
from triptych.core.errors import NotFoundError, RunError
from triptych.core.files import only_one
from triptych.data.hub import get as getting
from triptych.data.hub.catalogue import find_dataset
from triptych.data.hub.download import DownloadError, download, open_session
from triptych.data.hub.get import LOCK, get
from triptych.data.hub.remote import Servers


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with running() as held:
        yield held


@pytest.mark.parametrize("name", [ZIP, "nlvr2/train.parquet"])
def test_a_damaged_file_is_named_and_not_kept(name: str, hub: Hub, tmp_path: Path) -> None:
    hub.damaged = {name}
    error = refusal_of(hub, tmp_path)
    assert error.reason == "damaged"
    assert str(error).startswith(f"{name}: arrived damaged (")
    assert name not in contents(tmp_path / "Mantis-Instruct")
    hub.damaged = set()
    bring(hub, tmp_path)
    assert contents(tmp_path / "Mantis-Instruct")[name] == hub.files[name]


def test_another_size_than_was_announced_is_named(hub: Hub, tmp_path: Path) -> None:
    hub.listed["nlvr2/train.parquet"] = 4001
    error = refusal_of(hub, tmp_path)
    assert "4,000 bytes arrived, 4,001 were announced" in str(error)


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (401, "not allowed", "ask for access at {hub}/datasets/TIGER-Lab/Mantis-Instruct, then set HF_TOKEN"),
        (403, "not allowed", "does not let you (403)"),
        (404, "not there", "TIGER-Lab/Mantis-Instruct at script: is not there (404)"),
        (500, "server", "the server answers 500"),
    ],
)
def test_what_the_server_refuses_is_one_clear_line(
    status: int, reason: str, words: str, hub: Hub, tmp_path: Path
) -> None:
    hub.status = status
    error = refusal_of(hub, tmp_path)
    assert error.reason == reason
    assert words.format(hub=hub.url) in str(error)
    assert not tmp_path.joinpath("Mantis-Instruct").exists()


@pytest.mark.parametrize(("status", "reason"), [(403, "not allowed"), (404, "not there")])
def test_a_gated_file_is_named_and_not_asked_for_many_times(status: int, reason: str, hub: Hub, tmp_path: Path) -> None:
    hub.file_status = status
    hub.files |= {f"nlvr2/{k}.txt": b"%d" % k for k in range(50)}
    error = refusal_of(hub, tmp_path)
    assert error.reason == reason
    assert str(error).startswith("nlvr2/")
    assert len(hub.asked_files()) < 10


def test_an_unknown_revision_is_named(hub: Hub, tmp_path: Path) -> None:
    assert "TIGER-Lab/Mantis-Instruct at v7: is not there (404)" in str(refusal_of(hub, tmp_path, revision="v7"))


@pytest.mark.parametrize("key", ["size", "oid", "path", "type"])
def test_a_listing_that_lacks_a_fact_is_one_clear_line(key: str, hub: Hub, tmp_path: Path) -> None:
    hub.unlisted, hub.large = {key}, set()
    error = refusal_of(hub, tmp_path)
    assert error.reason == "server"
    assert f"TIGER-Lab/Mantis-Instruct at script: {hub.url} answers something else than a listing" in str(error)
    assert key in str(error)
    assert not tmp_path.joinpath("Mantis-Instruct").exists()


def test_without_a_network_there_is_one_clear_line(hub: Hub, tmp_path: Path) -> None:
    nobody = Hub(hub.files, url="http://127.0.0.1:1")
    error = refusal_of(nobody, tmp_path)
    assert error.reason == "no network"
    assert "cannot be reached (Connection refused). Is there a network?" in str(error)


def test_a_data_set_that_is_not_released_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"m4-single cannot be fetched: the single-image part is not released\."):
        get([find_dataset("m4-single")], tmp_path, known=Servers())


def test_a_place_without_the_files_tells_what_it_has(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"mantis-star: its place has none of star/\*. It has README.md, nlvr2, "):
        bring(hub, tmp_path, "mantis-star")


@pytest.mark.parametrize("path", ["../evil.txt", "/etc/evil", "nlvr2/../../evil", "a\\b"])
def test_a_listing_that_leads_out_of_its_folder_is_refused(path: str, hub: Hub, tmp_path: Path) -> None:
    hub.files[path] = b"evil"
    assert "leads out of its folder" in str(refusal_of(hub, tmp_path))
    assert contents(tmp_path) == {}


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = shutil._ntuple_diskusage(total=10, used=0, free=getting.SPARE_BYTES + 2_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: tiny)
    with pytest.raises(RunError, match="3 MiB are needed and 64 MiB to spare, 66 MiB are free"):
        bring(hub, tmp_path)
    assert hub.asked_files() == []


def test_a_folder_that_cannot_be_written_is_one_clear_line(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("a file where a folder should be")
    with open_session() as session, pytest.raises(DownloadError, match=r"cannot be written \(File exists\)"):
        download(the_zip(hub), tmp_path / "target" / "images.zip", session=session)


def test_two_do_not_download_into_one_folder(hub: Hub, tmp_path: Path) -> None:
    with only_one(tmp_path / "Mantis-Instruct" / LOCK), pytest.raises(RunError, match=f"process {os.getpid()} works"):
        bring(hub, tmp_path)


def test_without_a_network_the_command_says_one_line(hub: Hub, tmp_path: Path) -> None:
    command, environment = typed(hub, tmp_path, "mantis-nlvr2")
    environment["HF_ENDPOINT"] = "http://127.0.0.1:1"
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    licence, error = ended.stderr.splitlines()
    assert licence.startswith("licence: unknown")
    assert error.startswith("error: TIGER-Lab/Mantis-Instruct at script: http://127.0.0.1:1/api/")


def test_a_connection_that_brings_nothing_many_times_is_given_up(hub: Hub, tmp_path: Path) -> None:
    hub.cut_after = 0
    error = refusal_of(hub, tmp_path)
    assert error.reason == "no network"
    assert len(hub.asked_files()) < 20
