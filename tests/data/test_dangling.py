"""Words that point at images that are not there are found, and numbers that mean other things are left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pictures import real_data
from triptych.core.records import Example, ImageRef, Text, Turn, VideoRef, images_of
from triptych.data.format import read_source
from triptych.data.trust.dangling import dangling, pointed_at, references_of


def numbers(text: str) -> list[int]:
    return [number for number, _ in pointed_at(text)]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("What is in image 5?", [5]),
        ("Image 5 shows a dog.", [5]),
        ("In picture #3 and photo 4, who laughs?", [3, 4]),
        ("Compare images 2 and 7.", [2, 7]),
        ("Compare images 1, 2, and 4.", [1, 2, 4]),
        ("images 3-5 are dark", [3, 5]),
        ("the fourth image", [4]),
        ("The 3rd picture is blurred.", [3]),
        ("between image 1 and 3?", [1, 3]),
        ("image two is larger", [2]),
        ("(see image 6)", [6]),
        ("Image1: a dog", [1]),
        ("What does the person in image 2 wear?", [2]),
        ("The image 12: what is it?", []),
    ],
)
def test_references_are_found(said: str, meant: list[int]) -> None:
    assert numbers(said) == meant


@pytest.mark.parametrize(
    "said",
    [
        "Figure 5 shows the results.",
        "In this image 5 dogs are playing.",
        "In image 5 dogs are playing.",
        "There are 5 images.",
        "The image 5 people stand in is dark.",
        "Save it as image_5.png or image5.jpg.",
        "see images/5.png",
        "The image 5.1 MB large",
        "an image 5 times as large",
        "an image 50% brighter, image 1024 wide",
        "Scale image 2x2 to image 16:9.",
        "How many are there?\nA. image 5\nB. image 6",
        "Which one? (A) the first image (B) the fourth image",
        "the fourth image in the collage",
        "the third picture of the comic strip",
        "In image one can see the sea.",
        "Chapter 5, table 7, step 9, frame 5",
        "pictures 5 people at a time",
        "My imagery 5",
    ],
)
def test_other_numbers_are_left_alone(said: str) -> None:
    assert numbers(said) == []


def asked(*texts: str, images: int) -> Example:
    shown = tuple(ImageRef(f"/{number}.png") for number in range(images))
    first, *others = (Turn("user", (Text(text),)) for text in texts)
    return Example("x", (replace(first, parts=(*shown, *first.parts)), *others))


def test_a_reference_past_the_last_image_is_dangling() -> None:
    example = asked("Compare image 3 with images 2 and 5.", "And the seventh picture?", images=3)
    assert [(each.number, each.turn) for each in dangling(example)] == [(5, 0), (7, 1)]
    assert dangling(asked("image 1?", images=0))
    assert not dangling(asked("image 0?", images=1)), "some count from 0"


def test_demonstrations_count_and_a_video_may_mean_its_frames() -> None:
    shown = asked("image 1", images=2)
    assert not dangling(replace(asked("image 4", images=2), demonstrations=(shown,)))
    assert dangling(replace(asked("image 5", images=2), demonstrations=(shown,)))
    clip = replace(shown, turns=(Turn("user", (VideoRef("/v.mp4"), Text("image 9"))),))
    assert not dangling(clip)


@given(st.text(max_size=80), st.integers(0, 5))
def test_no_text_is_too_odd_to_look_at(text: str, images: int) -> None:
    for each in dangling(asked(text, images=images)):
        assert each.number > images
        assert each.said in text


def test_the_real_conversations_point_at_images_that_are_there() -> None:
    rows = read_source(f"mantis:{real_data('mantis_examples')}/chat/train.json")
    examples = [row for row in rows if isinstance(row, Example)]
    assert sum(len(list(references_of(each))) for each in examples) > 2800
    assert [each.id for each in examples if dangling(each)] == []


def test_an_image_taken_out_of_a_real_conversation_is_missed_by_its_words() -> None:
    """Each of the 100 names its last image somewhere, so each must be found."""
    found = 0
    for row in read_source(f"mantis:{real_data('mantis_examples')}/chat/train.json"):
        assert isinstance(row, Example)
        last = images_of(row)[-1]
        turns = tuple(replace(turn, parts=tuple(part for part in turn.parts if part != last)) for turn in row.turns)
        missed = dangling(replace(row, turns=turns))
        assert {each.number for each in missed} <= {len(images_of(row))}
        found += bool(missed)
    assert found == 100
