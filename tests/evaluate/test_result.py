"""What scores come to: macro totals, groups right together, published readings, judges, the list of benchmarks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from triptych.core.errors import ConfigError, DataError
from triptych.core.records import Example, ImageRef, Json, Text, Turn
from triptych.evaluate.benchmark import Benchmark, Figures, chance_of
from triptych.evaluate.page import listing
from triptych.evaluate.reading import scorers
from triptych.evaluate.reading.judge import Judge, needs_judge
from triptych.evaluate.running.result import Result
from triptych.evaluate.running.run import evaluate
from triptych.evaluate.running.secondary_scores import secondary_lines, secondary_to_json
from triptych.infer.canned import CannedResponder


def question(name: str, kind: str, **facts: Json) -> Example:
    turns = (Turn("user", (Text("Which word?"),)), Turn("assistant", (Text("right"),)))
    return Example(name, turns, facts={"kind": kind, "chance": 0.25, **facts})


def benchmark(questions: list[Example], **told: object) -> Benchmark:
    settings: dict[str, object] = {"score": scorers.correct, **told}

    def read(path: Path) -> Iterator[Example]:
        yield from questions

    return Benchmark(questions=read, chance=chance_of, cite="ours", about="drawn", **settings)  # type: ignore[arg-type]


def mark(of: Benchmark, replies: Mapping[str, str], folder: Path, **told: object) -> Result:
    return evaluate(of, folder, responder=CannedResponder(replies), folder=folder, **told)  # type: ignore[arg-type]


def test_a_macro_total_weighs_every_group_alike(tmp_path: Path) -> None:
    questions = [question(f"a{number}", "a", chance=0.5) for number in range(8)]
    questions += [question(f"b{number}", "b", chance=0.1) for number in range(2)]
    replies = {each.id: "right" if each.facts["kind"] == "a" else "wrong" for each in questions}
    micro = mark(benchmark(questions), replies, tmp_path / "micro")
    macro = mark(benchmark(questions, aggregate="macro"), replies, tmp_path / "macro")
    assert (micro.total.score, macro.total.score) == (0.8, 0.5)
    assert macro.total.chance == pytest.approx(0.3)
    assert macro.total.low < 0.5 < macro.total.high
    assert macro.total.n == 10
    assert {name: score.score for name, score in macro.by_task.items()} == {"a": 1, "b": 0}


def test_macro_groups_and_tasks_are_the_facts_that_the_benchmark_names(tmp_path: Path) -> None:
    questions = [question(str(number), "k", field="xy"[number > 0], chapter=str(number)) for number in range(4)]
    replies = {each.id: "right" if each.id == "0" else "wrong" for each in questions}
    found = mark(benchmark(questions, aggregate="macro", group="field", tasks="chapter"), replies, tmp_path)
    assert found.total.score == 0.5
    assert set(found.by_task) == {"0", "1", "2", "3"}
    assert set(found.by_kind) == {"k"}
    assert json.loads((tmp_path / "result.json").read_text())["by_task"].keys() == {"0", "1", "2", "3"}


def test_a_group_is_right_together_when_all_of_it_is(tmp_path: Path) -> None:
    questions = [question(f"{pair}{side}", "k", pair=pair) for pair in "ab" for side in "12"] + [question("x", "k")]
    replies = {each.id: "right" for each in questions} | {"b2": "wrong"}
    found = mark(benchmark(questions, together={"both": "pair"}), replies, tmp_path).together["both"]
    assert (found.score, found.n) == (0.5, 2)
    assert found.chance == pytest.approx(0.25**2)


def test_a_group_of_which_a_part_was_not_asked_or_failed_does_not_count(tmp_path: Path) -> None:
    questions = [question(f"{pair}{side}", "k", pair=pair) for pair in "abc" for side in "12"]
    replies = {each.id: "right" for each in questions if each.id != "c2"}
    of = benchmark(questions, together={"both": "pair"})
    assert mark(of, replies, tmp_path / "failed").together["both"].n == 2
    assert mark(of, replies, tmp_path / "some", limit=3).together["both"].n == 0


def test_the_published_reading_is_told_beside_ours(tmp_path: Path) -> None:
    questions = [question(str(number), "k") for number in range(4)]
    replies = {"0": "right", "1": "Right.", "2": "right", "3": "left"}
    exact = benchmark(questions, published=lambda question, reply: float(reply == "right"))
    found = mark(exact, replies, tmp_path)
    assert found.total.score == 0.75
    assert found.published is not None
    assert found.published.score == 0.5
    assert json.loads((tmp_path / "result.json").read_text())["published"]["score"] == 0.5


def test_what_the_authors_leave_out_is_not_in_their_number_and_groups_are_read_their_way_too(tmp_path: Path) -> None:
    questions = [question(f"{pair}{side}", "k", pair=pair) for pair in "ab" for side in "12"]
    replies = {"a1": "right", "a2": "Right.", "b1": "right", "b2": "nothing"}

    def read(question: Example, reply: str) -> float | None:
        return None if reply == "nothing" else float(reply == "right")

    found = mark(benchmark(questions, published=read, together={"both": "pair"}), replies, tmp_path)
    assert found.published is not None
    assert found.published.n == 3
    assert found.published.score == pytest.approx(2 / 3)
    assert (found.together["both"].score, found.together["both"].n) == (0.5, 2)
    assert (found.published_together["both"].score, found.published_together["both"].n) == (0, 1)


def test_figures_are_told_in_their_unit_with_the_published_reading_beside_them(tmp_path: Path) -> None:
    questions = [question(str(number), "k") for number in range(20)]
    replies = {each.id: "right" if int(each.id) % 4 else "Right." for each in questions} | {"1": "wrong"}
    twice = Figures(
        count=lambda story: [sum(one.score for one in story), len(story)],
        values=lambda sums: {"points": 200 * sums[0] / sums[1], "share": sums[0] / sums[1]},
        best=lambda name: 200.0 if name == "points" else 1.0,
    )
    of = benchmark(questions, figures=twice, published=lambda question, reply: float(reply == "right"))
    found = mark(of, replies, tmp_path)
    points = found.figures["points"]
    assert (points.value, points.best, points.published) == (190, 200, 140)
    assert 0 < points.low < 190 < points.high <= 200
    told = json.loads((tmp_path / "result.json").read_text())["figures"]
    assert (told["points"]["value"], told["share"]["published"]) == (190, 0.7)
    lines = secondary_lines(found)
    assert lines[0].startswith("points 190.0 (")
    assert lines[0].endswith(" of 200; by the authors' own reading 140.0")
    assert lines[1].startswith("share 95.0% (")
    assert lines[-1].startswith("by the authors' own reading 70.0% (")
    assert secondary_to_json(found)["figures"] == told


def test_a_benchmark_without_figures_tells_nothing_beside_its_total(tmp_path: Path) -> None:
    found = mark(benchmark([question("0", "k")]), {"0": "right"}, tmp_path)
    assert secondary_lines(found) == []
    assert secondary_to_json(found) == {}


def test_a_whole_corpus_is_scored_at_once_with_the_questions_whose_reply_says_nothing(tmp_path: Path) -> None:
    questions = [question(str(number), "k") for number in range(3)]
    of = benchmark(questions, corpus=lambda replies: [1 / len(replies)] * len(replies))
    found = mark(of, {"0": "a", "1": "", "2": "b"}, tmp_path)
    assert found.total.score == pytest.approx((1 / 3 + 0 + 1 / 3) / 3)
    assert found.unanswered == 1


def test_questions_on_one_image_are_no_independent_ones(tmp_path: Path) -> None:
    def asked(name: str, image: int) -> Example:
        turns = (Turn("user", (ImageRef(f"{image}.png"), Text("?"))), Turn("assistant", (Text("yes"),)))
        return Example(name, turns, facts={"kind": "x", "chance": 0.25})

    replies = {str(number): "yes" if number % 4 < 2 else "no" for number in range(60)}
    alone = mark(benchmark([asked(name, int(name)) for name in replies]), replies, tmp_path / "alone")
    pairs = mark(benchmark([asked(name, int(name) // 2) for name in replies]), replies, tmp_path / "pairs")
    assert alone.total.score == pairs.total.score == 0.5
    assert pairs.total.high - pairs.total.low > 1.3 * (alone.total.high - alone.total.low)


def test_a_statistic_stands_for_the_mean_of_every_group(tmp_path: Path) -> None:
    questions = [question(str(number), "k") for number in range(12)]
    replies = {each.id: "right" if int(each.id) % 3 else "wrong" for each in questions}
    of = benchmark(questions, statistic=lambda marked: max(score for _, score in marked) - 0.5)
    found = mark(of, replies, tmp_path)
    assert found.total.score == found.by_task["k"].score == 0.5
    assert found.total.low <= 0.5 <= found.total.high
    with pytest.raises(DataError, match="statistic"):
        mark(benchmark(questions, statistic=len, aggregate="macro"), replies, tmp_path)


def judged() -> Judge:
    def ask(question: Example, reply: str) -> Example:
        return Example("", (Turn("user", (Text(f"Is {reply!r} good?"),)),))

    def number(question: Example, verdict: str) -> Mapping[str, float] | None:
        return {"score": float(verdict), "style": 1.0} if verdict.replace(".", "").isdecimal() else None

    return Judge(ask=ask, read=number, published="a large model")


def test_a_judge_marks_and_its_measures_are_told(tmp_path: Path) -> None:
    questions = [question(str(number), "k") for number in range(4)]
    replies = {"0": "right", "1": "left", "2": "", "3": "right"}
    verdicts = {"0": "1", "1": "0.5", "3": "0"}
    of = benchmark(questions, judge=judged())
    found = mark(of, replies, tmp_path, judge=CannedResponder(verdicts, "a judge"))
    assert found.total.score == pytest.approx(1.5 / 4)
    assert (found.judge, found.unanswered, found.failed) == ("a judge", 1, 0)
    assert found.measures["style"].n == 3
    assert found.agreement == pytest.approx(1 / 3)


def test_a_verdict_that_cannot_be_read_is_no_wrong_answer(tmp_path: Path) -> None:
    questions = [question(str(number), "k") for number in range(3)]
    replies = {each.id: "something" for each in questions}
    of = benchmark(questions, judge=judged(), score=needs_judge)
    found = mark(of, replies, tmp_path, judge=CannedResponder({"0": "1", "1": "I cannot tell"}))
    assert (found.total.n, found.total.score, found.failed) == (1, 1.0, 2)
    assert found.agreement is None
    items = [json.loads(line) for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    assert [item["score"] for item in items] == [1.0, None, None]
    assert "cannot be read: 'I cannot tell'" in items[1]["failed"]
    assert "no canned reply" in items[2]["failed"]


def test_a_judge_is_wanted_before_anything_is_asked_and_only_where_one_is(tmp_path: Path) -> None:
    questions = [question("0", "k")]
    asked: list[str] = []

    def say(question: Example) -> str:
        asked.append(question.id)
        return "right"

    with pytest.raises(ConfigError, match="a large model"):
        evaluate(
            benchmark(questions, judge=judged(), score=needs_judge),
            tmp_path,
            responder=CannedResponder(say),
            folder=tmp_path,
        )
    with pytest.raises(ConfigError, match="asks no judge"):
        evaluate(
            benchmark(questions), tmp_path, responder=CannedResponder(say), folder=tmp_path, judge=CannedResponder(say)
        )
    assert not asked


def test_the_list_of_benchmarks_tells_each_in_a_row() -> None:
    rows = {one.name: listing.cells(one) for one in listing.listed()}
    assert all(len(row) == len(listing.HEADINGS) for row in rows.values())
    assert rows["nlvr2"][1:6] == ("1", "6,967", "accuracy", "50.0%", "2")
    assert rows["remi"][3] == "accuracy (macro: kind)"
    told = {str(one["name"]): one for one in listing.to_json(listing.listed()) if isinstance(one, dict)}
    assert told.keys() == rows.keys()
    assert told["winoground"]["together"] == ["text", "image", "group"]
    json.dumps(list(told.values()))
