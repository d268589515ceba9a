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
from triptych.core.shard import Shard
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
        evaluate(BENCHMARK, board / f"{part}.jsonl", responder=CannedResponder(replies), folder=folder, blind=blind)
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


@pytest.mark.parametrize("total", [1.0, 0.5])
def test_without_the_scores_so_far_it_does_not_say_that_none_changed(run: Path, total: float) -> None:
    folder = run / "evals" / "storyboard-held_out-tuned"
    (folder / "items.jsonl").unlink()
    told = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps({**told, "score": total}))
    (one,) = rescore_run(folder)
    assert one.compared == 0
    said = f"was {100 * total:.1f}; which scores changed is not known, as the former ones are not there"
    assert lines_of([one])[0].endswith(said)
    assert rescore_run(folder)[0].compared == 16


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


def test_a_folder_says_by_itself_which_benchmark_it_is_of(board: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    evaluate(BENCHMARK, board, responder=CannedResponder(lambda _: "the red"), folder=folder, name="storyboard")
    (found,) = rescore_run(folder)
    assert (found.changed, found.after.n) == ((), 32)


def test_groups_that_were_asked_in_part_do_not_count_as_whole(
    board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit leaves questions of a group out; whoever scores anew knows that from the folder alone."""
    (tmp_path / "of_groups").mkdir()
    (tmp_path / "of_groups" / "grouped.py").write_text(
        "from dataclasses import replace\n"
        "from triptych.evaluate.benchmarks.storyboard import BENCHMARK\n"
        "BENCHMARK = replace(BENCHMARK, together={'scenario': 'scenario'})\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    grouped = find("benchmark", "of_groups.grouped", expected=Benchmark)
    folder = tmp_path / "e"
    for limit, whole in ((8, 0), (None, 4)):
        red = CannedResponder(lambda _: "the red", "r")
        found = evaluate(grouped, board, responder=red, folder=folder, name="of_groups.grouped", limit=limit)
        assert found.together["scenario"].n == whole
        before = (folder / "result.json").read_bytes()
        rescore_run(folder)
        assert (folder / "result.json").read_bytes() == before


def test_references_that_were_mended_after_the_asking_stay_mended(board: Path, tmp_path: Path) -> None:
    folder, file, seen = tmp_path / "storyboard-all-tuned", board / "held_in.jsonl", []

    def reply(question: Example) -> str:
        seen.append(question.id)
        return "the red"

    evaluate(BENCHMARK, file, responder=CannedResponder(reply, "r"), folder=folder)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[2]["messages"][-1]["content"] = "the red"  # the data were wrong, and are put right
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    mended = evaluate(BENCHMARK, file, responder=CannedResponder(reply, "r"), folder=folder)
    assert mended.total.score == 5 / 16
    assert len(seen) == 16
    (found,) = rescore_run(folder)
    assert (found.changed, found.after.score) == ((), 5 / 16)
    lines = (folder / "answers.jsonl").read_text()
    evaluate(BENCHMARK, file, responder=CannedResponder(reply, "r"), folder=folder)
    assert (folder / "answers.jsonl").read_text() == lines


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
    judged = find("benchmark", "kept_word.judged", expected=Benchmark)
    file, judge = board / "held_in.jsonl", CannedResponder(lambda _: "4", name="strict")
    evaluate(judged, file, responder=CannedResponder(lambda _: "the red"), folder=folder, judge=judge)
    before = result_files(tmp_path / "run")
    (found,) = rescore_run(folder, benchmark="kept_word.judged")
    assert (found.after.score, found.changed, found.failed) == (pytest.approx(0.6), (), 0)
    assert result_files(tmp_path / "run") == before
    monkeypatch.setattr(sys.modules["kept_word.judged"], "WORDS", "judge")
    (found,) = rescore_run(folder, benchmark="kept_word.judged", write=False)
    assert (found.after.n, found.failed) == (4, 12)


@pytest.mark.parametrize("before", [None, 4])
def test_an_evaluation_that_was_killed_halfway_gets_no_result(board: Path, tmp_path: Path, before: int | None) -> None:
    """Also where an earlier result, of fewer questions, is in the folder: it stays, and is told for what it is."""
    folder, file = tmp_path / "storyboard-held_in-tuned", board / "held_in.jsonl"
    if before:
        evaluate(BENCHMARK, file, responder=CannedResponder(lambda _: "the red", "r"), folder=folder, limit=before)
    said = []

    def reply(question: Example) -> str:
        said.append(question.id)
        if len(said) == 6:
            raise KeyboardInterrupt
        return "the red"

    with pytest.raises(KeyboardInterrupt):
        evaluate(BENCHMARK, file, responder=CannedResponder(reply, "r"), folder=folder)
    files = result_files(tmp_path)
    (found,) = rescore_run(folder)
    assert result_files(tmp_path) == files
    assert found.not_asked == 16 - found.after.n > 0
    assert f"{found.not_asked} of 16 not asked, so this is no result: evaluate again" in lines_of([found])[0]
    assert json.loads(json.dumps(rescored_to_json([found])))[0]["not_asked"] == found.not_asked


def test_a_part_is_scored_anew_by_its_own_questions(board: Path, tmp_path: Path) -> None:
    folder = tmp_path / "storyboard"
    evaluate(BENCHMARK, board, responder=CannedResponder(lambda _: "the red", "r"), folder=folder, shard=Shard(1, 2))
    before = result_files(folder)
    (found,) = rescore_run(folder)
    assert (found.not_asked, found.after.n) == (0, 16)
    assert result_files(folder) == before


def test_rows_that_were_refused_count_in_a_result_that_was_killed_before_its_end(board: Path, tmp_path: Path) -> None:
    folder, file = tmp_path / "storyboard", board / "held_in.jsonl"
    file.write_text(file.read_text() + file.read_text().splitlines()[0].replace("held_in-0", "x").replace("red", "no"))
    evaluate(BENCHMARK, file, responder=CannedResponder(lambda _: "the red", "r"), folder=folder)
    before = result_files(folder)
    for path in before:
        Path(path).unlink()
    (found,) = rescore_run(folder)
    assert (found.failed, result_files(folder)) == (1, before)
