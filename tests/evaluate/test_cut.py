"""Replies that were cut at the most tokens are counted and told, by every way a line can come into a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from triptych.core.records import Example
from triptych.core.shard import Shard
from triptych.evaluate.benchmarks.storyboard import BENCHMARK
from triptych.evaluate.page.report import report_table, write_report
from triptych.evaluate.running.merge import merge
from triptych.evaluate.running.run import evaluate
from triptych.evaluate.saved.rescore import rescore_run
from triptych.infer.canned import CannedResponder

LONG = CannedResponder(lambda question: "I think that it is the red one" if question.id[-1] in "02" else "red", "r")
"""Four questions of sixteen get a reply of more than five words."""


def test_replies_that_were_cut_are_counted_and_told_with_what_to_do(
    board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, folder = board / "held_in.jsonl", tmp_path / "e"
    found = evaluate(BENCHMARK, file, responder=LONG, folder=folder, name="storyboard", max_tokens=5)
    assert found.cut == 4
    told = "4 of 16 replies were cut at max_tokens=5: raise max_tokens, e.g. max_tokens=20."
    assert told in capsys.readouterr().err
    before = (folder / "result.json").read_bytes()
    assert json.loads(before)["cut"] == 4
    assert evaluate(BENCHMARK, file, responder=LONG, folder=folder, name="storyboard", max_tokens=5) == found
    rescore_run(folder)
    assert (folder / "result.json").read_bytes() == before
    assert told in capsys.readouterr().err


def test_parts_that_are_merged_keep_which_replies_were_cut(board: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        part = Shard(number, 2)
        folder = tmp_path / "e" / part.folder
        evaluate(BENCHMARK, board, responder=LONG, folder=folder, name="storyboard", shard=part, max_tokens=5)
    found = merge([tmp_path / "e"], out=tmp_path / "whole")
    assert found is not None
    assert found.cut == 8


def test_a_mended_reference_keeps_that_the_reply_was_cut(board: Path, tmp_path: Path) -> None:
    file, folder = board / "held_in.jsonl", tmp_path / "e"
    evaluate(BENCHMARK, file, responder=LONG, folder=folder, max_tokens=5)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[0]["messages"][-1]["content"] = "the purple"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert evaluate(BENCHMARK, file, responder=LONG, folder=folder, max_tokens=5).cut == 4


def test_answers_of_an_older_version_that_do_not_say_it_are_not_asked_again(board: Path, tmp_path: Path) -> None:
    folder = tmp_path / "e"
    evaluate(BENCHMARK, board, responder=LONG, folder=folder, max_tokens=5)
    lines = (folder / "answers.jsonl").read_text()
    (folder / "answers.jsonl").write_text(lines.replace(', "cut": true', ""))
    assert lines.count('"cut": true') == 8

    def never(question: Example) -> str:
        raise AssertionError(question.id)

    assert evaluate(BENCHMARK, board, responder=CannedResponder(never, "r"), folder=folder, max_tokens=5).cut == 0


def test_a_report_tells_how_many_replies_were_cut(board: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "evals" / "storyboard-held_in-tuned"
    evaluate(BENCHMARK, board / "held_in.jsonl", responder=LONG, folder=folder, max_tokens=5)
    assert "Cut at the most tokens: tuned 4." in write_report(tmp_path / "run").read_text()
    assert "| failed | cut |" in report_table(tmp_path / "run", "md")
    result = json.loads((folder / "result.json").read_text())
    del result["cut"]
    (folder / "result.json").write_text(json.dumps(result))  # of an older version
    assert "Cut at the most tokens" not in write_report(tmp_path / "run").read_text()
