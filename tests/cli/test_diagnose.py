"""``triptych diagnose`` as a user meets it: a table, numbers for programs, a page; and what goes wrong on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.cli.conftest import Triptych
from tests.infer.endpoint import Said, completion, serving, trouble
from triptych.core.records import Example, ImageRef, Text, Turn
from triptych.data.formats.messages import FORMAT

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """Eight questions on one of two pictures, in the layout of storyboard."""
    colours = ("red", "green", "blue")
    rows = []
    for number in range(8):
        pictures = []
        for at in (0, 1):
            pictures.append(ImageRef(str(tmp_path / f"{number}-{at}.png")))
            Image.new("RGB", (16, 16), colours[(number + at) % 3]).save(pictures[-1].source)
        asked = Turn("user", (pictures[0], Text(" or "), pictures[1], Text(f" in image 2 of set {number}?")))
        reply = Turn("assistant", (Text(colours[(number + 1) % 3]),))
        rows.append(Example(f"q{number}", (asked, reply), facts={"chance": 0.25, "answers": [*colours]}))
    assert FORMAT.write is not None
    FORMAT.write(rows, tmp_path / "held_in.jsonl")
    return tmp_path


def test_a_model_is_diagnosed_and_nothing_is_asked_twice(board: Path, triptych_here: Triptych) -> None:
    with serving(lambda request, before: completion("red")) as endpoint:
        command = ["diagnose", str(endpoint.address), "storyboard", "--data", "held_in.jsonl", "--limit", "4"]
        told = triptych_here(board, *command)
        asked = len(endpoint.requests)
        again = triptych_here(board, *command, "--json")
        assert len(endpoint.requests) == asked
    assert told.returncode == again.returncode == 0, told.stderr + again.stderr
    assert told.stdout.startswith("storyboard: ")
    assert "4 questions not asked: not multiple choice" in told.stdout
    found = json.loads(again.stdout)
    assert found["conditions"]["blind"]["replies_changed"] == 0
    assert json.loads((board / "diagnosis" / "storyboard" / "diagnosis.json").read_text()) == found
    assert (board / "diagnosis" / "diagnosis.html").is_file()
    assert "page: diagnosis/diagnosis.html" in told.stderr


def test_an_unknown_kind_is_refused_before_a_model_is_opened(board: Path, triptych_here: Triptych) -> None:
    wrong = triptych_here(board, "diagnose", "nowhere", "storyboard", "--data", "held_in.jsonl", "--only", "blimd")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: no condition 'blimd'. There are: blind, wrong_images, ")


def test_where_nothing_gets_a_score_it_is_one_line_and_no_other_condition_is_asked(
    board: Path, triptych_here: Triptych
) -> None:
    with serving(lambda request, before: trouble(401)) as endpoint:
        refused = triptych_here(board, "diagnose", str(endpoint.address), "storyboard", "--data", "held_in.jsonl")
        assert len(endpoint.requests) < 16  # eight as they are; none blind, merged...
    assert (refused.returncode, refused.stdout) == (2, "")
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: storyboard: none of 8 questions got a score as it is")
    assert "status 401" in line
    assert not (board / "diagnosis" / "diagnosis.html").exists()


def test_where_some_questions_fail_the_page_is_written_and_the_exit_code_is_1(
    board: Path, triptych_here: Triptych
) -> None:
    def answers(request: dict[str, Any], before: int) -> Said:
        return trouble(400) if "set 3" in json.dumps(request) else completion("red")

    with serving(answers) as endpoint:
        told = triptych_here(
            board, "diagnose", str(endpoint.address), "storyboard", "--data", "held_in.jsonl", "--only", "blind"
        )
    assert told.returncode == 1
    assert "7 questions, 1 failed" in told.stdout
    assert (board / "diagnosis" / "diagnosis.html").is_file()
