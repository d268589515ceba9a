"""One's own held-out rows: which replies are questions, by which rule each is marked, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from triptych.core.errors import DataError, NotFoundError
from triptych.core.plugins import find
from triptych.core.records import Example, Json, text_of
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, story_of
from triptych.evaluate.reading.scorers import reference_of

LONG = "A red car is parked beside the tall green tree."
LISTED = "Which is it?\n(A) a cat\n(B) a dog\n(C) a cow\nAnswer with the letter."


def benchmark(name: str = "own") -> Benchmark:
    return find("benchmark", name, expected=Benchmark)


def write(folder: Path, *talks: list[tuple[str, str]], **facts: Json) -> Path:
    """A file of rows, each on one picture, with these facts in every row."""
    Image.new("RGB", (16, 16), "red").save(folder / "red.png")
    rows = []
    for number, talk in enumerate(talks):
        picture = {"type": "image", "image": 0}
        said = [
            {
                "role": role,
                "content": [*([picture] if (at, role) == (0, "user") else []), {"type": "text", "text": words}],
            }
            for at, pair in enumerate(talk)
            for role, words in zip(("user", "assistant"), pair, strict=True)
        ]
        rows.append({"id": f"r{number}", "messages": said, "images": [{"path": "red.png"}], "facts": facts})
    path = folder / "held.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path, name: str = "own") -> list[Example]:
    rows = list(benchmark(name).questions(path))
    assert not [row.message for row in rows if isinstance(row, Refused)]
    return [row for row in rows if isinstance(row, Example)]


def only(path: Path, name: str = "own") -> Example:
    (question,) = read(path, name)
    return question


@pytest.mark.parametrize(
    ("asked", "reference", "split", "chance", "options"),
    [
        (LISTED, "B", "choice", 1 / 3, ["a cat", "a dog", "a cow"]),
        (LISTED, "(B) a dog", "choice", 1 / 3, ["a cat", "a dog", "a cow"]),
        ("Which? A. a cat B. a dog", "A dog", "choice", 1 / 2, ["a cat", "a dog"]),
        ("Pick A) one B) two", "A", "choice", 1 / 2, ["one", "two"]),
        ("Pick: A: one, B: two", "B", "choice", 1 / 2, ["one", "two"]),
        ("Which letter is on the sign?", "B", "short", 0.0, None),
        ("In plan A. we go. Which?", "A", "short", 0.0, None),
        (LISTED, "D", "short", 0.0, None),
        ("Is it red?", "Yes.", "short", 0.5, None),
        ("True or false?", "false", "short", 0.5, None),
        ("How many?", "1,200", "short", 0.0, None),
        ("What?", "the red car over there", "short", 0.0, None),
        ("What?", LONG, "rouge_l", 0.0, None),
        ("是什么?", "红车", "short", 0.0, None),
        ("是什么?", "一辆红色的汽车停在树旁边", "rouge_l", 0.0, None),
    ],
)
def test_the_rule_and_the_chance_follow_from_the_row(
    tmp_path: Path, asked: str, reference: str, split: str, chance: float, options: list[str] | None
) -> None:
    question = only(write(tmp_path, [(asked, reference)]))
    own = benchmark()
    assert (question.facts["split"], question.facts.get("options")) == (split, options)
    assert own.chance(question) == pytest.approx(chance)
    assert own.score(question, reference) == pytest.approx(1)
    assert not own.answered(question, "")
    assert own.score(question, "a giraffe on a bicycle") < 0.3


@pytest.mark.parametrize(
    ("asked", "reference", "right", "wrong"),
    [
        (LISTED, "B", "The answer is (B).", "A"),
        (LISTED, "B", "It is a dog", "It is a cow"),
        ("Is it red?", "Yes", "Yes, it is red.", "No."),
        ("How many?", "3", "There are three.", "4"),
        ("What?", "the red car", "A red car!", "the red"),
    ],
)
def test_short_replies_are_right_or_wrong(tmp_path: Path, asked: str, reference: str, right: str, wrong: str) -> None:
    question = only(write(tmp_path, [(asked, reference)]))
    assert [benchmark().score(question, said) for said in (right, wrong)] == [1.0, 0.0]


def test_a_long_reply_is_worth_the_words_that_it_shares_in_their_order(tmp_path: Path) -> None:
    own, question = benchmark(), only(write(tmp_path, [("What?", LONG)]))
    near, mixed, none = "A red car beside a green tree", "tree green tall the beside parked", "Nothing of it."
    marks = [own.score(question, said) for said in (LONG.upper(), near, mixed, none, "...")]
    assert marks[0] == pytest.approx(1)
    assert marks == sorted(marks, reverse=True)
    assert marks[1] == pytest.approx(2 * 6 / (6 + 10), abs=0.01)
    assert (marks[-2], own.answered(question, "...")) == (0, False)


def test_one_rule_for_all_rows_is_a_benchmark_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, [(LISTED, "B")], [("What?", LONG)])
    splits = {
        name: [each.facts["split"] for each in read(path, name)] for name in ("own_exact", "own_rouge_l", "own_judge")
    }
    assert splits == {"own_exact": ["choice", "short"], "own_rouge_l": ["rouge_l"] * 2, "own_judge": ["judge"] * 2}
    exact, long = benchmark("own_exact"), read(path, "own_exact")[1]
    assert [exact.score(long, said) for said in (LONG.lower(), LONG[:-6])] == [1.0, 0.0]
    assert {benchmark(name).max_tokens for name in ("own", *splits)} == {512}


def test_a_judge_reads_the_words_and_the_reference_and_not_the_image(tmp_path: Path) -> None:
    question = only(write(tmp_path, [("What is this?", LONG)]), "own_judge")
    judge = benchmark("own_judge").judge
    assert judge is not None
    asked = judge.ask(question, "A 100%s car.")
    (turn,) = asked.turns
    assert "user: <image>What is this?" in text_of(turn)
    assert LONG in text_of(turn)
    assert "A 100%s car." in text_of(turn)
    assert [judge.read(question, said) for said in ("score: 0.7", "good")] == [{"score": 0.7}, None]


def test_every_reply_is_a_question_with_what_came_before(tmp_path: Path) -> None:
    path = write(tmp_path, [("Is it red?", "No"), (LISTED, "B"), ("Why?", LONG)], [("What?", "a dog")])
    first, second, third, single = read(path)
    assert [each.id for each in (first, second, third, single)] == ["r0/1", "r0/2", "r0/3", "r1"]
    assert [each.facts["split"] for each in (first, second, third)] == ["short", "choice", "rouge_l"]
    assert [len(each.turns) for each in (first, second, third)] == [2, 4, 6]
    assert (reference_of(first), reference_of(third)) == ("No", LONG)
    assert {story_of(each) for each in (first, second, third)} == {story_of(single)}, "all rows show one picture"


def test_facts_of_a_row_are_about_its_last_reply(tmp_path: Path) -> None:
    path = write(
        tmp_path, [("Is it?", "Well"), ("Which?", "dog")], choice=True, options=["cat", "dog"], scenario="views"
    )
    first, last = read(path)
    assert (first.facts["split"], last.facts["split"]) == ("short", "choice")
    assert "options" not in first.facts
    assert first.facts["scenario"] == last.facts["scenario"] == "views"


def test_facts_of_each_reply_are_its_own(tmp_path: Path) -> None:
    turns: list[Json] = [{"choice": True, "options": ["cat", "dog"]}, {"chance": 0.25}]
    first, last = read(write(tmp_path, [("Which?", "cat"), ("Where?", "left")], turns=turns))
    assert (first.facts["split"], benchmark().chance(first)) == ("choice", 0.5)
    assert (last.facts["split"], benchmark().chance(last)) == ("short", 0.25)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"choice": True, "options": ["cat"]}, "two or more"),
        ({"choice": True, "options": ["cat", "cow"]}, "its own reply is not right"),
        ({"answers": ["cat", "cow"]}, "its own reply is not right"),
        ({"chance": 2}, "chance"),
        ({"turns": [{}, {}]}, "1 replies"),
    ],
)
def test_a_row_that_could_never_be_right_is_refused(tmp_path: Path, facts: dict[str, Json], words: str) -> None:
    (row,) = benchmark().questions(write(tmp_path, [("What?", "dog")], **facts))
    assert isinstance(row, Refused)
    assert words in row.message
    assert "row 0" in row.where


def test_a_second_row_of_one_id_is_refused_and_the_first_is_asked(tmp_path: Path) -> None:
    path = write(tmp_path, [("What?", "dog")], [("And what?", "cat")])
    path.write_text(path.read_text().replace('"r1"', '"r0"'))
    first, second = benchmark().questions(path)
    assert isinstance(first, Example)
    assert isinstance(second, Refused)
    assert second.message.endswith("(id 'r0'): an earlier row has that id. Give each its own.")


def test_a_path_is_a_source_with_its_rows_a_file_or_a_folder(tmp_path: Path) -> None:
    path = write(tmp_path, *([("What?", f"thing {number}")] for number in range(4)))
    for text, count in ((f"messages:{path}#rows=1-2", 2), (f"{path}#limit=3", 3), (str(path), 4), (str(tmp_path), 4)):
        assert len(read(Path(text))) == count
    with pytest.raises(NotFoundError, match="mantis"):
        read(Path(f"mantiss:{path}"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="FORMAT:PATH"):
        read(tmp_path / "empty")


def test_a_reply_that_is_not_learnt_is_context(tmp_path: Path) -> None:
    path = write(tmp_path, [("Is it red?", "No"), ("Why?", "paint")])
    row = json.loads(path.read_text())
    row["messages"][1]["loss"] = False
    path.write_text(json.dumps(row) + "\n")
    question = only(path)
    assert (question.id, len(question.turns), reference_of(question)) == ("r0", 4, "paint")
