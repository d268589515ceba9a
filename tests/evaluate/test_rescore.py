"""Scores worked out anew from the run folder alone: the same ones, or what changed."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from triptych.core.errors import DataError, NotFoundError
from triptych.core.plugins import find
from triptych.core.records import Example
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.benchmarks.storyboard import BENCHMARK, questions
from triptych.evaluate.reading.scorers import reference_of
from triptych.evaluate.running.run import evaluate
from triptych.evaluate.saved.rescore import lines_of, rescore_run, rescored_to_json
from triptych.infer.canned import CannedResponder


@pytest.fixture
def run(board: Path, tmp_path: Path) -> Path:
    """A run with two evaluations, one of them blind and with a failed question; the benchmark's files are gone."""
    rows = [row for row in questions(board) if isinstance(row, Example)]
    replies = {row.id: reference_of(row) for row in rows if row.id != "held_in-7"}
    for part, blind in (("held_in", True), ("held_out", False)):
        folder = tmp_path / "run" / "evals" / f"storyboard-{part}-{'blind' if blind else 'tuned'}"
        evaluate(BENCHMARK, board / f"{part}.jsonl", CannedResponder(replies), folder=folder, blind=blind)
    shutil.rmtree(board)
    return tmp_path / "run"


def result_files(run: Path) -> dict[str, str]:
    return {str(path): path.read_text() for path in run.rglob("*") if path.name in {"result.json", "items.jsonl"}}


def test_rescoring_needs_no_model_no_pictures_and_changes_nothing(run: Path) -> None:
    before = result_files(run)
    found = rescore_run(run)
    assert result_files(run) == before
    assert [one.changed for one in found] == [(), ()]
    assert [one.failed for one in found] == [1, 0]
    assert all(line.endswith("as it was") for line in lines_of(found))


def test_a_score_that_changed_is_told_and_written(run: Path) -> None:
    folder = run / "evals" / "storyboard-held_out-tuned"
    answers = (folder / "answers.jsonl").read_text()
    (folder / "answers.jsonl").write_text(answers.replace('"reply": "the red"', '"reply": "the purple"'))
    (kept, _), (written, _) = rescore_run(folder.parent, write=False)[::-1], rescore_run(run)[::-1]
    assert kept == written
    assert written.before is not None
    assert (written.before.score, written.after.score) == (1.0, 0.75)
    assert written.changed == ("held_out-0", "held_out-4", "held_out-8", "held_out-12")
    assert "75.0" in lines_of([written])[0]
    assert "was 100.0; 4 of 16 scores changed: held_out-0, held_out-4, held_out-8, ..." in lines_of([written])[0]
    assert json.loads((folder / "result.json").read_text())["score"] == 0.75
    assert rescore_run(folder)[0].changed == ()


def test_an_evaluation_that_was_killed_before_its_result_gets_one(run: Path) -> None:
    folder = run / "evals" / "storyboard-held_out-tuned"
    whole = (folder / "result.json").read_text()
    (folder / "result.json").unlink()
    (folder / "items.jsonl").unlink()
    (found,) = rescore_run(folder)
    assert (found.before, found.after.n) == (None, 16)
    assert (folder / "result.json").read_text() == whole
    assert "there was no result" in lines_of([found])[0]


def test_a_folder_of_another_name_is_scored_by_the_benchmark_that_is_named(run: Path) -> None:
    folder = (run / "evals" / "storyboard-held_out-tuned").rename(run / "mine")
    with pytest.raises(NotFoundError, match="no benchmark is called 'mine'"):
        rescore_run(folder)
    (found,) = rescore_run(folder, benchmark="storyboard")
    assert json.loads(json.dumps(rescored_to_json([found])))[0]["after"]["score"] == 1.0


def test_an_answer_that_is_gone_is_named(run: Path) -> None:
    folder = run / "evals" / "storyboard-held_out-tuned"
    lines = (folder / "answers.jsonl").read_text().splitlines(keepends=True)
    (folder / "answers.jsonl").write_text("".join(lines[1:]))
    with pytest.raises(DataError, match=r"no line has the key .* of 'held_out-0'"):
        rescore_run(folder)


def test_a_folder_without_answers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no answers there"):
        rescore_run(tmp_path)


def test_a_judges_word_counts_again_and_is_not_asked_for_again(
    board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept_word").mkdir()
    (tmp_path / "kept_word" / "judged.py").write_text(
        "from dataclasses import replace\n"
        "from triptych.core.records import Example, Text, Turn\n"
        "from triptych.evaluate.benchmarks.storyboard import BENCHMARK\n"
        "from triptych.evaluate.reading.judge import Judge, needs_judge\n"
        "def ask(question, reply):\n"
        "    return Example('', (Turn('user', (Text(f'{WORDS} {reply}'),)),))\n"
        "WORDS = 'mark'\n"
        "JUDGE = Judge(ask=ask, read=lambda question, verdict: {'score': int(verdict) / 5}, published='somebody')\n"
        "BENCHMARK = replace(BENCHMARK, score=needs_judge, judge=JUDGE)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "run" / "evals" / "judged"
    judged = find("benchmark", "kept_word.judged", Benchmark)
    file, judge = board / "held_in.jsonl", CannedResponder(lambda _: "4", name="strict")
    evaluate(judged, file, CannedResponder(lambda _: "the red"), folder=folder, judge=judge)
    before = result_files(tmp_path / "run")
    (found,) = rescore_run(folder, benchmark="kept_word.judged")
    assert (found.after.score, found.changed, found.failed) == (pytest.approx(0.6), (), 0)
    assert result_files(tmp_path / "run") == before
    monkeypatch.setattr(sys.modules["kept_word.judged"], "WORDS", "judge")
    (found,) = rescore_run(folder, benchmark="kept_word.judged", write=False)
    assert (found.after.n, found.failed) == (4, 12)
