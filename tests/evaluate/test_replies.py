"""Files of replies as evaluation kits write them: read where they are clear, named with what to do where not."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tests.evaluate.test_marking import BLINK, write_key, write_lines
from tests.samples.golden import SAMPLES, questions_of
from triptych.core.errors import DataError
from triptych.core.plugins import find
from triptych.data.disk.json_rows import read_rows
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.reading.replies import read_replies
from triptych.evaluate.reading.scorers import reference_of
from triptych.evaluate.saved.marking import mark


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"id": "7", "prediction": "A"}, "7"),
        ({"index": 7, "question": "?", "answer": "B", "prediction": "A"}, "7"),
        ({"question_id": 7, "prompt": "?", "text": "A", "answer_id": "x", "model_id": "m"}, "7"),
        ({"id": "a", "index": 7, "question_id": 8, "reply": "A"}, "a"),
        ({"id": 7.0, "reply": "A", "text": "?"}, "7"),
        ({"id": "7", "all_choices": ["A", "B"], "response": "A"}, "7"),
        ({"index": 7, "pid": "9", "question": "?", "prediction": "A"}, "7"),
        ({"question_id": 7, "pid": "9", "text": "A"}, "7"),
        ({"question_id": 7, "text": "?", "image": "a.png", "response": "A"}, "7"),
    ],
)
def test_the_id_and_the_reply_of_kits_are_known(row: dict[str, object], name: str, tmp_path: Path) -> None:
    found = read_replies(write_lines(tmp_path / "replies.jsonl", [row]))
    assert {each: reply.text for each, reply in found.by_id.items()} == {name: "A"}


@pytest.mark.parametrize(("held", "text"), [(3, "3"), (3.0, "3"), (2.5, "2.5"), (None, "")])
def test_a_reply_that_is_a_number_is_read_as_people_write_it(held: object, text: str, tmp_path: Path) -> None:
    row = {"index": 7, "question": "?", "prediction": held}
    assert read_replies(write_lines(tmp_path / "replies.jsonl", [row])).by_id["7"].text == text


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"doc_id": 0, "target": "yes", "filtered_resps": ["Yes"]}, "lmms-eval.*'filtered_resps', as 'reply'"),
        ({"index": 1, "question_id": 2, "prediction": "A"}, "'index' or 'question_id' may be the id"),
        ({"question_id": 1, "image": "a.png", "text": "What is it?"}, "no reply"),
        ({"id": 1, "text": "A"}, "no reply"),
        ({"index": 1, "prediction": "A"}, "'index' may number the rows"),
        ({"id": 1.5, "reply": "A"}, "'id' is 1.5"),
    ],
)
def test_a_line_that_may_mean_another_thing_is_not_guessed(row: dict[str, object], why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"row 0.*{why}"):
        read_replies(write_lines(tmp_path / "replies.jsonl", [row]))


def test_a_table_is_called_one_with_what_to_do(tmp_path: Path) -> None:
    book, renamed, lines = tmp_path / "a.xlsx", tmp_path / "b.jsonl", tmp_path / "a.tsv"
    for path in (book, renamed):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("[Content_Types].xml", "<Types/>")
    lines.write_text("index\tprediction\n1\tA\n")
    for path in (book, lines):
        with pytest.raises(DataError, match=r'a table[.] Save it as JSON Lines, a line each: {"id"'):
            read_replies(path)
    for path in (book, renamed, lines):
        with pytest.raises(DataError, match=r"a table.* Save it as JSON Lines, an object a row"):
            list(read_rows(path))


def test_replies_with_other_ids_than_the_questions_are_told_what_an_id_is(tmp_path: Path) -> None:
    answers = write_lines(tmp_path / "replies.jsonl", [{"question_id": 0, "text": "A"}])
    key = write_key(tmp_path / "key.json", {"val_Jigsaw_1": "A"})
    with pytest.raises(DataError, match=r"here '0', there 'val_Jigsaw_1'.*needs the id that its question has there"):
        mark(BLINK, answers, key=key)


def test_an_index_that_numbers_rows_is_told_by_the_question_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    questions = questions_of("pope")
    rows = [
        {
            "index": question.id,
            "question": str(question.facts["question"]).upper(),
            "prediction": reference_of(question),
        }
        for question in questions
    ]
    pope = find("benchmark", "pope", expected=Benchmark)
    answers = write_lines(tmp_path / "replies.jsonl", rows)
    assert mark(pope, answers, data=SAMPLES / "pope").result.total.score == 1
    moved = [{**row, "index": other["index"]} for row, other in zip(rows, [*rows[1:], rows[0]], strict=True)]
    with pytest.raises(DataError, match=r"is another question there: .* call them 'id'"):
        mark(pope, write_lines(answers, moved), data=SAMPLES / "pope")


def test_a_key_with_an_id_twice_is_refused_by_that_id(tmp_path: Path) -> None:
    answers = write_lines(tmp_path / "replies.jsonl", [{"id": "val_Jigsaw_1", "reply": "A"}])
    (tmp_path / "key.json").write_text('{"val_Jigsaw_2": "A", "val_Jigsaw_1": "A", "val_Jigsaw_1": "B"}')
    with pytest.raises(DataError, match=r"key.json: 'val_Jigsaw_1' is there 2 times"):
        mark(BLINK, answers, key=tmp_path / "key.json")
    (tmp_path / "key.json").write_text(json.dumps({"val_Jigsaw_2": "A", "val_Jigsaw_1": "A"}))
    assert mark(BLINK, answers, key=tmp_path / "key.json").result.total.n == 2


BY_PID = {
    "7": {
        "pid": "7",
        "question": "How many?",
        "answer": "4",
        "response": "I see 4.",
        "extraction": "4",
        "prediction": "4",
    },
    "8": {
        "pid": "8",
        "question": "Which?",
        "response": None,
        "extraction": "",
        "prediction": None,
        "true_false": False,
    },
}


@pytest.mark.parametrize("indent", [None, 2])
def test_an_object_of_rows_by_id_is_read_as_mathvista_has_it(indent: int | None, tmp_path: Path) -> None:
    path = tmp_path / "output.json"
    path.write_text(json.dumps(BY_PID, indent=indent))
    found = read_replies(path)
    assert {name: (reply.text, reply.asked) for name, reply in found.by_id.items()} == {
        "7": ("I see 4.", "How many?"),
        "8": ("", "Which?"),
    }
    assert (found.repeated, found.own) == (0, False)
    lines = write_lines(tmp_path / "output.jsonl", list(BY_PID.values()))
    assert read_replies(lines).by_id == found.by_id


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"7": {"pid": "8", "response": "A"}}', "the row of '7' says that its 'pid' is '8'"),
        ('{"7": {"response": "A"}, "7": {"response": "B"}}', "'7' is there 2 times"),
        ('{"7": {"response": "A"},\n "8": {"words": "B"}}', r"output.json \(id '8'\): no reply"),
        ('{"7": {"response": ["A"]}}', r"\(id '7'\): the reply is .* neither a text nor a number"),
        ('{\n"7": "A",\n"8": "B"}', "one object, but not of rows by id"),
        ('{"7": "A", "8": "B"}', "row 0: no id"),
        ('{"7": {"prediction": "A", "response": "B"}}', "'prediction' or 'response' may be the reply"),
        ('{"id": 7, "reply": \n{"id": 8, "reply": "A"}', "row 0: not JSON"),
        ('{\n"id": "7",\n"reply": "B"}', "or JSON Lines: each row on a line of its own"),
        ('[{"a": {"reply": "A"}}]', "row 0: no id"),
        ('{"7": {"pid": "7", "prediction": "A"}}', "no 'response'. MathVista's 'prediction' is what was read in it"),
        ('{"pid": "7", "prediction": "A"}', "no 'response'"),
        ('{"question_id": 7, "text": "A", "response": "B"}', "'text' or 'response' may be the reply"),
        ('{"id": 7, "prediction": "A", "response": "B"}', "'prediction' or 'response' may be the reply"),
    ],
)
def test_an_object_that_is_odd_is_refused_with_its_place(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "output.json"
    path.write_text(text)
    with pytest.raises(DataError, match=why):
        read_replies(path)


def test_a_pid_beside_another_id_changes_nothing(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "pid": "7", "question": "How many?", "reply": "B"},
        {"id": "b", "prediction": None, "response": "A"},
    ]
    found = read_replies(write_lines(tmp_path / "lines.jsonl", rows)).by_id
    assert {name: (reply.text, reply.asked) for name, reply in found.items()} == {"a": ("B", ""), "b": ("", "")}


def test_in_an_object_by_id_a_row_may_have_no_id_or_a_number(tmp_path: Path) -> None:
    path = tmp_path / "output.json"
    path.write_text('{"7": {"id": 7.0, "reply": "A"}, "8": {"id": null, "reply": "B"}}')
    assert {name: reply.text for name, reply in read_replies(path).by_id.items()} == {"7": "A", "8": "B"}


def test_a_folder_with_a_file_for_each_subject_is_read_as_mmmu_has_it(tmp_path: Path) -> None:
    for subject, row in (
        ("Art", {"id": "validation_Art_1", "all_choices": ["A", "B"], "response": "B"}),
        ("Math", None),
    ):
        (tmp_path / subject).mkdir()
        (tmp_path / subject / "output.json").write_text(
            json.dumps(
                [row or {"id": "validation_Math_1", "question_type": "short-answer", "response": "12"}], indent=4
            )
        )
    found = read_replies(tmp_path)
    assert {name: reply.text for name, reply in found.by_id.items()} == {
        "validation_Art_1": "B",
        "validation_Math_1": "12",
    }
    with pytest.raises(DataError, match=r"a folder without \*/output.json"):
        read_replies(tmp_path / "Art")
