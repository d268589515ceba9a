"""Rows of one image each made into one of several: questions say which image, captions have right labels."""

from __future__ import annotations

import re
from collections import Counter
from random import Random

import pytest

from tests.data.talking import made, note, refused, said, talk
from triptych.core.errors import ConfigError
from triptych.core.records import Example, ImageRef, images_of, text_of
from triptych.data.text.naming import Namer, put_to
from triptych.data.transform import TransformPlan

BUS = talk(
    "[bus]\nWhat are the colors of the bus in the image?",
    "The bus in the image is white and red.",
    "What feature can be seen on its back?",
    "An advertisement.",
    name="bus",
    source="coco",
)
CAT = talk(
    "What is the cat doing? [cat]", "It sleeps.", "Is this photo taken indoors?", "Yes.", name="cat", source="coco"
)
PIE = talk("[pie]", "A pie on a plate.", name="pie", source="own")


@pytest.mark.parametrize(
    ("question", "put"),
    [
        ("What is in the image?", "What is in image 2?"),
        ("Describe this picture in detail.", "Describe image 2 in detail."),
        ("The photo's colours?", "Image 2's colours?"),
        ("Is there text in the image? If so, which?", "Is there text in image 2? If so, which?"),
        ("What does the image show?\nAnswer shortly.", "What does image 2 show?\nAnswer shortly."),
    ],
)
def test_the_image_becomes_image_2(question: str, put: str) -> None:
    assert put_to(question, 2, namer=Namer(), random=Random(0)) == put


def test_other_questions_get_the_image_in_front_and_keep_their_words() -> None:
    fronts = {put_to("What colour is the bus?", 2, namer=Namer("ordinal"), random=Random(seed)) for seed in range(20)}
    assert fronts == {
        "For the second image, what colour is the bus?",
        "In the second image, what colour is the bus?",
        "Looking at the second image, what colour is the bus?",
    }
    for asked in (
        "I think the wheel is broken.",
        "Red or blue?",
        "What is the image quality like? And the image of it?",
    ):
        assert put_to(asked, 3, namer=Namer(), random=Random(1)).lower().endswith(asked.lower())
        assert "image 3" in put_to(asked, 3, namer=Namer(), random=Random(1))


def test_rows_of_one_image_become_one_of_several_with_their_replies_kept() -> None:
    (row,) = made("merge", BUS, CAT, PIE, share=1.0, images=[3, 3], p_in_place=0.0, styles=["number"])
    parents = note(row)["parents"]
    assert isinstance(parents, list)
    assert row.id == "+".join(map(str, parents))
    assert [image.source for image in images_of(row)] == [f"/{parent}.png" for parent in parents]
    replies = Counter(text_of(turn) for turn in row.turns if turn.role == "assistant")
    assert replies == Counter(
        text_of(turn) for old in (BUS, CAT, PIE) for turn in old.turns if turn.role == "assistant"
    )
    asked = [text_of(turn) for turn in row.turns if turn.role == "user"]
    rounds = note(row)["rounds"]
    assert isinstance(rounds, list)
    for question, number in zip(asked, rounds, strict=True):
        assert re.search(rf"image {number}\b", question, re.IGNORECASE)
        assert len(re.findall(r"image \d", question, re.IGNORECASE)) == 1
    assert f"What are the colors of the bus in image {parents.index('bus') + 1}?" in " ".join(asked)
    assert f"Describe image {parents.index('pie') + 1}." in " ".join(asked)
    assert note(row)["facts"] == [{"source": "own" if parent == "pie" else "coco"} for parent in parents]


def test_rounds_of_one_image_keep_their_order_when_they_are_dealt() -> None:
    for seed in range(10):
        (row,) = made("merge", BUS, CAT, share=1.0, p_in_place=0.0, seed=seed)
        replies = [text_of(turn) for turn in row.turns if turn.role == "assistant"]
        assert replies.index("The bus in the image is white and red.") < replies.index("An advertisement.")
        assert replies.index("It sleeps.") < replies.index("Yes.")


