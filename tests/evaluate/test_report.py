"""The page of a run: complete, alone in the world, and deaf to what data would like it to do."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from triptych.core.errors import DataError, NotFoundError
from triptych.core.records import Example, Json
from triptych.evaluate.benchmarks.storyboard import BENCHMARK, questions
from triptych.evaluate.certainty.statistics import Score
from triptych.evaluate.page.plots import smoothed
from triptych.evaluate.page.report import Lane, verdict_on, write_report
from triptych.evaluate.reading.scorers import reference_of
from triptych.evaluate.running.gather import gather, parse_name, read_evaluations
from triptych.evaluate.running.run import evaluate
from triptych.infer.canned import CannedResponder

ATTACK = "<script>alert(1)</script>"
VOID = {"area", "br", "col", "hr", "img", "input", "link", "meta", "path", "use"}


class Page(HTMLParser):
    """What a browser would see: every tag with its attributes, and whether all that opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture
def run(board: Path, tmp_path: Path) -> Path:
    """A finished run: three conditions of two parts, metrics and a recipe."""
    folder = tmp_path / "runs" / "shown"
    replies = {row.id: reference_of(row) for row in questions(board) if isinstance(row, Example)}
    for part in ("held_in", "held_out"):
        for condition, responder in (
            ("blind", CannedResponder(lambda question: "the red")),
            ("untuned", CannedResponder(lambda question: ATTACK)),
            ("tuned", CannedResponder(lambda question: replies[question.id] if question.id[-1] != "1" else "")),
        ):
            place = folder / "evals" / f"storyboard-{part}-{condition}"
            evaluate(BENCHMARK, board / f"{part}.jsonl", responder=responder, folder=place, blind=condition == "blind")
    records: list[dict[str, Json]] = [{"stage": "align", "wall_s": 21.5, "peak_gib": 1.25}]
    steps = range(1, 9)
    records += [{"stage": "tune", "step": step, "loss_nats": 2 / step, "wall_s": 4, "memory_gib": 2} for step in steps]
    records += [{"stage": "tune", "wall_s": 75.0, "peak_gib": 3.5}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (folder / "recipe.yaml").write_text("model:\n  parts: {vision: 'starter:eye', language: 'starter:tongue'}\n")
    return folder


def test_the_page_holds_every_score_with_its_interval(run: Path) -> None:
    page = write_report(run).read_text()
    for evaluation in gather(run).evaluations:
        total = evaluation.total
        assert f"{evaluation.condition}: {100 * total.score:.1f}%, 95% interval {100 * total.low:.1f} to" in page
    for words in ("Held in", "Held out", "By skill", "By scenario", "co-reference", "temporal", "starter:tongue"):
        assert words in page
    assert "Unanswered, scored as wrong: blind" in page


def test_the_page_holds_loss_time_and_memory(run: Path) -> None:
    page = write_report(run).read_text()
    assert "<svg" in page
    assert "loss, nats a trained token" in page
    for words in ("21.5 s", "1 min 15 s", "1.25 GiB", "3.50 GiB"):
        assert words in page


def test_right_and_wrong_answers_stand_with_their_images_in_place(run: Path) -> None:
    page = write_report(run, examples=4).read_text()
    right, wrong = page.split('id="storyboard-right"')[1].split('id="storyboard-wrong"')
    assert right.count("<article") == 4
    assert wrong.count("<article") == 4
    first = right.split("<article")[1]
    assert re.search(r"Image 1: <img src=\"data:image/jpeg;base64,[^\"]+\" alt=\"image 1\"> Image 2: <img ", first)
    assert [condition in first for condition in ("tuned", "untuned", "blind", "reference")] == [True] * 4
    assert "said nothing" in wrong


def test_the_page_asks_nothing_of_the_network_and_runs_nothing(run: Path) -> None:
    text = write_report(run).read_text()
    page = Page(text)
    assert page.open == []
    assert "script" not in {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/")), attributes
        assert not [name for name in attributes if name.startswith("on")]
    assert "@import" not in text
    assert "url(http" not in text


def test_what_a_model_says_is_shown_and_not_obeyed(run: Path) -> None:
    page = write_report(run).read_text()
    assert ATTACK not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_the_same_run_gives_the_same_page(run: Path) -> None:
    first = write_report(run).read_text()
    assert write_report(run).read_text() == first


def test_a_picture_that_is_gone_is_told_at_its_place(run: Path, board: Path) -> None:
    (board / "red.png").unlink()
    assert re.search(r"image 1: [^<]*red\.png: no such image", write_report(run).read_text())


def test_a_run_in_the_middle_has_a_page(tmp_path: Path) -> None:
    page = write_report(tmp_path).read_text()
    assert "Nothing is measured yet" in page
    assert Page(page).open == []


def test_one_evaluation_without_parts_and_conditions_has_a_page(board: Path, tmp_path: Path) -> None:
    evaluate(
        BENCHMARK,
        board,
        responder=CannedResponder(lambda question: "red"),
        folder=tmp_path / "evals" / "storyboard",
        limit=9,
    )
    page = write_report(tmp_path).read_text()
    assert "By part" in page
    assert "answered right" in page


def test_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such run"):
        write_report(tmp_path / "nowhere")


def test_a_torn_result_is_named(run: Path) -> None:
    (run / "evals" / "storyboard-held_in-blind" / "result.json").write_text('{"score": 1}')
    with pytest.raises(DataError, match=r"storyboard-held_in-blind.result\.json"):
        write_report(run)


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("storyboard-held_in-tuned", ("storyboard", "held_in", "tuned")),
        ("nlvr", ("nlvr", "all", "model")),
        ("nlvr-blind", ("nlvr", "all", "blind")),
        ("nlvr-4_5", ("nlvr", "4_5", "model")),
        ("nlvr-a-b-mine", ("nlvr", "a-b", "mine")),
    ],
)
def test_a_folder_is_named_by_benchmark_part_and_condition(name: str, parsed: tuple[str, str, str]) -> None:
    assert parse_name(name) == parsed


