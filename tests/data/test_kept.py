"""Pictures in the cache folder: one file for each content, and none that nobody asked for."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from triptych.data.media.kept import keep_bytes, keeping_only

PNG = b"\x89PNG of some picture"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path))


def test_kept_bytes_are_kept_once_by_content(tmp_path: Path) -> None:
    sha = hashlib.sha256(PNG).hexdigest()
    assert keep_bytes(PNG, "some/Where.PNG") == str(tmp_path / "images" / sha[:2] / f"{sha}.png")
    assert Path(keep_bytes(PNG, "../../evil.sh")).name == sha
    before = Path(keep_bytes(PNG)).stat().st_mtime_ns
    assert Path(keep_bytes(PNG)).stat().st_mtime_ns == before


def test_what_is_not_wanted_is_named_and_not_written() -> None:
    there = keep_bytes(b"there")
    with keeping_only(()) as left:
        wanted, other = keep_bytes(b"wanted", "a.png"), keep_bytes(b"other")
        assert keep_bytes(b"there") == there
    assert left == {wanted, other}
    assert not Path(wanted).exists()
    with keeping_only({wanted}) as left:
        assert [keep_bytes(b"wanted", "b.png"), keep_bytes(b"other")] == [wanted, other]
    assert Path(wanted).read_bytes() == b"wanted"
    assert left == {other}
    assert not Path(other).exists()
    assert Path(keep_bytes(b"other")).read_bytes() == b"other"


def test_a_choice_ends_with_its_block_also_where_an_error_ends_it() -> None:
    with pytest.raises(ValueError, match="torn"), keeping_only(()):
        raise ValueError("torn")
    assert Path(keep_bytes(b"after")).exists()
