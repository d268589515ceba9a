"""Files are whole or as they were; records survive a torn last line."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from triptych.core.errors import ConfigError, DataError, NotFoundError, RunError
from triptych.core.files import (
    append_json_line,
    cache_folder,
    only_one,
    part_file,
    part_folder,
    read_json_lines,
    replace_folder,
    sha256_of,
    write_atomically,
)

VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
RECORDS = st.lists(st.dictionaries(st.text(), VALUES | st.lists(VALUES)), max_size=5)


def test_the_cache_folder_is_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "a" / "b"))
    assert cache_folder() == tmp_path / "a" / "b"
    assert cache_folder().is_dir()


def test_without_the_variable_the_cache_folder_is_under_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIPTYCH_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "triptych"


def test_a_cache_folder_that_cannot_be_is_an_error_that_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="TRIPTYCH_CACHE"):
        cache_folder()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_folder_that_may_not_be_written_is_said_to_be_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o555)
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=r"the cache folder may not be written\. Set TRIPTYCH_CACHE"):
        cache_folder()


def test_a_cache_folder_on_a_read_only_disk_is_said_to_be_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with pytest.raises(ConfigError, match=r"the cache folder may not be written\. Set TRIPTYCH_CACHE"):
        cache_folder()


@pytest.mark.parametrize("data", ["", "Grüße, 世界\r\n", b"\x00\xff"])
def test_a_file_holds_exactly_what_was_written(tmp_path: Path, data: str | bytes) -> None:
    path = tmp_path / "new" / "file"
    write_atomically(path, "before")
    write_atomically(path, data)
    assert path.read_bytes() == (data.encode() if isinstance(data, str) else data)
    assert [file.name for file in path.parent.iterdir()] == ["file"]


def test_a_write_that_fails_leaves_the_old_file_and_no_crumbs(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "lone surrogate \ud800")
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        write_atomically(tmp_path / "folder", "a folder cannot be replaced by a file")
    assert path.read_text() == "old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder"]


def test_a_written_file_has_the_rights_that_any_new_file_has(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_atomically(tmp_path / "ours", "")
    rights = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "ours")]
    assert rights[0] == rights[1]


@given(records=RECORDS)
def test_records_come_back_as_they_were_appended(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, bool | int | float | str | None]]
) -> None:
    path = tmp_path_factory.mktemp("lines") / "records.jsonl"
    for record in records:
        append_json_line(path, record)
    assert (list(read_json_lines(path)) if records else []) == records


@given(keep=st.integers(min_value=0, max_value=60))
def test_wherever_a_writer_is_killed_whole_records_stay_and_the_next_goes_on_a_line_of_its_own(
    tmp_path_factory: pytest.TempPathFactory, keep: int
) -> None:
    path = tmp_path_factory.mktemp("torn") / "records.jsonl"
    for number in range(5):
        append_json_line(path, {"number": number})
    whole = path.read_bytes()[:keep]
    path.write_bytes(whole)
    left = [{"number": number} for number in range(whole.count(b"\n"))]
    assert list(read_json_lines(path)) == left
    append_json_line(path, {"after": True})
    assert list(read_json_lines(path)) == [*left, {"after": True}]


def test_a_torn_line_longer_than_one_read_is_cut_whole(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    append_json_line(path, {"first": 1})
    with path.open("ab") as file:
        file.write(b"x" * (3 << 20))
    append_json_line(path, {"second": 2})
    assert list(read_json_lines(path)) == [{"first": 1}, {"second": 2}]


def test_a_line_that_is_no_json_is_named_by_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text('{"a": 1}\n\n{"b": oops}\n')
    lines = read_json_lines(path)
    assert next(lines) == {"a": 1}
    with pytest.raises(DataError, match=r"records\.jsonl: line 3: not JSON"):
        next(lines)


def test_a_persons_file_may_end_without_a_newline_and_loses_no_line(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    path.write_text('{"a": 1}\n{"b": 2}')
    assert list(read_json_lines(path, ours=False)) == [{"a": 1}, {"b": 2}]
    assert list(read_json_lines(path)) == [{"a": 1}]
    path.write_text('{"a": 1}\n{"b": ')
    with pytest.raises(DataError, match=r"votes\.jsonl: line 2: not JSON"):
        list(read_json_lines(path, ours=False))


def test_a_line_that_is_no_object_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text("[1, 2]\n")
    with pytest.raises(DataError, match=r"line 1: expected a JSON object \{\.\.\.\}, found list"):
        list(read_json_lines(path))


def test_reading_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"gone\.jsonl: no such file"):
        list(read_json_lines(tmp_path / "gone.jsonl"))


def test_a_record_with_nan_is_never_written(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    with pytest.raises(ValueError, match="JSON compliant"):
        append_json_line(path, {"loss": float("nan")})
    assert not path.exists()


def test_records_are_plain_json_lines_for_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    append_json_line(path, {"text": "zwei\nZeilen – ü"})
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == [
        {"text": "zwei\nZeilen – ü"}
    ]


@pytest.mark.parametrize("size_bytes", [0, 1, (1 << 20) - 1, (1 << 20) + 1])
def test_the_digest_is_that_of_all_bytes(tmp_path: Path, size_bytes: int) -> None:
    content = bytes(range(256)) * (size_bytes // 256 + 1)
    (tmp_path / "file").write_bytes(content[:size_bytes])
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content[:size_bytes]).hexdigest()


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    for content in ("old", "new"):
        work = part_folder(folder)
        (work / f"{content}.json").write_text(content)
        replace_folder(folder, work)
        (folder / "notes.txt").write_text("a person's")
    assert sorted(path.name for path in folder.iterdir()) == ["new.json", "notes.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("there", [None, "config.json"])
def test_a_link_stays_one_and_what_it_leads_to_is_replaced(there: str | None, tmp_path: Path) -> None:
    disk, here = tmp_path / "other disk", tmp_path / "here"
    for folder in (disk / "model", here):
        folder.mkdir(parents=True)
    if there:
        (disk / "model" / there).write_text("old")
    (here / "link").symlink_to(disk / "model")
    work = part_folder(here / "link")
    assert work.parent == disk
    (work / "new.json").write_text("new")
    replace_folder(here / "link", work)
    assert (here / "link").is_symlink()
    assert [path.name for path in (here / "link").iterdir()] == ["new.json"]
    assert [[path.name for path in folder.iterdir()] for folder in (disk, here)] == [["model"], ["link"]]


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    stale = part_folder(tmp_path / "model")
    other = part_folder(tmp_path / "another")
    fresh = part_folder(tmp_path / "model")
    assert (stale.exists(), other.exists(), fresh.exists()) == (False, True, True)


def test_what_a_neighbour_of_a_longer_name_is_writing_is_not_swept(tmp_path: Path) -> None:
    neighbour = part_folder(tmp_path / "model.v2")
    part_folder(tmp_path / "model")
    assert neighbour.exists()


@pytest.mark.parametrize(
    ("umask", "rights"), [(0o022, (0o755, 0o644)), (0o077, (0o700, 0o600)), (0o002, (0o775, 0o664))]
)
def test_a_folder_is_for_those_whom_the_user_lets_read(tmp_path: Path, umask: int, rights: tuple[int, int]) -> None:
    """safetensors writes a file that its owner alone may read."""
    before = os.umask(umask)
    try:
        work = part_folder(tmp_path / "model")
        save_file({"w": torch.zeros(1)}, work / "model.safetensors")
        replace_folder(tmp_path / "model", work)
    finally:
        os.umask(before)
    modes = tuple(
        stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "model", tmp_path / "model/model.safetensors")
    )
    assert modes == rights


def test_one_process_at_a_time_and_the_lock_dies_with_its_holder(tmp_path: Path) -> None:
    lock = tmp_path / "run" / ".lock"
    hold = "import sys, time; from pathlib import Path; from triptych.core.files import only_one\n"
    hold += "with only_one(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", hold, str(lock)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match=f"process {holder.pid} works in this folder"), only_one(lock):
            pass
        holder.kill()
        holder.wait()
    with only_one(lock):
        assert lock.read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_a_file_system_has_no_locks_work_goes_on_and_a_line_says_so_once(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def flock(file: object, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    monkeypatch.setattr("triptych.core.files._unlocked", set())
    worked = []
    for name in ("run", "other"):
        with only_one(tmp_path / name / ".lock"):
            worked.append(name)
    assert worked == ["run", "other"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path / 'run'}: its file system has no locks ({os.strerror(number)}), so start one")


def test_a_lock_that_fails_for_another_reason_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(file: object, operation: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(OSError, match="Input/output error"), only_one(tmp_path / ".lock"):
        pass


def test_only_what_dead_writers_left_for_a_day_is_swept(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    left = {
        f".old.jsonl.{ended.pid}.1.part": 2,  # of a killed writer
        f".new.jsonl.{ended.pid}.1.part": 0,  # of a writer that was killed, or lives on another machine
        f".slow.jsonl.{os.getpid()}.1.part": 2,  # of one that lives here
        ".notes.part": 2,
        f"old.jsonl.{ended.pid}.1.part": 2,
    }
    for name, days in left.items():
        (tmp_path / name).write_text("half a li")
        os.utime(tmp_path / name, (time.time() - days * 86_400,) * 2)
    write_atomically(tmp_path / "any.jsonl", "")
    assert {path.name for path in tmp_path.iterdir()} == {*left, "any.jsonl"} - {f".old.jsonl.{ended.pid}.1.part"}


def test_a_file_in_the_making_lies_beside_its_name_and_is_no_others(tmp_path: Path) -> None:
    part = part_file(tmp_path / "rows.jsonl")
    assert part.parent == tmp_path
    assert part.name.startswith(f".rows.jsonl.{os.getpid()}.")


def test_a_folder_that_is_a_link_to_nowhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(tmp_path / "unmounted")
    with pytest.raises(RunError, match=r"run: a link to .*unmounted, which is not there\. Make it, or"):
        only_one(tmp_path / "run" / ".lock").__enter__()
    (tmp_path / "deep").symlink_to(tmp_path / "unmounted" / "model")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("deep", "loop"):
        with pytest.raises(RunError, match=rf"{name}: a link to .*, which is not there\. Make it, or"):
            part_folder(tmp_path / name)
    assert part_folder(tmp_path / "run").parent == tmp_path, "its parent is there: it can be made"


def test_the_root_of_a_disk_is_not_replaced() -> None:
    with pytest.raises(RunError, match=r"^/: the root of a disk cannot be replaced\. Name a folder in it\.$"):
        part_folder(Path("/"))
