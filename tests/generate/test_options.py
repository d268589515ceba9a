"""Options that a teacher gives beside a question: they stand below it, and nothing of them is lost without a word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.generate.driving import Ran, facts_of, run
from tests.generate.test_syphus import source_of
from triptych.core.records import ImageRef, Text, text_of
from triptych.generate.kit.written_questions import question_from
from triptych.generate.options import lettered, meant, options_of
from triptych.generate.question import Question, exchanges_of, question_of

PETS = ("a cat", "a dog")
SEEN = {"question": "Which of these is seen?"}


def parsed(folder: Path, *pairs: dict[str, Any], **said: Any) -> Ran:
    steps = [
        {"kind": "annotate", "source": source_of("la", folder) + "&limit=1"},
        {"kind": "ask", "prompt": "la_conversation"},
        {"kind": "parse", **said},
    ]
    return run(steps, folder, teacher=lambda _: json.dumps({"pairs": [*pairs]}))


@pytest.mark.parametrize(
    "said",
    [
        {"options": ["a cat", "a dog"]},
        {"choices": ["A. a cat", "B. a dog"]},
        {"Options": {"A": "a cat", "B": "a dog"}},
        {"options": "A) a cat, B) a dog"},
        {"options": [{"label": "A", "text": "a cat"}, {"label": "B", "text": "a dog"}]},
        {"options": [{"A": "a cat"}, {"B": "a dog"}]},
        {"A": "a cat", "B": "a dog"},
    ],
)
@pytest.mark.parametrize(
    ("answer", "reply"),
    [("B", "B"), ("(b)", "B"), ("A dog.", "a dog"), ("B. a dog", "(B) a dog"), ("b) A dog", "(B) a dog")],
)
def test_options_in_whatever_shape_stand_below_the_question(
    said: dict[str, Any], answer: str, reply: str, tmp_path: Path
) -> None:
    (item,) = parsed(tmp_path, {**SEEN, **said, "answer": answer}).items
    assert item.example is not None
    asked, replied = item.example.turns
    assert text_of(asked) == "Which of these is seen?\n(A) a cat\n(B) a dog"
    assert text_of(replied) == reply
    assert item.example.facts["options"] == [*PETS]
    question = question_of(item)
    assert question is not None
    assert (question.text, question.answer, question.options) == (SEEN["question"], "a dog", PETS)


def test_options_of_bare_letters_are_not_lost_either(tmp_path: Path) -> None:
    (item,) = parsed(tmp_path, {**SEEN, "options": ["A", "B"], "answer": "A"}).items
    assert item.example is not None
    assert [text_of(turn) for turn in item.example.turns] == ["Which of these is seen?\n(A) A\n(B) B", "A"]


def test_options_that_stand_in_the_question_already_are_not_said_twice(tmp_path: Path) -> None:
    question = "Which is seen? (A) a cat (B) a dog"
    (item,) = parsed(tmp_path, {"question": question, "options": [*PETS], "answer": "B"}).items
    assert item.example is not None
    assert [text_of(turn) for turn in item.example.turns] == [question, "B"]


def test_a_sentence_that_names_one_option_stays_as_it_is(tmp_path: Path) -> None:
    (item,) = parsed(tmp_path, {**SEEN, "options": ["cat", "dog"], "answer": "The dog is seen."}).items
    assert item.example is not None
    assert text_of(item.example.turns[1]) == "The dog is seen."
    assert question_of(item) is None  # its options may not change places


@pytest.mark.parametrize(
    "answer",
    [
        *(
            "B. The dog.",
            "B. Because it barks.",
            "b) it barks at the cow",
            "I see a dog.",
            "B because it barks",
            "B. dogs",
        ),
        *("B. a dog, as A is not there", "B. Image 2 shows a dog, image 1 a cat.", "B) a dog\n\nA) a cat is wrong"),
    ],
)
def test_an_answer_that_says_its_option_in_other_words_or_why_stays_as_it_is(answer: str, tmp_path: Path) -> None:
    (item,) = parsed(tmp_path, {**SEEN, "options": [*PETS], "answer": answer}).items
    assert item.example is not None
    assert text_of(item.example.turns[1]) == answer


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"options": ["a cat", "a dog"], "answer": "Neither."}, "answer is no option"),
        ({"options": ["a cat", "a dog"], "answer": "A. a dog"}, "answer is no option"),
        *(
            ({"options": ["a cat", "a dog", "a cow"], "answer": answer}, "answer is no option")
            for answer in ("(A) or (B)", "A, B", "B. a horse", "not a cat", "I don't know (A)", "A. cat or dog")
        ),
        ({"options": ["a cat", "A cat"], "answer": "A"}, "options repeat"),
        ({"options": "a cat or a dog", "answer": "A"}, "torn pair"),
        ({"options": ["a cat"], "answer": "A"}, "torn pair"),
        ({"options": ["a cat", ["a dog"]], "answer": "A"}, "torn pair"),
    ],
)
def test_what_cannot_be_a_choice_is_refused_with_its_reason(said: dict[str, Any], reason: str, tmp_path: Path) -> None:
    ran = parsed(tmp_path, {**SEEN, **said}, {"question": "Is it day?", "answer": "Yes."})
    assert [refusal.reason for refusal in ran.refusals] == [reason]
    assert len(ran.items) == 1


@pytest.mark.parametrize(
    "said",
    [
        {"options": {"B": "a dog", "A": "a cat"}},
        {"options": {"option_b": "a dog", "option_a": "a cat"}},
        {"options": ["B) a dog", "A) a cat"]},
        {"options": [{"label": "B", "text": "a dog"}, {"label": "A", "text": "a cat"}]},
        {"options": [{"B": "a dog"}, {"A": "a cat"}]},
        {"options": "B) a dog, A) a cat"},
        {"B": "a dog", "A": "a cat"},
    ],
)
def test_an_option_keeps_the_letter_that_it_is_given(said: dict[str, Any], tmp_path: Path) -> None:
    assert options_of(said) == PETS
    (item,) = parsed(tmp_path, {**SEEN, **said, "answer": "B"}).items
    assert item.example is not None
    assert item.example.facts["options"] == [*PETS]


@pytest.mark.parametrize(
    "said",
    [
        {"B": "a dog", "C": "a cat", "D": "a bird"},
        {"A": "a dog", "B": "a cat", "correct": "B"},
        {"A": "B) a dog", "B": "A) a cat"},
        ["B) a dog", "C) a cat"],
        ["B. a dog", "C. a cat"],
        ["a dog", "A) a cat"],
        ["A", "C", "B"],
        [{"id": "B", "text": "a dog"}, {"id": "C", "text": "a cat"}],
        "B) a dog, C) a cat",
    ],
)
def test_options_whose_letters_are_not_a_b_and_so_on_cannot_be_read(said: Any, tmp_path: Path) -> None:
    pair = {**SEEN, "options": said, "answer": "B"}
    assert options_of({"options": said}) is None
    assert [refusal.reason for refusal in parsed(tmp_path, pair).refusals] == ["torn pair"]
    assert question_from(pair, count=2, skill="x") == "options cannot be read"


def test_letters_of_options_as_keys_of_their_own_begin_with_a() -> None:
    assert options_of({"B": "a dog", "C": "a cat"}) is None
    assert options_of({"A": "a dog", "B": "a cat", "D": "a bird"}) is None
    assert options_of({"x": 1, "y": 2, "a": "it is"}) == ()


@pytest.mark.parametrize("none", [None, [], "", {}])
def test_a_question_without_options_is_a_free_one(none: object, tmp_path: Path) -> None:
    (item,) = parsed(tmp_path, {**SEEN, "options": none, "answer": "A cat."}).items
    assert item.example is not None
    assert [text_of(turn) for turn in item.example.turns] == [SEEN["question"], "A cat."]


def test_a_picture_may_be_an_option(tmp_path: Path) -> None:
    (item,) = parsed(tmp_path, {**SEEN, "options": ["<image 1>", "none"], "answer": "A"}).items
    assert item.example is not None
    first, picture, rest = item.example.turns[0].parts
    assert (first, rest) == (Text("Which of these is seen?\n(A) "), Text("\n(B) none"))
    assert isinstance(picture, ImageRef)


def test_each_round_of_a_conversation_has_its_own_options(tmp_path: Path) -> None:
    pairs = ({**SEEN, "options": [*PETS], "answer": "A"}, {"question": "How many?", "options": [1, 2], "answer": 2})
    (item,) = parsed(tmp_path, *pairs, into="conversation").items
    asked = [exchange.question.text for exchange in exchanges_of(item)]
    assert [text.partition("\n")[2] for text in asked] == ["(A) a cat\n(B) a dog", "(A) 1\n(B) 2"]


def test_the_checks_know_the_options_and_may_put_them_in_another_order(tmp_path: Path) -> None:
    steps = [
        {"kind": "annotate", "source": source_of("la", tmp_path) + "&limit=1"},
        {"kind": "ask", "prompt": "la_conversation", "samples": 9},
        {"kind": "parse"},
        {"kind": "filter"},
        {"kind": "balance"},
    ]
    pair = {**SEEN, "options": [*PETS], "answer": "A. a cat"}
    ran = run(steps, tmp_path, teacher=lambda _: json.dumps(pair))
    assert {facts_of(item, "balance")["place"] for item in ran.items} == {0, 1}
    for item in ran.items:
        assert item.example is not None
        asked, reply = (text_of(turn) for turn in item.example.turns)
        assert reply in asked.splitlines()
        assert reply.endswith(" a cat")


def test_an_article_is_no_letter() -> None:
    assert meant("A dog", ("man", "dog")) is None
    assert lettered("A dog", ("man", "dog")) == (None, "")
    record = {"question": "What is it?", "options": ["man", "dog"], "answer": "A dog is there"}
    assert question_from(record, count=2, skill="x") == "answer is no option"
    read = question_from({**record, "answer": "B"}, count=2, skill="x")
    assert isinstance(read, Question)
    assert read.answer == "dog"


def test_options_that_cannot_be_read_are_told_by_the_kit_too() -> None:
    record = {"question": "What is it?", "options": "a man or a dog", "answer": "A"}
    assert question_from(record, count=2, skill="x") == "options cannot be read"


def test_a_first_name_is_no_letter_of_an_option() -> None:
    assert options_of({"options": ["J. Smith", "A. Jones"]}) == ("J. Smith", "A. Jones")
    assert options_of({"options": ["(A) Smith", "(B) Jones"]}) == ("Smith", "Jones")


@pytest.mark.parametrize(
    "said",
    [
        {"A": "C. elegans", "B": "E. coli"},
        {"B": "E. coli", "A": "C. elegans"},
        ["E. coli", "S. aureus", "B. subtilis"],
        ["C. elegans", "E. coli"],
        ["J. Smith", "K. Jones"],
        ["a dog", "A. thaliana"],
        ["O", "A", "B", "AB"],
    ],
)
def test_an_abbreviation_is_no_letter_of_an_option(said: Any) -> None:
    texts = [said[key] for key in sorted(said)] if isinstance(said, dict) else said
    assert options_of({"options": said}) == tuple(texts)
    assert meant(texts[-1], texts) == len(texts) - 1


@pytest.mark.parametrize("said", [["B. Dog", "C. Cat"], ["D. a dog", "E. a cat"], {"A": "B. a dog", "B": "A. a cat"}])
def test_letters_behind_which_options_stand_in_doubt_cannot_be_read(said: Any) -> None:
    assert options_of({"options": said}) is None


def test_a_letter_that_is_one_option_and_stands_before_another_means_none(tmp_path: Path) -> None:
    types = ["O", "A", "B", "AB"]
    assert [meant(answer, types) for answer in ("O", "A", "B", "AB", "C", "(B) A")] == [0, None, None, 3, 2, 1]
    (item,) = parsed(tmp_path, {**SEEN, "options": types, "answer": "AB"}).items
    assert item.example is not None
    assert text_of(item.example.turns[1]) == "AB"
    (refused,) = parsed(tmp_path / "a", {**SEEN, "options": types, "answer": "A"}).refusals
    assert refused.reason == "answer is no option"
