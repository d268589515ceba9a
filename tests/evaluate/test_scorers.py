"""The tables of cases that define what a reply is worth."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.core.errors import DataError
from triptych.core.records import Example, Json, Text, Turn
from triptych.evaluate.reading.scorers import correct, is_answered, normalise, reference_label

OPTIONS = ("the dog", "the hot dog", "image 2", "neither")


def question(reference: str, options: list[str] | None = None) -> Example:
    turns = (Turn("user", (Text("Which one? (A) to (D)"),)), Turn("assistant", (Text(reference),)))
    return Example("q", turns, facts={"choice": True, "options": list(options)} if options else {})


@pytest.mark.parametrize(
    ("reply", "reference"),
    [
        ("dog", "the dog"),
        ("The Dog.", "the dog"),
        ("  it's a dog! ", "the dog"),
        ("It is in image 2.", "image 2"),
        ("image two", "image 2"),
        ("There are three", "3"),
        ("Yes.", "yes"),
        ("The answer is the top-left tile", "the top left tile"),
        ("dog, cat and owl", "the dog, the cat, the owl"),
        ("3.5", "3.5"),
        ("1000", "1,000"),
        ("It is 1,234,567 dollars", "1234567 dollars"),
        ("10.0", "10"),
        (">2,500.50", "> 2500.5"),
        ("-10.00", "minus ten"),
        ("ＤＯＧ", "dog"),
        ("CAFÉ", "café"),
        ("cafe\u0301", "café"),
        ("\u1112\u1161\u11ab", "한"),
        ("İZMİR", "izmir"),
        ("पानी।", "पानी"),
        ("क्\u200dष", "क्ष"),
        ("كِتاب", "كتاب"),
        ("שָׁלוֹם", "שלום"),
        ("☀\ufe0f sun", "sun"),
    ],
)
def test_a_reply_that_says_the_same_is_right(reply: str, reference: str) -> None:
    assert correct(question(reference), reply) == 1.0


@pytest.mark.parametrize(
    ("reply", "reference"),
    [
        ("dogs", "the dog"),
        ("hot dog", "dog"),
        ("the dog and the cat", "the dog"),
        ("image 12", "image 2"),
        ("image 2", "frame 2"),
        ("no", "yes"),
        ("35", "3.5"),
        ("1,00", "100"),
        ("1.000.000", "1000000"),
        ("1,2,3", "123"),
        ("100", "10.0"),
        ("007", "7"),
        ("not the dog", "the dog"),
        ("owl, cat, dog", "dog, cat, owl"),
        ("", "the dog"),
        ("...", "the dog"),
        ("दान", "दिन"),
        ("हूँ", "हाँ"),
        ("ไม่", "ไม้"),
        ("நெய்", "நாய்"),
        ("কোক", "কাক"),
        ("ọkọ", "ọkọ\u0300"),
        ("قلم", "كتاب"),
    ],
)
def test_a_reply_that_says_something_else_is_wrong(reply: str, reference: str) -> None:
    assert correct(question(reference), reply) == 0.0


def test_a_sign_is_a_reply_where_the_answer_is_one() -> None:
    asked = question("+")
    assert is_answered(asked, "+")
    assert (correct(asked, "+"), correct(asked, " + "), correct(asked, "*"), correct(asked, "plus")) == (1, 1, 0, 0)
    assert reference_label(asked) != reference_label(question("*"))


@pytest.mark.parametrize("reply", ["", "  \n", "...", "?!"])
def test_a_reply_without_a_word_is_unanswered(reply: str) -> None:
    assert not is_answered(question("the dog"), reply)


def test_an_answer_of_frame_words_only_is_still_an_answer() -> None:
    assert normalise("It is there") == "it is there"
    assert normalise("The") == "the"


def test_a_choice_scores_by_its_option_whichever_way_the_reference_is_written() -> None:
    for reference in ("the hot dog", "B", "(B) the hot dog"):
        asked = question(reference, list(OPTIONS))
        assert correct(asked, "b") == correct(asked, "Hot dog") == 1.0
        assert correct(asked, "the dog") == correct(asked, "the cat") == 0.0
        assert is_answered(asked, "the dog")
        assert not is_answered(asked, "the cat")
        assert reference_label(asked) == 1


def test_a_reference_that_is_no_option_is_a_fault_of_the_data() -> None:
    with pytest.raises(DataError, match="none of the options"):
        correct(question("the cat", list(OPTIONS)), "A")


@given(st.text(max_size=40))
def test_reading_any_text_twice_says_what_reading_it_once_says(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@pytest.mark.parametrize(
    ("reply", "score", "answered"),
    [
        ("the pig", 1.0, True),
        ("The image 1 is a pig, of course", 1.0, True),
        ("a dog", 0.0, True),
        ("a pig or a dog", 0.0, False),
        ("an animal", 0.0, False),
        ("", 0.0, False),
    ],
)
def test_an_answer_of_a_known_set_may_stand_in_a_sentence_but_not_beside_another(
    reply: str, score: float, answered: bool
) -> None:
    plain = question("the pig")
    asked = Example("q", plain.turns, facts={"choice": False, "answers": ["the pig", "the dog", "the hot dog"]})
    assert correct(asked, reply) == score
    assert is_answered(asked, reply) == answered


def known(reference: str, *answers: str) -> Example:
    turns = (Turn("user", (Text("?"),)), Turn("assistant", (Text(reference),)))
    return Example("q", turns, facts={"answers": list(answers)})


@pytest.mark.parametrize(
    ("reply", "right", "answered"),
    [
        ("2", True, True),
        ("There are two, in image 1 and image 3.", True, True),
        ("image 2", False, False),
        ("Image 2 and frame 1 show it", False, False),
        ("3", False, True),
    ],
)
def test_the_number_of_an_image_is_no_count(reply: str, right: bool, answered: bool) -> None:
    asked = known("2", "1", "2", "3")
    assert (correct(asked, reply) == 1.0, is_answered(asked, reply)) == (right, answered)


@pytest.mark.parametrize(("reply", "right"), [("दिन", 1.0), ("उत्तर दिन है", 1.0), ("दान", 0.0), ("वह दान है", 0.0)])
def test_a_vowel_sign_tells_known_answers_apart(reply: str, right: float) -> None:
    assert correct(known("दिन", "दिन", "दान"), reply) == right
    assert is_answered(known("दिन", "दिन", "दान"), reply)


@pytest.mark.parametrize("reply", ["छवि-5", "छवि–5"])
def test_a_dash_behind_a_vowel_sign_is_no_minus(reply: str) -> None:
    assert normalise(reply) == "छवि 5"


def test_the_number_of_an_image_is_an_answer_where_images_are_asked_for() -> None:
    assert correct(known("image 2", "image 1", "image 2"), "It is in image 2.") == 1.0


@pytest.mark.parametrize("reply", ["There is no way to tell", "No idea", "I am not sure, yes or no", "I can't say no"])
def test_a_reply_that_declines_is_no_no(reply: str) -> None:
    assert not is_answered(known("no", "yes", "no"), reply)


@pytest.mark.parametrize(
    ("reference", "answers", "reply"),
    [
        ("yes", ("yes", "no"), "<think>no, or is it?</think>Yes"),
        ("yes", ("yes", "no"), "\\boxed{\\text{yes}}"),
        ("yes", ("yes", "no"), "Yes, there is no doubt"),
        ("false", ("true", "false"), "The statement is not true"),
        ("the dog", ("the dog", "the cat"), "it isn't the cat, it's the dog"),
        ("2", ("1", "2", "3"), "<think>1 or 3</think>**2**"),
        ("a dog", (), "<think>a cat</think>A dog."),
        ("a dog", (), "It barks, so \\boxed{dog}"),
        ("a dog", (), "<answer>the dog</answer>"),
    ],
)
def test_thinking_and_marks_are_no_words_of_a_free_reply(reference: str, answers: tuple[str, ...], reply: str) -> None:
    asked = known(reference, *answers) if answers else question(reference)
    assert correct(asked, reply) == 1.0


def test_a_reply_that_is_still_thinking_is_unanswered() -> None:
    assert not is_answered(question("a dog"), "<think>It may be a dog")


def test_a_letter_counts_only_where_the_question_shows_letters() -> None:
    reference = Turn("assistant", (Text("false"),))
    facts: dict[str, Json] = {"choice": True, "options": ["true", "false"]}
    plain = Example("q", (Turn("user", (Text("Is it true or false?"),)), reference), facts=facts)
    shown = Example("q", (Turn("user", (Text("True?\n(A) true\n(B) false"),)), reference), facts=facts)
    assert (is_answered(plain, "B"), correct(plain, "False.")) == (False, 1.0)
    assert correct(shown, "B") == 1.0
