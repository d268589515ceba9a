"""``triptych starter draw``: it draws where nothing is in its way, and leaves alone what a person has there."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from triptych.cli import starter
from triptych.cli.main import build_app
from triptych.core.errors import RunError

SMALL = ("--tune", "208", "--questions", "208")


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Write files without pictures in them; each drawing is counted."""
    folders: list[Path] = []

    def write(folder: Path, **_: object) -> dict[str, int]:
        folders.append(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name in starter.PARTS:
            (folder / f"{name}.jsonl").write_text("{}\n{}\n")
        return dict.fromkeys(starter.PARTS, 2)

    monkeypatch.setattr(starter, "write_storyboard", write)
    return folders


def draw(folder: Path, *words: str) -> str:
    return CliRunner().invoke(build_app(), ["starter", "draw", str(folder), *words], catch_exceptions=False).stdout


def test_the_same_command_again_finds_what_it_drew(tmp_path: Path, drawn: list[Path]) -> None:
    said = draw(tmp_path / "a", *SMALL)
    assert f"{tmp_path / 'a' / 'tune.jsonl'}: 2" in said
    assert draw(tmp_path / "a", *SMALL) == said
    (tmp_path / "a" / "tune.jsonl").unlink()
    assert draw(tmp_path / "a", *SMALL) == said
    assert len(drawn) == 2


def test_a_file_that_it_did_not_draw_so_is_not_replaced(tmp_path: Path, drawn: list[Path]) -> None:
    (tmp_path / "tune.jsonl").write_text("mine")
    with pytest.raises(RunError, match=r"holds tune\.jsonl, not drawn with these settings"):
        draw(tmp_path, *SMALL)
    assert (tmp_path / "tune.jsonl").read_text() == "mine"
    draw(tmp_path / "b", *SMALL)
    with pytest.raises(RunError, match=r"holds drawn\.json, align\.jsonl, tune\.jsonl"):
        draw(tmp_path / "b", *SMALL, "--seed", "1")
    assert drawn == [tmp_path / "b"]
