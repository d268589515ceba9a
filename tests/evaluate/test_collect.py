"""Collecting replies: nothing twice after a kill, nothing that another run was told, and one process at a time."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from random import Random

import pytest

from triptych.core.errors import DataError, RunError
from triptych.core.files import only_one
from triptych.core.records import Example, images_of
from triptych.evaluate.benchmarks.storyboard import BENCHMARK, questions
from triptych.evaluate.reading.answers import ANSWERS, read_lines
from triptych.evaluate.running.asked import LOCK, read_asked
from triptych.evaluate.running.run import evaluate
from triptych.infer.answer_cache import AnswerCache
from triptych.infer.canned import CannedResponder

KILLS = 20


def shown(question: Example) -> str:
    """What the board's prompts differ in."""
    return "-".join(Path(image.source).stem for image in images_of(question))


def run_slowly(board: Path, folder: Path, log: Path, by_id: bool) -> None:
    """Evaluate in a process of its own; each prompt that is asked is a line of the log before its reply is there."""

    def reply(question: Example) -> str:
        name = question.id if by_id else shown(question)
        with log.open("a") as file:
            file.write(name + "\n")
        time.sleep(0.05)
        return f"the red {name}"

    evaluate(BENCHMARK, board, responder=CannedResponder(reply, "killed", by_id), folder=folder, name="storyboard")


def remembering(
    seen: list[str], reply: str = "red", name: str = "remembering", *, by_id: bool = True
) -> CannedResponder:
    def say(question: Example) -> str:
        seen.append(question.id if by_id else shown(question))
        return reply

    return CannedResponder(say, name, by_id)


