"""Numbers behind "image" that count things, or belong to somebody, are no names of images; names go on being names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.talking import made, note, said, talk
from tests.pictures import draw
from tests.toys import talk as spoken
from triptych.core.records import Example, ImageRef, Text, Turn, images_of
from triptych.data.format import Refused
from triptych.data.plan.budget import WORDS_REFER, Budget, fit
from triptych.data.plan.costs import Fixed
from triptych.data.text.references import UnclearError, find_doubt, find_references, may_name, renumber
from triptych.evaluate.diagnosis.places import deciding_image
from triptych.generate.kit.amounts import numbers_in

COUNTED = (
    "In both images two people are walking.",
    "In both images 2 people are walking.",
    "In these pictures 2 cats sleep.",
    "In the images 2 or 3 dogs play.",
    "In both images one can see a dog.",
    "In these photos one sees a dog.",
    "In the image 1 dog is visible.",
    "In this image 2 dogs play.",
    "In this wide view 2 are red.",
    "In my view one dog is bigger.",
    "On closer view 2 dogs can be seen.",
    "In the image 2 of them sleep.",
    "In that picture 3 are white.",
    "The windows frame two towers.",
    "They picture one man.",
    "Trees frame A-shaped houses.",
    "Frame two of them.",
    "You can view 3 rooms.",
    "Flip the image 2 times.",
    "In images A man walks.",
    "view one at a time",
    "image 2-panel",
    "picture 2:3",
)


@pytest.mark.parametrize("words", COUNTED)
def test_what_counts_or_is_somebody_is_not_rewritten(words: str) -> None:
    assert find_references(words, count=3) == ()
    try:
        assert renumber(words, {1: 2, 2: 3, 3: 1}.__getitem__, count=3) == words
    except UnclearError:
        assert find_doubt(words, count=3) is not None


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ("What is in image 2?", [2]),
        ("In image 2 the dog sleeps.", [2]),
        ("In image 2 there are two dogs.", [2]),
        ("Image 2 shows two dogs.", [2]),
        ("Now image 3 joins them.", [3]),
        ("It says that image 2 is older than what image 1 shows.", [2, 1]),
        ("Both image 1 and image 3 feature dogs.", [1, 3]),
        ("Both images 1 and 2 show a dog.", [1, 2]),
        ("What is in the image 2?", [2]),
        ("The image 1 shows a cat and the image 2 shows a dog.", [1, 2]),
        ("In the attached image 2, who is it?", [2]),
        ("the chef in image 2 teaches cooking", [2]),
        ("Are frame 2 and frame 1 alike?", [2, 1]),
        ("How is picture one different in mood?", [1]),
        ("From image one to image two the sky gets dark.", [1, 2]),
        ("Images 1, 2, and 3 were taken at night.", [1, 2, 3]),
        ("images 1 and image 2 are old", [1, 2]),
        ("Is image A or image B darker?", [1, 2]),
        ("In image A, a man walks.", [1]),
        ("Image 1: a dog\nImage 2: a cat", [1, 2]),
        ("the second image dogs love", [2]),
    ],
)
def test_plain_names_are_names_whatever_stands_behind_them(words: str, numbers: list[int]) -> None:
    assert [number for each in find_references(words, count=3) for number in each.numbers] == numbers
    assert find_doubt(words, count=3) is None


PLAIN = (
    *("The woman in image 2 laughs.", "In image 2 kittens sleep.", "In image 2 rain falls."),
    *("In image 2 snow melts.", "In image 2 water drips.", "In image 2 Anna waves.", "In image 2 nobody sings."),
    *("In image 2 everyone dances.", "In image 2 red leaves lie about.", "In image 2 old men chat."),
    *("The baker in image 2 kneads dough.", "The sailor in image 2 ties knots.", "The nurse in image 2 pours tea."),
    *("The girl in image 2 paints fences.", "The bird in image 2 pecks seeds.", "The horse in image 2 gallops."),
    *("The sky in image 2 darkens.", "The mood in image 2 soothes.", "The sign in image 2 warns drivers."),
    *("The clown in image 2 juggles balls.", "The path in image 2 winds uphill.", "The crowd in image 2 cheers."),
    *("The engine in image 2 smokes.", "The boat in image 2 drifts.", "The river in image 2 floods fields."),
    *("The light in image 2 fades.", "The child in image 2 builds towers.", "The farmer in image 2 milks cows."),
    *("The cook in image 2 peels apples.", "The tree in image 2 sheds leaves.", "Image 2 radiates warmth."),
    *("Image 2 blurs faces.", "Image 2 crops people out.", "Image 2 glows.", "Image 2 intrigues me."),
    *("Image 2 mixes colours.", "Image 2 shocks readers.", "Image 2 honours workers."),
    *("Image 2 bathes trees in light.", "Image 2 barely shows faces.", "Image 2 mostly shows roofs."),
    *("Image 2 quietly charms visitors.", "Picture 2 zooms in.", "Picture 2 depresses me.", "Photo 2 bears stains."),
    *("Photo 2 predates the war.", "Frame 2 freezes the jump.", "View 2 overlooks roofs."),
    *("either image 2 or nothing", "either of image 2 or a drawing", "neither image 2 nor a drawing"),
    *("both of image 2 and the text", "on one hand image 2 is red", "on the other hand image 2 is blue"),
    *("Unlike the text, image 2 shows it.", "Does image 2 frighten you?", "Is image 2 blurry?"),
    *("Are people in image 2 dancing?", "What do the cats in image 2 chase?"),
    *("Which of the boys in image 2 jumps highest?", "People in image 2 carry bags."),
    *("Is the hat in image 2 striped?", "I find image 2 boring.", "We call image 2 art.", "This is image 2."),
    *("my image 2: a dog", "this image 2: a dog", "the image 2 is dark", "the image 2 shows a dog"),
    *("In the image 2, dogs play.", "our image 2", "Image two shows a dog.", "In image two dogs play."),
    *("In picture two, a dog plays.",),
)


@pytest.mark.parametrize("words", PLAIN)
def test_a_digit_behind_a_noun_without_an_article_is_a_name(words: str) -> None:
    assert [each.numbers for each in find_references(words, count=3)] == [(2,)]
    assert find_doubt(words, count=3) is None


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ("Images 1 and 2 gleam.", [1, 2]),
        ("In images 1-3 dogs play.", [1, 2, 3]),
        ("In both images 1 and 2 dogs play.", [1, 2]),
        ("either image 1 or image 2", [1, 2]),
        ("Pictures 1: dogs", [1]),
        ("Pictures 1 <image>", [1]),
        ("Pictures 1\n", [1]),
    ],
)
def test_lists_ranges_and_labels_are_names(words: str, numbers: list[int]) -> None:
    assert [number for each in find_references(words, count=3) for number in each.numbers] == numbers
    assert find_doubt(words, count=3) is None


@pytest.mark.parametrize(
    "words",
    [
        *(
            "In the image 2 kittens sleep.",
            "In the image 1 kitten sleeps.",
            "In my image 2 boys run.",
            "the second image 1",
        ),
        *("In these pictures 2 cats sleep", "both images 2 dogs", "images two people", "In a view two boats lie."),
        *("Picture two boys in a boat.", "The arches frame two doors.", "In the whole image 3 are red."),
        *("We view two films.", "image A man took", "In the last image 2 boys run."),
    ],
)
def test_what_may_count_is_a_doubt(words: str) -> None:
    assert find_doubt(words, count=3) is not None
    assert may_name(words, count=3)


def test_a_label_is_a_label_whatever_stands_before_it() -> None:
    for words in ("my image 1: [a]\nmy image 2: [b]\nWhich?", "The image one: [a]\nThe image two: [b]\nWhich?"):
        (numbered,) = made("number_images", talk(words, "Both."))
        assert said(numbered)[0] == words
        (front,) = made("in_front", talk(words, "Both."))
        assert said(front)[0].lower().count("image ") <= 2


@pytest.mark.parametrize("kind", ["patches", "views"])
@pytest.mark.parametrize(
    "words", ["In the image 2 dogs play.", "In both images 2 dogs play.", "The dog in image 2 barks."]
)
def test_nothing_is_cut_where_an_image_may_be_named(kind: str, words: str, tmp_path: Path) -> None:
    parts = tuple(draw(tmp_path / f"{number}.png", size=(32, 16)) for number in range(2))
    row = talk("?", words)
    row = replace(row, turns=(Turn("user", (*parts, Text("?"))), row.turns[1]))
    settings = {"tile_px": 8, "images": "all"} if kind == "patches" else {"split": [2, 1]}
    (left,) = made(kind, row, **settings)
    assert images_of(left) == parts
    assert "left" in note(left)


def test_facts_that_may_name_an_image_keep_the_order() -> None:
    row = replace(talk("[a][b]\nWhat is in image 1?", "Dogs."), facts={"caption": "In the image 2 dogs play."})
    for seed in range(4):
        assert made("shuffle_images", row, seed=seed)[0].turns == row.turns


def test_somebody_is_no_image_where_letters_reach_that_far() -> None:
    words = "Here are photos I took. Which image I should hang?"
    assert find_references(words, count=10) == ()
    assert find_doubt(words, count=10) is None
    assert find_doubt("Is it image H or image I?", count=10) is not None


@pytest.mark.parametrize(
    "words",
    [
        "The first depicts a dog; the second features a cat.",
        "The second appears dark.",
        "the second's colour",
        "the first (a dog) is big",
        "the first two are dark",
        "the first of them",
    ],
)
def test_an_ordinal_by_itself_is_a_doubt(words: str) -> None:
    assert find_doubt(words, count=3) is not None


@pytest.mark.parametrize("words", ["the first dog is older", "the second half of the day", "for the first time"])
def test_an_ordinal_of_another_thing_is_none(words: str) -> None:
    assert find_doubt(words, count=3) is None


@pytest.mark.parametrize("words", ["In both images two people walk.", "In this image 2 dogs play."])
def test_a_row_with_counts_keeps_them_in_every_step(words: str) -> None:
    row = talk("[a][b][c]\nCompare image 1 and image 2.", words)
    for seed in range(8):
        (left,) = made("shuffle_images", row, seed=seed)
        assert left.turns == row.turns
        assert "left" in note(left)
    other = talk("[d]\nWhat is it?", "A cat.", name="y")
    assert said(made("in_context", row, other, by="random", k=1)[0])[1] == words
    assert said(made("interleaved", talk("[a]\n" + words, "Yes."))[0]) == ["[a]\n" + words, "Yes."]


def test_counts_are_amounts_and_decide_on_no_image() -> None:
    assert numbers_in("In both images 4 dogs play.") == {"4"}
    assert numbers_in("In image 4 three dogs play.") == {"3"}
    assert deciding_image(talk("[a][b]\nIs it so? In both images 2 dogs play.", "Yes.")) is None


def test_the_budget_does_not_count_things_anew() -> None:
    pictures = [ImageRef(f"/{name}.png", (9, 9)) for name in "abcd"]
    row: Example = spoken(
        ("user", [*pictures[:2], "What?"]),
        ("assistant", "Cats."),
        ("user", [*pictures[2:], "What now?"]),
        ("assistant", "In both images 4 dogs play."),
    )
    found = fit(row, Budget(images_tokens=20), cost=Fixed(10), count_text=lambda _: 0, numbered=True)
    assert isinstance(found, Refused)
    assert found.reason == WORDS_REFER
