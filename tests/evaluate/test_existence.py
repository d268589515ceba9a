"""What a reply says is there, where that is asked: no more than it says, of no other thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.samples.golden import questions_of
from triptych.core.plugins import find
from triptych.core.records import Example, Text, Turn
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.reading import scorers
from triptych.evaluate.reading.existence import says_there_is

DOG = "Is there a dog in the image?"


@pytest.mark.parametrize(
    "reply",
    [
        *("There is a dog in the image.", "There are two dogs.", "There's a dog.", "I can see a dog.", "I see a dog"),
        *("The image shows a dog.", "In the image, there is a dog on the sofa.", "A dog is sitting there."),
        *("There is a man with a dog.", "There is not only a dog, but a cat", "There is a dog and a cat"),
    ],
)
def test_what_is_said_to_be_there_is_there(reply: str) -> None:
    assert says_there_is(DOG, reply) is True


@pytest.mark.parametrize(
    "reply",
    [
        *("There is no dog in the picture.", "There isn't a dog.", "I do not see a dog.", "I don't see any dogs here."),
        *("The image does not contain a dog.", "No dog is visible.", "No dogs are visible in the image."),
        *(
            "There is a man but no dog.",
            "There does not appear to be a dog.",
            "A dog is not visible.",
            "There isn’t a dog",
        ),
        "There is no indication of a dog",
    ],
)
def test_what_is_said_not_to_be_there_is_not(reply: str) -> None:
    assert says_there_is(DOG, reply) is False


@pytest.mark.parametrize(
    "reply",
    [
        *(
            "There is a cat.",
            "There is a hot dog.",
            "There is a dog house.",
            "There is no hot dog",
            "A dog",
            "I see it",
        ),
        *("I cannot tell if there is a dog.", "There might be a dog.", "A man walks.", "There is nothing.", ""),
        *("There is no cat. There is a dog.", "The dog is brown.", "A dog lover sits there"),
    ],
)
def test_what_says_nothing_of_the_thing_says_nothing(reply: str) -> None:
    assert says_there_is(DOG, reply) is None


def test_only_a_question_whether_there_is_a_thing_is_answered_so() -> None:
    assert says_there_is("Is the dog red?", "There is no dog.") is None
    assert says_there_is("Are there two people?", "There are three people.") is None
    assert says_there_is("Are there any traffic lights in the picture?", "There are traffic lights.") is True
    assert says_there_is("Is there a elephant in this image? Please answer yes or no.", "There is an elephant.") is True


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_two_texts_can_be_asked(question: str, reply: str) -> None:
    assert says_there_is(question, reply) in (True, False, None)


def asked(question: str, *options: str) -> Example:
    turns = (Turn("user", (Text(question),)), Turn("assistant", (Text(options[0]),)))
    return Example("q", turns, facts={"choice": True, "options": list(options), "right": 0, "question": question})


def test_yes_and_no_win_over_what_is_there_and_other_options_are_not_read_so() -> None:
    def read(question: Example, reply: str) -> int | None:
        return scorers.choice_of(question, reply).option

    assert read(asked(DOG, "Yes", "No"), "There is no dog.") == 1
    assert read(asked(DOG, "No", "Yes"), "There is no dog.") == 0
    assert read(asked(DOG, "Yes", "No"), "Yes. There is no doubt.") == 0
    assert read(asked(DOG, "Yes", "No"), "I am sorry, I cannot say. There is no dog.") is None
    assert read(asked(DOG, "True", "Maybe"), "There is no dog.") is None


def test_pope_takes_a_sentence_for_its_answer() -> None:
    pope = find("benchmark", "pope", expected=Benchmark)
    absent, there = questions_of("pope")
    assert [pope.score(absent, reply) for reply in ("There is no dog in the image.", "There is a dog.")] == [1, 0]
    assert [pope.score(there, reply) for reply in ("I see a square", "There is a circle.")] == [1, 0]
    assert [pope.answered(there, reply) for reply in ("I see a square", "There is a circle.")] == [True, False]