@pytest.mark.parametrize("by_id", [True, False])
def test_a_run_killed_at_random_ends_the_same_and_asks_nothing_again_that_was_answered(
    board: Path, tmp_path: Path, by_id: bool
) -> None:
    def named(question: Example) -> str:
        return question.id if by_id else shown(question)

    folder, log = tmp_path / "e", tmp_path / "asked.txt"
    log.touch()
    rng, killed, done = Random(7), 0, False
    while not done:
        answered = {named(line.question) for line in read_lines(folder / ANSWERS).values()}
        before = len(log.read_text().split())
        child = multiprocessing.get_context("fork").Process(target=run_slowly, args=(board, folder, log, by_id))
        child.start()
        child.join(timeout=rng.uniform(0.0, 0.09 if by_id else 0.05) if killed < KILLS else 60)
        if child.is_alive():
            child.kill()
            child.join()
            killed += 1
        asked = log.read_text().split()[before:]
        assert answered.isdisjoint(asked), "asked again, though its reply was written down"
        written = {named(line.question) for line in read_lines(folder / ANSWERS).values()}
        assert len(set(asked) - written) <= 1, "more than the one in flight was lost"
        assert child.exitcode in (0, -signal.SIGKILL)
        done = child.exitcode == 0
    assert killed == KILLS
    rows = [question for question in questions(board) if isinstance(question, Example)]
    ids = [question.id for question in rows]
    assert set(log.read_text().split()) == set(map(named, rows))
    whole = CannedResponder(lambda question: f"the red {named(question)}", "killed", by_id)
    evaluate(BENCHMARK, board, responder=whole, folder=tmp_path / "whole", name="storyboard")
    for name in ("result.json", "items.jsonl", "asked.json"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    lines = (folder / ANSWERS).read_text().splitlines()
    assert sorted(json.loads(line)["id"] for line in lines) == sorted(ids)


def test_equal_prompts_are_asked_once_and_each_question_has_its_own_line(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []
    shared = evaluate(BENCHMARK, board, responder=remembering(seen, "the red", by_id=False), folder=tmp_path / "shared")
    assert sorted(seen) == ["blue-yellow", "green-blue", "red-green", "yellow-red"]
    said = capsys.readouterr().err
    assert "4 prompts for 32 questions: 28 ask what another one asks, and share its reply" in said
    lines = [json.loads(line) for line in (tmp_path / "shared" / ANSWERS).read_text().splitlines()]
    assert len({line["id"] for line in lines}) == len({line["key"] for line in lines}) == len(lines) == 32
    what = read_asked(tmp_path / "shared")
    assert (what.distinct, len(what.keys)) == (4, 32)
    single: list[str] = []
    assert evaluate(BENCHMARK, board, responder=remembering(single, "the red"), folder=tmp_path / "single") == shared
    assert len(single) == 32
    assert (tmp_path / "single" / "result.json").read_bytes() == (tmp_path / "shared" / "result.json").read_bytes()


def test_prompts_are_equal_only_where_words_and_pixels_are(board: Path, tmp_path: Path) -> None:
    seen: list[str] = []
    (board / "crimson.png").write_bytes((board / "red.png").read_bytes())
    (board / "rot.png").write_bytes((board / "green.png").read_bytes())
    rows = [json.loads(line) for line in (board / "held_in.jsonl").read_text().splitlines()][:5]  # 0 and 4 are equal
    rows[4]["images"][0] = "crimson.png"
    (board / "held_in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    evaluate(BENCHMARK, board / "held_in.jsonl", responder=remembering(seen, by_id=False), folder=tmp_path / "a")
    assert len(seen) == 4
    for key, value in (("images", ["rot.png", "green.png"]), ("messages", rows[1]["messages"])):
        changed = [*rows[:4], {**rows[4], key: value}]
        if key == "messages":
            changed[4]["messages"] = json.loads(json.dumps(rows[4]["messages"]).replace(" Image 1?", " Which?"))
        (board / "held_in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))
        seen.clear()
        evaluate(BENCHMARK, board / "held_in.jsonl", responder=remembering(seen, by_id=False), folder=tmp_path / key)
        assert len(seen) == 5


def test_a_reply_that_was_written_for_one_question_only_goes_to_its_equals_unasked(board: Path, tmp_path: Path) -> None:
    seen: list[str] = []
    whole = evaluate(BENCHMARK, board, responder=remembering(seen, by_id=False), folder=tmp_path / "e")
    path = tmp_path / "e" / ANSWERS
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:9]))  # of the second prompt, one of eight
    seen.clear()
    assert evaluate(BENCHMARK, board, responder=remembering(seen, by_id=False), folder=tmp_path / "e") == whole
    assert len(seen) == 2
    assert len(read_lines(path)) == 32


def test_an_equal_prompt_that_fails_fails_for_each_question_and_is_asked_again_once(
    board: Path, tmp_path: Path
) -> None:
    seen: list[str] = []

    def torn_once(question: Example) -> str:
        seen.append(shown(question))
        if seen.count("red-green") == 1 and seen[-1] == "red-green":
            raise DataError("torn.")
        return "the red"

    first = evaluate(BENCHMARK, board, responder=CannedResponder(torn_once, "r", by_id=False), folder=tmp_path / "e")
    assert (first.failed, first.total.n) == (8, 24)
    second = evaluate(BENCHMARK, board, responder=CannedResponder(torn_once, "r", by_id=False), folder=tmp_path / "e")
    assert (second.failed, second.total.n) == (0, 32)
    assert (len(seen), seen[4:]) == (5, ["red-green"])


def test_what_one_run_was_told_another_does_not_ask(board: Path, tmp_path: Path) -> None:
    seen: list[str] = []

    def cached(folder: str, *, limit: int | None = None) -> float:
        responder = remembering(seen)
        cache = AnswerCache(tmp_path / "cache", responder.fingerprint)
        found = evaluate(BENCHMARK, board, responder=responder, folder=tmp_path / folder, limit=limit, cache=cache)
        return found.total.score

    cached("one", limit=1)
    assert len(seen) == 1
    score = cached("all")
    assert len(seen) == len(set(seen)) == 25  # 7 of the 31 others have the words and pictures of the first
    assert cached("again") == score
    assert len(seen) == 25
    assert evaluate(BENCHMARK, board, responder=remembering(seen), folder=tmp_path / "without").total.score == score
    assert len(seen) == 57
    assert (tmp_path / "again" / "items.jsonl").read_bytes() == (tmp_path / "without" / "items.jsonl").read_bytes()


def test_a_failure_is_told_and_never_kept_for_other_runs(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def torn(question: Example) -> str:
        raise DataError(f"{question.id}: torn.")

    cache = AnswerCache(tmp_path / "cache", "f")
    found = evaluate(BENCHMARK, board, responder=CannedResponder(torn, "r"), folder=tmp_path / "a", cache=cache)
    assert (found.failed, found.total.n) == (32, 0)
    assert "32 failed. The first: held_in-0: torn." in capsys.readouterr().err
    assert not list((tmp_path / "cache").rglob("*.jsonl"))


def test_two_processes_never_ask_in_one_folder(board: Path, tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    with only_one(tmp_path / "e" / LOCK), pytest.raises(RunError, match=f"process {os.getpid()} works in this folder"):
        evaluate(BENCHMARK, board, responder=remembering([]), folder=tmp_path / "e")


def test_a_process_that_is_turned_away_changes_nothing(board: Path, tmp_path: Path) -> None:
    evaluate(BENCHMARK, board, responder=remembering([]), folder=tmp_path / "e")
    before = {path.name: path.read_bytes() for path in (tmp_path / "e").glob("*.json*")}
    with only_one(tmp_path / "e" / LOCK), pytest.raises(RunError, match="works in this folder"):
        evaluate(BENCHMARK, board, responder=remembering([], name="other"), folder=tmp_path / "e", limit=3)
    assert {path.name: path.read_bytes() for path in (tmp_path / "e").glob("*.json*")} == before


def test_half_a_letter_in_a_reply_is_replaced_and_the_run_goes_on(board: Path, tmp_path: Path) -> None:
    responder = CannedResponder(lambda question: "the red \ud83d", "r")
    found = evaluate(
        BENCHMARK, board, responder=responder, folder=tmp_path / "e", cache=AnswerCache(tmp_path / "c", "f")
    )
    assert found.failed == 0
    assert {line.reply for line in read_lines(tmp_path / "e" / ANSWERS).values()} == {
        "the red \N{REPLACEMENT CHARACTER}"
    }


def test_a_row_that_no_file_can_hold_is_refused_and_the_others_are_asked(board: Path, tmp_path: Path) -> None:
    path = board / "held_in.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[3]["facts"]["seen"] = "\ud83d"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = evaluate(BENCHMARK, path, responder=remembering([]), folder=tmp_path / "e")
    assert (found.failed, found.total.n) == (1, 15)
    assert "row 3" in (tmp_path / "e" / "items.jsonl").read_text()


def test_the_folder_says_what_was_asked(board: Path, tmp_path: Path) -> None:
    evaluate(
        BENCHMARK, board, responder=remembering([], name="me"), folder=tmp_path / "e", blind=True, name="storyboard"
    )
    what = read_asked(tmp_path / "e")
    assert (what.benchmark, what.responder, what.blind, what.judged, what.shard) == (
        "storyboard",
        "me",
        True,
        False,
        "",
    )
    assert set(what.keys.values()) == set(read_lines(tmp_path / "e" / ANSWERS))
    (tmp_path / "e" / "asked.json").write_text('{"benchmark": 3}')
    with pytest.raises(DataError, match=r"asked\.json"):
        read_asked(tmp_path / "e")
