"""A run as CSV, Markdown and LaTeX: every score with its interval and what stands beside it."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from tests.samples.golden import SAMPLES
from triptych.core.errors import DataError, NotFoundError
from triptych.core.records import Example
from triptych.evaluate.benchmarks.mme import BENCHMARK as MME
from triptych.evaluate.benchmarks.storyboard import BENCHMARK, questions
from triptych.evaluate.page.report import compare_conditions, report_table, write_report
from triptych.evaluate.page.tables import rows_of, to_latex, to_markdown
from triptych.evaluate.reading.scorers import reference_of
from triptych.evaluate.running.gather import gather
from triptych.evaluate.running.run import evaluate
from triptych.infer.canned import CannedResponder


@pytest.fixture
def run(board: Path, tmp_path: Path) -> Path:
    """A run with three conditions of one part."""
    replies = {row.id: reference_of(row) for row in questions(board) if isinstance(row, Example)}
    for condition, say in (
        ("blind", lambda question: "the red"),
        ("untuned", lambda question: "the purple"),
        ("tuned", lambda question: replies[question.id] if question.id != "held_in-1" else ""),
    ):
        folder = tmp_path / "run" / "evals" / f"storyboard-held_in-{condition}"
        evaluate(
            BENCHMARK,
            board / "held_in.jsonl",
            responder=CannedResponder(say),
            folder=folder,
            blind=condition == "blind",
        )
    return tmp_path / "run"


def test_csv_has_a_line_for_each_condition_and_group(run: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(report_table(run, "csv"))))
    assert len({(row["part"], row["condition"], row["group"], row["name"]) for row in rows}) == len(rows)
    totals = {row["condition"]: row for row in rows if row["group"] == "all"}
    assert list(totals) == ["blind", "untuned", "tuned"]
    tuned = totals["tuned"]
    assert (float(tuned["score"]), float(tuned["blind"]), int(tuned["n"])) == (15 / 16, 0.25, 16)
    assert float(tuned["low"]) < 15 / 16 < float(tuned["high"])
    assert 0 < float(tuned["detects_paired"]) < float(tuned["detects"]) < 1
    assert (tuned["unanswered"], tuned["failed"]) == ("1", "0")
    skills = [row for row in rows if row["group"] == "skill" and row["condition"] == "tuned"]
    assert [row["name"] for row in skills] == ["co-reference", "comparison", "reasoning", "temporal"]
    assert [float(row["blind"]) for row in skills] == [1.0, 0.0, 0.0, 0.0]
    assert all(row["chance"] and row["majority"] and not row["failed"] for row in skills)


def test_markdown_has_tables_that_are_tables(run: Path) -> None:
    text = report_table(run, "md")
    for table in text.split("\n\n"):
        if table.startswith("|"):
            assert len({line.count("|") for line in table.strip().splitlines()}) == 1
    assert "| storyboard held in | tuned | 93.8 | 71.7 to 98.9 | 16 | 37.5 |" in text
    assert "By skill:" in text
    assert "| storyboard held in | tuned | untuned | +93.8 |" in text
    assert "tuned is better than untuned" in text


def test_latex_has_a_row_for_each_condition_and_escapes_names(run: Path) -> None:
    text = report_table(run, "latex")
    assert r"Tuned & 93.8 {\scriptsize [71.7, 98.9]} \\" in text
    assert r"storyboard held\_in ($n=16$)" in text
    rows = [line for line in text.splitlines() if not line.startswith("%")]
    assert [line.split(" & ")[0] for line in rows] == ["Chance", "Majority", "Blind", "Untuned", "Tuned"]
    assert all(line.endswith(r" \\") and not re.search(r"(?<!\\)[%#_$]", line) for line in rows)


def test_a_run_without_a_blind_condition_says_that_it_is_not_known(run: Path) -> None:
    blind = run / "evals" / "storyboard-held_in-blind"
    blind.rename(run / "elsewhere")
    assert {row.blind for row in rows_of(gather(run))} == {None}
    assert "| - |" in report_table(run, "md")


def test_a_result_of_an_older_version_has_a_report(run: Path) -> None:
    for path in run.rglob("result.json"):
        result = json.loads(path.read_text())
        del result["detects"], result["detects_paired"]
        path.write_text(json.dumps({key: value for key, value in result.items() if key != "by_task"}))
    assert {row.detects for row in rows_of(gather(run)) if row.group == "all"} == {None}
    assert "Four times in five" not in write_report(run).read_text()


def test_the_page_compares_conditions_question_by_question(run: Path) -> None:
    page = write_report(run).read_text()
    compared = page.split("Compared, question by question")[1]
    assert "corrected for the page's 3 comparisons" in compared
    assert "Tuned is better than untuned: of 16, tuned scored more in 15, untuned in 0." in compared
    assert "Four times in five, so many questions show a difference of" in page


def test_the_page_says_why_two_conditions_are_not_compared(run: Path, board: Path) -> None:
    folder = run / "evals" / "storyboard-held_in-untuned"
    evaluate(BENCHMARK, board / "held_in.jsonl", responder=CannedResponder(lambda question: ""), folder=folder, limit=4)
    compared, refused = compare_conditions(gather(run))
    assert [(row.first, row.second) for row in compared] == [("tuned", "blind")]
    assert len(refused["storyboard", "held_in"]) == 2
    assert "were not asked the same questions" in write_report(run).read_text()


def test_a_run_with_nothing_measured_has_empty_tables(tmp_path: Path) -> None:
    assert report_table(tmp_path, "csv").count("\n") == 1
    assert "condition" in report_table(tmp_path, "md")
    with pytest.raises(NotFoundError, match="no such run"):
        report_table(tmp_path / "nowhere", "latex")


def test_figures_that_papers_print_stand_in_the_table_and_on_the_page(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "evals" / "mme-all-tuned"
    evaluate(MME, SAMPLES / "mme", responder=CannedResponder(lambda question: "Yes, so it is."), folder=folder)
    told = "mme all tuned: existence 50.0 (0.0 to 200.0) of 200; by the authors' own reading 50.0"
    assert f"- {told}\n" in report_table(tmp_path / "run", "md")
    assert "- mme all tuned: accuracy plus 0.0% (" in report_table(tmp_path / "run", "md")
    page = unescape(write_report(tmp_path / "run").read_text(encoding="utf-8"))
    assert "Tuned, beside the score: accuracy plus 0.0% (" in page
    assert told.partition(": ")[2] in page


def test_a_result_of_an_older_version_has_nothing_beside_its_score(run: Path) -> None:
    for path in run.glob("evals/*/result.json"):
        held = json.loads(path.read_text())
        for key in ("figures", "together", "published", "published_together"):
            del held[key]
        path.write_text(json.dumps(held))
    assert "Beside the scores" not in report_table(run, "md")


def test_a_blind_score_of_other_questions_stands_beside_no_score(run: Path, board: Path) -> None:
    folder = run / "evals" / "storyboard-held_in-blind"
    red = CannedResponder(lambda question: "the red")
    evaluate(BENCHMARK, board / "held_in.jsonl", responder=red, folder=folder, blind=True, limit=8)
    rows = {row.condition: row for row in rows_of(gather(run)) if row.group == "all"}
    assert rows["blind"].blind is not None
    assert (rows["tuned"].blind, rows["untuned"].blind) == (None, None)
    told = "- storyboard held in tuned: the blind score is of other questions, or of another judge: left out"
    assert told in report_table(run, "md")
    assert r"{\scriptsize ($n=8$)} \\" in report_table(run, "latex")
    page = write_report(run).read_text()
    assert "Tuned is above chance and untuned:" in page
    assert "Asked other questions than tuned, or marked by another judge: blind." in page
    assert ">n 8<" in page


def test_tables_tell_what_failed(run: Path, board: Path) -> None:
    def fails(question: Example) -> str:
        if question.id in {"held_in-3", "held_in-4"}:
            raise DataError("torn")
        return "the red"

    folder = run / "evals" / "storyboard-held_in-other"
    evaluate(BENCHMARK, board / "held_in.jsonl", responder=CannedResponder(fails), folder=folder)
    lines = report_table(run, "md").splitlines()
    assert lines[0].endswith("| failed | cut |")
    assert next(line for line in lines if line.startswith("| storyboard held in | other |")).endswith("| 2 | 0 |")
    assert r"{\scriptsize ($n=14$, 2 failed)} \\" in report_table(run, "latex")


def test_a_name_with_line_ends_stays_in_its_row(run: Path) -> None:
    rows = [replace(row, part="held\nin", name=f"{row.name}\n\n two") for row in rows_of(gather(run))]
    for text in (to_markdown(rows, notes=["mine:\nx"]), to_latex(rows)):
        assert "held in" in text.replace(r"\_", " ")
        assert all(
            line.startswith(("|", "-", "B", "By ", "%")) or line.endswith(r"\\") for line in text.split("\n") if line
        )
    assert "| storyboard held in: comparison two |" in to_markdown(rows)
