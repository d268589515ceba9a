"""References to images in words: which are found, which are doubtful, and images that change places under them."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.talking import made, note, said, talk
from tests.pictures import real_data
from triptych.core.records import Example, ImageRef, Turn, images_of, text_of
from triptych.data.format import read_source
from triptych.data.text.references import ORDINALS, UnclearError, find_doubt, find_references, renumber, spell
from triptych.data.transform import TransformPlan, apply

TURNED = {1: 3, 2: 1, 3: 2}.__getitem__


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("What is in image 2?", "What is in image 1?"),
        ("Image 1's colour, IMAGE2, img_3 and picture #1.", "Image 3's colour, IMAGE1, img_2 and picture #3."),
        ("The second photo and the 3rd picture.", "The first photo and the 2nd picture."),
        ("Compare the first and third images.", "Compare the third and second images."),
        ("Images 1, 2, and 3; pictures one & two.", "Images 3, 1, and 2; pictures three & one."),
        ("Image A shows a cat, image B does not.", "Image C shows a cat, image A does not."),
        ("In <image 2> and [image 3] and (image 1).", "In <image 1> and [image 2] and (image 3)."),
        ("The last image.", "The second image."),
        ("Second image", "First image"),
        ("The first of the three images.", "The third of the three images."),
        ("From image 1 to image 2, between image 1 and 2.", "From image 3 to image 1, between image 3 and 1."),
        ("Which image number 3, image no. 1?", "Which image number 2, image no. 3?"),
        ("images 1-3 and images 1 to 3", "images 1-3 and images 1 to 3"),
        ("An image 30% larger, 3D image from image 3", "An image 30% larger, 3D image from image 2"),
        ("the two images, 2 images, the other image", "the two images, 2 images, the other image"),
        ("imagine 2, subimage 2, a second of time", "imagine 2, subimage 2, a second of time"),
    ],
)  # fmt: skip
def test_a_reference_is_rewritten_in_its_own_form(before: str, after: str) -> None:
    assert renumber(before, TURNED, count=3) == after


@pytest.mark.parametrize(
    "words",
    [
        "the left image",
        "the image on the right",
        "Which is older, the first or the second?",
        "The second one.",
        "the former",
        "the previous image",
        "In image 1, 2 dogs play.",
        "image 1 and 2 dogs",
        "Which image between 1 and 3?",
        "Which image, 1 or 3, is it?",
        "In the image A man stands.",
        "In the image one can see a dog.",
        "a second image",
        "It would come first.",
        "the first two images",
        "image 4 of them",
        "They show a cat and a dog, respectively.",
        "slide 2 of image 1",
    ],
)
def test_doubtful_words_are_not_rewritten(words: str) -> None:
    with pytest.raises(UnclearError):
        renumber(words, TURNED, count=3)


@given(number=st.integers(1, 130), form=st.sampled_from(["digits", "ordinal", "nth"]))
def test_what_is_spelled_is_found_again(number: int, form: str) -> None:
    said_so = spell(number, form)  # type: ignore[arg-type]
    text = f"image {said_so}" if form == "digits" else f"the {said_so} image"
    (found,) = find_references(text, count=200)
    assert found.numbers == (number,)
    assert text[found.start : found.stop] == said_so


@given(st.lists(st.sampled_from(["image 1", "the second image", "Images 1 and 3.", "the cat", "image C,", "4 dogs"])))
def test_there_and_back_again_is_the_same_text(words: list[str]) -> None:
    text = " and then ".join(words)
    for order in permutations((1, 2, 3)):
        there = renumber(text, lambda k: order[k - 1], count=3)  # noqa: B023
        assert renumber(there, lambda k: order.index(k) + 1, count=3) == text  # noqa: B023


def test_ordinals_end_where_digits_begin() -> None:
    assert spell(len(ORDINALS) + 1, "ordinal") == "17th"
    assert [spell(k, "nth") for k in (1, 2, 3, 11, 21, 112)] == ["1st", "2nd", "3rd", "11th", "21st", "112th"]
    assert find_doubt("nothing here", count=3) is None


def shuffled(*words: str, **facts: str) -> list[Example]:
    """Return what becomes of a conversation under many seeds, each outcome once."""
    row = talk(*words, **facts)  # type: ignore[arg-type]
    outcomes = {
        repr(made("shuffle_images", row, seed=seed)): made("shuffle_images", row, seed=seed)[0] for seed in range(8)
    }
    return list(outcomes.values())


def test_two_images_change_places_and_the_words_follow_them() -> None:
    outcomes = {
        tuple(said(row))
        for row in shuffled("[a][b]\nWhat is in image 2?", "In image 2 is a dog, not the cat of the first image.")
    }
    assert outcomes == {
        ("[a][b]\nWhat is in image 2?", "In image 2 is a dog, not the cat of the first image."),
        ("[b][a]\nWhat is in image 1?", "In image 1 is a dog, not the cat of the second image."),
    }


def test_a_label_stays_at_its_place() -> None:
    outcomes = {tuple(said(row)) for row in shuffled("Image 1: [a] Image 2: [b]\nWhat does image 2 show?", "A dog.")}
    assert outcomes == {
        ("Image 1: [a] Image 2: [b]\nWhat does image 2 show?", "A dog."),
        ("Image 1: [b] Image 2: [a]\nWhat does image 1 show?", "A dog."),
    }
    outcomes = {
        tuple(said(row)) for row in shuffled("I took [a] (image 1), [b] (image 2). Which is image 1?", "A cat.")
    }
    assert ("I took [b] (image 1), [a] (image 2). Which is image 2?", "A cat.") in outcomes


def test_options_that_name_images_keep_the_right_letter() -> None:
    row = talk("[a][b] Which image shows a dog?\n(A) Image 1\n(B) Image 2", "B")
    for seed in range(8):
        (turned,) = made("shuffle_images", row, seed=seed)
        options = said(turned)[0].partition("(B) Image ")[2]
        assert images_of(turned)[int(options) - 1].source == "/b.png"
        assert said(turned)[1] == "B"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("[a][b] What was added?", "A tree."), "no image by number"),
        (("A. [a] B. [b] Which is image 2?", "B"), "between images"),
        (("[a] This is my cat. [b] Is image 1 older?", "No."), "between images"),
        (("[a][b] Put image 1 and image 2 in the right order.", "Image 2."), "order"),
        (("[a][b] Is image 1 left of the right image?", "No."), "by its place"),
        (("[a][b] What is in image 3?", "A cow."), "image 3 of 2"),
        (("[a][b] Look at image 1. Which image is older?", "2"), "by its place"),
        (("[a][b] What hangs in image 2 and in the first picture on the wall?", "A map."), "picture within an image"),
    ],
)
def test_what_cannot_be_rewritten_safely_is_left_and_says_why(words: tuple[str, ...], why: str) -> None:
    row = talk(*words)
    (left,) = made("shuffle_images", row)
    assert left.turns == row.turns
    assert why in str(note(left)["left"])


@pytest.mark.parametrize(
    ("asked", "reply"),
    [
        ("Is the dog larger in image 1 or 2?", "2"),
        ("Is the dog larger in image 1 or image 2?", "In 2."),
        ("Which of image 1, image 2 and image 3 shows a dog?", "Only 3 does."),
        ("Which images show a dog: image 1, image 2, image 3?", "1 and 3."),
        ("Rank image 1, image 2 and image 3 by size.", "2 > 1 > 3"),
        ("In which of images 1-3 is a cat?", "Two."),
        ("In which of images 1-3 is a cat?", "Only in one."),
        ("Is image 1, image 2 or image 3 the brightest?", "The 2nd."),
        ("Which image shows a cat, Image A or Image B?", "Option B"),
        ("Which image shows a cat, Image A or Image B?", "A is right."),
        ("Which image shows a cat?\n(A) Image A\n(B) Image B", "(B)"),
        ("Which image shows a cat?\n(1) Image 2\n(2) Image 1", "2"),
        ("How many cats are in image 2?", "3"),
    ],
)
def test_a_reply_that_may_name_an_image_without_saying_so_leaves_the_row(asked: str, reply: str) -> None:
    row = talk(f"[a][b][c]\n{asked}", reply)
    for seed in range(8):
        (left,) = made("shuffle_images", row, seed=seed)
        assert left.turns == row.turns
        assert "by its place" in str(note(left)["left"])


@pytest.mark.parametrize(
    "reply",
    [
        "A dog.",
        "I see two dogs, as one would in a park.",
        "There are 12 of them, 3.5 m high, since 1999: 20%.",
        "The one with a hat, a lighter one.",
        "A “B-52” isn't shown; it's a 4x4.",
    ],
)
def test_counts_of_things_and_pronouns_in_a_reply_name_no_image(reply: str) -> None:
    assert len(shuffled("[a][b][c]\nWhat is in image 2?", reply)) > 1


def test_a_last_image_is_another_one_when_more_images_come() -> None:
    def after(text: str, number: int, now: int) -> str:
        return renumber(text, lambda k: k + number, count=2, now=now)

    assert after("Is it in the last image?", 0, 4) == "Is it in the second image?"
    assert after("Is it in the last image?", 2, 4) == "Is it in the last image?"
    assert after("Is it in the last image?", 1, 4) == "Is it in the third image?"
    assert after("Compare the last two images.", 2, 4) == "Compare the last two images."
    with pytest.raises(UnclearError):
        after("Compare the last two images.", 0, 4)


def test_a_temporal_row_and_facts_that_name_images_are_left() -> None:
    words = ("[a][b] What is in image 2?", "A dog.")
    for row in (talk(*words, skills=["temporal"]), talk(*words, options=["Image 1", "Image 2"])):
        (left,) = made("shuffle_images", row)
        assert left.turns == row.turns
        assert "left" in note(left)


def test_the_frames_of_a_video_stay_in_their_time() -> None:
    row = talk("[a][f][g][b] What is in image 4?", "A dog.")
    (asked, reply) = row.turns
    frames = (ImageRef(f"/{name}.png", video="film") for name in "fg")
    row = replace(row, turns=(Turn("user", (asked.parts[0], *frames, *asked.parts[3:])), reply))
    for seed in range(8):
        (left,) = made("shuffle_images", row, seed=seed)
        assert left.turns == row.turns
        assert note(left) == {"left": "it has a video among its images"}


def test_images_stay_in_their_turn() -> None:
    for row in shuffled("[a][b] What is in image 1?", "A cat.", "[c][d] And in image 3?", "A cow."):
        first, second = said(row)[0], said(row)[2]
        assert {"[a]" in first, "[b]" in first, "[c]" in second, "[d]" in second} == {True}


def test_every_reference_of_real_conversations_still_means_the_same_picture() -> None:
    rows = [
        row for row in read_source(f"mantis:{real_data('mantis_examples')}/chat/train.json") if isinstance(row, Example)
    ]
    plan = TransformPlan.parse({"kind": "shuffle_images"})
    changed = references = 0
    for before, after in zip(rows, apply([plan], rows, seed=1), strict=True):
        assert isinstance(after, Example)
        old, new = images_of(before), images_of(after)
        changed += old != new
        for turn, turned in zip(before.turns, after.turns, strict=True):
            there = find_references(text_of(turn), count=len(old))
            here = find_references(text_of(turned), count=len(new))
            if "order" not in note(after):
                assert turn == turned
                continue
            for one, other in zip(there, here, strict=True):
                references += 1
                assert {old[k - 1] for k in one.numbers} == {new[k - 1] for k in other.numbers}
    assert changed > 40
    assert references > 1000
