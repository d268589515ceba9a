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


def test_words_are_compared_where_a_benchmarks_pictures_are_not_there_and_the_reasons_are_told(
    tmp_path: Path,
    triptych,  # type: ignore[no-untyped-def]
) -> None:
    ours = put(tmp_path / "ours", talk("same", ASKED, "One."), talk("own", "And?", "No."), talk("x", images=("x.png",)))
    theirs = put(
        tmp_path / "theirs", talk("b", f"<image>{ASKED}", "Two.", images=("gone.png",)), talk("c", "Hm?", "A.")
    )
    out = tmp_path / "clean.jsonl"
    told = triptych("data", "decontaminate", ours, "--against", theirs, "--out", f"messages:{out}")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("3 rows: 1 clean, 1 shared, 1 refused")
    assert "1 of theirs cannot be read; of 1 of them the words were compared" in told.stdout
    assert "gone.png" in told.stdout
    assert "x.png" in told.stdout
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == ["own"]


def test_a_benchmark_of_which_no_row_can_be_read_is_an_error_and_nothing_is_written(
    tmp_path: Path,
    triptych,  # type: ignore[no-untyped-def]
) -> None:
    ours = put(tmp_path / "ours", talk("same", ASKED, "One."), talk("own", "And who is there?", "Nobody."))
    read = put(tmp_path / "read", talk("r", "Hm?", "A."))
    theirs = put(tmp_path / "theirs", talk("b", f"<image>{ASKED}", "Two.", images=("gone.png",)))
    out = tmp_path / "clean.jsonl"
    told = triptych("data", "decontaminate", ours, "--against", read, theirs, "--out", f"messages:{out}")
    assert told.returncode == 2
    assert not out.exists()
    assert "2 rows: 1 clean, 1 shared" in told.stdout
    assert f"{theirs}: not one row of this benchmark can be read" in told.stderr
    assert "gone.png" in told.stderr
    told = triptych("data", "decontaminate", ours, "--against", theirs, "--json")
    assert told.returncode == 2
    assert json.loads(told.stdout)["benchmark_words"] == 1


def test_a_benchmark_whose_rows_are_bad_is_not_told_to_lack_pictures(
    tmp_path: Path,
    triptych,  # type: ignore[no-untyped-def]
) -> None:
    ours = put(tmp_path / "ours", talk("own", "And who is there?", "Nobody."))
    lacking = talk("b", f"<image>{ASKED}", "Two.", images=("gone.png",))
    mixed = put(tmp_path / "mixed", lacking, talk("c", "Hm?", "A."))
    bad = put(tmp_path / "bad", {"id": "x", "conversations": []})
    told = triptych("data", "decontaminate", ours, "--against", mixed, bad)
    assert told.returncode == 2
    assert f"{bad}: not one row" in told.stderr
    assert "Mend its rows, or leave it out. The first refusal:" in told.stderr
    assert "gone.png" not in told.stderr
    told = triptych("data", "decontaminate", ours, "--against", bad)
    assert "1 of theirs cannot be read; of none of them the words were compared" in told.stdout
