"""Comparing what two folders hold: the same questions only, nothing left out in silence, evidence or none."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from triptych.core.errors import ConfigError, DataError, NotFoundError
from triptych.core.plugins import find
from triptych.core.records import Example, Json, Text, Turn
from triptych.evaluate.benchmark import Benchmark, fact
from triptych.evaluate.benchmarks.storyboard import BENCHMARK, questions
from triptych.evaluate.page.report import report_table, write_report
from triptych.evaluate.reading.judge import Judge
from triptych.evaluate.reading.scorers import reference_of
from triptych.evaluate.running.result import Result
from triptych.evaluate.running.run import evaluate
from triptych.evaluate.saved.compare import Comparisons, compare_folders
from triptych.evaluate.saved.comparison_text import comparisons_to_json, lines_of
from triptych.evaluate.saved.rescore import rescore_run
from triptych.infer.canned import CannedResponder


@pytest.fixture
def references(board: Path) -> dict[str, str]:
    return {row.id: reference_of(row) for row in questions(board) if isinstance(row, Example)}


@pytest.fixture
def measure(board: Path, tmp_path: Path) -> Callable[..., Path]:
    """Evaluate a function of the question in a run's folder; return the run."""

    def run(name: str, say: Callable[[Example], str], condition: str = "tuned", **how: object) -> Path:
        place = tmp_path / "runs" / name
        part = str(how.pop("part", "held_in"))
        folder = place / "evals" / f"storyboard-{part}-{condition}"
        evaluate(BENCHMARK, board / f"{part}.jsonl", responder=CannedResponder(say), folder=folder, **how)  # type: ignore[arg-type]
        return place

    return run


def wrong(question: Example) -> str:
    return "the purple"


def test_a_model_that_knows_is_better_than_one_that_does_not(
    measure: Callable[..., Path], references: dict[str, str]
) -> None:
    knows, guesses = measure("knows", lambda question: references[question.id]), measure("guesses", wrong)
    (row,) = compare_folders(knows, guesses).rows
    assert (row.first, row.second, row.verdict) == ("knows", "guesses", "knows is better than guesses")
    assert (row.paired.n, row.paired.first_better, row.paired.second_better) == (16, 16, 0)
    assert row.chance == pytest.approx(0.375)
    said = "\n".join(lines_of(compare_folders(knows, guesses)))
    assert "knows 100.0, guesses 0.0: knows is better than guesses." in said
    assert "storyboard, held in: 16 questions, chance 37.5, majority" in said
    paired = replace(row.paired, clusters=4)  # as when four questions each are asked on the same images
    (said, *_) = lines_of(Comparisons((replace(row, paired=paired),), ()))
    assert said.startswith("storyboard, held in: 16 questions in 4 independent groups, chance")


def test_two_models_that_differ_a_little_give_no_evidence_and_say_what_would(
    measure: Callable[..., Path], references: dict[str, str]
) -> None:
    most = measure("most", lambda question: references[question.id] if question.id != "held_in-3" else "")
    some = measure("some", lambda question: references[question.id] if question.id[-1] not in "57" else "")
    found = compare_folders(most, some)
    (row,) = found.rows
    assert row.verdict == "no evidence of a difference"
    assert row.paired.low <= 0 <= row.paired.high
    said = "\n".join(lines_of(found))
    assert "no evidence of a difference" in said
    assert f"16 questions can see {100 * (row.paired.detects or 0):.1f} points or more" in said
    assert f"about {row.paired.needed:,} would see" in said


def test_conditions_of_one_run_are_compared_two_by_two_with_blind_beside(
    measure: Callable[..., Path], references: dict[str, str]
) -> None:
    for part in ("held_in", "held_out"):
        measure("one", lambda question: references[question.id], part=part)
        measure("one", wrong, "untuned", part=part)
        run = measure("one", lambda question: "the red", "blind", part=part, blind=True)
    found = compare_folders(run)
    pairs = [(row.part, row.first, row.second) for row in found.rows]
    assert pairs == [
        (part, first, second)
        for part in ("held_in", "held_out")
        for first, second in (("tuned", "untuned"), ("tuned", "blind"), ("untuned", "blind"))
    ]
    assert {row.blind for row in found.rows} == {0.25}
    assert all(row.p_holm >= row.paired.p for row in found.rows)
    assert "p is corrected for 6 comparisons (Holm)." in lines_of(found)


