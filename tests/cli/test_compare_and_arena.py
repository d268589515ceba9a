"""Compare, rescore, report and arena as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.cli.conftest import Triptych
from tests.infer.endpoint import Said, completion, serving, trouble, words_of
from triptych.evaluate.benchmarks.storyboard import BENCHMARK
from triptych.evaluate.running.run import evaluate
from triptych.infer.canned import CannedResponder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs, named right and wrong, of eight questions each."""
    rows = []
    for number in range(8):
        Image.new("RGB", (20, 20), "red").save(tmp_path / f"{number}.png")
        asked = [{"type": "text", "text": f"Is picture {number} red? "}, {"type": "image", "image": 0}]
        messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": "yes"}]
        rows.append({"id": str(number), "images": [f"{number}.png"], "messages": messages, "facts": {"chance": 0.5}})
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, said in (("right", "yes"), ("wrong", "no")):
        folder = tmp_path / name / "evals" / "storyboard"
        evaluate(
            BENCHMARK, tmp_path / "asked.jsonl", responder=CannedResponder(lambda _, said=said: said), folder=folder
        )  # type: ignore[misc]
    return tmp_path


def test_compare_tells_people_and_programs(runs: Path, triptych_here: Triptych) -> None:
    said = triptych_here(runs, "compare", "right", "wrong")
    assert said.returncode == 0, said.stderr
    assert "right is better than wrong" in said.stdout
    rows = json.loads(triptych_here(runs, "compare", "right", "wrong", "--json").stdout)["comparisons"]
    assert (rows[0]["difference"], rows[0]["p"]) == (1.0, 2 / 2**8)
    refused = triptych_here(runs, "compare", "right", "wrong", "--benchmark", "nlvr")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "error: no results of nlvr" in refused.stderr


def test_rescore_tells_what_changed(runs: Path, triptych_here: Triptych) -> None:
    answers = runs / "wrong" / "evals" / "storyboard" / "answers.jsonl"
    answers.write_text(answers.read_text().replace('"reply": "no"', '"reply": "yes"', 1))
    said = triptych_here(runs, "rescore", "wrong", "--keep")
    assert "was 0.0; 1 of 8 scores changed: 0" in said.stdout
    assert json.loads(triptych_here(runs, "rescore", "wrong", "--json").stdout)[0]["changed"] == ["0"]
    assert "as it was" in triptych_here(runs, "rescore", "wrong").stdout


def test_rescore_of_a_killed_run_tells_what_is_missing_and_exits_with_1(runs: Path, triptych_here: Triptych) -> None:
    folder = next(path.parent for path in sorted(runs.rglob("answers.jsonl")))
    lines = (folder / "answers.jsonl").read_text().splitlines(keepends=True)
    (folder / "answers.jsonl").write_text("".join(lines[:5]))
    for name in ("items.jsonl", "result.json"):
        (folder / name).unlink()
    told = triptych_here(runs, "rescore", str(folder), "--benchmark", "storyboard")
    assert told.returncode == 1
    assert f"{len(lines) - 5} of {len(lines)} not asked, so this is no result" in told.stdout
    assert not (folder / "result.json").exists()


def test_report_prints_tables_and_writes_a_page(runs: Path, triptych_here: Triptych) -> None:
    assert "| storyboard all | model | 100.0 |" in triptych_here(runs, "report", "right", "--format", "md").stdout
    assert triptych_here(runs, "report", "right", "--format", "csv").stdout.startswith("benchmark,part,condition,")
    assert "Model & 100.0" in triptych_here(runs, "report", "right", "--format", "latex").stdout
    assert triptych_here(runs, "report", "right").stdout.strip() == str(Path("right") / "report.html")


def test_no_report_is_written_into_a_folder_that_is_no_run(runs: Path, triptych_here: Triptych) -> None:
    (runs / "made").mkdir()
    (runs / "made" / "recipe.yaml").write_text("name: made")
    for form in ("html", "md"):
        refused = triptych_here(runs, "report", "made", "--format", form)
        assert refused.returncode == 2
        assert refused.stderr.startswith("error: made: nothing was trained or measured there")
    assert [path.name for path in (runs / "made").iterdir()] == ["recipe.yaml"]


def test_the_arena_counts_peoples_votes(runs: Path, triptych_here: Triptych) -> None:
    for name in ("right", "wrong"):
        (runs / name / "evals" / "storyboard").rename(runs / f"{name}-answers")
    votes = [{"id": str(at), "a": "right-answers", "b": "wrong-answers", "winner": "a"} for at in range(8)]
    (runs / "votes.jsonl").write_text("".join(json.dumps(vote) + "\n" for vote in votes))
    told = ["arena", "right-answers", "wrong-answers", "--votes", "votes.jsonl"]
    assert "right-answers is better than wrong-answers" in triptych_here(runs, *told).stdout
    assert json.loads(triptych_here(runs, *told, "--json").stdout)["votes"] == 8
    refused = triptych_here(runs, "arena", "right-answers", "wrong-answers")
    assert refused.returncode == 2
    assert "--judge MODEL, or --votes FILE" in refused.stderr


