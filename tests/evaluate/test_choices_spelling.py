"""Options as they are spelt: articles and single letters, signs and marks of Markdown, and several in one reply."""

from __future__ import annotations

import pytest

from triptych.evaluate.reading.choices import Choice, choose

SEARCHES = ("Prim", "Kruskal", "A*")
HOTELS = ("4*", "5*", "3*")
SUMS = ("p + q", "p - q")
TAKEN = ("14 - 6", "14 + 6", "14 * 6")
ROOTS = ("1", "√7", "7")
SIGNS = ('a "slow" sign', 'a "no entry" sign')
NOTES = ("a $20 note", "a $50 note")
MARKS = ("B+", "B-", "C")
TONGUES = ("D", "D++", "Rust", "Perl")
SHARES = ("100%", "40%")
ANGLES = ("70°", "70", "20°")


@pytest.mark.parametrize(
    ("options", "reply", "position"),
    [
        (("Box A", "Box C"), "A is nearer to the door.", 0),
        (("Box A", "Box C", "Box D"), "The answer is A.", 0),
        (("Box A", "Box C", "Box D"), "It is A.", 0),
        (("Box A", "Box C", "Box D"), "It is labeled A.", 0),
        (("Box A", "Box C", "Box D"), "Choose A", 0),
        (("A", "C", "D"), "The answer is A.", 0),
        (("Vitamin A", "Vitamin C", "Vitamin E"), "A", 0),
        (("Line A is longer", "Line C is longer"), "A is longer.", 0),
        (('an "A"', 'a "B"'), "The answer is A.", 0),
        (('an "A"', 'a "B"'), "B", 1),
        # an article names nothing
        (("a wolf", "the fox"), "A", None),
        (("a wolf sits on a rock", "rocks"), "A", None),
    ],
)
def test_a_capital_a_is_a_name_where_it_is_no_article(
    options: tuple[str, ...], reply: str, position: int | None
) -> None:
    assert choose(options, reply, letters=False).option == position


@pytest.mark.parametrize(
    ("options", "reply", "position"),
    [
        (("Box A", "Box C"), "A is nearer to the door.", 0),
        # the star of an option is no mark of Markdown
        (SEARCHES, "A*", 2),
        (SEARCHES, "A*.", 2),
        (SEARCHES, "**A***", 2),
        (SEARCHES, "It must be A*, since it has a heuristic.", 2),
        (SEARCHES, "The answer is A*.", 2),
        (SEARCHES, "*A*", 0),
        (SEARCHES, "**A**", 0),
        (SEARCHES, "The answer is **Kruskal**.", 1),
        (HOTELS, "The answer is 5*.", 1),
        (HOTELS, "The answer is **5**.", 1),
        # an article before marks
        (SIGNS, "The answer is the slow sign.", 0),
        (SIGNS, "It is the 'no entry' sign.", 1),
        (NOTES, "The answer is the $50 note.", 1),
        (("a (large) van", "a tram"), "The answer is the large van.", 0),
        # roots in words
        (ROOTS, "The answer is sqrt(7).", 1),
        (ROOTS, "sqrt 7", 1),
        (ROOTS, "It is the square root of 7.", 1),
        (ROOTS, "The answer is 7.", 2),
        (("1", "√7", "2", "7"), "It is the cube root of 7.", None),
        # a letter behind an option
        (("√5", "√7", "5"), "√7 - B", 1),
        (("DE", "de"), "DE - A", 0),
        (("p > q", "p < q", "p = q"), "p > q - A", 0),
        (TAKEN, "14 - 6 - A", 0),
        (("4", "5", "4.5", "√5"), "4 - A", 0),
        (SUMS, "p - q - r", None),
        (("P + Q", "P - Q"), "P + Q - R", None),
        # other signs for the same
        (TAKEN, "14 × 6", 2),
        (TAKEN, "$14 \\times 6$", 2),
        (ANGLES, "The answer is 70 degrees.", 0),
        (ANGLES, "The answer is 70.", 1),
        # not a longer formula
        (SUMS, "The area is 3(p + q).", None),
        (SUMS, "The area is r(p + q).", None),
        (SUMS, "It is (p + q).", 0),
        # no gap before a final sign
        (("O-", "O+", "A-", "AB+"), "The answer is A - O-", 0),
        # not as an answer, but as a measure of trust
        (SHARES, "I'm 100% sure.", None),
        (SHARES, "I am 100 percent certain that I saw it.", None),
        (SHARES, "I'm 100% sure it is 40%.", 1),
        (SHARES, "Surely 100%.", 0),
    ],
)
def test_options_are_read_as_they_are_spelt(options: tuple[str, ...], reply: str, position: int | None) -> None:
    assert choose(options, reply).option == position


def test_a_star_counts_where_no_letters_are_shown() -> None:
    assert choose(SEARCHES, "The answer is A*.", letters=False).option == 2


@pytest.mark.parametrize(
    ("options", "reply"),
    [
        (SUMS, "I cannot decide between p - q and p + q."),
        (SUMS, "It is not p - q or p + q."),
        (SUMS, "It is neither p - q nor p + q."),
        (TAKEN, "I cannot tell whether it is 14 - 6 or 14 + 6."),
        (MARKS, "The answer is either C or B+."),
        (MARKS, "C or B+"),
        (MARKS, "Both C and B+."),
        (("@", "#", "&"), "# or &"),
    ],
)
def test_two_options_are_none_whatever_their_signs(options: tuple[str, ...], reply: str) -> None:
    for letters in (True, False):
        assert choose(options, reply, letters=letters).option is None


@pytest.mark.parametrize("reply", ["D or Rust", "D or D++", "C or D"])
def test_a_letter_beside_another_option_is_one_of_two(reply: str) -> None:
    assert choose(TONGUES, reply).option is None


def test_who_takes_back_an_option_with_signs_may_mean_a_letter() -> None:
    assert choose(TONGUES, "The answer is D++. Wait, no, the answer is D.", letters=False) == Choice(
        0, "statement", sure=False
    )
