"""A folder that several models have used: each tool reads the replies of its last asking, or refuses to guess."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from triptych.core.errors import DataError
from triptych.core.records import Example
from triptych.evaluate.benchmarks.storyboard import BENCHMARK, questions
from triptych.evaluate.reading.scorers import reference_of
from triptych.evaluate.running.run import evaluate
from triptych.evaluate.saved.arena import read_contestants
from triptych.evaluate.saved.marking import mark
from triptych.evaluate.saved.one_asking import is_ours, lines_of_one_asking
from triptych.evaluate.saved.rescore import rescore_run
from triptych.infer.canned import CannedResponder


@pytest.fixture
def used(board: Path, tmp_path: Path) -> Path:
    """A folder whose result is of ``right``; then ``wrong`` was asked half of it, and ``right`` again."""
    replies = {row.id: reference_of(row) for row in questions(board) if isinstance(row, Example)}
    right, wrong = CannedResponder(replies, "right"), CannedResponder(lambda _: "the purple", "wrong")
    folder = tmp_path / "storyboard-held_in-tuned"
    for responder, limit in ((right, None), (wrong, 8), (right, None)):
        evaluate(BENCHMARK, board / "held_in.jsonl", responder=responder, folder=folder, name="storyboard", limit=limit)
    return folder


def test_a_folder_that_two_models_used_is_read_as_its_result_says(
    used: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = used / "answers.jsonl"
    assert mark(BENCHMARK, answers).result.total.score == 1.0
    assert "8 lines are of other models, settings or questions" in capsys.readouterr().err
    other = tmp_path / "other"
    other.mkdir()
    (other / "replies.jsonl").write_text('{"id": "held_in-0", "reply": "the purple"}\n')
    first = read_contestants([used, other / "replies.jsonl"])[0]
    assert len(first.replies) == 16
    assert "the purple" not in first.replies.values()
    (used / "items.jsonl").unlink()
    (used / "result.json").unlink()
    (found,) = rescore_run(used)
    assert (found.after.score, found.after.n, found.not_asked) == (1.0, 16, 0)
    assert json.loads((used / "result.json").read_text())["responder"] == "right"


def test_a_file_of_two_models_without_what_was_asked_is_refused(used: Path, tmp_path: Path) -> None:
    (used / "asked.json").unlink()
    (used / "items.jsonl").unlink()
    for read in (
        lambda: mark(BENCHMARK, used / "answers.jsonl"),
        lambda: read_contestants([used, tmp_path / "x"]),
        lambda: rescore_run(used),
    ):
        with pytest.raises(DataError, match=r"replies of several models \(right, wrong\)"):
            read()


def test_a_file_with_two_askings_of_one_question_is_refused(board: Path, tmp_path: Path) -> None:
    red = CannedResponder(lambda _: "the red", "r")
    for most in (8, 16):
        evaluate(BENCHMARK, board, responder=red, folder=tmp_path / "e", max_tokens=most)
    (tmp_path / "copy.jsonl").write_bytes((tmp_path / "e" / "answers.jsonl").read_bytes())
    with pytest.raises(DataError, match="'held_in-0' was asked in two ways"):
        mark(BENCHMARK, tmp_path / "copy.jsonl")
    assert len(lines_of_one_asking(tmp_path / "e" / "answers.jsonl")) == 32


def test_a_folder_of_an_older_version_without_what_was_asked_still_opens(board: Path, tmp_path: Path) -> None:
    evaluate(BENCHMARK, board, responder=CannedResponder(lambda _: "the red", "r"), folder=tmp_path / "e")
    (tmp_path / "e" / "asked.json").unlink()
    assert mark(BENCHMARK, tmp_path / "e" / "answers.jsonl").result.total.n == 32
    assert rescore_run(tmp_path / "e", benchmark="storyboard", write=False)[0].after.n == 32


def test_a_copy_of_answers_that_has_no_end_loses_no_line_in_silence(board: Path, tmp_path: Path) -> None:
    evaluate(BENCHMARK, board, responder=CannedResponder(lambda _: "the red", "r"), folder=tmp_path / "e")
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes((tmp_path / "e" / "answers.jsonl").read_bytes().rstrip(b"\n"))
    assert is_ours(copy)
    with pytest.raises(DataError, match="its last line has no end"):
        mark(BENCHMARK, copy)


def test_answers_of_which_none_is_of_what_was_asked_are_refused(used: Path) -> None:
    asked = json.loads((used / "asked.json").read_text())
    asked["keys"] = {name: f"other {key}" for name, key in asked["keys"].items()}
    (used / "asked.json").write_text(json.dumps(asked))
    with pytest.raises(DataError, match="none of its lines is of what"):
        mark(BENCHMARK, used / "answers.jsonl")
