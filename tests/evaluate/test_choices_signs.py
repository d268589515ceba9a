"""Options that are letters in part, percents, formulas, or written with characters of their own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.evaluate.reading.choices import choose

JARS = ("both jars hold the same", "Jar A", "Jar B", "Jar C")
CAT = ("a cat sits on grass", "grass sits on a cat")
PAIRS = ("m,n", "m,b", "n,c")
TERMS = ("a + c", "a - c", "a * c", "c - a")
PLACES = ("(a, b)", "(c, d)", "nowhere")
SHARES = ("15%", "25%", "60%", "2.5%")
SUMS = ("p + q", "p - q", "pq", "p/q")
BOUNDS = ("≤7", "≥7", "7")
ROOTS = ("1", "√{7}", "4", "7")
ORDERS = ("M > N", "M < N", "M = N")
MARKS = ("C+", "C-", "B+", "B-")
TONGUES = ("Rust", "Go", "Perl", "C++")
STARRED = ("Rust", "C++", "Perl", "Go")
FORCES = ("F", "F tan φ", "F cot φ")
WINDS = ("West Wind", "west wind", "West wind")
SPACES = ("(1, 2)", "[1, 2]", "(1, 2]")


@pytest.mark.parametrize("wrapped", ["{}", "{}.", "{})", "({})", "**{}**", '"{}"', "\\boxed{{{}}}", "Answer: {}"])
@pytest.mark.parametrize("options", [JARS, CAT, PAIRS, TERMS, STARRED, PLACES, SHARES])
def test_a_bare_letter_is_the_letter_whatever_option_holds_it_as_a_word(options: tuple[str, ...], wrapped: str) -> None:
    letters = "ABCD"[: len(options)]
    for said in (letters, letters.lower()):
        assert [choose(options, wrapped.format(letter)).option for letter in said] == list(range(len(options)))


@pytest.mark.parametrize("reply", ["B", "B.", "<answer>B</answer>", '{"answer": "B"}', "The answer is B."])
def test_all_marks_around_a_letter_say_the_same(reply: str) -> None:
    assert choose(JARS, reply).option == 1


@pytest.mark.parametrize(
    ("options", "reply", "position"),
    [
        # what is an option's exact text is that option
        (("B", "C", "A", "D"), "B", 0),
        (("B", "C", "A", "D"), "B.", 0),
        (("(b)", "(c)", "(a)"), "c", 1),
        (("Vitamin K", "Vitamin B"), "K", 0),
        # percents
        (SHARES, "The answer is 25%.", 1),
        (SHARES, "Answer: 60%", 2),
        (SHARES, "It is about 2.5 %.", 3),
        (SHARES, "It is 60 percent.", 2),
        (SHARES, "The answer is 25.", 1),
        (SHARES, "It is 5%.", None),
        (("15 percent", "25 percent"), "About 25% of them.", 1),
        (("15", "25"), "It is 25%.", None),
        (("15", "15%"), "It is 15%.", 1),
        # formulas
        (SUMS, "The answer is p - q.", 1),
        (SUMS, "p−q.", 1),
        (SUMS, "Therefore, it is p/q.", 3),
        (SUMS, "So it is p plus q.", 0),
        (SUMS, "It is not p - q.", None),
        (SUMS, "p + q or p - q", None),
        (SUMS, "The answer is either p/q or p + q.", None),
        (SUMS, "-p + q", None),
        (SUMS, "(B) p - q", 1),
        (("p + q", "p - q", "r - p"), "The answer is r + p.", None),
        (TERMS, "The answer is a * c.", 2),
        (BOUNDS, "The answer is ≥7.", 1),
        (BOUNDS, ">= 7", 1),
        (BOUNDS, "The answer is 7.", 2),
        (BOUNDS, "The answer is either ≥7 or 7.", None),
        (ROOTS, "The answer is 7.", 3),
        (ROOTS, "The answer is √7.", 1),
        (ROOTS, "\\boxed{\\sqrt{7}}", 1),
        (ROOTS, "√(7)", 1),
        (ROOTS, "It is 3√7.", None),
        (ROOTS, "It is 5 * √{7} / 3.", None),
        (ROOTS, "It is √{7} / 3.", None),
        (ORDERS, "M < N.", 1),
        (ORDERS, "M = N or M > N", None),
        (FORCES, "The answer is F tan φ.", 1),
        (SPACES, "The answer is (1, 2].", 2),
        (("x", "-x", "3x", "-3x"), "The answer is -x.", 1),
        (("x", "-x", "3x", "-3x"), "x or -x", None),
        # signs behind a letter, which win over the letter
        (TONGUES, "The answer is C++", 3),
        (TONGUES, "C++.", 3),
        (TONGUES, "The answer is C.", 2),
        (MARKS, "The answer is B+.", 2),
        (MARKS, "It is C-.", 1),
        (MARKS, "The answer is B.", 1),
        (("C. nana", "D. nana", "E. nana"), "The answer is E. nana", 2),
        # case
        (WINDS, "The answer is west wind.", 1),
        (WINDS, "West wind", 2),
        (WINDS, "WEST WIND", None),
        (("-", "+"), "The answer is +.", 1),
        # characters that are others in plain characters
        (("NH₃", "N₂"), "NH₃", 0),
        (("NH₃", "N₂"), "The answer is N2.", 1),
        (("y²", "y³"), "y³", 1),
        (("¾", "¼"), "The answer is ¼.", 1),
        (("Ⅰ", "Ⅱ", "Ⅲ"), "The answer is Ⅱ.", 1),
        (("Ⅰ", "Ⅱ", "Ⅲ"), "Ⅰ or Ⅱ", None),
        (("③", "④"), "④", 1),
        (("５", "６"), "６", 1),
        (("size in cm²", "size in cm³"), "size in cm³", 1),
    ],
)  # fmt: skip
def test_options_are_told_apart_by_their_signs(options: tuple[str, ...], reply: str, position: int | None) -> None:
    assert choose(options, reply).option == position


FORMULAS = (SUMS, TERMS, BOUNDS, ROOTS, ORDERS, MARKS, TONGUES, WINDS, SPACES, SHARES)
SAID = ("{}", "{}.", "The answer is {}.", "Answer: {}", "Therefore, the answer is {}.", "I think it is {}.", "**{}**")


@given(st.sampled_from(FORMULAS), st.sampled_from(SAID), st.data())
def test_every_formula_is_recognised_as_it_is_written(options: tuple[str, ...], said: str, data: st.DataObject) -> None:
    position = data.draw(st.sampled_from(range(len(options))))
    assert choose(options, said.format(options[position])).option == position


YES_NO = ("Yes", "No")
PETS = ("the cat", "the dog", "the hot dog")
ANGLES = ("25°", "75°", "85°", "95°")


@pytest.mark.parametrize(
    ("options", "reply", "position"),
    [
        # what is said of one case and of the other is no answer
        (YES_NO, "If the cup is full, then the answer is (A) Yes. Otherwise, the answer is (B) No.", None),
        (YES_NO, "If it is full, the answer is Yes. If it is empty, the answer is No.", None),
        (YES_NO, "If it is full, the answer is Yes. Without the picture I cannot tell.", None),
        (PETS, "If it barks, the answer is B, else the answer is A.", None),
        (PETS, "The answer is B. If it were small, the answer would be A.", 1),
        (PETS, "If it barks, the answer is B. Otherwise, the answer is A. It does bark. So the answer is B.", 1),
        (PETS, "If it barks, the answer is B.", 1),
        (PETS, "If I had to choose, the answer is B. I cannot tell.", 1),
        (PETS, "The answer is B. Otherwise, it would not bark.", 1),
        # a conclusion with a condition
        (("goes to C", "goes to D"), "If the price falls, in the end the market goes to D.", 1),
        (PETS, "If somebody rings, the dog barks.", 1),
        (PETS, "If the dog barks, somebody rings.", None),
        (PETS, "If it barks, it is the dog. If it purrs, it is the cat.", None),
        (PETS, "If there is no bell, the dog barks.", None),
        # Chinese
        (ANGLES, "∠2=25°，所以选项为(D)", 3),
        (ANGLES, "选项为C", 2),
        (ANGLES, "因此，选项是B。", 1),
        (ANGLES, "选项(D)正确", 3),
        (ANGLES, "选项C正确，选项A错误。", 2),
        (ANGLES, "选项A错误", None),
        (ANGLES, "错误的选项是B", None),
    ],
)  # fmt: skip
def test_conditions_and_chinese_options_are_read_as_they_are_meant(
    options: tuple[str, ...], reply: str, position: int | None
) -> None:
    assert choose(options, reply).option == position


def test_what_follows_from_a_condition_is_worth_a_look() -> None:
    assert not choose(PETS, "If somebody rings, the dog barks.").sure


@pytest.mark.parametrize(
    ("reply", "option"),
    [
        ("The fence is 10 m + 10 m + 4 m = 24 m long.", None),
        ("The fence is 10 m + 4 m = 14 m long.", 0),
        ("The answer is 10 m + 4 m = 14 m.", 0),
        ("10 m + 4 m = 14 m", 0),
        ("The gate: 28 m - 14 m = 14 m", 0),
        ("It is 10 m, and a wall is there.", 1),
        ("Length - 14 m", 0),
        ("The length of the fence - 14 m.", 0),
        ("10 m - 33 feet", 1),
        ("About 10 m - (33 feet)", 1),
        ("14 m - (A)", 0),
        ("28 m + 2 trees", 2),
    ],
)
def test_a_number_that_is_worked_with_is_no_option(reply: str, option: int | None) -> None:
    assert choose(("14 m", "10 m", "28 m"), reply).option == option


@pytest.mark.parametrize(
    ("options", "reply", "option"),
    [
        (("3", "4", "5", "6"), "Answer - 5", 2),
        (("3", "4", "5", "6"), "**Answer** - 6", 3),
        (("3", "4", "5", "6"), "Number of dogs in the picture - 4", 1),
        (("3", "4", "5", "6"), "The answer is 5 - 3 on the left and 2 on the right.", 2),
        (("3", "4", "5", "6"), "There are 5 dogs - 2 black ones.", 2),
        (("10%", "20%", "30%", "40%"), "Asia - 30%", 2),
        (("2010", "2011", "2012", "2013"), "2012 - (the highest)", 2),
        (("2010", "2011", "2012", "2013"), "The answer is 2012 - 45.", 2),
        (("Image 1", "Image 2", "Image 3"), "The odd one out - Image 3", 2),
        (("Image 1", "Image 2", "Image 3"), "Image 2 - 3 dogs are in it.", 1),
        (("10:30", "11:00"), "Time - 10:30", 0),
        (("3/4", "1/2", "1/4", "2/3"), "The probability - 3/4", 0),
        (("3/4", "1/2", "1/4", "2/3"), "1/4 + 1/2 = 3/4", 0),
        (("3/4", "1/2", "1/4", "2/3"), "It is 3/4 = 75%", 0),
        (("30°", "45°", "60°"), "Angle ABC - 60°", 2),
        (("65+", "25-44", "45-64"), "Age group - 25-44", 1),
        (("65+", "25-44", "45-64"), "25-44 = 30%", 1),
        (("65+", "25-44", "45-64"), "The age group 65+ (12%)", 0),
        (("Room 4", "Room 5"), "Room 5 + 2 chairs", 1),
    ],
)
def test_a_dash_beside_a_number_is_no_arithmetic(options: tuple[str, ...], reply: str, option: int) -> None:
    assert choose(options, reply).option == option
