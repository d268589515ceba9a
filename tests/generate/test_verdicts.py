"""Whether a reply is right: what says two things, denies the right one or takes it back is not; plain words are."""

from __future__ import annotations

import time

import pytest

from triptych.generate.kit.choice import chosen, is_foreign, stays
from triptych.generate.kit.verdicts import is_right, same
from triptych.generate.question import Question

PETS = ("a dog", "a cat", "a bird")


@pytest.mark.parametrize(
    "reply",
    [
        *("(A) or (B)", "A, B", "A) or B)", "(A) and (C)", "A or B", "neither A nor B", "a cat or a dog", "(a) or (b)"),
        *("The answer is not (A)", "(A) is wrong", "(A) isn't it", "A is wrong, B", "Not A. It is B.", "(A)?"),
        *("A, no wait: B", "A. No, B", "A. a dog. No wait, a cat", "A dog? No, something else"),
        *("not a dog", "It is not a dog", "It isn't a dog", "It is not a dog, it is a cat", "I don't know (A)"),
        *("A. a cat", "A. a dog or a cat", "A. a dog and a cat", "The answer is (A), a cat", "A dog, so (B)"),
    ],
)
def test_a_reply_of_two_options_or_of_a_denied_one_chooses_none(reply: str) -> None:
    assert chosen(reply, PETS) is None
    assert not is_right(reply, Question("Which?", "a dog", PETS))


@pytest.mark.parametrize(
    ("reply", "option"),
    [
        *(("A", 0), ("(A)", 0), ("A. a dog", 0), ("(A) a dog.", 0), ("The answer is (A).", 0), ("It is a dog.", 0)),
        *(("A. A dog lies there", 0), ("A. a dog, not a cat", 0), ("The dog is seen.", 0), ("I think (B) is right", 1)),
        *(("(B) because the dog is not there", 1), ("B: a cat. There is no dog.", 1), ("a bird, I think", 2)),
        *(("(B)\nThe dog is in the other image.", 1), ("B. The cat, since the dog is brown", 1), ("Option C", 2)),
    ],
)
def test_a_reply_that_says_why_keeps_its_option(reply: str, option: int) -> None:
    assert chosen(reply, PETS) == option


@pytest.mark.parametrize(
    ("reply", "option"),
    [
        *(("A, since B shows a cat.", 0), ("A. Option B is wrong because it is too dark.", 0)),
        *(("B. Image 2 shows a cat, image 1 a dog.", 1), ("B. a cat. Option A (a dog) is not shown.", 1)),
        *(("B) a cat\n\nA) a dog is wrong", 1), ("B because it has whiskers", 1), ("A. There is no cat", 0)),
        *(("I choose (A), since B shows a cat.", 0), ("A. a dog, as B and C are not in the image", 0)),
    ],
)
def test_a_reason_behind_a_letter_may_speak_of_other_options(reply: str, option: int) -> None:
    assert chosen(reply, PETS) == option


@pytest.mark.parametrize(
    "reply",
    [
        *("A. But the answer is B", "A. So it is B.", "A. Actually B", "A. a dog and B", "A. a dog. B. a cat", "A/B"),
        *("A. It shows a dog and a cat", "A. There is no dog", "A. It shows a cat", "I choose (A). No, B"),
    ],
)
def test_another_option_chosen_behind_a_letter_leaves_none(reply: str) -> None:
    assert chosen(reply, PETS) is None


