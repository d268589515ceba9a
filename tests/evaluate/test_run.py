"""Asking and scoring: nothing twice, nothing lost, nothing silent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from triptych.core.errors import DataError, RunError
from triptych.core.records import Answer, Example, ImageRef, images_of, text_of
from triptych.evaluate.benchmark import asked, without_images
from triptych.evaluate.benchmarks.storyboard import BENCHMARK, questions
from triptych.evaluate.reading.answers import Keys, read_lines
from triptych.evaluate.reading.scorers import reference_of
from triptych.evaluate.running.result import Result
from triptych.evaluate.running.run import evaluate
from triptych.infer.canned import CannedResponder
from triptych.infer.responder import Failed


def references(board: Path) -> dict[str, str]:
    return {question.id: reference_of(question) for question in all_questions(board)}


def all_questions(board: Path) -> list[Example]:
    return [question for question in questions(board) if isinstance(question, Example)]


def remembering(seen: list[Example], reply: str, name: str = "remembering") -> CannedResponder:
    """A responder that always says the same and writes down what it was asked."""

    def say(question: Example) -> str:
        seen.append(question)
        return reply

    return CannedResponder(say, name)


def test_reference_replies_score_one_and_empty_replies_are_unanswered(board: Path, tmp_path: Path) -> None:
    right = evaluate(BENCHMARK, board, responder=CannedResponder(references(board)), folder=tmp_path / "right")
    assert (right.total.score, right.total.n, right.unanswered, right.failed) == (1.0, 32, 0, 0)
    assert right.total.chance == pytest.approx((0.25 + 0.5) / 2)
    empty = evaluate(BENCHMARK, board, responder=CannedResponder(lambda question: ""), folder=tmp_path / "empty")
    assert (empty.total.score, empty.total.n, empty.unanswered, empty.failed) == (0.0, 32, 32, 0)


def test_groups_hold_every_question_once(board: Path, tmp_path: Path) -> None:
    found = evaluate(BENCHMARK, board, responder=CannedResponder(lambda question: "red"), folder=tmp_path / "red")
    for groups in (found.by_skill, found.by_scenario, found.by_kind, found.by_split):
        assert sum(score.n for score in groups.values()) == 32
        total = sum(score.score * score.n for score in groups.values())
        assert total == pytest.approx(found.total.score * 32)
    assert set(found.by_split) == {"held_in", "held_out"}
    assert set(found.by_skill) == {"co-reference", "comparison", "reasoning", "temporal"}


def test_the_result_file_says_what_the_result_says(board: Path, tmp_path: Path) -> None:
    found = evaluate(BENCHMARK, board, responder=CannedResponder(lambda question: "red"), folder=tmp_path / "e")
    written = json.loads((tmp_path / "e" / "result.json").read_text())
    assert {"score", "low", "high", "n", "chance", "majority", "unanswered", "failed"} <= written.keys()
    assert {"by_task", "by_skill", "by_scenario", "by_kind", "by_split"} <= written.keys()
    assert written["score"] == found.total.score
    assert {"score", "low", "high", "n", "chance"} <= written["by_kind"]["name"].keys()
    items = [json.loads(line) for line in (tmp_path / "e" / "items.jsonl").read_text().splitlines()]
    assert [item["id"] for item in items] == [question.id for question in all_questions(board)]
    assert sum(item["score"] for item in items) == pytest.approx(found.total.score * 32)


def test_a_second_start_asks_nothing(board: Path, tmp_path: Path) -> None:
    seen: list[Example] = []
    first = evaluate(BENCHMARK, board, responder=remembering(seen, "red"), folder=tmp_path / "e")
    assert evaluate(BENCHMARK, board, responder=remembering(seen, "red"), folder=tmp_path / "e") == first
    assert len(seen) == 32


def test_more_questions_later_ask_only_the_new_ones(board: Path, tmp_path: Path) -> None:
    seen: list[Example] = []
    few = evaluate(BENCHMARK, board, responder=remembering(seen, "red"), folder=tmp_path / "e", limit=8)
    assert few.total.n == 8
    assert few.by_split["held_in"].n == few.by_split["held_out"].n == 4
    evaluate(BENCHMARK, board, responder=remembering(seen, "red"), folder=tmp_path / "e")
    assert len(seen) == len({question.id for question in seen}) == 32


@pytest.mark.parametrize(("name", "limit", "stays"), [("r", None, True), ("other", None, False), ("r", 8, False)])
def test_a_folder_has_no_result_of_another_asking_than_the_one_that_was_killed_in_it(
    name: str, limit: int | None, stays: bool, board: Path, tmp_path: Path
) -> None:
    seen: list[Example] = []
    folder = tmp_path / "e"
    evaluate(BENCHMARK, board, responder=remembering(seen, "red", "r"), folder=folder, limit=limit)
    before = (folder / "result.json").read_bytes()

    def stop(question: Example) -> str:
        raise KeyboardInterrupt

    def ask() -> Result:
        (folder / "answers.jsonl").unlink(missing_ok=True)
        return evaluate(BENCHMARK, board, responder=CannedResponder(stop, name), folder=folder)

    with pytest.raises(KeyboardInterrupt):
        ask()
    assert (folder / "result.json").exists() == stays
    assert (folder / ("result.json" if stays else "result-earlier.json")).read_bytes() == before
    with pytest.raises(KeyboardInterrupt):
        ask()
    assert (folder / ("result.json" if stays else "result-earlier.json")).read_bytes() == before
    evaluate(BENCHMARK, board, responder=remembering(seen, "red", name), folder=folder)
    assert (folder / "result.json").exists()
    assert not (folder / "result-earlier.json").exists()


def test_another_responder_or_other_weights_are_asked_anew(board: Path, tmp_path: Path) -> None:
    replies = references(board)
    for responder in (
        CannedResponder(replies),
        CannedResponder(replies, name="other"),
        CannedResponder({**replies, "one": "more"}),
        CannedResponder(replies),
    ):
        evaluate(BENCHMARK, board, responder=responder, folder=tmp_path / "e")
    assert len(read_lines(tmp_path / "e" / "answers.jsonl")) == 3 * 32


def test_blind_takes_out_the_images_and_nothing_else(board: Path, tmp_path: Path) -> None:
    seen: list[Example] = []
    assert evaluate(BENCHMARK, board, responder=remembering(seen, "red"), folder=tmp_path / "e", blind=True).blind
    for sighted, blind in zip(all_questions(board), seen, strict=True):
        assert not images_of(blind)
        assert [text_of(turn) for turn in blind.turns] == [text_of(turn) for turn in sighted.turns[:-1]]
        assert replace(blind, turns=()) == replace(sighted, turns=())


def test_a_blind_reply_is_never_taken_for_a_sighted_one(board: Path, tmp_path: Path) -> None:
    seen: list[Example] = []
    evaluate(BENCHMARK, board, responder=remembering(seen, "red"), folder=tmp_path / "e", blind=True)
    evaluate(BENCHMARK, board, responder=remembering(seen, "red"), folder=tmp_path / "e")
    assert [bool(images_of(question)) for question in seen] == [False] * 32 + [True] * 32


def test_a_failed_question_is_counted_told_and_asked_again(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    def reply(question: Example) -> str:
        seen.append(question.id)
        if question.id == "held_in-3" and seen.count("held_in-3") == 1:
            raise DataError("held_in-3: the picture is torn.")
        return "the red"

    first = evaluate(BENCHMARK, board, responder=CannedResponder(reply), folder=tmp_path / "e")
    assert (first.total.n, first.failed) == (31, 1)
    assert "1 of 32 questions have no score: 1 got no reply; items.jsonl says why." in capsys.readouterr().err
    lines = read_lines(tmp_path / "e" / "answers.jsonl").values()
    assert [line.failed for line in lines if line.failed] == ["held_in-3: the picture is torn."]
    second = evaluate(BENCHMARK, board, responder=CannedResponder(reply), folder=tmp_path / "e")
    assert (second.total.n, second.failed) == (32, 0)
    assert seen[32:] == ["held_in-3"]


def test_a_row_that_cannot_be_read_is_counted_as_failed(board: Path, tmp_path: Path) -> None:
    file = board / "held_in.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[2]["images"][0] = "gone.png"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = evaluate(BENCHMARK, file, responder=CannedResponder(references(board)), folder=tmp_path / "e")
    assert (found.total.n, found.failed) == (15, 1)
    assert "gone.png" in (tmp_path / "e" / "items.jsonl").read_text()


def test_a_question_that_gets_no_answer_at_all_has_failed(board: Path, tmp_path: Path) -> None:
    class Silent(CannedResponder):
        def answer(self, questions: Sequence[Example], *, max_tokens: int = 32) -> Iterator[Answer | Failed]:
            yield from super().answer(questions[1:], max_tokens=max_tokens)

    found = evaluate(BENCHMARK, board, responder=Silent(references(board)), folder=tmp_path / "e")
    assert (found.total.n, found.failed) == (31, 1)


def test_an_answer_to_nothing_that_was_asked_stops_the_run(board: Path, tmp_path: Path) -> None:
    class Confused(CannedResponder):
        def answer(self, questions: Sequence[Example], *, max_tokens: int = 32) -> Iterator[Answer | Failed]:
            yield Answer("nobody asked", "yes")

    with pytest.raises(RunError, match="nobody asked"):
        evaluate(BENCHMARK, board, responder=Confused({}), folder=tmp_path / "e")


def test_two_questions_with_one_id_are_refused(board: Path, tmp_path: Path) -> None:
    file = board / "held_in.jsonl"
    file.write_text(file.read_text() * 2)
    with pytest.raises(DataError, match="'held_in-0' is there twice"):
        evaluate(BENCHMARK, file, responder=CannedResponder({}), folder=tmp_path / "e")


def test_the_key_follows_the_pixels_and_not_the_path(board: Path, tmp_path: Path) -> None:
    question = asked(all_questions(board)[0])
    moved = tmp_path / "moved"
    board.rename(moved)
    there = asked(all_questions(moved)[0])

    def key(example: Example) -> str:
        return Keys("x", "y", 32).of(example)

    assert key(there) == Keys("x", "y", 32).of(there)
    before = key(there)
    picture = Path(next(part.source for part in there.turns[0].parts if isinstance(part, ImageRef)))
    assert question.turns != there.turns
    moved.rename(board)
    assert key(question) == before
    board.rename(moved)
    picture.write_bytes((moved / "yellow.png").read_bytes())
    assert key(there) != before


def test_the_key_follows_all_that_a_reply_depends_on(board: Path) -> None:
    question = asked(all_questions(board)[0])
    keys = {
        Keys("x", "y", 32).of(question),
        Keys("z", "y", 32).of(question),
        Keys("x", "z", 32).of(question),
        Keys("x", "y", 16).of(question),
        Keys("x", "y", 32).of(without_images(question)),
        Keys("x", "y", 32).of(replace(question, id="other")),
    }
    assert len(keys) == 6
    assert Keys("x", "y", 32).of(replace(question, facts={}, skills=())) in keys


def test_a_killed_run_goes_on_where_it_was(board: Path, tmp_path: Path) -> None:
    folder = tmp_path / "e"
    program = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from triptych.evaluate.benchmarks.storyboard import BENCHMARK
        from triptych.evaluate.running.run import evaluate
        from triptych.infer.canned import CannedResponder
        board, folder, log, die_at = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
        asked = 0
        def reply(question):
            global asked
            asked += 1
            if asked == die_at:
                # As a kill in the middle of a write leaves it.
                with (folder / "answers.jsonl").open("a") as file:
                    file.write('{"key": "torn')
                os.kill(os.getpid(), signal.SIGKILL)
            with log.open("a") as file:
                file.write(question.id + chr(10))
            return "the red"
        evaluate(BENCHMARK, board, responder=CannedResponder(reply, name="killed"), folder=folder)
    """)
    log = tmp_path / "asked.txt"
    for die_at in (7, 12, 0):
        command = [sys.executable, "-c", program, str(board), str(folder), str(log), str(die_at)]
        done = subprocess.run(command, capture_output=True, timeout=60, env=os.environ, check=False)
        assert done.returncode == (-signal.SIGKILL if die_at else 0), done.stderr.decode()
    ids = log.read_text().split()
    assert sorted(ids) == sorted(question.id for question in all_questions(board))
    in_one_go = CannedResponder(lambda question: "the red", name="killed")
    evaluate(BENCHMARK, board, responder=in_one_go, folder=tmp_path / "whole")
    assert (folder / "result.json").read_text() == (tmp_path / "whole" / "result.json").read_text()
