"""Changed questions: one thing is changed, the rest stays, and the reference is right for what is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.evaluate.conftest import COLOURS, draw
from triptych.core.errors import DataError
from triptych.core.plugins import find, names
from triptych.core.records import Example, ImageRef, Json, Text, Turn, images_of, text_of
from triptych.data.media.images import load_image, measure
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.diagnosis import perturbations
from triptych.evaluate.diagnosis.conditions import CONDITIONS
from triptych.evaluate.diagnosis.image_edits import ImageEdits, half_size, joined
from triptych.evaluate.diagnosis.option_order import orders_of, reordered, spans_of
from triptych.evaluate.diagnosis.perturbations import Context, Made, Skipped, changed_by
from triptych.evaluate.diagnosis.places import deciding_image
from triptych.evaluate.reading import scorers

SAMPLES = Path(__file__).parents[1] / "samples"


@pytest.fixture
def pictures(tmp_path: Path) -> list[ImageRef]:
    return [draw(tmp_path / f"{colour}.png", colour) for colour in COLOURS]


def question(pictures: list[ImageRef], said: str = "What does image 2 show?", reply: str = "the green") -> Example:
    parts = (Text("Image 1: "), pictures[0], Text("\nImage 2: "), pictures[1], Text("\nImage 3: "), pictures[2])
    return Example("q", (Turn("user", (*parts, Text(f"\n{said}"))), Turn("assistant", (Text(reply),))))


def choice(said: str, options: list[str], reply: str, **facts: Json) -> Example:
    turns = (Turn("user", (Text(said),)), Turn("assistant", (Text(reply),)))
    return Example("c", turns, facts={"choice": True, "options": [*options], **facts})


def context(tmp_path: Path, *donors: Example, seed: int = 0) -> Context:
    return Context.from_questions(donors, ImageEdits(tmp_path / "dark"), seed=seed)


def made(found: Made) -> list[Example]:
    assert not isinstance(found, Skipped), found
    return list(found)


def test_every_condition_follows_from_the_question_and_the_seed_alone(tmp_path: Path, pictures: list[ImageRef]) -> None:
    asked = question(pictures)
    other = replace(question(pictures[1:] + pictures[:1]), id="other")
    for condition in CONDITIONS:
        once = changed_by(condition.change, asked, context=context(tmp_path, asked, other))
        assert once == changed_by(condition.change, asked, context=context(tmp_path, asked, other))
        assert isinstance(once, Skipped) or all(perturbations.of_question(each) == "q" for each in once)


def test_a_shuffled_question_with_right_words_still_has_its_answer(tmp_path: Path, pictures: list[ImageRef]) -> None:
    for seed in range(10):
        [shuffled] = made(perturbations.shuffled_right(question(pictures), context(tmp_path, seed=seed)))
        place = images_of(shuffled).index(pictures[1]) + 1
        assert place != 2, "the named image moves"
        assert text_of(shuffled.turns[0]) == f"Image 1: \nImage 2: \nImage 3: \nWhat does image {place} show?"
        assert text_of(shuffled.turns[1]) == "the green"


def test_wrong_words_are_the_old_words_over_the_same_new_order(tmp_path: Path, pictures: list[ImageRef]) -> None:
    asked = question(pictures)
    [right] = made(perturbations.shuffled_right(asked, context(tmp_path)))
    [wrong] = made(perturbations.shuffled_wrong(asked, context(tmp_path)))
    assert images_of(right) == images_of(wrong)
    assert [text_of(turn) for turn in wrong.turns] == [text_of(turn) for turn in asked.turns]


def test_options_that_name_images_go_with_them(tmp_path: Path, pictures: list[ImageRef]) -> None:
    words = "Which image is green?\n(A) Image 1\n(B) Image 2\n(C) Image 3"
    facts: dict[str, Json] = {"choice": True, "options": ["Image 1", "Image 2", "Image 3"], "right": 1}
    asked = replace(question(pictures, words, "B"), facts=facts)
    [shuffled] = made(perturbations.shuffled_right(asked, context(tmp_path)))
    place = images_of(shuffled).index(pictures[1]) + 1
    assert scorers.options_of(shuffled)[1] == f"Image {place}"
    assert f"(B) Image {place}" in text_of(shuffled.turns[0])
    assert scorers.reference_label(shuffled) == 1


def test_a_question_that_names_no_image_is_not_shuffled(tmp_path: Path, pictures: list[ImageRef]) -> None:
    plain = Example("q", (Turn("user", (*pictures, Text("What was added?"))), Turn("assistant", (Text("a dog"),))))
    for change in (perturbations.shuffled_right, perturbations.shuffled_wrong):
        found = change(plain, context(tmp_path))
        assert isinstance(found, Skipped)
        assert "named by number" in found.reason


def test_the_frames_of_a_video_are_not_shuffled(tmp_path: Path, pictures: list[ImageRef]) -> None:
    frames = [replace(picture, video="film") for picture in pictures[:2]]
    asked = question([*frames, *pictures[2:]], "What does image 3 show?")
    for change in (perturbations.shuffled_right, perturbations.shuffled_wrong):
        assert change(asked, context(tmp_path)) == Skipped("a video among its images")


def test_a_question_of_a_benchmark_follows_its_images(tmp_path: Path) -> None:
    asked = next(iter(find("benchmark", "qbench2", expected=Benchmark).questions(SAMPLES / "qbench2")))
    assert isinstance(asked, Example)
    [right] = made(perturbations.shuffled_right(asked, context(tmp_path)))
    assert images_of(right) == images_of(asked)[::-1]
    assert text_of(asked.turns[0]).startswith("Is the second image sharper than the first image?")
    assert text_of(right.turns[0]).startswith("Is the first image sharper than the second image?")


def test_a_question_about_an_order_is_shuffled_under_its_words_only(tmp_path: Path, pictures: list[ImageRef]) -> None:
    asked = replace(question(pictures, "What comes last?"), skills=("temporal",))
    assert isinstance(perturbations.shuffled_right(asked, context(tmp_path)), Skipped)
    [wrong] = made(perturbations.shuffled_wrong(asked, context(tmp_path)))
    assert sorted(map(str, images_of(wrong))) == sorted(map(str, images_of(asked)))
    assert images_of(wrong) != images_of(asked)


@pytest.mark.parametrize(
    "words", ["Is the left image the second picture?", "In which order? Image 1 is the first in this sequence."]
)
def test_words_that_cannot_be_kept_right_can_still_be_kept_wrong(
    tmp_path: Path, pictures: list[ImageRef], words: str
) -> None:
    asked = question(pictures, words)
    assert isinstance(perturbations.shuffled_right(asked, context(tmp_path)), Skipped)
    [wrong] = made(perturbations.shuffled_wrong(asked, context(tmp_path)))
    assert images_of(wrong) != images_of(asked)
    assert [text_of(turn) for turn in wrong.turns] == [text_of(turn) for turn in asked.turns]


def test_images_change_places_under_the_words_between_them(tmp_path: Path, pictures: list[ImageRef]) -> None:
    parts = (Text("Left: "), pictures[0], Text(" Right: "), pictures[1], Text(" What is on the left?"))
    asked = Example("q", (Turn("user", parts), Turn("assistant", (Text("red"),))))
    assert isinstance(perturbations.shuffled_right(asked, context(tmp_path)), Skipped)
    [wrong] = made(perturbations.shuffled_wrong(asked, context(tmp_path)))
    assert images_of(wrong) == (pictures[1], pictures[0])


def test_a_question_with_more_images_lends_the_first_of_them(tmp_path: Path, pictures: list[ImageRef]) -> None:
    one = Example("one", (Turn("user", (pictures[3], Text("?"))), Turn("assistant", (Text("x"),))))
    [wrong] = made(perturbations.wrong_images(one, context(tmp_path, one, question(pictures))))
    assert images_of(wrong) == (pictures[0],)
    fewer = perturbations.wrong_images(question(pictures), context(tmp_path, one, question(pictures)))
    assert isinstance(fewer, Skipped)


def test_wrong_images_are_as_many_and_of_no_shared_picture(tmp_path: Path, pictures: list[ImageRef]) -> None:
    asked = question(pictures)
    mine = replace(asked, id="shares one")
    few = Example("few", (Turn("user", (pictures[3], Text("?"))), Turn("assistant", (Text("x"),))))
    assert isinstance(perturbations.wrong_images(asked, context(tmp_path, asked, mine, few)), Skipped)
    strangers = [draw(tmp_path / "strange" / f"{colour}.png", colour) for colour in ("black", "white", "pink")]
    donor = replace(question(strangers), id="donor")
    [wrong] = made(perturbations.wrong_images(asked, context(tmp_path, asked, mine, few, donor)))
    assert list(images_of(wrong)) == strangers
    assert text_of(wrong.turns[0]) == text_of(asked.turns[0])


def test_leaving_one_out_empties_each_image_once_and_keeps_the_numbers(
    tmp_path: Path, pictures: list[ImageRef]
) -> None:
    asked = question(pictures)
    variants = made(perturbations.left_out(asked, context(tmp_path)))
    assert [each.id for each in variants] == ["q#1", "q#2", "q#3"]
    for number, each in enumerate(variants, start=1):
        changed = [new != old for new, old in zip(images_of(each), images_of(asked), strict=True)]
        assert [at + 1 for at, moved in enumerate(changed) if moved] == [number] == [perturbations.changed_image(each)]
        grey = load_image(images_of(each)[number - 1])
        assert (grey.size, grey.getextrema()) == ((32, 32), ((127, 127),) * 3)


def test_one_picture_of_all_has_the_published_size_and_stripes() -> None:
    merged = joined([Image.new("RGB", (500, 500), "red"), Image.new("RGB", (225, 225), "blue")])
    assert merged.size == (734, 362)
    row = [merged.getpixel((x, 100)) for x in range(362, 372)]
    assert row == [(0, 0, 0), *[(255, 255, 255)] * 8, (0, 0, 0)]
    assert (merged.getpixel((361, 0)), merged.getpixel((372, 0))) == ((255, 0, 0), (0, 0, 255))


def test_merged_is_one_image_before_the_same_numbers(tmp_path: Path, pictures: list[ImageRef]) -> None:
    [merged] = made(perturbations.merged(question(pictures), context(tmp_path)))
    assert isinstance(merged.turns[0].parts[0], ImageRef)
    assert len(images_of(merged)) == 1
    assert images_of(merged)[0].size == (3 * 32 + 2 * 10, 32)
    assert "image 2" in text_of(merged.turns[0])


def test_images_go_in_front_and_back_to_their_words(tmp_path: Path, pictures: list[ImageRef]) -> None:
    inside = Example("q", (Turn("user", (Text("Is "), pictures[0], Text(" like "), pictures[1], Text("?"))),
                           Turn("assistant", (Text("no"),))))  # fmt: skip
    [front] = made(perturbations.in_front(inside, context(tmp_path)))
    assert front.turns[0].parts[:2] == tuple(pictures[:2])
    assert isinstance(perturbations.in_front(front, context(tmp_path)), Skipped)
    [back] = made(perturbations.interleaved(front, context(tmp_path)))
    assert isinstance(back.turns[0].parts[0], Text)
    assert images_of(back) == images_of(inside)


def test_words_that_mean_an_image_by_its_place_are_why_images_do_not_go_in_front(
    tmp_path: Path, pictures: list[ImageRef]
) -> None:
    red, green, blue = pictures[:3]
    said = ("what do the last two images share?", "what of the last one?")
    runs, place = (
        Example("q", (Turn("user", (Text("Compare "), red, Text(" and "), green, Text(f": {words}"))),
                      Turn("assistant", (Text("much"),)), Turn("user", (Text("And "), blue, Text("."))),
                      Turn("assistant", (Text("more"),))))
        for words in said
    )  # fmt: skip
    for condition in (perturbations.in_front, perturbations.merged):
        assert "what do the first two images share?" in text_of(made(condition(runs, context(tmp_path)))[0].turns[0])
        assert condition(place, context(tmp_path)) == Skipped("words that may mean an image by its place")


def test_coding_anew_keeps_the_size_and_half_halves_it(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    Image.radial_gradient("L").resize((101, 40)).convert("RGB").save(path)
    coded = ImageEdits(tmp_path / "dark").as_jpeg(ImageRef(str(path)))
    assert (coded.size, Path(coded.source).suffix) == ((101, 40), ".jpg")
    assert load_image(coded).tobytes() != load_image(ImageRef(str(path))).tobytes()
    assert measure(half_size(ImageRef(str(path)))).size == (50, 20)
    assert half_size(ImageRef(str(path), box=(0, 0, 1, 40))).resize == (1, 20)


def test_frames_of_a_video_stay_frames_where_their_pictures_change(tmp_path: Path, pictures: list[ImageRef]) -> None:
    """Else a model that tells frames from pictures would be asked two things at once."""
    asked = question([replace(image, video="film") for image in pictures])
    other = replace(question([draw(tmp_path / f"other-{at}.png", "white") for at in range(3)]), id="other")
    for change in (perturbations.jpeg, perturbations.half, perturbations.left_out, perturbations.wrong_images):
        for each in made(changed_by(change, asked, context=context(tmp_path, asked, other))):
            assert [image.video for image in images_of(each)] == ["film"] * 3


def test_a_missing_picture_skips_a_condition_and_says_so(tmp_path: Path) -> None:
    gone = [ImageRef(str(tmp_path / f"{number}.png")) for number in range(3)]
    for change in (perturbations.jpeg, perturbations.half, perturbations.merged, perturbations.left_out):
        found = changed_by(change, question(gone), context=context(tmp_path))
        assert found == Skipped("a picture that cannot be used (image file missing)")


@pytest.mark.parametrize(
    ("said", "options", "reply", "expected", "reference"),
    [
        ("Who?\n(A) a cat\n(B) a dog\nSay.", ["a cat", "a dog"], "B", "Who?\n(A) a dog\n(B) a cat\nSay.", "A"),
        ("Who?\n1. a cat\n2. a dog", ["a cat", "a dog"], "a cat", "Who?\n1. a dog\n2. a cat", "a cat"),
        ("A cat?\nA. cat\nB. dog", ["cat", "dog"], "A. cat", "A cat?\nA. dog\nB. cat", "B. cat"),
        ("Is it red or blue? Choose: red or blue.", ["red", "blue"], "red", "Is it red or blue? Choose: blue or red.",
         "red"),
    ],
)  # fmt: skip
def test_options_change_places_and_letters_stay(
    said: str, options: list[str], reply: str, expected: str, reference: str
) -> None:
    turned = reordered(choice(said, options, reply), (1, 0))
    assert (text_of(turned.turns[0]), text_of(turned.turns[1])) == (expected, reference)
    assert scorers.options_of(turned) == (options[1], options[0])


@pytest.mark.parametrize(
    ("said", "options"),
    [
        ("(A) a cat (B) all of the above", ["a cat", "all of the above"]),
        ("(A) a cat (B) Both A and B", ["a cat", "Both A and B"]),
        ("Yes or no?", ["true", "false"]),
        ("(A) <image> (B) <image>", ["", ""]),
    ],
)
def test_options_that_lean_on_their_order_or_are_not_listed_stay(said: str, options: list[str]) -> None:
    with pytest.raises(DataError):
        reordered(choice(said, options, "A", right=0), (1, 0))


@given(st.lists(st.sampled_from(["cat", "dog", "a dog", "red", "1", "12"]), min_size=2, max_size=5, unique=True))
def test_options_are_found_where_they_are_listed(options: list[str]) -> None:
    text = "Is it a dog or 12?\n" + "\n".join(f"({'ABCDE'[at]}) {option}" for at, option in enumerate(options))
    spans = spans_of(text, options)
    assert spans is not None
    assert [text[start:stop] for start, stop in spans] == options
    assert spans[0][0] > text.index("\n")


@given(st.integers(2, 9), st.integers(0, 99))
def test_orders_are_different_rotations_that_move_every_option(count: int, seed: int) -> None:
    orders = orders_of(count, seed=seed, name="q")
    assert len(set(orders)) == len(orders) == min(count, 4) - 1
    assert all(sorted(order) == list(range(count)) and all(a != b for a, b in enumerate(order)) for order in orders)


def test_the_deciding_image_is_what_facts_or_words_say(pictures: list[ImageRef]) -> None:
    assert deciding_image(question(pictures)) == 2
    assert deciding_image(question(pictures, "Where is it?", "image 3")) == 3
    assert deciding_image(question(pictures, "Are image 1 and image 2 alike?", "no")) is None
    assert deciding_image(replace(question(pictures, "Is it there?", "no"), facts={"position": 0})) == 1
    assert deciding_image(question(pictures, "What is that?", "a dog")) is None


@pytest.mark.parametrize("name", [name for name in names("benchmark") if (SAMPLES / name).is_dir()])
def test_a_changed_question_of_any_benchmark_is_answered_by_its_reference(name: str, tmp_path: Path) -> None:
    benchmark = find("benchmark", name, expected=Benchmark)
    asked = [row for row in benchmark.questions(SAMPLES / name) if isinstance(row, Example)][:4]
    place = context(tmp_path, *asked)
    turned = 0
    for each in asked:
        for condition in CONDITIONS:
            found = changed_by(condition.change, each, context=place)
            for variant in () if isinstance(found, Skipped) else found:
                turned += 1
                assert variant.turns[-1].role == "assistant"
                if scorers.is_choice(each):
                    assert scorers.correct(variant, scorers.reference_of(variant)) == 1
    assert turned


def test_numbers_by_themselves_are_never_left_behind_by_another_order(tmp_path: Path, pictures: list[ImageRef]) -> None:
    asked = question(pictures, "Is image 2 darker than 3?", "Yes")
    assert perturbations.shuffled_right(asked, context(tmp_path)) == Skipped(
        "words that may mean an image by its place"
    )
    told = replace(question(pictures, "Which is darker, image 2 or image 3?", "(A)"), facts={"options": ["2", "3"]})
    assert isinstance(perturbations.shuffled_right(told, context(tmp_path)), Skipped)
    counted = replace(question(pictures), facts={"options": ["In both images 1 dog plays", "In image 1 no dog plays"]})
    assert isinstance(perturbations.shuffled_right(counted, context(tmp_path)), Skipped)
    amounts = replace(question(pictures, "How many cats does image 2 show?", "one"), facts={"options": ["2", "5"]})
    assert isinstance(perturbations.shuffled_right(amounts, context(tmp_path)), Skipped)