def test_images_stand_in_front_at_the_end_or_where_they_are_first_asked_about() -> None:
    layouts = Counter[str]()
    for seed in range(40):
        (row,) = made("merge", BUS, CAT, share=1.0, p_in_place=0.3, seed=seed)
        layout = str(note(row)["layout"])
        layouts[layout] += 1
        counts = [sum(isinstance(part, ImageRef) for part in turn.parts) for turn in row.turns]
        if layout == "in place":
            assert [count for count in counts if count] == [1, 1]
            assert note(row)["rounds"] == [1, 1, 2, 2]
        else:
            assert counts[0] == 2
            assert isinstance(row.turns[0].parts[0], ImageRef) == (layout == "in front")
    assert min(layouts.values()) > 3
    assert len(layouts) == 3


def test_the_last_image_of_a_row_is_called_by_its_number_where_others_follow() -> None:
    cow = talk("[cow]What is in the last image?", "The last image shows a cow.", name="cow")
    said_so = set()
    for seed in range(20):
        (row,) = made("merge", PIE, cow, CAT, share=1.0, images=[3, 3], p_in_place=0.0, seed=seed)
        place = ["first", "second", "last"][[image.source for image in images_of(row)].index("/cow.png")]
        said_so.add(place)
        assert f"The {place} image shows a cow." in said(row)
        assert f"What is in the {place} image?" in " ".join(said(row))
    assert len(said_so) == 3


def test_a_row_about_a_picture_within_its_image_is_not_merged() -> None:
    wall = talk("[room]What hangs in the first picture on the wall?", "A map.", name="wall")
    assert made("merge", wall, PIE, share=1.0) == [wall, PIE]


def test_a_row_that_speaks_of_image_1_speaks_of_its_new_number() -> None:
    car = talk("[car]What is image 1 about?", "Image 1 is about a car.", name="car")
    (row,) = made("merge", PIE, car, share=1.0, p_in_place=0.0)
    number = [image.source for image in images_of(row)].index("/car.png") + 1
    assert f"Image {number} is about a car." in said(row)


def test_rows_that_cannot_be_merged_stay_or_are_refused() -> None:
    two = talk("[a][b] What is in image 2?", "A dog.", name="two")
    words = talk("Two and two?", "Four.", name="words")
    kept = made("merge", BUS, two, CAT, words, share=1.0)
    assert [row.id for row in kept if row.id in {"two", "words"}] == ["two", "words"]
    assert len(kept) == 3
    assert refused("merge", two, others="refuse").reason == "cannot be merged"


def test_one_picture_never_meets_itself_and_labels_keep_their_image() -> None:
    again = talk("[bus] And?", "Yes.", name="again")
    assert len(made("merge", BUS, again, share=1.0)) == 2
    rated = Example("rated", talk("[a] How good?", "Good.").turns, labels=(("quality", 2.0),))
    (row,) = made("merge", rated, CAT, share=1.0)
    number = [image.source for image in images_of(row)].index("/a.png") + 1
    assert row.labels == ((f"quality of image {number}", 2.0),)


def captions(count: int) -> list[Example]:
    things = (
        "a red bus",
        "two dogs on a beach",
        "an old clock",
        "soup with a spoon",
        "a chess board",
        "skis",
        "a lamp",
    )
    return [
        talk(f"[p{at}]\nDescribe the image.", f"{things[at % 7]} number {at}", name=f"p{at}") for at in range(count)
    ]


