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
