"""Parts asked apart and put together are the evaluation asked in one go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from triptych.core.errors import DataError, NotFoundError
from triptych.core.records import Example
from triptych.evaluate.benchmarks.storyboard import BENCHMARK, questions
from triptych.evaluate.reading.answers import ANSWERS
from triptych.evaluate.running.merge import merge
from triptych.evaluate.running.run import evaluate
from triptych.evaluate.running.shards import Shard
from triptych.infer.canned import CannedResponder


def colours(question: Example) -> str:
    """Right for some of the questions, wrong for others, nothing for a few."""
    number = int(question.id.rpartition("-")[2])
    return ("the red", "the green", "the blue", "")[number % 4]


def ask_part(board: Path, folder: Path, number: int, count: int, *, blind: bool = False, name: str = "r") -> None:
    shard = Shard(number, count)
    responder = CannedResponder(colours, name)
    evaluate(BENCHMARK, board, responder, folder=folder / shard.folder, shard=shard, name="storyboard", blind=blind)


@pytest.mark.parametrize("blind", [False, True])
def test_parts_together_are_the_whole(board: Path, tmp_path: Path, blind: bool) -> None:
    rows = (board / "held_in.jsonl").read_text().splitlines()
    row = json.loads(rows[2])
    row["images"][0] = "gone.png"
    (board / "held_in.jsonl").write_text("\n".join([*rows[:2], json.dumps(row), *rows[3:], ""]))
    for number in (1, 2, 3):
        ask_part(board, tmp_path / "e", number, 3, blind=blind)
    merged = merge([tmp_path / "e"], out=tmp_path / "e")
    whole = CannedResponder(colours, "r")
    expected = evaluate(BENCHMARK, board, whole, folder=tmp_path / "whole", name="storyboard", blind=blind)
    assert merged == expected
    assert 0 < expected.total.score < 1
    assert expected.failed == 1
    for name in ("result.json", "items.jsonl", "asked.json"):
        assert (tmp_path / "e" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_parts_of_several_machines_are_merged_and_nothing_is_asked_again(board: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        ask_part(board, tmp_path / f"machine-{number}", number, 2)
    asked: list[str] = []

    def reply(question: Example) -> str:
        asked.append(question.id)
        return "never"

    out = tmp_path / "together"
    assert merge([tmp_path / "machine-1"], out=out) is None
    found = merge([tmp_path / "machine-1", tmp_path / "machine-2"], out=out)
    assert found is not None
    assert found.total.n == 32
    again = evaluate(BENCHMARK, board, CannedResponder(reply, "r"), folder=out, name="storyboard")
    assert (again, asked) == (found, [])


def test_what_is_missing_is_told_and_asked_by_the_whole(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask_part(board, tmp_path / "e", 1, 2)
    assert merge([tmp_path / "e"], out=tmp_path / "e") is None
    told = capsys.readouterr().err
    assert "16 of 32 questions" in told
    assert "parts here: 1/2" in told
    rest: list[str] = []

    def reply(question: Example) -> str:
        rest.append(question.id)
        return colours(question)

    evaluate(BENCHMARK, board, CannedResponder(reply, "r"), folder=tmp_path / "e", name="storyboard")
    parted = {json.loads(line)["id"] for line in (tmp_path / "e" / "shard-1-of-2" / ANSWERS).read_text().splitlines()}
    ids = {question.id for question in questions(board) if isinstance(question, Example)}
    assert set(rest) == ids - parted


def test_parts_that_do_not_belong_together_are_refused(board: Path, tmp_path: Path) -> None:
    ask_part(board, tmp_path / "a", 1, 2)
    ask_part(board, tmp_path / "b", 2, 2, blind=True)
    ask_part(board, tmp_path / "c", 2, 2, name="another")
    with pytest.raises(DataError, match="blind is True, not False"):
        merge([tmp_path / "a", tmp_path / "b"], out=tmp_path / "out")
    with pytest.raises(DataError, match="responder is 'another', not 'r'"):
        merge([tmp_path / "a", tmp_path / "c"], out=tmp_path / "out")
    with pytest.raises(NotFoundError, match="shard-K-of-N"):
        merge([tmp_path / "nowhere"], out=tmp_path / "out")