def test_an_evaluation_without_images_is_blind_whatever_its_folder_is_called(run: Path) -> None:
    evals = run / "evals"
    (evals / "storyboard-held_in-blind").rename(evals / "seen")
    told = json.loads((evals / "seen" / "result.json").read_text())
    assert [it.condition for it in read_evaluations(evals / "seen")] == ["blind" if told["blind"] else "model"]
    (evals / "seen" / "result.json").write_text(json.dumps({**told, "blind": True}))
    assert [it.condition for it in read_evaluations(evals / "seen")] == ["blind"]


def lane(condition: str, low: float, high: float) -> Lane:
    return Lane(condition, condition, Score((low + high) / 2, low, high, 100, 0.25))


def test_the_verdict_follows_the_intervals_and_nothing_else() -> None:
    blind, untuned = lane("blind", 0.2, 0.3), lane("untuned", 0.5, 0.65)
    said = verdict_on([blind, untuned, lane("tuned", 0.6, 0.7)])
    assert "above chance and blind" in said
    assert "Not told apart from untuned" in said
    assert "Not told apart" not in verdict_on([blind, untuned, lane("tuned", 0.7, 0.8)])
    assert verdict_on([blind, untuned]) == ""


def test_of_a_stage_that_ran_twice_the_last_counts(tmp_path: Path) -> None:
    records = [{"stage": "a", "wall_s": 9, "peak_gib": 1}, {"stage": "b", "wall_s": 2, "peak_gib": 1}]
    records += [{"stage": "a", "wall_s": 3, "peak_gib": 2}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert [(cost.stage, cost.wall_s) for cost in gather(tmp_path).costs] == [("b", 2.0), ("a", 3.0)]


def test_smoothing_keeps_a_level_and_the_first_value() -> None:
    assert list(smoothed([2.0] * 30)) == pytest.approx([2.0] * 30)
    falling = [5.0, 3.0, 2.0, *[1.0] * 27]
    assert smoothed(falling)[0] == 5.0
    assert min(falling) <= min(smoothed(falling))