def test_other_questions_are_refused_by_name(measure: Callable[..., Path]) -> None:
    whole, half = measure("whole", wrong), measure("half", wrong, limit=8)
    with pytest.raises(DataError, match=r"8 \(held_in-0, held_in-10, held_in-12, ...\) only in the first, none only"):
        compare_folders(whole, half)
    (row,) = compare_folders(whole, half, common=True).rows
    assert (row.paired.n, row.left_out) == (8, 8)
    said = lines_of(compare_folders(whole, half, common=True))
    assert any("8 questions have a score on one side only" in line for line in said)


def test_a_question_that_reads_otherwise_is_refused(board: Path, measure: Callable[..., Path]) -> None:
    before = measure("before", wrong)
    file = board / "held_in.jsonl"
    file.write_text(file.read_text().replace("Image 1?", "Picture one?"))
    after = measure("after", wrong)
    with pytest.raises(DataError, match="is not the same question on both sides"):
        compare_folders(before, after)


def test_failed_questions_are_left_out_and_told(measure: Callable[..., Path], references: dict[str, str]) -> None:
    def fails(question: Example) -> str:
        if question.id == "held_in-4":
            raise DataError("torn")
        return references[question.id]

    found = compare_folders(measure("a", fails), measure("b", wrong))
    assert (found.rows[0].paired.n, found.rows[0].left_out) == (15, 1)
    assert any("1 questions have a score on one side only" in line for line in lines_of(found))


def test_what_one_run_lacks_is_told(measure: Callable[..., Path]) -> None:
    measure("more", wrong, part="held_out")
    more, less = measure("more", wrong), measure("less", wrong)
    found = compare_folders(more, less)
    assert [row.part for row in found.rows] == ["held_in"]
    assert found.alone == (f"only in {more}: storyboard held_out",)
    assert found.alone[0] in lines_of(found)


def test_two_evaluations_named_one_by_one_are_compared_whatever_they_are_called(measure: Callable[..., Path]) -> None:
    tuned = measure("run", wrong) / "evals" / "storyboard-held_in-tuned"
    other = tuned.rename(tuned.with_name("storyboard-held_in-other"))
    blind = measure("run", wrong, "blind", blind=True) / "evals" / "storyboard-held_in-blind"
    (row,) = compare_folders(other, blind).rows
    assert "other" in row.first
    assert "blind" in row.second


def test_that_a_result_is_blind_is_said_whatever_its_folder_is_called(board: Path, tmp_path: Path) -> None:
    for name, blind in (("k", True), ("l", True), ("s", False)):
        say, folder = CannedResponder(wrong), tmp_path / "ev" / name
        evaluate(BENCHMARK, board / "held_in.jsonl", responder=say, folder=folder, blind=blind)
    (row,) = compare_folders(tmp_path / "ev" / "k", tmp_path / "ev" / "s").rows
    assert (row.first, row.second, row.blind) == ("k (blind)", "s (model)", 0.0)
    (both,) = compare_folders(tmp_path / "ev" / "k", tmp_path / "ev" / "l").rows
    assert (both.first, both.second) == ("k (blind)", "l (blind)")


def test_a_condition_and_a_benchmark_can_be_chosen(measure: Callable[..., Path]) -> None:
    for name in ("a", "b"):
        measure(name, wrong)
        run = measure(name, wrong, "untuned")
    (row,) = compare_folders(run.with_name("a"), run, condition="untuned", benchmarks=["storyboard"]).rows
    assert row.benchmark == "storyboard"
    with pytest.raises(NotFoundError, match=r"no results of nlvr\. There are: storyboard"):
        compare_folders(run, benchmarks=["nlvr"])
    with pytest.raises(NotFoundError, match="no results of the condition blind"):
        compare_folders(run.with_name("a"), run, condition="blind")


