"""``triptych data decontaminate``: shared rows are told, and the rest is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.test_check import put
from tests.data.test_doubts import talk
from triptych.cli.groups.data_decontaminate import spread

ASKED = "Which of these three cups stands nearest to the window of the room?"


def test_against_takes_all_that_follows() -> None:
    assert spread(["a", "--against", "b", "c", "--json", "d"]) == [
        *("a", "--against", "b", "--against", "c", "--json", "d"),
    ]
    assert spread(["--against=b", "c", "--out", "x", "y"]) == ["--against=b", "--against", "c", "--out", "x", "y"]
    assert spread(["a", "b"]) == ["a", "b"]


@pytest.fixture
def sources(tmp_path: Path) -> tuple[str, str]:
    ours = put(tmp_path / "ours", talk("same", ASKED, "One."), talk("own", "And who is there?", "Nobody."))
    return ours, put(tmp_path / "theirs", talk("b", ASKED, "Two."))


def test_the_clean_rows_are_written(sources: tuple[str, str], tmp_path: Path, triptych) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "clean.jsonl"
    told = triptych("data", "decontaminate", sources[0], "--against", sources[1], "--out", f"messages:{out}")
    assert told.stdout.startswith("2 rows: 1 clean, 1 shared, 0 refused")
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == ["own"]
    again = triptych("data", "decontaminate", sources[0], "--against", sources[1], "--json")
    counted = json.loads(again.stdout)
    assert (counted["examples"], counted["clean"], counted["shared"]) == (2, 1, 1)
    assert counted["matches"][0]["kind"] == "words"


def test_a_source_is_never_written_over(sources: tuple[str, str], triptych) -> None:  # type: ignore[no-untyped-def]
    told = triptych("data", "decontaminate", sources[0], "--against", sources[1], "--out", sources[0])
    assert told.returncode == 2
    assert "one of the sources" in told.stderr
