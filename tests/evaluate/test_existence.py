"""What a reply says is there, where that is asked: no more than it says, of no other thing."""

from __future__ import annotations

import time

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


@pytest.mark.parametrize(
    "again", ["or a dog ", "is, a dog ", "instead of a dog ", "not, however, a dog ", "object a dog: "]
)
def test_a_thing_said_a_thousand_times_is_weighed_a_few_times(again: str) -> None:
    start_s = time.perf_counter()
    says_there_is(DOG, "There is a dog " + again * (40_000 // len(again)))
    assert time.perf_counter() - start_s < 0.5


def test_a_reply_that_goes_round_in_circles_is_read_at_once() -> None:
    start_s = time.perf_counter()
    assert says_there_is(DOG, "there is no dog and " * 4000) is False
    assert time.perf_counter() - start_s < 5


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


TABLE: dict[bool | None, tuple[str, ...]] = {
    True: (
        *("There is no cat, but there is a dog.", "There is no doubt that there is a dog.", "There is a dog, no cat."),
        *("There is no cat; there is a dog.", "There isn't a cat, there is a dog.", "There is not a cat but a dog."),
        *(
            "I don't see a cat, but I see a dog.",
            "I cannot see a cat, but there is a dog.",
            "I see no cat, just a dog.",
        ),
        *("There is no man, and a dog is sitting on the mat.", "There are no cats, however there are two dogs."),
        *("There is nothing but a dog.", "There is no animal except a dog.", "There is without doubt a dog."),
        *("There isn't just a dog, there is a cat too.", "There is a dog and no cat.", "A dog can be seen, not a cat."),
        *("There is no question that the image has a dog.", "The image shows no cat, but it does show a dog."),
        *("There is no dog on the left, but there is a dog on the right.", "There is a dog, but I cannot see a cat."),
        *("There is a man with a dog but without a hat.", "I think there is a dog.", "There is a dog, for sure."),
        *("There is a single dog.", "There are no people, just a dog.", "There is no denying that there is a dog."),
        *("There is no one but a dog there.", "I can see a dog, though no cat.", "There are no cats, yet I see a dog"),
        "There is a dog that does not look at me.",
        *(
            "The image shows, instead of a cat, a dog.",
            "There is, rather than a cat, a dog.",
            "There is, not oddly, a dog.",
        ),
        *("There is a cat but rather than a bird a dog.", "There is a barely visible cat and a dog."),
        *(
            "There are hardly visible cats and a dog.",
            "There is no man, however, there is a dog.",
            "There is, though, a dog.",
        ),
        *(
            "The image does not only show a dog.",
            "There is a man who barely looks, and a dog.",
            "There is a bird instead of the usual cat, and a dog.",
            "There is no cat: a dog is there.",
            "There is no cat: I only see a dog.",
            "There is no cat — there is a dog.",
        ),
        *("There are no cats: only a dog.", "There is no man in the picture, however, on the left a dog is sitting."),
    ),
    False: (
        "There is no cat, a dog or a bird.",
        "I don't see a cat, a dog, or a bird.",
        *("There is hardly a dog.", "There is hardly any dog.", "I cannot see any dog.", "I can't see a dog."),
        *("I could not find any dogs in the picture.", "I can't spot a dog here.", "There is a cat, but no dog."),
        *("There is a cat, but not a dog.", "There is no doubt that there is no dog.", "There is no cat or dog."),
        *("There is no cat, and no dog.", "There is neither a cat nor a dog.", "There isn't a cat or a dog."),
        *("There is anything but a dog.", "There is a cat instead of a dog.", "There is not a single dog."),
        *("A dog is nowhere to be seen.", "A dog cannot be seen.", "There is no sign of a dog.", "A dog is absent."),
        *("There is no dog, but there is a cat.", "I don't think there is a dog.", "I see a cat, not a dog."),
        *("There is a cat; there is no dog.", "The image does not show there is a dog.", "There is scarcely a dog."),
        *("There is no evidence of a dog, only of a cat.", "There is no longer a dog.", "There are cats but no dogs."),
        *("There is no dog, only a cat that looks like a dog.", "There is not yet a dog.", "I can see no dog."),
        *("The image does not, however, show a dog.", "There isn't, though, a dog.", "There is not however a dog."),
        *(
            "There does not, however, appear to be a dog.",
            "There is no sign, however, of a dog.",
            "There is, by no means, a dog.",
        ),
        *(
            "The image does not show, in fact, a dog.",
            "There is not, although I looked, a dog.",
            "There is not even just one dog.",
        ),
        *("The image does not show any of the following: a cat, a dog, a bird.", "There is no one just walking a dog."),
        *(
            "The image does not contain the object in question: a dog.",
            "There is no sign of what you asked for — a dog.",
        ),
        *(
            "I cannot see a dog in the picture you sent. Two people share a bench in the image.",
            "I can't see a dog; I see a cat.",
        ),
        *("I cannot see a dog. There is no cat in the image.", "I cannot see a dog. The picture is of a street."),
        *("The image does not show: a dog, a bird.", "There is not: a dog."),
        *("I cannot see a dog. There is nothing there.", "I cannot see a dog, although I looked closely."),
        *("I cannot see a dog. The image does not show an open door.", "There is no wardrobe, no bed, and no dog."),
        *("There is a cat instead of showing a dog.", "I cannot see a dog. Instead, I think it is a cat."),
    ),
    None: (
        *(
            "There is no cat.",
            "There is a cat that looks like a dog.",
            "There is a cat or a dog.",
            "There is a dog or a cat.",
        ),
        *("There is no cat, a dog", "I cannot see the image.", "There is a bed for a dog.", "I can hardly see a dog."),
        *("I cannot see a dog because no picture was sent.", "I cannot see a dog. I am unable to open pictures."),
        *(
            "I cannot see a dog. Please upload the picture.",
            "I cannot see a dog, no image was attached.",
            "There is no cat: a dog.",
        ),
        *(
            "I cannot see a dog. The photo is blank.",
            "I cannot see a dog, I have no image.",
            "I cannot see any dog: I only read text.",
        ),
        *("I can't see a dog. As a language model, I cannot look.", "I cannot see a dog. The image is too dark."),
        *(
            "I cannot find a dog; could you share the image?",
            "I cannot find a dog. Nothing was attached.",
            "I cannot see a dog, for the file did not load.",
        ),
        *("I cannot see a dog. The image was never uploaded.", "I cannot see a dog. Try sending the image again."),
        *("I cannot see whether there is a dog.", "There may be no cat, but a dog.", "There is no dog-like thing."),
        *(
            "There is everything except a dog.",
            "I cannot see a dog, as it is too dark.",
            "There is no toy dog.",
            "I cannot see.",
        ),
    ),
}
"""Replies to "Is there a dog in the image?", and what a careful person reads in them."""


@pytest.mark.parametrize(("reply", "there"), [(reply, there) for there, replies in TABLE.items() for reply in replies])
def test_a_denial_is_of_the_thing_in_its_own_clause_alone(reply: str, there: bool | None) -> None:
    found = scorers.choice_of(asked(DOG, "Yes", "No"), reply).option
    assert {0: True, 1: False, None: None}[found] is there


def test_pope_takes_a_sentence_for_its_answer() -> None:
    pope = find("benchmark", "pope", expected=Benchmark)
    absent, there = questions_of("pope")
    assert [pope.score(absent, reply) for reply in ("There is no dog in the image.", "There is a dog.")] == [1, 0]
    assert [pope.score(there, reply) for reply in ("I see a square", "There is a circle.")] == [1, 0]
    assert [pope.answered(there, reply) for reply in ("I see a square", "There is a circle.")] == [True, False]
