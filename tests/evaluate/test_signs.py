"""The sign of a number: a minus, however it is written, and the signs without which an answer is another one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluate.test_scorers import question
from triptych.core.plugins import find
from triptych.core.records import Example, Text, Turn
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.reading.choices import choose
from triptych.evaluate.reading.scorers import correct, normalise
from triptych.evaluate.reading.signs import with_minus, without_points

NUMBERS = ("-5", "5", "15")


@pytest.mark.parametrize(
    ("reference", "reply"),
    [
        ("-5", "5"),
        ("5", "-5"),
        (">5", "<5"),
        (">5", "5"),
        ("5", "<5"),
        ("≥5", ">5"),
        ("A+", "A"),
        ("C++", "C"),
        ("x=-1", "x=1"),
        ("-1.5", "1.5"),
        (".5", "5"),
        ("A<B", "A>B"),
        ("(3, -4)", "(3, 4)"),
        ("-$5", "$5"),
    ],
)
def test_an_answer_with_another_sign_is_another_answer(reference: str, reply: str) -> None:
    assert correct(question(reference), reply) == 0.0
    assert correct(question(reference), reference) == 1.0


@pytest.mark.parametrize(
    ("reference", "reply"),
    [
        ("-5", "\N{MINUS SIGN}5"),
        ("\N{EN DASH}5", "minus five"),
        ("-5", "It is negative 5."),
        ("-$5", "$-5"),
        ("> 5", ">5"),
        ("> 5", "> 5"),
        ("≥ 5", ">=5"),
        ("3", "+3"),
        ("0.5", ".5"),
        ("-0.5", "\N{MINUS SIGN}.5"),
        ("3-4", "3\N{EN DASH}4"),
        ("5 cats", "- 5 cats"),
        ("5 cats", "\N{EN DASH} 5 cats"),
        ("5", "<b>5</b>"),
        ("3 4", "3-4"),
        ("image 5", "image-5"),
        ("5", "-> 5"),
        ("2 3", "2+3"),
    ],
)
def test_a_sign_may_be_written_in_other_ways_and_a_dash_is_no_sign(reference: str, reply: str) -> None:
    assert correct(question(reference), reply) == 1.0


@pytest.mark.parametrize(
    "reply",
    [
        "-5",
        "\N{MINUS SIGN}5",
        "\N{EN DASH}5",
        "\N{SMALL HYPHEN-MINUS}5",
        "minus 5",
        "Negative five.",
        "$-5$",
        "The answer is \N{MINUS SIGN}5.",
        "It is minus 5 degrees.",
        "(A) \N{MINUS SIGN}5",
        "It fell to negative 5",
    ],
)
def test_an_option_below_zero_is_chosen_by_any_minus(reply: str) -> None:
    assert choose(NUMBERS, reply).option == 0
    assert choose(("\N{MINUS SIGN}5", "5", "15"), reply).option == 0
    assert choose(("5", "15"), reply, letters=False).option is None


@pytest.mark.parametrize(
    ("options", "reply", "position"),
    [
        (NUMBERS, "5", 1),
        (NUMBERS, "10 minus 5 is 5", 1),
        (NUMBERS, "Ten minus 5 makes 5.", 1),
        (("-4", "3", "4"), "3-4", None),
        (("-4", "3", "4"), "3\N{EN DASH}4", None),
        (("-4", "3", "4"), "3 \N{EN DASH}4", None),
        (("-5", "7"), "image-5", None),
        (("-5 cats", "5 cats"), "\N{EN DASH} 5 cats", 1),
    ],
)
def test_a_range_a_list_and_a_sum_hold_no_number_below_zero(
    options: tuple[str, ...], reply: str, position: int | None
) -> None:
    assert choose(options, reply).option == position


@given(st.text(alphabet="-\N{MINUS SIGN}\N{EN DASH}5a $.) minus", max_size=20))
def test_a_minus_is_found_once(text: str) -> None:
    assert with_minus(with_minus(text)) == with_minus(text)


@pytest.mark.parametrize(
    ("reply", "score"), [("\N{MINUS SIGN}5", 1), ("The answer is minus 5.", 1), ("5", 0), ("4-5", 0)]
)
def test_mathvista_reads_the_sign_of_a_number(reply: str, score: float) -> None:
    turns = (Turn("user", (Text("?"),)), Turn("assistant", (Text("-5"),)))
    asked = Example("q", turns, facts={"form": "integer", "precision": 0})
    assert find("benchmark", "mathvista", expected=Benchmark).score(asked, reply) == score


def test_a_whole_number_with_a_point_is_the_number_unless_both_are_options() -> None:
    assert choose(("1", "2", "3.0"), "3").option == choose(("1", "2", "3.0"), "There are three.").option == 2
    assert [choose(("3", "3.0"), said, letters=False).option for said in ("3", "3.0")] == [0, 1]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("B\u20e3", "b"),
        ("1\ufe0f\u20e3", "1"),
        ("C\u20dd or B\u20de", "c or b"),
        ("\u0434\u0488\u0430", "\u0434 \u0430"),
        ("B\u20e3 -5", "b -5"),
        ("दिन", "दिन"),
        ("ที่", "ที่"),
        ("ọ̀nà", "ọ̀nà"),
    ],
)
def test_a_ring_or_key_around_a_letter_makes_no_other_word_of_it(text: str, kept: str) -> None:
    assert normalise(text) == kept


@pytest.mark.parametrize(("text", "kept"), [("क\u200dि", "कि"), ("कि\u200c\u200dक", "किक"), ("क\u200dक", "क\u200dक")])
def test_joiners_are_left_out_beside_a_mark_on_either_side_and_there_alone(text: str, kept: str) -> None:
    assert without_points(text) == kept


def test_a_long_run_of_joiners_is_left_out_at_once() -> None:
    """By the square of its length it would take hours."""
    joiners = "\u200d\u200c" * 100_000
    assert normalise(f"दि{joiners}ल्ली") == normalise("दिल्ली")
    assert without_points(f"a{joiners}a") == f"a{joiners}a"
