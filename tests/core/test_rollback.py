"""What a failure takes back is what was made, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.core.rollback import left_as, look_before, made_folder


def fail(folder: Path, *, worked: bool) -> None:
    before = look_before(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with left_as(before, {"lock", "stages", "mine"}, worked=lambda: worked):
        (folder / "lock").touch()
        (folder / "stages").mkdir(exist_ok=True)
        (folder / "stages" / "part").touch()
        raise KeyboardInterrupt


def test_a_new_folder_goes_with_what_was_made_in_it(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path / "runs" / "new", worked=False)
    assert not (tmp_path / "runs").exists()


def test_work_stays(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path / "runs" / "new", worked=True)
    assert (tmp_path / "runs" / "new" / "stages" / "part").exists()


def test_what_was_there_and_what_others_made_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("old")
    (tmp_path / "theirs").write_text("other")
    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path, worked=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "theirs"]


def put_theirs(folder: Path) -> None:
    with made_folder(folder):
        (folder.parent / "theirs").touch()
        raise KeyboardInterrupt


def test_a_made_folder_stays_where_something_is_in_it(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        put_theirs(tmp_path / "a" / "b")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["theirs"]
