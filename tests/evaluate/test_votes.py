"""People's votes: read by name or by letter, each on its question, and what is odd is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from triptych.core.errors import DataError
from triptych.evaluate.certainty.ratings import duels
from triptych.evaluate.saved.arena import read_contestants
from triptych.evaluate.saved.meetings import Contestant
from triptych.evaluate.saved.votes import read_votes


def answering(*names: str) -> list[Contestant]:
    """Contestants that answered questions of many names."""
    return [Contestant(name, dict.fromkeys(("0", "1", "2", "q"), "a reply"), {}) for name in names]


def test_people_vote_by_name_or_by_letter(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    rows = [
        {"id": "1", "a": "x", "b": "y", "winner": "x"},
        {"id": "1", "a": "y", "b": "x", "winner": "b"},
        {"id": "2", "a": "x", "b": "y", "winner": "tie"},
        {"a": "x", "b": "y", "winner": "y"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    votes = read_votes(path, answering("x", "y"))
    assert [(vote.first, vote.won) for vote in votes] == [("x", 1.0), ("y", 0.0), ("x", 0.5), ("x", 0.0)]
    (duel,) = duels(votes)
    assert (duel.wins, duel.ties, duel.losses) == (2, 1, 1)
    path.write_text(json.dumps({"a": "x", "b": "z", "winner": "x"}) + "\n")
    with pytest.raises(DataError, match=r"line 1.*'z'"):
        read_votes(path, answering("x", "y"))


@pytest.mark.parametrize("winner", ["tie", "Tie", "TIE"])
def test_a_tie_is_one_in_capitals_too(winner: str, tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    path.write_text(json.dumps({"a": "x", "b": "y", "winner": winner}) + "\n")
    assert [vote.won for vote in read_votes(path, answering("x", "y"))] == [0.5]


def test_a_winner_that_is_one_by_name_and_the_other_by_letter_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    path.write_text(json.dumps({"a": "a", "b": "b", "winner": "a"}) + "\n")
    assert [vote.won for vote in read_votes(path, answering("a", "b"))] == [1.0]
    path.write_text(json.dumps({"a": "b", "b": "a", "winner": "a"}) + "\n")
    with pytest.raises(DataError, match=r"line 1: the winner 'a' is \"a\" or the contestant of that name\. Rename"):
        read_votes(path, answering("a", "b"))
    path.write_text(json.dumps({"a": "tie", "b": "a", "winner": "tie"}) + "\n")
    with pytest.raises(DataError, match=r"the winner 'tie' is a tie or the contestant of that name"):
        read_votes(path, answering("tie", "a"))


def test_files_of_people_lose_no_last_line_without_a_newline(tmp_path: Path) -> None:
    for name in ("one", "two"):
        rows = [json.dumps({"id": number, "reply": name}) for number in range(3)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
    votes = [json.dumps({"id": number, "a": "one", "b": "two", "winner": "a"}) for number in range(3)]
    (tmp_path / "votes.jsonl").write_text("\n".join(votes))
    found = read_contestants([tmp_path / "one.jsonl", tmp_path / "two.jsonl"])
    assert [len(contestant.replies) for contestant in found] == [3, 3]
    assert len(read_votes(tmp_path / "votes.jsonl", answering("one", "two"))) == 3


def test_votes_on_one_question_and_the_same_two_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "votes.jsonl"
    rows: list[dict[str, str]] = [{"id": "q", "a": "x", "b": "y", "winner": "x"}, {"a": "x", "b": "y", "winner": "x"}]
    rows += [{"id": "q", "a": "x", "b": "z", "winner": "x"}, {"a": "x", "b": "y", "winner": "x"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(read_votes(path, answering("x", "y", "z"))) == 4
    assert capsys.readouterr().err == ""
    path.write_text(
        "".join(json.dumps(row) + "\n" for row in [*rows, {"id": "q", "a": "y", "b": "x", "winner": "tie"}])
    )
    assert len(read_votes(path, answering("x", "y", "z"))) == 5
    assert "votes.jsonl: 1 of 5 votes have the id and the two of an earlier one ('q')" in capsys.readouterr().err


def test_votes_without_an_id_are_on_questions_of_their_own_and_unknown_questions_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "votes.jsonl"
    rows = [{"id": None, "a": "x", "b": "y", "winner": "x"}] * 3 + [{"id": "zz", "a": "x", "b": "y", "winner": "y"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len({vote.question for vote in read_votes(path, answering("x", "y"))}) == 4
    told = capsys.readouterr().err
    assert "1 of 4 votes are on questions that neither of the two answered ('zz')" in told
    assert "the id and the two" not in told
