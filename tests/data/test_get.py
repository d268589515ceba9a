"""``data get``: what arrives is whole and right, and what ended early goes on where it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.hub import ZIP, Hub, bring, contents, refusal_of, running, the_zip, typed
from tests.pictures import draw
from triptych.core.errors import RunError
from triptych.core.records import Example, Text, Turn, images_of
from triptych.data.format import load_examples
from triptych.data.formats import mantis_hub
from triptych.data.hub.catalogue import DataSet
from triptych.data.hub.download import DownloadError, RemoteFile, download, open_session, part_of
from triptych.data.hub.get import get
from triptych.data.hub.remote import Servers
from triptych.data.media.locate import read_bytes


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with running() as held:
        yield held


def test_the_files_of_a_data_set_arrive_as_they_are_and_no_others(hub: Hub, tmp_path: Path) -> None:
    got = bring(hub, tmp_path)
    wanted = {name: content for name, content in hub.files.items() if name.startswith("nlvr2/")}
    assert contents(tmp_path / "Mantis-Instruct") == wanted
    assert got.source == f"mantis_hub:{tmp_path}/Mantis-Instruct/nlvr2#split=train"
    assert (got.files, got.size_bytes, got.unverified) == (3, sum(map(len, wanted.values())), 0)


def test_what_is_there_is_not_asked_for_again(hub: Hub, tmp_path: Path) -> None:
    bring(hub, tmp_path)
    hub.asked.clear()
    bring(hub, tmp_path)
    assert hub.asked_files() == []


def test_a_file_that_was_changed_here_is_noticed_and_fetched_anew(hub: Hub, tmp_path: Path) -> None:
    bring(hub, tmp_path)
    changed = tmp_path / "Mantis-Instruct" / ZIP
    changed.write_bytes(b"x" * len(hub.files[ZIP]))
    os.utime(changed, ns=(1, 1))
    hub.asked.clear()
    bring(hub, tmp_path)
    assert hub.asked_files() == [(ZIP, "")]
    assert changed.read_bytes() == hub.files[ZIP]


def test_files_that_somebody_else_brought_are_read_once_and_kept(hub: Hub, tmp_path: Path) -> None:
    for name, content in hub.files.items():
        path = tmp_path / "Mantis-Instruct" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    bring(hub, tmp_path)
    assert hub.asked_files() == []


def test_what_was_fetched_and_is_not_listed_any_more_is_deleted_and_told(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bring(hub, tmp_path)
    os.utime(tmp_path / "Mantis-Instruct" / "nlvr2" / "train.parquet", ns=(1, 1))  # copied without its time
    bring_other_files(hub)
    bring(hub, tmp_path)
    wanted = {name: content for name, content in hub.files.items() if name.startswith("nlvr2/")}
    assert contents(tmp_path / "Mantis-Instruct") == wanted
    gone = tmp_path / "Mantis-Instruct" / "nlvr2" / "train.parquet"
    assert f"{gone}: deleted, as its place does not list it any more" in " ".join(capsys.readouterr().err.split())


def bring_other_files(hub: Hub) -> None:
    """Publish the same data set in two shards."""
    del hub.files["nlvr2/train.parquet"]
    hub.files |= {f"nlvr2/train-{k}.parquet": b"rows" * 500 for k in range(2)}


@pytest.mark.parametrize("begin", ["changed", "there before"])
def test_a_file_that_is_not_listed_any_more_and_is_somebodys_is_left_and_told(
    begin: str, hub: Hub, tmp_path: Path
) -> None:
    path = tmp_path / "Mantis-Instruct" / "nlvr2" / "train.parquet"
    if begin == "there before":
        path.parent.mkdir(parents=True)
        path.write_bytes(hub.files["nlvr2/train.parquet"])
    bring(hub, tmp_path)
    if begin == "changed":
        path.write_bytes(b"mine")
    before = path.read_bytes()
    bring_other_files(hub)
    with pytest.raises(RunError, match=r"train\.parquet: TIGER-Lab/Mantis-Instruct does not list it any more"):
        bring(hub, tmp_path)
    assert path.read_bytes() == before
    path.unlink()
    bring(hub, tmp_path)


def test_files_of_other_data_sets_and_of_nobody_stay(hub: Hub, tmp_path: Path) -> None:
    hub.files["nlvr2/extra.parquet"] = b"extra"
    hub.files["dreamsim/train.parquet"] = b"other"
    bring(hub, tmp_path)
    bring(hub, tmp_path, "mantis-dreamsim")
    (tmp_path / "Mantis-Instruct" / "nlvr2" / "mine.parquet").write_bytes(b"mine")
    del hub.files["nlvr2/extra.parquet"], hub.files["dreamsim/train.parquet"]
    bring(hub, tmp_path)
    there = contents(tmp_path / "Mantis-Instruct")
    assert "nlvr2/extra.parquet" not in there
    assert {"nlvr2/mine.parquet", "dreamsim/train.parquet"} <= there.keys()


def starts(hub: Hub) -> list[int]:
    return [int(asked.removeprefix("bytes=").rstrip("-") or 0) for name, asked in hub.asked_files() if name == ZIP]


def test_a_connection_that_breaks_is_gone_on_with(hub: Hub, tmp_path: Path) -> None:
    hub.cut_after = 900_000
    bring(hub, tmp_path)
    assert contents(tmp_path / "Mantis-Instruct")[ZIP] == hub.files[ZIP]
    lost = [900_000 - (after - before) for before, after in pairwise(starts(hub))]
    assert len(lost) >= 3
    assert all(0 <= bytes_lost < 1 << 16 for bytes_lost in lost)


def test_a_server_that_knows_no_ranges_sends_all_of_it_again(hub: Hub, tmp_path: Path) -> None:
    hub.ranges = False
    part = part_of(the_zip(hub), tmp_path / "Mantis-Instruct" / ZIP)
    part.parent.mkdir(parents=True)
    part.write_bytes(hub.files[ZIP][:1000])
    bring(hub, tmp_path)
    assert contents(tmp_path / "Mantis-Instruct")[ZIP] == hub.files[ZIP]
    assert starts(hub) == [1000]


def test_a_killed_download_goes_on_with_the_bytes_that_it_has(hub: Hub, tmp_path: Path) -> None:
    hub.pause_s = 0.05
    command, environment = typed(hub, tmp_path, "mantis-nlvr2")
    part = part_of(the_zip(hub), tmp_path / "Mantis-Instruct" / ZIP)
    killed = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size >= 1 << 20) and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    held = part.stat().st_size
    assert 0 < held < len(hub.files[ZIP])
    assert ZIP not in contents(tmp_path / "Mantis-Instruct")
    hub.pause_s, hub.sent_bytes = 0.0, 0
    hub.asked.clear()
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"triptych data check 'mantis_hub:{tmp_path}/Mantis-Instruct/nlvr2#split=train'\n"
    assert (ZIP, f"bytes={held}-") in hub.asked_files()
    assert hub.sent_bytes <= len(hub.files[ZIP]) - held + (1 << 17)
    assert contents(tmp_path / "Mantis-Instruct")[ZIP] == hub.files[ZIP]


def test_a_bad_first_part_is_thrown_away_and_the_file_fetched_whole(hub: Hub, tmp_path: Path) -> None:
    part = part_of(the_zip(hub), tmp_path / "Mantis-Instruct" / ZIP)
    part.parent.mkdir(parents=True)
    part.write_bytes(b"?" * 2_999_999)
    bring(hub, tmp_path)
    assert contents(tmp_path / "Mantis-Instruct")[ZIP] == hub.files[ZIP]
    assert [asked for name, asked in hub.asked_files() if name == ZIP] == ["bytes=2999999-", ""]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.integers(0, 200_000), share=st.floats(0, 1), cut=st.none() | st.integers(1, 50_000))
def test_from_any_first_part_and_through_any_breaks_the_same_bytes_arrive(
    hub: Hub, tmp_path: Path, size: int, share: float, cut: int | None
) -> None:
    content = Random(size).randbytes(size)
    hub.files["any"] = content
    hub.cut_after = None if cut is None else max(cut, 40_000)
    file = RemoteFile("any", f"{hub.url}/held/any", size, f"sha256:{sha256(content).hexdigest()}")
    target = tmp_path / "any"
    part_of(file, target).write_bytes(content[: int(share * size)])
    counted: list[int] = []
    with open_session() as session:
        download(file, target, session=session, moved=counted.append)
    assert target.read_bytes() == content
    assert sum(counted) == size - int(share * size)
    assert not part_of(file, target).exists()


def test_a_part_of_a_file_with_a_longer_name_is_left_alone(hub: Hub, tmp_path: Path) -> None:
    other = part_of(replace(the_zip(hub), checksum="sha256:1"), tmp_path / "train_images.zip.sums")
    other.write_bytes(b"somebody else's")
    with open_session() as session:
        download(the_zip(hub), tmp_path / "train_images.zip", session=session)
    assert other.exists()


def test_parts_of_other_contents_are_swept_away(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "Mantis-Instruct" / "nlvr2"
    folder.mkdir(parents=True)
    (folder / ".train_images.zip.0123456789ab.part").write_bytes(b"of an older zip")
    bring(hub, tmp_path)
    assert not list(folder.glob(".*.part"))


def test_a_token_goes_to_the_hub_and_not_to_where_it_leads(hub: Hub, tmp_path: Path) -> None:
    hub.token = "secret"
    bring(hub, tmp_path)
    listings = [who for path, _, who in hub.asked if path.startswith("/api")]
    assert listings
    assert set(listings) == {"Bearer secret"}
    assert [who for path, _, who in hub.asked if path == f"/held/{ZIP}"] == [None]


def test_files_are_found_by_name_wherever_they_lie_and_missing_ones_are_told(hub: Hub, tmp_path: Path) -> None:
    hub.files |= {"some/where/SD_instructions.json": b"{}", "pictures/SD.parquet": b"PAR1", "CSD_train.json": b"{}"}
    got = bring(hub, tmp_path, "mimicit-sd")
    where = tmp_path / "MIMICIT"
    assert got.missing == ("SD_train.json",)
    assert got.source == f"mimicit:{where}/some/where/SD_instructions.json#images={where}/pictures/SD.parquet"
    assert set(contents(where)) == {"some/where/SD_instructions.json", "pictures/SD.parquet"}


def test_a_folder_of_github_arrives_with_its_checksums(hub: Hub, tmp_path: Path) -> None:
    hub.files.clear()
    hub.files |= {"dev.json": b"{}\n", "images/0/dev-1-0-0.png": b"picture", "html_rand_page.py": b"code"}
    got = bring(hub, tmp_path, "nlvr-dev")
    assert set(contents(tmp_path / "nlvr_dev")) == {"dev.json", "images/0/dev-1-0-0.png"}
    assert (got.source, got.unverified) == (f"nlvr:{tmp_path}/nlvr_dev", 0)
    hub.damaged = {"dev.json"}
    (tmp_path / "nlvr_dev" / "dev.json").unlink()
    assert refusal_of(hub, tmp_path, "nlvr-dev").reason == "damaged"


def at_url(url: str, **facts: object) -> DataSet:
    where = {"kind": "url", "url": url, "folder": "one", "by": "us", **facts}
    said = {"is": "x", "by": "us"}
    entry = {
        "name": "one", "skill": "unknown", "scenario": "x", "task": "x", "examples": "unknown", "images": "unknown",
        "origin": said, "made": "unknown", "where": where, "files": ["*"], "read": "messages:{*}",
    }  # fmt: skip
    return DataSet.model_validate_json(json.dumps(entry))


def test_a_file_at_an_address_is_known_by_its_etag_or_by_the_catalogue(hub: Hub, tmp_path: Path) -> None:
    (got,) = get([at_url(f"{hub.url}/held/{ZIP}")], tmp_path, known=Servers())
    assert (got.unverified, got.source) == (1, f"messages:{tmp_path}/one/train_images.zip")
    before = hub.sent_bytes
    get([at_url(f"{hub.url}/held/{ZIP}")], tmp_path, known=Servers())
    assert hub.sent_bytes == before
    hub.files[ZIP] = hub.files[ZIP][:-1] + b"!"
    get([at_url(f"{hub.url}/held/{ZIP}")], tmp_path, known=Servers())
    assert (tmp_path / "one" / "train_images.zip").read_bytes() == hub.files[ZIP]
    with pytest.raises(DownloadError, match="arrived damaged"):
        get([at_url(f"{hub.url}/held/{ZIP}", sha256="0" * 64)], tmp_path / "again", known=Servers())


def test_files_are_fetched_in_parallel(hub: Hub, tmp_path: Path) -> None:
    hub.files |= {f"nlvr2/{k}.txt": b"%d" % k * 100 for k in range(8)}
    hub.pause_s = 0.2
    hub.files[ZIP] = b"short"
    begin = time.monotonic()
    bring(hub, tmp_path, jobs=11)
    assert time.monotonic() - begin < 0.2 * 11 * 0.8


def test_what_was_fetched_is_read_by_the_source_that_is_told(hub: Hub, tmp_path: Path) -> None:
    picture = draw(tmp_path / "drawn" / "red.png")
    turns = (Turn("user", (Text("What is "), picture, Text("?"))), Turn("assistant", (Text("Red."),)))
    mantis_hub.write([Example(id="one", turns=turns)], tmp_path / "train.parquet")
    hub.files = {"nlvr2/train.parquet": (tmp_path / "train.parquet").read_bytes()}
    got = bring(hub, tmp_path / "here")
    assert got.source is not None
    (example,) = load_examples(got.source, on_bad="raise").examples
    assert [read_bytes(image.source) for image in images_of(example)] == [Path(picture.source).read_bytes()]


def test_a_suite_is_fetched_in_one_go_and_what_its_place_lacks_is_told(hub: Hub, tmp_path: Path) -> None:
    hub.files = {"m4_instruct_annotations.json": b"[]", "m4_instruct_video.json": b"[ ]", "nlvr2.zip": b"PK"}
    command, environment = typed(hub, tmp_path, "m4")
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert sorted(hub.asked_files()) == [(name, "") for name in sorted(hub.files)]
    assert "m4-single: left out, the single-image part is not released" in ended.stderr
    assert "m4-raven: its place has no RAVEN_train_images.zip" in ended.stderr
    where = tmp_path / "M4-Instruct-Data"
    assert len(ended.stdout.splitlines()) == 3  # of NLVR2 and of the two sets of videos
    told = f"triptych data check 'llava:{where}/m4_instruct_annotations.json#image_dir={where}/nlvr2.zip'"
    assert told in ended.stdout.splitlines()
