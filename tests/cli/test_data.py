"""``triptych data``: what is refused is named and counted; what is shown is what is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Triptych


def test_check_counts_what_is_used_and_names_each_row_that_is_not(triptych: Triptych, chats: str) -> None:
    checked = triptych("data", "check", chats)
    assert checked.returncode == 0
    heading, *lines = checked.stdout.splitlines()
    assert heading == "4 rows: 2 used, 2 refused; 3 images in the used ones"
    assert "image file missing: 1" in lines
    assert any("row 1 (id 'torn')" in line for line in lines)
    assert any("row 2 (id 'gone')" in line and "gone.png" in line for line in lines)


def test_a_row_gives_the_terminal_no_orders(triptych: Triptych, tmp_path: Path) -> None:
    row = {"id": "\x1b]0;mine\x07", "images": ["\x1b[31mgone.png"], "messages": []}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    checked = triptych("data", "check", f"messages:{tmp_path / 'rows.jsonl'}")
    refused = triptych("data", "check", "messages:\x1b[31mnowhere.jsonl")
    assert "row 0" in checked.stdout
    assert "nowhere.jsonl" in refused.stderr
    assert "\x1b" not in checked.stdout + checked.stderr + refused.stderr


def test_check_for_programs_prints_the_counts_and_the_rows_as_json(triptych: Triptych, chats: str) -> None:
    checked = json.loads(triptych("data", "check", chats, "--json").stdout)
    counts = {key: checked[key] for key in ("examples", "used", "refused", "images")}
    assert counts == {"examples": 4, "used": 2, "refused": 2, "images": 3}
    assert [row["reason"] for row in checked["refusals"]][1] == "image file missing"
    assert sum(checked["reasons"].values()) == len(checked["refusals"]) == 2


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--strict",), 1)])
def test_a_strict_check_fails_where_a_row_is_refused(
    triptych: Triptych, chats: str, options: tuple[str, ...], code: int
) -> None:
    assert triptych("data", "check", chats, *options).returncode == code
    assert triptych("data", "check", f"{chats}#limit=1", *options).returncode == 0


def test_a_check_of_headers_alone_does_not_see_that_a_picture_is_torn(triptych: Triptych, chats: str) -> None:
    assert triptych("data", "check", chats, "--headers").stdout.startswith("4 rows: 3 used, 1 refused; 4 images")


def test_many_refusals_of_one_kind_are_told_in_part_and_counted_in_full(triptych: Triptych, tmp_path: Path) -> None:
    rows = [{"id": str(n), "images": [], "conversation": []} for n in range(25)]
    (tmp_path / "empty.json").write_text(json.dumps(rows))
    lines = triptych("data", "check", "mantis:empty.json").stdout.splitlines()
    assert lines[0].startswith("25 rows: 0 used, 25 refused")
    assert lines[1].endswith(": 25")
    assert len(lines) == 2 + 10 + 1
    assert lines[-1].strip() == "and 15 more; --json lists all"


def test_a_source_without_any_row_is_no_success(triptych: Triptych, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("[]")
    checked = triptych("data", "check", f"messages:{tmp_path / 'rows.json'}")
    assert checked.returncode == 2
    assert (
        checked.stderr == f"error: messages:{tmp_path / 'rows.json'}: there is no row at all. Is it the right file?\n"
    )


def test_several_sources_are_checked_as_one(triptych: Triptych, chats: str) -> None:
    checked = triptych("data", "check", f"{chats}#limit=1", chats)
    assert checked.stdout.startswith("5 rows: 3 used, 2 refused; 5 images")


def test_stats_count_turns_words_and_pictures(triptych: Triptych, chats: str) -> None:
    counted = json.loads(triptych("data", "stats", chats, "--json").stdout)
    assert (counted["examples"], counted["refused"]) == (3, 1)
    assert counted["turns"] == {"user": 3, "assistant": 3}
    assert counted["images_per_example"] == {"1": 2, "2": 1}
    shown = triptych("data", "stats", chats).stdout
    assert "user 3, assistant 3" in shown
    assert "images per example" in shown


def test_show_prints_the_first_row_with_its_pictures_in_place(triptych: Triptych, chats: str) -> None:
    shown = triptych("data", "show", chats).stdout
    assert "good" in shown
    assert shown.index("Is ") < shown.index("[image 1: red.png 40x30]") < shown.index("[image 2: blue.png 40x30]")
    assert "The first." in shown


@pytest.mark.parametrize("choice", [("--row", "3"), ("--id", "also good")])
def test_show_finds_a_row_by_number_or_by_id(triptych: Triptych, chats: str, choice: tuple[str, str]) -> None:
    assert "Blue." in triptych("data", "show", chats, *choice).stdout


@pytest.mark.parametrize("choice", [("--row", "2"), ("--id", "gone")])
def test_show_of_a_row_that_cannot_be_used_says_why(triptych: Triptych, chats: str, choice: tuple[str, str]) -> None:
    refused = triptych("data", "show", chats, *choice)
    assert refused.returncode == 2
    assert "row 2 (id 'gone')" in refused.stderr
    assert "gone.png" in refused.stderr


def test_show_of_a_row_that_is_not_there_says_how_many_there_are(triptych: Triptych, chats: str) -> None:
    assert "no row 9 among its 4 rows" in triptych("data", "show", chats, "--row", "9").stderr
    assert "no row with the id 'x' among its 4 rows" in triptych("data", "show", chats, "--id", "x").stderr
    assert "it has no rows." in triptych("data", "show", f"{chats}#limit=0").stderr
    both = triptych("data", "show", chats, "--id", "good", "--row", "0")
    assert both.returncode == 2
    assert "Give one of them" in both.stderr


def test_show_writes_a_page_of_all_rows_that_can_be_used(triptych: Triptych, chats: str, tmp_path: Path) -> None:
    shown = triptych("data", "show", f"{chats}#limit=3", "--html", "page/all.html")
    page = (tmp_path / "page" / "all.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") >= 2
    assert "The first." in page
    assert "Nothing." not in page
    assert "row 2 (id 'gone')" in shown.stderr
    assert "1 row refused" in shown.stderr


def test_a_page_of_one_row_has_that_row_only(triptych: Triptych, chats: str, tmp_path: Path) -> None:
    triptych("data", "show", chats, "--row", "3", "--html", "one.html")
    page = (tmp_path / "one.html").read_text(encoding="utf-8")
    assert "Blue." in page
    assert "The first." not in page


def test_convert_writes_what_can_be_used_and_says_what_it_left_out(
    triptych: Triptych, chats: str, tmp_path: Path
) -> None:
    converted = triptych("data", "convert", chats, "messages:new/train.jsonl")
    assert converted.returncode == 0, converted.stderr
    assert "new/train.jsonl: 3 rows" in converted.stderr
    assert "row 2 (id 'gone')" in converted.stderr
    checked = triptych("data", "check", "messages:new/train.jsonl", "--headers")
    assert checked.stdout.startswith("3 rows: 3 used, 0 refused; 4 images")
    shown = triptych("data", "show", "messages:new/train.jsonl", "--id", "good").stdout
    assert shown.index("Is ") < shown.index("[image 1: ") < shown.index(" or ") < shown.index("[image 2: ")


def test_convert_never_writes_over_its_source(triptych: Triptych, chats: str, tmp_path: Path) -> None:
    before = (tmp_path / "chats.json").read_bytes()
    refused = triptych("data", "convert", chats, "messages:./chats.json")
    assert refused.returncode == 2
    assert "is the source itself" in refused.stderr
    assert (tmp_path / "chats.json").read_bytes() == before


def test_convert_to_a_format_that_is_only_read_says_so(triptych: Triptych, chats: str) -> None:
    refused = triptych("data", "convert", chats, "nlvr:new")
    assert refused.returncode == 2
    assert "can only be read" in refused.stderr


def test_convert_stops_at_a_row_that_cannot_be_said_unless_it_may_skip_it(triptych: Triptych, tmp_path: Path) -> None:
    rows = [_said(f"{number}", "What is <image>?" if number % 2 else "Hello") for number in range(30)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    stopped = triptych("data", "convert", "messages:rows.jsonl", "sharegpt:new.json")
    assert stopped.returncode == 2
    assert "new.json: row 1 (id '1') cannot be written: its words hold a literal <image>" in stopped.stderr
    assert not (tmp_path / "new.json").exists()
    skipped = triptych("data", "convert", "--skip", "messages:rows.jsonl", "sharegpt:new.json")
    assert skipped.returncode == 0, skipped.stderr
    assert skipped.stderr.count("left out: ") == 10
    assert "and 5 more" in skipped.stderr
    assert "new.json: 15 rows, 15 left out that sharegpt cannot say" in skipped.stderr
    assert len(json.loads((tmp_path / "new.json").read_text())) == 15


def test_convert_takes_no_reading_options_for_the_new_file(triptych: Triptych, chats: str) -> None:
    refused = triptych("data", "convert", chats, "messages:new.jsonl#limit=3")
    assert refused.returncode == 2
    assert "'limit' is an option of reading" in refused.stderr


def _said(identity: str, question: str) -> dict[str, object]:
    said = [{"role": "user", "content": question}, {"role": "assistant", "content": "So."}]
    return {"id": identity, "messages": said}