def test_marked_items_are_compared_without_their_questions(tmp_path: Path) -> None:
    for name, right in (("one", 9), ("two", 2)):
        rows = [{"id": number, "choice": "A", "correct": number < right} for number in range(10)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (row,) = compare_folders(tmp_path / "one.jsonl", tmp_path / "two.jsonl").rows
    assert row.verdict == "one.jsonl is better than two.jsonl"
    assert row.paired.p == pytest.approx(2 / 2**7)


def test_json_holds_what_the_lines_say(measure: Callable[..., Path], references: dict[str, str]) -> None:
    found = compare_folders(measure("knows", lambda question: references[question.id]), measure("guesses", wrong))
    said = json.loads(json.dumps(comparisons_to_json(found)))
    (row,) = said["comparisons"]
    assert (row["first"], row["first_score"], row["second_score"], row["difference"]) == ("knows", 1.0, 0.0, 1.0)
    assert row.keys() >= {"low", "high", "p", "p_holm", "n", "needed", "detects", "chance", "majority", "blind"}


def test_nothing_to_compare_is_refused(tmp_path: Path, measure: Callable[..., Path]) -> None:
    with pytest.raises(NotFoundError, match="no results there"):
        compare_folders(tmp_path / "nowhere", tmp_path)
    one = measure("one", wrong)
    with pytest.raises(NotFoundError, match="no two conditions"):
        compare_folders(one)
    with pytest.raises(ConfigError, match="--condition tuned is of two runs"):
        compare_folders(one, condition="tuned")
    (tmp_path / "odd.jsonl").write_text('{"id": 1}\n{"name": 2}\n')
    with pytest.raises(DataError, match="line 2"):
        compare_folders(tmp_path / "odd.jsonl", tmp_path / "odd.jsonl")


def test_a_macro_benchmark_and_one_with_a_statistic_are_compared_as_they_add_up(
    board: Path, tmp_path: Path, references: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "two_totals"
    package.mkdir()
    head = "from dataclasses import replace\nfrom triptych.evaluate.benchmarks.storyboard import BENCHMARK\n"
    (package / "macro.py").write_text(head + "BENCHMARK = replace(BENCHMARK, aggregate='macro', group='shape')\n")
    statistic = "lambda marks: min(score for _, score in marks)"
    (package / "least.py").write_text(head + f"BENCHMARK = replace(BENCHMARK, statistic={statistic})\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    file = board / "held_in.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for number, row in enumerate(rows):
        row["facts"]["shape"] = "rare" if number < 4 else "frequent"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    rare = {name: reply for name, reply in references.items() if name in {f"held_in-{at}" for at in range(4)}}
    for name, replies in (("all", references), ("rare", rare)):
        for benchmark in ("macro", "least"):
            folder = tmp_path / name / "evals" / f"two_totals.{benchmark}"
            say = CannedResponder(lambda question, replies=replies: replies.get(question.id, "the purple"))  # type: ignore[misc]
            rules = find("benchmark", f"two_totals.{benchmark}", expected=Benchmark)
            evaluate(rules, file, responder=say, folder=folder)
    least, macro = compare_folders(tmp_path / "all", tmp_path / "rare").rows
    assert (macro.paired.first, macro.paired.second, macro.paired.test) == (1.0, 0.5, "t")
    assert (least.paired.first, least.paired.second, least.paired.test) == (1.0, 0.0, "swaps")
    assert macro.verdict == "all is better than rare"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"id": "a", "score": 0.5}', "the id 'a' is there twice"),
        ('{"id": "b", "score": NaN}', "not from 0 to 1"),
        ('{"id": "b", "score": 7}', "not from 0 to 1"),
        ('{"id": "b", "score": "1"}', "expected"),
        ('{"score": 1}', "expected"),
    ],
)
def test_marked_items_that_cannot_be_compared_are_refused_by_line(tmp_path: Path, line: str, why: str) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text('{"id": "a", "correct": true}\n')
    (tmp_path / "b.jsonl").write_text((tmp_path / "b.jsonl").read_text() + line + "\n")
    with pytest.raises(DataError, match=f"line 2: .*{why}"):
        compare_folders(tmp_path / "a.jsonl", tmp_path / "b.jsonl")


@pytest.fixture
def totals(board: Path, tmp_path: Path, references: dict[str, str]) -> dict[str, Result]:
    """Results of blink's rules in folders called after models: a mean over tasks that differ in size."""
    del board
    tasks = {f"val_{task}_{number}": task for task, size in (("Jigsaw", 9), ("IQ_Test", 3)) for number in range(size)}
    rows = [blink_question(name, task) for name, task in tasks.items()]
    blink = replace(find("benchmark", "blink", expected=Benchmark), questions=lambda _: rows)
    say = {
        "mine": lambda question: "(A)" if fact(question, "kind") == "Jigsaw" else "(B)",
        "theirs": lambda question: "(A)" if int(question.id.rpartition("_")[2]) % 3 else "(B)",
        "mine-blind": lambda question: "(A)" if question.id == "val_IQ_Test_0" else "(B)",
    }
    runs = tmp_path / "runs"
    return {
        name: evaluate(
            blink, tmp_path, responder=CannedResponder(answer), folder=runs / name, name="blink", blind="-" in name
        )
        for name, answer in say.items()
    }


def blink_question(name: str, task: str) -> Example:
    """A question with two options, of which the first is right."""
    facts: dict[str, Json] = {"kind": task, "choice": True, "options": ["", ""], "right": 0}
    asked = Turn("user", (Text(f"{name}: (A) or (B)?"),))
    return Example(name, (asked, Turn("assistant", (Text("(A)"),))), facts=facts)


