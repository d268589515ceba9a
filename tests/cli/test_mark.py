"""``triptych mark`` and ``triptych audit`` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Triptych
from tests.samples.golden import SAMPLES
from triptych.core.plugins import find
from triptych.core.records import Example
from triptych.evaluate.benchmark import Benchmark

KEY = {"val_Jigsaw_1": "(A)", "val_Jigsaw_2": "(B)", "val_Counting_1": "(D)"}
REPLIES = {"val_Jigsaw_1": "the second image", "val_Jigsaw_2": "(A) or (B)", "val_Counting_9": "C"}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with ``replies.jsonl`` in BLINK's layout and ``key.json``."""
    (tmp_path / "key.json").write_text(json.dumps(KEY), encoding="utf-8")
    lines = (json.dumps({"idx": name, "full_prediction": reply}) + "\n" for name, reply in REPLIES.items())
    (tmp_path / "replies.jsonl").write_text("".join(lines), encoding="utf-8")
    return tmp_path


def test_mark_prints_a_table_and_tells_what_was_not_as_it_should_be(triptych: Triptych, files: Path) -> None:
    done = triptych("mark", "blink", "replies.jsonl", "--answers", "key.json")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == ["all", "Counting", "Jigsaw"]
    assert "1 ids of the key have no reply" in done.stderr
    assert "1 replies are to ids that the key does not have" in done.stderr
    assert "1 replies speak for several options" in done.stderr


def test_mark_for_programs_is_json_on_stdout_alone(triptych: Triptych, files: Path) -> None:
    done = triptych("mark", "blink", "replies.jsonl", "--answers", "key.json", "--json", "--out", "items.jsonl")
    told = json.loads(done.stdout)
    assert (told["score"], told["n"], told["unanswered"]) == (0.25, 3, 2)
    assert told["low"] <= told["score"] <= told["high"]
    assert (told["missing"], told["beyond"], told["repeated"]) == (1, 1, 0)
    jigsaw = told["by_task"]["Jigsaw"]
    assert (jigsaw["score"], jigsaw["n"], jigsaw["unanswered"]) == (0.5, 2, 1)
    items = [json.loads(line) for line in (files / "items.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(item["id"], item["choice"], item["correct"]) for item in items] == [
        ("val_Jigsaw_1", "A", True),
        ("val_Jigsaw_2", None, False),
        ("val_Counting_1", None, False),
    ]


def test_audit_lists_replies_that_were_hard_to_read(triptych: Triptych, files: Path) -> None:
    done = triptych("audit", "blink", "replies.jsonl", "--answers", "key.json")
    assert done.stdout.splitlines()[0].split()[:2] == ["both", "val_Jigsaw_2"]
    assert "(A) or (B)" in done.stdout
    assert done.stdout.splitlines()[-1] == "3 replies: 1 ambiguous, 2 unanswered (1 are both)"
    told = json.loads(triptych("audit", "blink", "replies.jsonl", "--answers", "key.json", "--json").stdout)
    assert (told["n"], told["ambiguous"], told["unanswered"], told["both"]) == (3, 1, 2, 1)
    assert len(told["replies"]) == 2
    marked = json.loads(triptych("mark", "blink", "replies.jsonl", "--answers", "key.json", "--json").stdout)
    assert (marked["ambiguous"], marked["unanswered"]) == (told["ambiguous"], told["unanswered"])


@pytest.mark.parametrize("command", ["mark", "audit"])
def test_what_is_right_must_be_said(triptych: Triptych, files: Path, command: str) -> None:
    refused = triptych(command, "blink", "replies.jsonl")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: replies.jsonl: what is right? Give a key with --answers")


def test_mark_unpacks_no_picture(triptych: Triptych, tmp_path: Path) -> None:
    data = SAMPLES / "blink"
    questions = list(find("benchmark", "blink", expected=Benchmark).questions(data))
    lines = [json.dumps({"id": row.id, "reply": "A"}) + "\n" for row in questions if isinstance(row, Example)]
    (tmp_path / "answers.jsonl").write_text("".join(lines), encoding="utf-8")
    cache = tmp_path / "marked"
    done = triptych("mark", "blink", "answers.jsonl", "--data", str(data), TRIPTYCH_CACHE=str(cache))
    assert done.returncode == 0
    assert not list(cache.rglob("*.png"))
