"""Saved replies are marked: every id of the key counts, and what cannot be used is counted and told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.samples.golden import SAMPLES, questions_of
from triptych.core.errors import ConfigError, DataError
from triptych.core.plugins import find
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.reading.replies import read_replies
from triptych.evaluate.reading.scorers import reference_of
from triptych.evaluate.running.run import evaluate
from triptych.evaluate.saved.audit import doubts_of, excerpt_of
from triptych.evaluate.saved.compare import compare_folders
from triptych.evaluate.saved.comparison_text import lines_of as compare_lines
from triptych.evaluate.saved.marking import Marked, lines_of, mark, marked_to_json, warnings_of, write_items
from triptych.evaluate.saved.sides import read_sides
from triptych.infer.canned import CannedResponder

BLINK = find("benchmark", "blink", expected=Benchmark)
KEY = {"val_Jigsaw_1": "(A)", "val_Jigsaw_2": "(B)", "val_Counting_1": "(D)", "val_Relative_Depth_1": "(B)"}


def write_lines(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_key(path: Path, key: Mapping[str, object]) -> Path:
    path.write_text(json.dumps(key), encoding="utf-8")
    return path


def marked(folder: Path, replies: Mapping[str, str], key: Mapping[str, str] = KEY, name: str = "blink") -> Marked:
    answers = write_lines(folder / "replies.jsonl", [{"id": one, "reply": reply} for one, reply in replies.items()])
    return mark(find("benchmark", name, expected=Benchmark), answers, key=write_key(folder / "key.json", key))


def test_the_options_of_a_task_are_known_from_an_id(tmp_path: Path) -> None:
    replies = {
        "val_Jigsaw_1": "the second image",
        "val_Jigsaw_2": "the second image",
        "val_Counting_1": "(D) 3",
        "val_Relative_Depth_1": "Point B is closer.",
    }
    found = marked(tmp_path, replies)
    assert [(item.choice, item.score) for item in found.items] == [("A", 1.0), ("A", 0.0), ("D", 1.0), ("B", 1.0)]
    assert found.result.total.score == pytest.approx((0.5 + 1 + 1) / 3)  # the mean over tasks
    assert found.result.total.n == 4
    assert {name: score.n for name, score in found.result.by_task.items()} == {
        "Counting": 1,
        "Jigsaw": 2,
        "Relative_Depth": 1,
    }


def test_an_evaluation_is_marked_by_its_folder_as_by_its_file(tmp_path: Path) -> None:
    asked = questions_of("blink")
    folder = tmp_path / "blink-val"
    evaluate(BLINK, SAMPLES / "blink", responder=CannedResponder(lambda _: "A"), folder=folder)
    by_folder, by_file = (mark(BLINK, path, name="blink") for path in (folder, folder / "answers.jsonl"))
    assert by_folder == by_file
    assert by_folder.result.total.n == len(asked)
    with pytest.raises(DataError, match=r"a folder without .* and without answers\.jsonl \(an evaluation of ours\)"):
        mark(BLINK, tmp_path, name="blink")


def test_an_id_without_a_reply_scores_nothing_and_is_counted(tmp_path: Path) -> None:
    found = marked(tmp_path, {"val_Jigsaw_1": "A", "val_Counting_1": "I cannot tell."})
    assert (found.missing, found.result.unanswered, found.result.total.n) == (2, 3, 4)
    assert marked_to_json(found)["missing"] == 2
    assert any(line.startswith("2 ids of the key have no reply") for line in warnings_of(found))


def test_what_is_denied_and_two_letters_are_unanswered(tmp_path: Path) -> None:
    replies = ("A can be ruled out.", "The answer is A & B", "D looks wrong.", "B is the wrong answer.")
    found = marked(tmp_path, dict(zip(KEY, replies, strict=True)))
    assert (found.result.unanswered, found.result.total.score) == (4, 0.0)
    assert [doubt.why for doubt in doubts_of(found.items)] == ["both", *["unanswered"] * 3]


def test_replies_to_ids_beyond_the_key_are_counted_and_not_used(tmp_path: Path) -> None:
    every = {**dict.fromkeys(KEY, "A"), "val_Jigsaw_99": "A"}
    found = marked(tmp_path, every)
    assert (found.beyond, found.result.total.n, found.missing) == (1, 4, 0)
    assert any(line.startswith("1 replies are to ids that the key does not have") for line in warnings_of(found))


def test_of_an_id_that_is_there_twice_the_last_reply_counts_and_it_is_told(tmp_path: Path) -> None:
    rows = [{"id": "val_Jigsaw_1", "reply": "B"}, {"id": "val_Jigsaw_1", "reply": "A"}]
    answers = write_lines(tmp_path / "replies.jsonl", rows)
    found = mark(BLINK, answers, key=write_key(tmp_path / "key.json", KEY))
    assert (found.items[0].choice, found.repeated) == ("A", 1)
    assert any("the last one counts" in line for line in warnings_of(found))


def test_replies_to_none_of_the_ids_are_a_wrong_key(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Is it the right key"):
        marked(tmp_path, {"q1": "A"})


def test_a_reply_that_could_not_be_got_is_failed_and_not_scored(tmp_path: Path) -> None:
    rows = [{"id": "val_Jigsaw_1", "failed": "time out"}, {"id": "val_Jigsaw_2", "reply": "B"}]
    answers = write_lines(tmp_path / "replies.jsonl", rows)
    key = write_key(tmp_path / "key.json", {"val_Jigsaw_1": "A", "val_Jigsaw_2": "B"})
    found = mark(BLINK, answers, key=key)
    assert (found.result.failed, found.result.total.n, found.result.total.score) == (1, 1, 1.0)
    assert found.items[0].score is None


def test_the_layout_of_blink_and_a_last_line_without_an_end_are_read(tmp_path: Path) -> None:
    path = tmp_path / "GPT.jsonl"
    path.write_text('{"idx": "a", "full_prediction": "A"}\n{"idx": 7, "full_prediction": null}', encoding="utf-8")
    found = read_replies(path)
    assert {name: reply.text for name, reply in found.by_id.items()} == {"a": "A", "7": ""}
    assert not found.own


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "JSON"),
        ("[1]", "expected an object"),
        ('{"reply": "A"}', "no id"),
        ('{"id": "a", "answer": "A"}', "no reply"),
        ('{"id": "a", "reply": true}', "the reply is .*neither a text nor a number"),
    ],
)
def test_a_line_that_is_no_reply_is_named(tmp_path: Path, line: str, why: str) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_text('{"id": "x", "reply": "A"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"row 1.*{why}"):
        read_replies(path)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ({}, "no answers"),
        ({"val_Jigsaw_1": None}, "val_Jigsaw_1"),
        ({"val_Jigsaw_1": "C"}, "Jigsaw"),
        ({"q": "A"}, "q"),
    ],
)
def test_a_key_that_is_not_the_benchmarks_is_refused_by_id(tmp_path: Path, key: dict[str, object], why: str) -> None:
    answers = write_lines(tmp_path / "replies.jsonl", [{"id": "val_Jigsaw_1", "reply": "A"}])
    with pytest.raises(DataError, match=why):
        mark(BLINK, answers, key=write_key(tmp_path / "key.json", key))


def test_without_data_or_key_it_is_asked_what_is_right(tmp_path: Path) -> None:
    answers = write_lines(tmp_path / "replies.jsonl", [{"id": "val_Jigsaw_1", "reply": "A"}])
    with pytest.raises(ConfigError, match="--answers"):
        mark(BLINK, answers)


def test_a_key_of_letters_or_of_a_few_words_is_enough_for_any_benchmark(tmp_path: Path) -> None:
    letters = marked(
        tmp_path, {"1": "B", "2": "The answer is C.", "3": "D"}, {"1": "B", "2": "C", "3": "A"}, "muirbench"
    )
    assert [item.score for item in letters.items] == [1.0, 1.0, 0.0]
    assert letters.result.unanswered == 1  # no question of that key has a D
    words = marked(tmp_path, {"1": "It is true.", "2": "B"}, {"1": "true", "2": "false"}, "nlvr")
    assert [item.score for item in words.items] == [1.0, 0.0]
    assert words.items[1].choice is None  # no letters were shown
    with pytest.raises(DataError, match="--data"):
        marked(tmp_path, {"1": "x"}, {str(number): f"answer {number}" for number in range(9)}, "vqav2")


def test_answers_of_a_key_that_differ_in_case_or_in_a_point_alone_are_one_option(tmp_path: Path) -> None:
    key: dict[str, object] = {"1": "Yes", "2": "yes", "3": "No", "4": "no", "5": "YES"}
    words = marked(tmp_path, {"1": "yes", "2": "Yes.", "3": "no", "4": "No", "5": "yes"}, key, "muirbench")
    assert (words.result.total.score, words.result.total.chance) == (1.0, 0.5)
    numbers = marked(tmp_path, {"1": "3", "2": "3.0", "3": "two"}, {"1": 3.0, "2": 3, "3": 2}, "muirbench")
    assert (numbers.result.total.score, numbers.result.total.chance) == (1.0, 0.5)


@pytest.mark.parametrize("name", ["blink", "muirbench", "nlvr2", "storyboard"])
def test_reference_replies_score_one_on_the_questions_of_a_sample(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    rows = [{"id": question.id, "reply": reference_of(question)} for question in questions_of(name)]
    found = mark(
        find("benchmark", name, expected=Benchmark), write_lines(tmp_path / "replies.jsonl", rows), data=SAMPLES / name
    )
    assert found.result.total.score == pytest.approx(1)
    assert found.result.total.n == len(rows)
    assert not warnings_of(found)


def test_our_own_answers_are_marked_as_they_were_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    replies = CannedResponder(lambda question: "(A)" if "1" in question.id else "no idea")
    result = evaluate(BLINK, SAMPLES / "blink", responder=replies, folder=tmp_path / "e")
    found = mark(BLINK, tmp_path / "e" / "answers.jsonl")
    assert found.result.total == result.total
    assert found.result.by_task == result.by_task


def test_marked_items_can_be_compared(tmp_path: Path) -> None:
    answers = write_lines(tmp_path / "replies.jsonl", [{"id": one, "reply": "A"} for one in KEY])
    found = mark(BLINK, answers, key=write_key(tmp_path / "key.json", KEY), name="blink")
    write_items(tmp_path / "items.jsonl", found)
    lines = [json.loads(line) for line in (tmp_path / "items.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["id"] for line in lines] == list(KEY)
    assert lines[0] == {
        "id": "val_Jigsaw_1",
        "task": "Jigsaw",
        "choice": "A",
        "correct": True,
        "score": 1.0,
        "answered": True,
        "rule": "whole",
        "sure": True,
        "benchmark": "blink",
        "facts": {"kind": "Jigsaw", "choice": True},
    }
    (side,) = read_sides(tmp_path / "items.jsonl")
    assert list(side.scores.values()) == [1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ["blink", "mirb", "evalcrafter"])
def test_marked_items_are_compared_by_the_total_that_marking_prints(tmp_path: Path, name: str) -> None:
    benchmark, asked = find("benchmark", name, expected=Benchmark), questions_of(name)
    found = []
    for folder, right in (("most", 2), ("few", 3)):
        rows = [
            {"id": question.id, "reply": reference_of(question) if at % 5 < right else "0.5"}
            for at, question in enumerate(asked)
        ]
        (tmp_path / folder).mkdir()
        answers = write_lines(tmp_path / folder / "replies.jsonl", rows)
        found.append(mark(benchmark, answers, data=SAMPLES / name, name=name))
        write_items(tmp_path / folder / f"{folder}.jsonl", found[-1])
    (row,) = compare_folders(tmp_path / "most" / "most.jsonl", tmp_path / "few" / "few.jsonl").rows
    one, other = (each.result.total.score for each in found)
    assert (row.paired.first, row.paired.second) == pytest.approx((one, other))
    assert row.paired.difference == pytest.approx(one - other)
    assert row.paired.low <= row.paired.difference <= row.paired.high
    assert row.statistic == ("mean over tasks" if name == "blink" else "the benchmark's own formula")


def test_a_mean_over_tasks_is_compared_as_one_where_tasks_differ_in_size(tmp_path: Path) -> None:
    paths = []
    for name, right in (("one", ("val_Jigsaw_1", "val_Jigsaw_2")), ("other", ("val_Counting_1",))):
        (tmp_path / name).mkdir()
        replies = {asked: answer if asked in right else "I cannot tell." for asked, answer in KEY.items()}
        found = mark(
            BLINK,
            write_lines(tmp_path / name / "r.jsonl", [{"id": one, "reply": reply} for one, reply in replies.items()]),
            key=write_key(tmp_path / name / "key.json", KEY),
            name="blink",
        )
        paths.append(tmp_path / name / "items.jsonl")
        write_items(paths[-1], found)
    found_rows = compare_folders(*paths)
    (row,) = found_rows.rows
    assert (row.paired.first, row.paired.second, row.paired.difference) == pytest.approx((1 / 3, 1 / 3, 0))
    assert compare_lines(found_rows)[0] == "blink, all: 4 questions; score: mean over tasks"


def test_lines_that_do_not_say_what_their_total_is_made_of_weigh_the_same_and_that_is_told(tmp_path: Path) -> None:
    rows = [{"id": "a", "score": 1, "task": "x"}, {"id": "b", "score": 0, "task": "y"}]
    paths = [write_lines(tmp_path / f"{name}.jsonl", rows) for name in ("one", "other")]
    (row,) = compare_folders(*paths).rows
    assert (row.paired.first, row.statistic) == (0.5, "mean over questions")


def test_the_table_has_a_row_for_each_task(tmp_path: Path) -> None:
    lines = lines_of(marked(tmp_path, dict.fromkeys(KEY, "A")))
    assert [line.split()[0] for line in lines[1:]] == ["all", "Counting", "Jigsaw", "Relative_Depth"]


def test_an_audit_shows_ambiguous_replies_first_and_then_those_that_choose_nothing(tmp_path: Path) -> None:
    replies = {
        "val_Jigsaw_1": "I cannot tell.",
        "val_Jigsaw_2": "(A) or (B)",
        "val_Counting_1": "D",
        "val_Relative_Depth_1": "The answer is A. No: the answer is B.",
    }
    doubts = doubts_of(marked(tmp_path, replies).items)
    assert [(doubt.id, doubt.why, doubt.choice) for doubt in doubts] == [
        ("val_Relative_Depth_1", "ambiguous", "B"),
        ("val_Jigsaw_2", "both", None),
        ("val_Jigsaw_1", "unanswered", None),
    ]


def test_an_excerpt_keeps_the_end_where_replies_conclude() -> None:
    assert excerpt_of("a\n b") == "a b"
    long = excerpt_of("first " + "word " * 200 + "the answer is B")
    assert long.startswith("first")
    assert long.endswith("the answer is B")
    assert len(long) < 240


def test_a_key_that_tells_no_tasks_is_said_to_make_another_total(tmp_path: Path) -> None:
    found = marked(tmp_path, {"x": "A", "y": "B"}, {"x": "A", "y": "A"}, name="mirb")
    assert found.result.total.score == 0.5
    assert warnings_of(found)[-1].startswith("The key alone tells no tasks: replies are read as plain choices")
    assert marked_to_json(found)["by_key_alone"] is True
    assert not any("tells no tasks" in line for line in warnings_of(marked(tmp_path, dict.fromkeys(KEY, "A"))))


def test_facts_that_make_no_total_are_refused_in_a_line(tmp_path: Path) -> None:
    row = {"id": "a", "score": 1, "benchmark": "evalcrafter", "facts": {"kind": "x"}}
    path = write_lines(tmp_path / "one.jsonl", [row])
    with pytest.raises(DataError, match=r"do not make the total of evalcrafter .* Mark the replies again\."):
        compare_folders(path, path)