def test_an_evaluation_is_compared_by_its_own_total_whatever_its_folder_is_called(
    totals: dict[str, Result], tmp_path: Path
) -> None:
    mine, theirs = tmp_path / "runs" / "mine", tmp_path / "runs" / "theirs"
    for paths in ((mine, theirs), (mine / "items.jsonl", theirs / "items.jsonl")):
        (row,) = compare_folders(*paths).rows
        assert (row.paired.first, row.paired.second) == (totals["mine"].total.score, totals["theirs"].total.score)
        assert (row.paired.first, row.statistic) == (0.5, "mean over tasks")


def test_blind_and_majority_beside_a_comparison_are_added_up_as_the_total_is(
    totals: dict[str, Result], tmp_path: Path
) -> None:
    (row,) = compare_folders(tmp_path / "runs", benchmarks=["mine"]).rows
    assert row.blind == totals["mine-blind"].total.score == pytest.approx(1 / 6)
    assert totals["mine"].majority == totals["mine"].total.majority == 1.0


def test_what_stands_beside_common_questions_is_of_those_questions(measure: Callable[..., Path]) -> None:
    whole, some = measure("whole", wrong), measure("some", wrong, limit=2)
    (row,) = compare_folders(whole, some, common=True).rows
    assert row.paired.n == 2
    assert row.chance == 0.25  # held_in-0 and held_in-8 are no choices
    measure("whole", wrong, "blind", blind=True)
    (row,) = compare_folders(whole, some, common=True).rows
    assert row.blind == 0


def test_a_condition_that_nobody_has_is_named(measure: Callable[..., Path]) -> None:
    run = measure("a", wrong)
    with pytest.raises(NotFoundError, match=r"no results of the condition blimd\. There are: tuned\."):
        compare_folders(run, run, condition="blimd")


def test_marked_items_lose_no_last_line_without_a_newline(tmp_path: Path) -> None:
    for name, score in (("a", 1), ("b", 0)):
        rows = [json.dumps({"id": number, "score": score}) for number in range(8)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
    (row,) = compare_folders(tmp_path / "a.jsonl", tmp_path / "b.jsonl").rows
    assert (row.paired.n, row.judge) == (8, "")


def judged_by(name: str) -> tuple[Benchmark, CannedResponder | None]:
    """Storyboard with a judge of this name, who gives everything half; without a name, with its rule."""

    def ask(question: Example, reply: str) -> Example:
        return Example("", (Turn("user", (Text(f"mark {reply}"),)),))

    judge = Judge(ask=ask, read=lambda question, verdict: {"score": float(verdict)}, published="somebody")
    return replace(BENCHMARK, judge=judge), CannedResponder(lambda _: "0.5", name) if name else None


def test_marks_of_different_judges_and_of_a_rule_are_not_compared(board: Path, tmp_path: Path) -> None:
    evals = tmp_path / "run" / "evals"
    for name in ("strict", "mild", ""):
        benchmark, judge = judged_by(name)
        folder = evals / (name or "rule")
        evaluate(benchmark, board, responder=CannedResponder(lambda _: "the red", "r"), folder=folder, judge=judge)
    with pytest.raises(DataError, match=r"not marked alike: .* \(model\) by strict, .*mild \(model\) by mild\."):
        compare_folders(evals / "strict", evals / "mild", common=True)
    with pytest.raises(DataError, match=r"by strict, .* by a rule\. Evaluate both with the same --judge"):
        compare_folders(evals / "strict", evals / "rule")
    found = compare_folders(evals / "strict", evals / "strict")
    assert lines_of(found)[0].endswith("score: mean over questions, judged by strict")
    assert json.loads(json.dumps(comparisons_to_json(found)))["comparisons"][0]["judge"] == "strict"
    items = map(json.loads, (evals / "rule" / "items.jsonl").read_text().splitlines())
    known = {row["id"]: row["score"] for row in items}
    people = "".join(json.dumps({"id": name, "correct": score}) + "\n" for name, score in known.items())
    (tmp_path / "people.jsonl").write_text(people)  # who marked these is not known
    assert compare_folders(evals / "strict", tmp_path / "people.jsonl").rows[0].judge == "strict"
    assert "- strict all model: judged by strict\n" in report_table(tmp_path / "run", "md")
    assert "Marked by a judge: model strict." in write_report(tmp_path / "run").read_text()
    for name in ("result.json", "items.jsonl"):  # killed while the judge was asked
        (evals / "strict" / name).unlink()
    with pytest.raises(DataError, match="a judge marks these replies, and no result tells which"):
        rescore_run(evals / "strict", benchmark="storyboard")