@pytest.fixture
def silent(runs: Path) -> Path:
    """A run of one evaluation in which no question got a reply."""
    folder = runs / "silent" / "evals" / "storyboard"
    evaluate(BENCHMARK, runs / "asked.jsonl", responder=CannedResponder({}), folder=folder)
    return runs


def test_where_nothing_was_scored_rescore_and_mark_tell_no_number(silent: Path, triptych_here: Triptych) -> None:
    said = triptych_here(silent, "rescore", "silent")
    assert (said.returncode, said.stdout) == (1, "storyboard: nothing was scored, 8 failed; as it was\n")
    told = json.loads(triptych_here(silent, "rescore", "silent", "--json").stdout)
    assert (told[0]["after"]["score"], told[0]["after"]["n"], told[0]["failed"]) == (None, 0, 8)
    answers = "silent/evals/storyboard/answers.jsonl"
    marked = triptych_here(silent, "mark", "storyboard", answers)
    assert marked.returncode == 1
    assert marked.stdout.splitlines()[1].split() == ["all", "-", "nothing", "was", "scored", "0", "0"]
    number = json.loads(triptych_here(silent, "mark", "storyboard", answers, "--json").stdout)
    assert (number["score"], number["low"], number["n"], number["failed"]) == (None, None, 0, 8)


def test_a_report_of_nothing_scored_tells_no_number(silent: Path, triptych_here: Triptych) -> None:
    table = triptych_here(silent, "report", "silent", "--format", "md")
    assert table.returncode == 1
    assert "| storyboard all | model | - | nothing was scored | 0 | - |" in table.stdout
    assert "silent/evals/storyboard: nothing was scored" in table.stderr
    row = triptych_here(silent, "report", "silent", "--format", "csv").stdout.splitlines()[1]
    assert row.startswith("storyboard,all,model,all,,0,,,,,")
    assert r"Model & -- \\" in triptych_here(silent, "report", "silent", "--format", "latex").stdout
    assert triptych_here(silent, "report", "silent").returncode == 1
    page = (silent / "silent" / "report.html").read_text()
    assert "nothing was scored" in page
    assert "0.0" not in page.partition("right answers in percent</h2>")[2].partition("</section>")[0]


def test_a_condition_with_nothing_scored_stands_beside_the_others(silent: Path, triptych_here: Triptych) -> None:
    evals = silent / "silent" / "evals"
    (evals / "storyboard").rename(evals / "storyboard-all-tuned")
    (silent / "right" / "evals" / "storyboard").rename(evals / "storyboard-all-untuned")
    table = triptych_here(silent, "report", "silent", "--format", "latex")
    assert table.returncode == 0
    assert "Chance & 50.0" in table.stdout
    assert triptych_here(silent, "report", "silent").returncode == 0
    assert "8 questions · chance 50.0" in (silent / "silent" / "report.html").read_text()


def test_answers_without_a_line_are_one_line_of_trouble(runs: Path, triptych_here: Triptych) -> None:
    (runs / "empty").mkdir()
    (runs / "empty" / "answers.jsonl").touch()
    refused = triptych_here(runs, "rescore", "empty", "--benchmark", "storyboard")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("error: empty/answers.jsonl: no reply is in it yet")


def test_the_arenas_judge_is_set_and_where_it_gave_no_verdict_the_exit_code_is_1(
    runs: Path, triptych_here: Triptych, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    asked: list[int] = []
    most = 9

    def judge(request: dict[str, Any], before: int) -> Said:
        asked.append(request["max_tokens"])
        return trouble(400) if len(asked) > most else completion("A" if "Reply A:\nyes" in words_of(request) else "B")

    told = ["arena", *(f"{name}/evals/storyboard" for name in ("right", "wrong")), "judge.max_tokens=1024"]
    with serving(judge) as endpoint:
        told += ["judge.concurrency=1", "--judge", str(endpoint.address)]
        found = triptych_here(runs, *told)
        assert found.returncode == 1, found.stderr
        assert "4 pairs got no verdict: " in found.stdout
        assert "The same command asks again." in found.stdout
        before, most = len(asked), 100
        again = triptych_here(runs, *told)
    assert again.returncode == 0, again.stderr
    assert (len(asked) - before, set(asked)) == (7, {1024})
    refused = triptych_here(runs, *told[:4], "--votes", "votes.jsonl")
    assert refused.returncode == 2
    assert "judge.max_tokens=1024: no judge was named" in refused.stderr