def test_every_label_of_a_contrast_row_is_right() -> None:
    for row in made("contrast", *captions(60), kinds={"choose": 1.0}, styles=["number"]):
        sources = [image.source for image in images_of(row)]
        questions = note(row)["questions"]
        assert isinstance(questions, list)
        assert len(questions) == len(sources)
        for at, question in enumerate(questions):
            assert isinstance(question, dict)
            number = int(str(question["image"]))
            truth = _caption_of(sources[number - 1])
            asked, reply = text_of(row.turns[2 * at]), text_of(row.turns[2 * at + 1])
            if question["kind"] == "select":
                assert truth in asked
                assert reply == f"Image {number}."
            elif question["kind"] == "describe":
                assert f"image {number}" in asked
                assert reply == truth
            else:
                assert f"image {number}" in asked
                options = dict(re.findall(r"\((\w)\) (.*)", asked))
                assert options[reply] == truth
                assert list(options.values()).count(truth) == 1
                assert set(options.values()) <= {_caption_of(source) for source in sources}


def test_right_places_and_letters_are_equally_frequent() -> None:
    rows = made("contrast", *captions(400), images=[4, 4], questions=1, kinds={"choose": 1.0, "describe": 0.0})
    places, letters = Counter[int](), Counter[str]()
    for row in rows:
        (question,) = note(row)["questions"]  # type: ignore[misc]
        assert isinstance(question, dict)
        if question["kind"] == "select":
            places[int(str(question["image"]))] += 1
        else:
            letters[text_of(row.turns[1])] += 1
    assert max(places.values()) - min(places.values()) <= 1
    assert max(letters.values()) - min(letters.values()) <= 1
    assert len(places) == len(letters) == 4


def test_a_caption_never_meets_its_equal_or_a_part_of_it() -> None:
    rows = [
        talk(f"[{name}]", caption, name=name)
        for name, caption in {"a": "A dog.", "b": "the DOG", "c": "A brown dog runs.", "d": "A cat."}.items()
    ]
    for seed in range(10):
        for row in made("contrast", *rows, images=[2, 4], seed=seed):
            sources = {image.source for image in images_of(row)}
            assert len(sources & {"/a.png", "/b.png", "/c.png"}) <= 1


@pytest.mark.parametrize(
    ("part", "whole"),
    [
        ("一只狗", "一只狗在草地上奔跑"),
        ("走る犬。", "草の上を走る犬が一匹。"),
        ("개 한 마리", "풀밭을 달리는 개 한 마리"),
        ("Un chien.", "Un chien court."),
    ],
)
def test_a_caption_never_meets_one_that_it_is_a_part_of_also_where_no_blank_parts_words(part: str, whole: str) -> None:
    rows = [talk("[a]", part, name="a"), talk("[b]", whole, name="b")]
    assert made("contrast", *rows, images=[2, 2]) == rows


def test_the_length_of_a_caption_without_blanks_is_counted_in_characters() -> None:
    rows = [talk("[a]", "一只狗在草地上奔跑。", name="a"), talk("[b]", "两只猫睡在床上。", name="b")]
    assert made("contrast", *rows, images=[2, 2], longest_caption=8) == rows
    assert len(made("contrast", *rows, images=[2, 2], longest_caption=9)) == 1


def test_what_a_caption_says_is_never_filled_in_nor_taken_for_a_reference() -> None:
    odd = talk("[a]", "A {name} tag and {options}.", name="a")
    named = talk("[b]", "The second image shows a cat.", name="b")
    rows = made("contrast", odd, PIE, named, images=[2, 2])
    assert named in rows
    assert any("A {name} tag and {options}." in " ".join(said(row)) for row in rows if row != named)


def test_a_row_without_a_caption_is_kept_or_refused() -> None:
    assert made("contrast", CAT) == [CAT]
    assert refused("contrast", CAT, others="refuse").reason == "no caption"


@pytest.mark.parametrize(
    "settings",
    [{"images": [1, 2]}, {"images": [4, 2]}, {"kinds": {"select": 0.0, "describe": 0.0}}, {"share": 1.5}],
)
def test_impossible_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        TransformPlan.parse({"kind": "contrast", **settings})


def _caption_of(source: str) -> str:
    at = int(source.removeprefix("/p").removesuffix(".png"))
    return text_of(captions(at + 1)[at].turns[1])
