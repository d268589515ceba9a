"""VQA accuracy equals the official evaluation code: values in these tables came from running it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.evaluate.metrics.vqa import accuracy, normalise, without_marks


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("yes.", "yes"),
        ("A dog!", "dog"),
        ("Two dogs", "2 dogs"),
        ("None of them", "0 of them"),
        ("eleven", "eleven"),
        ("1,000", "1000"),
        ("1,000 dogs, 2 cats", "1000 dogs 2 cats"),
        ("x-y", "x y"),
        ("x - y", "x y"),
        ("black / white", "black white"),
        ("red,white", "red white"),
        ("red , white, and blue", "red white and blue"),
        ("u.s.a.", "usa"),
        ("a.b", "ab"),
        ("3.5", "3.5"),
        ("3.", "3"),
        ("$5.00", "$5.00"),
        ("10:30", "10:30"),
        ("50%", "50%"),
        ("[1,2]", "12"),
        ("what?no", "what no"),
        ("a . b . c", "b c"),
        ("an apple a day", "apple day"),
        ("THE", ""),
        ("\tyes\n", "yes"),
        ("dont", "don't"),
        ("whats up", "what's up"),
        ("5 oclock", "5 o'clock"),
        ("shes", "shes"),
        ("Id've", "id've"),
        ("theyd've", "they'd've"),
        ("hadnt've", "hadn't've"),
        ("yall'll", "y'all'll"),
        ("somebody'd", "somebodyd"),
        ("'ow'sat", "'ow's'at"),
        (f"{'.' * 35} x {'.' * 33}", f"... x {'.' * 33}"),
    ],
)
def test_words_are_brought_into_the_official_form(text: str, form: str) -> None:
    assert normalise(text) == form


@pytest.mark.parametrize(
    ("answers", "reply", "score"),
    [
        (["yes"] * 10, "yes", 1.0),
        (["yes"] * 10, "Yes", 0.0),
        (["yes"] * 10, "yes.", 0.0),
        (["yes"] * 9 + ["no"], "Yes.", 1.0),
        (["yes"] * 9 + ["no"], "no", 0.3),
        (["yes"] * 8 + ["no"] * 2, "No!", 0.6),
        (["yes"] * 7 + ["no"] * 3, "no", 0.9),
        (["yes"] * 6 + ["no"] * 4, "no", 1.0),
        (["2"] * 5 + ["two"] * 5, "two", 1.0),
        (["none"] * 3 + ["0"] + ["1"] * 6, "zero", 1.0),
        (["the dog"] * 2 + ["dog"] + ["a cat"] * 7, "a dog", 0.9),
        (["The dog"] * 10, "dog", 0.0),
        (["the dog"] * 10, "the dog\n", 1.0),
        (["t-shirt"] * 4 + ["t shirt"] * 2 + ["shirt"] * 4, "T shirt", 1.0),
        (["1,000"] * 5 + ["1000"] * 5, "1000", 1.0),
        (["dont know"] * 3 + ["don't know"] * 7, "dont know", 1.0),
        (["red"], "red", 0.0),
        (["red", "blue"], "red", 1 / 6),
        (["red", "red", "blue"], "red", 4 / 9),
        (["left"] * 4 + ["right"] * 6, "", 0.0),
    ],
)
def test_ten_annotators_are_counted_leaving_one_out(answers: list[str], reply: str, score: float) -> None:
    assert accuracy(answers, reply) == pytest.approx(score, abs=1e-12)


@pytest.mark.parametrize("reply", ["Yes", "yes.", " YES! "])
def test_without_the_exception_case_and_marks_never_count(reply: str) -> None:
    assert accuracy(["yes"] * 10, reply, rules="always") == 1.0
    assert accuracy(["yes"] * 10, reply, rules="evalai") == 1.0


def test_the_other_rule_parts_possessives_and_drops_commas_first() -> None:
    assert normalise("Men's shoes, size 9?", rules="evalai") == "men 's shoes size 9"
    assert normalise("red,white", rules="evalai") == "redwhite"


def test_no_answers_are_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        accuracy([], "yes")


@given(st.text(alphabet="ab1,.;/-_'()?! \nT", max_size=20))
def test_marks_are_gone_and_letters_stay(text: str) -> None:
    kept = without_marks(text)
    assert not set(kept) & set(";/-_()?!,")
    assert [letter for letter in kept if letter.isalnum()] == [letter for letter in text if letter.isalnum()]


@given(st.lists(st.sampled_from(["yes", "no", "two", "2"]), min_size=1, max_size=10), st.sampled_from(["yes", "2"]))
def test_a_score_grows_with_agreement_and_keeps_its_bounds(answers: list[str], reply: str) -> None:
    score = accuracy(answers, reply, rules="always")
    assert 0 <= score <= accuracy([*answers, reply], reply, rules="always") <= 1
