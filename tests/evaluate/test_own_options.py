"""What the words of one's own rows list, and what of a reference and a reply is compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluate.test_own_rows import benchmark, only, read, write
from triptych.data.format import Refused
from triptych.evaluate.question import own_rows
from triptych.evaluate.question.own_options import listed_in, numbered_in
from triptych.evaluate.question.own_words import words_of
from triptych.evaluate.reading import scorers

DRAFT = "<think>Not sure yet, perhaps a boat on the lake.</think>"


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("Image A:  \nImage B:  \nWhich is darker?", []),
        ("Speaker A: good day\nSpeaker B: farewell\nWho leaves?", []),
        ("A:  \nB:  \nWhich is darker?", []),
        ("Which? A. boat B. tram Answer with the letter.", ["boat", "tram"]),
        ("Which? A. boat; B. tram;Please output the letter of it.", ["boat", "tram"]),
        ("A) boat B) tram C) bus What stands there?", ["boat", "tram", "bus"]),
        ("Which: A) green, B) grey, or C) pink?", ["green", "grey", "pink"]),
        ("Options: A: boat, B: tram. Is it wet?", ["boat", "tram"]),
        ("A．船 B、车", ["船", "车"]),
        ("哪个？（A）船（B）车", ["船", "车"]),
        ("Which?\n**A.** boat\n**B.** tram", ["boat", "tram"]),
        ("Which? [A] boat [B] tram", ["boat", "tram"]),
        ("Which?\nA - boat\nB - tram", ["boat", "tram"]),
        ("Which? (a) boat (b) tram", ["boat", "tram"]),
        ("Which?\nA.boat\nB.tram", ["boat", "tram"]),
        ("Which?\nA. boat\nB. tram\nHint: see plate C. there", ["boat", "tram"]),
        ("Which?\nC. bus\nA. boat\nB. tram", ["boat", "tram", "bus"]),
        ("Which?\n(A) boat\n\n(C) bus\n(B) tram\nAnswer.", ["boat", "tram", "bus"]),
        ("Which?\nB. tram\nA. boat", ["boat", "tram"]),
        ("Which?\nB. tram\nA. boat\nNow which?\nA. red\nB. green", ["red", "green"]),
        ("Which?\nA. red\nB. green\nNow which?\nB. tram\nA. boat", ["boat", "tram"]),
        ("B. tram\nC. bus", []),
        ("B. tram\nD. bus\nA. boat", []),
        ("B. tram\nWhich?\nA. boat", []),
        ("Which? {'A': 'cat', 'B': \"the dog's\"}", ["cat", "the dog's"]),
        ('Which?\n{\n  "A": "cat, black",\n  "B": "dog (B)"\n}\nAnswer.', ["cat, black", "dog (B)"]),
        ("Which? {'B': 'dog', 'A': 'cat'}", ["cat", "dog"]),
        ("Which? {'A': 'cat', 'C': 'dog'}", []),
        ("Which? {'A': 'cat', 'A': 'dog'}", []),
        ("Which? {'A': 'cat', 'B': ''}", []),
        ('Which?\nA. cat\nB. dog\nReply as {"A": "0.2", "B": "0.8"}', ["cat", "dog"]),
        ("Which? A. cat B. dog\nOptions: A for the cat, B for the dog", ["cat", "dog"]),
        ("How are they?\nA. glad\nB. sad\nTheir talk:\nB: Good day, sir.\nA: Good day.", ["glad", "sad"]),
        ("Which?\nC: bus\nA: boat\nB: tram", ["boat", "tram", "bus"]),
        ("Choices: A cat; B dog", ["cat", "dog"]),
        ("Which? Options: A a cat, black; B a dog.", ["a cat, black", "a dog"]),
        ("Which?\nChoices:\nA cat\nB dog\nC 5 mice", ["cat", "dog", "5 mice"]),
        ("Choices: A cat and a dog, or nothing", []),
        ("Options: A or B", []),
        ("Which word?\nA. and\nB. or", ["and", "or"]),
        ("Options: A and B are near; B is red", []),
    ],
)
def test_options_are_what_the_words_list(text: str, options: list[str]) -> None:
    assert listed_in(text) == options


def test_numbers_list_options_at_the_beginnings_of_lines() -> None:
    assert numbered_in("Which?\n1. boat\n2. tram") == ["boat", "tram"]
    assert numbered_in("Add 1. and 2. now") == []
    assert numbered_in("How many steps?\n1. wash\n2. dry") == []


CASES = [
    ("Image A: x\nImage B: y\nWhich is darker?", "B", ["B", "Image B", "b."], ["A", "Image A", "Image"]),
    ("Image A: x\nImage B: y\nWhich is darker?", "Image A", ["A", "Image A"], ["B", "Image B", "Image"]),
    ("Image A, image B; box A, box B: which box?", "Box B", ["box B"], ["Image B", "Box A", "Box"]),
    ("Panel (A) is wet, panel (B) is dry. Which?", "B", ["B", "(B)", "Panel B"], ["A", "Panel A"]),
    ("What is written?", "A DOG ON A MAT", ["a dog on a mat"], ["a dog"]),
    ("Which?\n1. boat\n2. tram", "2", ["2", "two", "tram", "The answer is 2."], ["1", "boat"]),
    ("Which?\n1. boat\n2. tram", "tram", ["2.", "tram"], ["1", "boat"]),
    ("Which? (a) boat (b) tram", "(b)", ["b", "(b)", "B", "tram"], ["a", "boat"]),
    ("哪个？\nA、船\nB、车", "B", ["B", "车", "B、车"], ["A", "船"]),
    *(
        ("Which?\nA. boat\nB. tram", said, ["B", "tram"], ["A", "boat"])
        for said in ("Answer: B", "The answer is B.", "**B**", "<answer>B</answer>", f"{DRAFT}B")
    ),
    ("Which?\nA. boat\nB. tram\nC. bus", "A, C", ["A, C", "A and C", "AC"], ["A", "C", "A, B"]),
    ("Which?\nC. bus\nA. boat\nB. tram", "C", ["C", "bus", "C. bus"], ["A", "boat", "tram"]),
    ("Which? {'A': 'cat', 'B': 'dog'}", "B", ["B", "dog", "B: dog"], ["A", "cat"]),
    ("Choices: A cat; B dog", "dog", ["B", "dog"], ["A", "cat"]),
    ("Which grade, A-, B+ or A?", "A-", ["A-", "a-", "A\u2212.", "A minus", "The answer is A-"], ["A", "A+", "B-"]),
    ("Which grade, A-, B+ or A?", "A", ["A", "A."], ["A-", "A+"]),
    ("Which?\nA. B+\nB. A-", "A-", ["A-", "B", "B. A-"], ["A", "B+"]),
    ("Which?\nA. B-\nB. B\nC. A-", "C. A-", ["A-", "C"], ["A", "B", "B-"]),
    ("Which?\nA. B+\nB. A", "A-", ["A-"], ["A", "B"]),
    ("Which type?", "AB-", ["AB-", "ab-"], ["AB", "AB+"]),
    ("Who?\nA. B. Jones\nB. A. Smith", "A. Smith", ["A. Smith", "B"], ["A", "B. Jones"]),
    ("In which order?", "B-A-C", ["B-A-C", "B, A, C"], ["B-C", "A-B-C"]),
    ("Which one?", "Vitamin A", ["Vitamin A", "vitamin a"], ["Vitamin", "Vitamin C"]),
    ("What?", "a boat on a lake", ["A boat on a lake", "boat on lake"], ["a boat"]),
    ("Where?", "[10, 20, 30, 40]", ["[10,20,30,40]", "[10, 20, 30, 40.0]"], ["[10,20,30,41]", "[20,10,30,40]"]),
    ("Where?", "(120, 45)", ["(120,45)"], ["(120, 54)", "12045"]),
    ("Order?", "2-1-3", ["2, 1, 3", "2,1,3"], ["1, 2, 3", "213"]),
    ("How many?", "1,200", ["1200", "1,200"], ["[1, 200]", "12"]),
    ("Are they alike?", "Yes, they are the same", ["Yes", "Yes, they are."], ["No", "No, they are the same"]),
    ("Is it?", f"{DRAFT}Yes", ["yes"], ["no"]),
    ("How many?", "So it is \\boxed{7} as 3 and 4 make that many", ["7", "\\boxed{7}"], ["3", "4"]),
    ("When?", "2024-05-06 07:08:09", ["2024-05-06 07:08:09"], ["2024-06-05 07:08:09"]),
    ("क्या?", "नीला घोड़ा", ["नीला घोड़ा"], ["नीली घोड़ी"]),
]


@pytest.mark.parametrize(("asked", "reference", "right", "wrong"), CASES)
def test_a_reply_is_right_where_it_is_the_reference(
    tmp_path: Path, asked: str, reference: str, right: list[str], wrong: list[str]
) -> None:
    question = only(write(tmp_path, [(asked, reference)]))
    marks = {said: benchmark().score(question, said) for said in (*right, *wrong)}
    assert marks == dict.fromkeys(right, 1.0) | dict.fromkeys(wrong, 0.0)


@pytest.mark.parametrize(("reference", "split"), [("No parking", 0.0), ("No. 5", 0.0), ("No, it is not", 0.5)])
def test_yes_and_no_are_answers_only_where_the_reference_answers(tmp_path: Path, reference: str, split: float) -> None:
    assert benchmark().chance(only(write(tmp_path, [("What?", reference)]))) == split


def test_words_keep_the_signs_on_their_letters_and_a_number_is_one(tmp_path: Path) -> None:
    assert words_of("लाल गाड़ी") == ["लाल", "गाड़ी"]
    assert words_of("cafe\u0301") == ["café"]
    assert words_of("ตีดู") == ["ตี", "ดู"]
    assert words_of("-5 at 10:30 on 2024-05-06, see https://a.example/b") == [
        "-5",
        "at",
        "10:30",
        "on",
        "2024-05-06",
        "see",
        "https://a.example/b",
    ]
    rouge = benchmark("own_rouge_l")
    for reference, other in (("कि", "की"), ("-5", "5"), ("0.5", "5.0")):
        question = only(write(tmp_path, [("What?", reference)]), "own_rouge_l")
        assert rouge.score(question, reference) == pytest.approx(1)
        assert rouge.score(question, other) == 0


def test_references_that_one_reply_is_right_for_have_one_label(tmp_path: Path) -> None:
    said = ("-5", "5", "three", "3", "Yes", "Yes, it is.", "A+", "A-")
    labels = [own_rows.label(each) for each in read(write(tmp_path, *([("What?", each)] for each in said)))]
    assert labels[2] == labels[3]
    assert labels[4] == labels[5]
    assert len(set(labels)) == 6


def test_a_judge_is_shown_no_draft(tmp_path: Path) -> None:
    path = write(
        tmp_path, [("Is it?", f"{DRAFT}Yes"), ("Describe.", f"{DRAFT}A grey boat lies at the old pier today.")]
    )
    last = read(path, "own_judge")[-1]
    judge = benchmark("own_judge").judge
    assert judge is not None
    shown = str(judge.ask(last, "A boat"))
    assert "perhaps a boat" not in shown
    assert "assistant: Yes" in shown
    assert "A grey boat" in shown


def test_a_reference_of_thinking_alone_is_refused(tmp_path: Path) -> None:
    (row,) = benchmark().questions(write(tmp_path, [("Is it?", DRAFT)]))
    assert isinstance(row, Refused)
    assert "the reference is thinking alone" in row.message


def test_an_id_that_a_reply_of_another_row_has_is_told_so(tmp_path: Path) -> None:
    path = write(tmp_path, [("Is it?", "Yes"), ("Why?", "paint")], [("What?", "boat")])
    path.write_text(path.read_text().replace('"r1"', '"r0/1"'))
    *_, row = benchmark().questions(path)
    assert isinstance(row, Refused)
    assert "a reply of the row 'r0' has that id" in row.message


@pytest.mark.parametrize(
    ("asked", "reference", "replies"),
    [
        ("Which?\n1. boat\n2. tram", "2", {"2": 1, "1": 0, "the tram": 1, "3": None}),
        ("Which?\n1. 2 boats\n2. 1 boat", "1 boat", {"1 boat": 1, "2": 1, "1": 0}),
        ("Which? (a) boat (b) tram", "(b)", {"b": 1, "(b)": 1, "B": 1, "A": 0, "(c)": None}),
    ],
)
def test_who_asks_which_option_was_chosen_is_told_what_was_scored(
    tmp_path: Path, asked: str, reference: str, replies: dict[str, int | None]
) -> None:
    question = only(write(tmp_path, [(asked, reference)]))
    assert {said: scorers.choice_of(question, said).option for said in replies} == replies
    for said, option in replies.items():
        assert scorers.correct(question, said) == benchmark().score(question, said) == float(option == 1)


@pytest.mark.parametrize(
    "words",
    [
        "A. x%s",
        "A. x\n%sB. y",
        "A. x B. y%sz",
        "A. x\nB. y%sz\n",
        "1. x%s2. y",
        "Choices: A x%s; B y",
        "{'A': 'x',%s'B': 'y'",
    ],
)
@pytest.mark.parametrize(
    "filling", [" ", "\n", " \n", " ,", "C. y ", "{'A': 'x', ", "'C': 'z' ", "it's' ", "or ", "; "]
)
def test_a_long_filling_between_marks_is_read_at_once(words: str, filling: str) -> None:
    """By the square of its length it would take minutes."""
    text = words % (filling * (60_000 // len(filling)))
    listed_in(text)
    numbered_in(text)


@pytest.mark.parametrize("words", ["A. x B. y ", "A. x\nB. y\n", "(A) ", "\nA. ", "Image A: ", "a, b, c, ", "1, 2, "])
def test_a_long_text_of_marks_is_read_at_once(words: str) -> None:
    listed = listed_in(words * 10_000)
    assert listed[:1] in ([], ["x"])
    assert numbered_in(words * 10_000) == []
