"""Asking: nothing twice after a kill, nothing again that another run was told, and one process at a time."""

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
from triptych.core.records import Example
from triptych.evaluate.benchmarks.storyboard import BENCHMARK, questions
from triptych.evaluate.reading.answers import ANSWERS, read_lines
from triptych.evaluate.running.asking import LOCK, read_asked
from triptych.evaluate.running.run import evaluate
from triptych.infer.cache import AnswerCache
from triptych.infer.canned import CannedResponder

KILLS = 20


def run_slowly(board: Path, folder: Path, log: Path) -> None:
    """Evaluate in a process of its own; each question that is asked is a line of the log before its reply is there."""

    def reply(question: Example) -> str:
        with log.open("a") as file:
            file.write(question.id + "\n")
        time.sleep(0.05)
        return f"the red {question.id}"

    evaluate(BENCHMARK, board, CannedResponder(reply, name="killed"), folder=folder, name="storyboard")


def remembering(seen: list[str], reply: str = "red", name: str = "remembering") -> CannedResponder:
    def say(question: Example) -> str:
        seen.append(question.id)
        return reply

    return CannedResponder(say, name)


def test_a_run_killed_at_random_ends_the_same_and_asks_nothing_again_that_was_answered(
    board: Path, tmp_path: Path
) -> None:
    folder, log = tmp_path / "e", tmp_path / "asked.txt"
    log.touch()
    rng, killed, done = Random(7), 0, False
    while not done:
        answered = {line.question.id for line in read_lines(folder / ANSWERS).values()}
        before = len(log.read_text().split())
        child = multiprocessing.get_context("fork").Process(target=run_slowly, args=(board, folder, log))
        child.start()
        child.join(timeout=rng.uniform(0.0, 0.09) if killed < KILLS else 60)
        if child.is_alive():
            child.kill()
            child.join()
            killed += 1
        asked = log.read_text().split()[before:]
        assert answered.isdisjoint(asked), "asked again, though its reply was written down"
        written = {line.question.id for line in read_lines(folder / ANSWERS).values()}
        assert len(set(asked) - written) <= 1, "more than the one in flight was lost"
        assert child.exitcode in (0, -signal.SIGKILL)
        done = child.exitcode == 0
    assert killed == KILLS
    ids = [question.id for question in questions(board) if isinstance(question, Example)]
    assert sorted(set(log.read_text().split())) == sorted(ids)
    whole = CannedResponder(lambda question: f"the red {question.id}", name="killed")
    evaluate(BENCHMARK, board, whole, folder=tmp_path / "whole", name="storyboard")
    for name in ("result.json", "items.jsonl", "asked.json"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    lines = (folder / ANSWERS).read_text().splitlines()
    assert sorted(json.loads(line)["id"] for line in lines) == sorted(ids)


def test_what_one_run_was_told_another_does_not_ask(board: Path, tmp_path: Path) -> None:
    seen: list[str] = []

    def cached(folder: str, *, limit: int | None = None) -> float:
        responder = remembering(seen)
        cache = AnswerCache(tmp_path / "cache", responder.fingerprint)
        found = evaluate(BENCHMARK, board, responder, folder=tmp_path / folder, limit=limit, cache=cache)
        return found.total.score

    cached("few", limit=8)
    assert len(seen) == 8
    score = cached("all")
    assert len(seen) == len(set(seen)) == 32
    assert cached("again") == score
    assert len(seen) == 32
    assert evaluate(BENCHMARK, board, remembering(seen), folder=tmp_path / "without").total.score == score
    assert len(seen) == 64
    assert (tmp_path / "again" / "items.jsonl").read_bytes() == (tmp_path / "without" / "items.jsonl").read_bytes()


def test_a_failure_is_told_and_never_kept_for_other_runs(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def torn(question: Example) -> str:
        raise DataError(f"{question.id}: torn.")

    cache = AnswerCache(tmp_path / "cache", "f")
    found = evaluate(BENCHMARK, board, CannedResponder(torn, "r"), folder=tmp_path / "a", cache=cache)
    assert (found.failed, found.total.n) == (32, 0)
    assert "32 failed. The first: held_in-0: torn." in capsys.readouterr().err
    assert not list((tmp_path / "cache").rglob("*.jsonl"))


def test_two_processes_never_ask_in_one_folder(board: Path, tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    with only_one(tmp_path / "e" / LOCK), pytest.raises(RunError, match=f"process {os.getpid()} works in this folder"):
        evaluate(BENCHMARK, board, remembering([]), folder=tmp_path / "e")


def test_the_folder_says_what_was_asked(board: Path, tmp_path: Path) -> None:
    evaluate(BENCHMARK, board, remembering([], name="me"), folder=tmp_path / "e", blind=True, name="storyboard")
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