@pytest.mark.parametrize(
    ("reply", "options", "option"),
    [
        *(("B. There are 2 dogs in image 1", ("1", "2", "3"), 1), ("There are two of them", ("one", "two"), 1)),
        *(("not 2", ("1", "2", "3"), None), ("B. 3", ("1", "2", "3"), None), ("(B) two", ("1", "2", "3"), 1)),
        ("B. Image 2 is red while image 1 is blue.", ("image 1", "image 2"), 1),
        *(("A. Yes, there is no cat", ("yes", "no"), 0), ("No, it is red", ("yes", "no"), 1)),
        *(("B. No, there is none", ("yes", "no"), 1), ("yes and no", ("yes", "no"), None)),
        *(("A", ("O", "A", "AB"), None), ("AB", ("O", "A", "AB"), 2), ("C", ("O", "A", "AB"), 2)),
        *(("A, B", ("A", "B"), None), ("B, A", ("A", "B"), None), ("B", ("A", "B"), 1)),
        *(("A. In image 1 vitamin C is named", ("x", "y", "z"), 0), ("A. There is no cat", ("yes", "no"), 0)),
        ("A. Because of the sprinkler", ("because it rained", "because of the sprinkler"), None),
        *(("B. vitamin C", ("vitamin A", "vitamin C", "none"), 1), ("dark red", ("red", "dark red"), 1)),
    ],
)
def test_numbers_images_yes_and_letters_may_be_options(
    reply: str, options: tuple[str, ...], option: int | None
) -> None:
    assert chosen(reply, options) == option


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        *(("not red", "red"), ("It isn't red", "red"), ("never red", "red"), ("It is not red, it is blue", "red")),
        *(("red or blue", "red"), ("red/blue", "red"), ("either red or a blue one", "blue"), ("Red? No, blue.", "red")),
        *(("Yes and no", "yes"), ("Yes and no", "no"), ("Yes. No.", "yes"), ("Yes or no?", "yes")),
        *(("No dogs are seen, so yes", "no"), ("True or false? false", "true")),
        *(("There are not 2", "2"), ("not 2", "image 2"), ("It is not in image 2", "image 2"), ("not both", "both")),
    ],
)
def test_what_is_denied_asked_or_said_beside_another_is_not_the_same(reply: str, answer: str) -> None:
    assert not same(reply, answer)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        *(
            ("No, it is red", "no"),
            ("No, it is red", "red"),
            ("red, not blue", "red"),
            ("Red, as nothing is blue", "red"),
        ),
        *(
            ("Yes, there is no cat", "yes"),
            ("Yes. There are two dogs and no cat.", "yes"),
            ("No, that is not true.", "no"),
        ),
        *(("No, there are 2.", "2"), ("There are two dogs", "2"), ("It is the second image", "image 2")),
        *(("There is no dog but a cat", "cat"), ("Red or blue? Red.", "red"), ("black, and white", "black and white")),
    ],
)
def test_an_answer_with_words_around_it_is_the_same(reply: str, answer: str) -> None:
    assert same(reply, answer)


def test_what_stands_behind_a_letter_may_be_its_option_a_reason_or_another_answer() -> None:
    assert all(stays(1, words, options=PETS) for words in ("", "a cat", "the cat", "because it meows", "it meows"))
    assert not any(stays(1, words, options=PETS) for words in ("a dog", "or (a)", "c", "a cat or a dog", "is wrong"))
    assert all(is_foreign(words, 1, options=PETS) for words in ("a horse", "horse", "two cows"))
    assert not any(
        is_foreign(words, 1, options=PETS) for words in ("", "cat", "the cat", "because it meows", "it meows")
    )


@pytest.mark.parametrize(
    ("words", "options", "at"),
    [
        *((words, ("Image 1", "Image 2"), 0) for words in ("The first image", "Image one", "image 1")),
        *((words, ("3 m", "5 m"), 1) for words in ("5m", "5 meters", "5.0", "five metres")),
        *((words, ("It moved left", "It moved right"), 0) for words in ("moves left", "Left-to-right")),
        *(("cats", PETS, 1), ("The car is red", ("a red car", "a blue car"), 0), ("Not the same", ("Yes", "No"), 1)),
    ],
)
def test_an_option_in_other_words_is_not_foreign(words: str, options: tuple[str, ...], at: int) -> None:
    assert stays(at, words, options=options)
    assert not is_foreign(words, at, options=options)


@pytest.mark.parametrize(
    ("words", "options", "at"),
    [
        *((words, ("Image 1", "Image 2"), 0) for words in ("Image 3", "The third image")),
        *(
            ("7 m", ("3 m", "5 m"), 1),
            ("50", ("3 m", "5 m"), 1),
            ("moves right", ("It moved left", "It moved right"), 0),
        ),
        *(("The car is blue", ("a red car", "a blue car"), 0), ("Not the same", ("Yes", "No"), 0)),
        ("on a chair", ("on the table", "in the box"), 0),
    ],
)
def test_another_number_or_words_nearer_to_another_option_are_foreign(
    words: str, options: tuple[str, ...], at: int
) -> None:
    assert is_foreign(words, at, options=options) or not stays(at, words, options=options)


def test_a_long_reply_is_read_in_no_time() -> None:
    begin = time.process_time()
    for words in ("not ", "(A) ", "red or ", " ", "/ ", "a.b", "no, ", "Image 1. ", "A. ", "B, a cat "):
        chosen(words * 3000, PETS)
        same(words * 3000, "red")
        same(words * 3000, "yes")
    assert time.process_time() - begin < 5
