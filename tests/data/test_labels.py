"""Labels of images: "is image 2." names a place, "Is image 2 brighter?" asks about an image."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.talking import made, note, said, talk
from triptych.core.records import Text, images_of
from triptych.data.text.labels import labels_in

QUESTIONS = [
    "\nIs image 2 brighter than image 1?",
    "\nIs the second image brighter than the first image?",
    "\nIs the picture 2 brighter than picture 1?",
    "\nIs Image B darker than Image A?",
    "\nAs image 2 shows a dog, what is image 1?",
    "\nis image 2 brighter?",
    " is image 2 brighter than image 1?",
    "Is image 2 brighter?",
    "\n(Image 2 was taken later.) What changed from image 1?",
    "\n(Image 2) is darker than image 1. Why?",
    "\n[Image 2] is darker than image 1. Why?",
]


def labels(words: str) -> list[str]:
    """Return the labels in a turn."""
    parts = talk(words).turns[0].parts
    found = labels_in(parts, 1, count=len(images_of(talk(words))))
    texts = {at: part.text for at, part in enumerate(parts) if isinstance(part, Text)}
    return [texts[at][label.start : label.stop] for at, own in found.items() for label in own]


@pytest.mark.parametrize("asked", QUESTIONS)
@pytest.mark.parametrize("layout", ["[a][b]", "[a]\n[b]", "[a] [b]"])
def test_a_question_about_the_image_before_it_is_no_label(layout: str, asked: str) -> None:
    assert labels(layout + asked) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("[a] is image 1, [b] is image 2. Which?", [" is image 1,", " is image 2."]),
        ("[a] is image 1 and [b] is image 2.", [" is image 1 ", " is image 2."]),
        ("[a] is image 1\n[b] is image 2\nWhich?", [" is image 1", " is image 2"]),
        ("How differs [a] as image 1 [b] as the second image?", [" as image 1 ", " as the second image"]),
        ("[a] = image 1; [b] = image 2", [" = image 1;", " = image 2"]),
        ("[a] (image 1) is older than [b] (image 2).", [" (image 1) ", " (image 2)."]),
        ("[a]\n(Image 1)\n[b]\n(Image 2)\nWhich?", ["\n(Image 1)", "\n(Image 2)"]),
        ("Image 1: [a]\nImage 2: [b]\nIs image 2 brighter?", ["Image 1: ", "Image 2: "]),
        ("[a] is image 1 / [b] is image 2", [" is image 1", " is image 2"]),
        ("[a] is image 1 & [b] is image 2", [" is image 1", " is image 2"]),
        ("[a] is image 1 -> [b] is image 2", [" is image 1", " is image 2"]),
        ('"[a] is image 1" "[b] is image 2"', [" is image 1", " is image 2"]),
    ],
)
def test_a_label_ends_in_punctuation_or_where_its_line_does(words: str, expected: list[str]) -> None:
    assert labels(words) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("[a]\n(image 1)\n[b]\n(image 2) What differs?", ["\n(image 1)", "\n(image 2) "]),
        ("[a]\n(image 1): [b]\n(image 2): What differs?", ["\n(image 1):", "\n(image 2):"]),
        ("[a]\n(Image 1)\n\n[b]\n(Image 2) Which is older?", ["\n(Image 1)", "\n(Image 2) "]),
        ("[a]\n(Image 1) A cat.\n[b]\n(Image 2) A dog.\nWhich?", ["\n(Image 1) ", "\n(Image 2) "]),
        ("[a]\n(image 1) and [b]\n(image 2) What differs?", ["\n(image 1) ", "\n(image 2) "]),
        ("[a]\n(image 1)\n[b]\n(image 2) is darker.", ["\n(image 1)"]),
        ("[a]\n(image 1)\n[b]\n(image 2) looks dark.", ["\n(image 1)"]),
        ("[a]\n[b]\n(image 2) What differs?", []),
    ],
)
def test_a_bracket_below_its_image_is_a_label_where_those_of_its_turn_are(words: str, expected: list[str]) -> None:
    assert labels(words) == expected


@pytest.mark.parametrize(
    "words",
    ["[a]\n(image 1)\n[b]\n(image 2) What differs?", "[a]\n(image 1): [b]\n(image 2): What differs?"],
)
def test_such_labels_stay_where_images_change_places_and_no_second_one_is_put(words: str) -> None:
    row = talk(words, "Image 1 is red.")
    outcomes = {tuple(said(made("shuffle_images", row, seed=seed)[0])) for seed in range(8)}
    swapped = words.replace("[a]", "[c]").replace("[b]", "[a]").replace("[c]", "[b]")
    assert outcomes == {(words, "Image 1 is red."), (swapped, "Image 2 is red.")}
    (numbered,) = made("number_images", row)
    assert said(numbered)[0] == words
    (front,) = made("in_front", row)
    assert said(front)[0] == "[a][b]\nWhat differs?"


@pytest.mark.parametrize(
    ("words", "front"),
    [
        ("[a]\n(Image 1) A cat.\n[b]\n(Image 2) A dog.\nWhich?", "(Image 1) A cat.\n(Image 2) A dog.\nWhich?"),
        ("[a] is image 1.\n[b] is image 2 and was taken later.", "is image 2 and was taken later."),
        ("[a] is image 1 / [b] is image 2", "Image 1 / image 2"),
        ("[a] is image 1 -> [b] is image 2", "Image 1 -> image 2"),
        ("[a] is image 1 and [b] is image 2 here.", "Image 1 and is image 2 here."),
        ("[a] is image 1 while [b] is image 2.", "Image 1 while image 2."),
        ("Image 1: [a]\nImage 2: [b] is image 2 brighter?", "is image 2 brighter?"),
        ("[a] The first thing. [b]\n(image 2) What differs?", "Image 1: The first thing.\n(image 2) What differs?"),
        ("Left: [a]\nRight: [b]\nIs image 2 brighter?", "Left: image 1\nRight: image 2\nIs image 2 brighter?"),
        ("Left: [a]\nRight: [b]\n(Image 2) is dark.", "Left: image 1\nRight: image 2\n(Image 2) is dark."),
    ],
)
def test_an_image_that_the_words_behind_it_name_gets_no_other_name(words: str, front: str) -> None:
    (moved,) = made("in_front", talk(words, "Yes."))
    assert said(moved)[0] == f"[a][b]\n{front}"


@pytest.mark.parametrize("asked", [asked for asked in QUESTIONS if "is image" not in asked])
def test_a_question_loses_no_word_when_images_go_in_front(asked: str) -> None:
    (front,) = made("in_front", talk(f"[a]\n[b]{asked}", "Yes."))
    assert said(front)[0] == f"[a][b]\n{asked.strip()}"
    (front,) = made("in_front", talk(f"Image 1: [a]\nImage 2: [b]{asked}", "Yes."))
    assert said(front)[0] == f"[a][b]\n{asked.strip()}"


@pytest.mark.parametrize(
    ("words", "turned"),
    [
        (("[a][b]\nIs image 2 brighter than image 1?", "Yes."), ("Is image 1 brighter than image 2?", "Yes.")),
        (("[a][b]\nIs Image B darker than Image A?", "Image B."), ("Is Image A darker than Image B?", "Image A.")),
        (("[a][b]\n[Image 2] is darker.", "Yes."), ("[Image 1] is darker.", "Yes.")),
    ],
)  # fmt: skip
def test_a_question_about_an_image_follows_it_to_its_new_place(words: tuple[str, str], turned: tuple[str, str]) -> None:
    outcomes = {tuple(said(made("shuffle_images", talk(*words), seed=seed)[0])) for seed in range(8)}
    assert outcomes == {words, (f"[b][a]\n{turned[0]}", turned[1])}


@pytest.mark.parametrize("words", ["[a] is image 1, [b] is image 2 of my trip.", "[a][b] is image 2 brighter?"])
def test_what_may_be_a_label_or_a_question_leaves_a_row_as_it_is(words: str) -> None:
    row = talk(f"{words} What is image 1?", "A cat.")
    (left,) = made("shuffle_images", row)
    assert left.turns == row.turns
    assert "'is image 2' may only say where an image stands" in str(note(left)["left"])


@pytest.mark.parametrize(
    ("words", "quoted"),
    [
        ("[a]\n(image 1)\n[b]\n(image 2) is darker.", "(image 2)"),
        ("[a]\n[b]\n(image 2) What differs?", "(image 2)"),
        ("[a] (image 1) [b] (image 2 is the later one).", "(image 2"),
    ],
)
def test_a_bracket_that_may_be_a_label_leaves_a_row_as_it_is(words: str, quoted: str) -> None:
    row = talk(words, "Yes.")
    (left,) = made("shuffle_images", row)
    assert left.turns == row.turns
    assert f"{quoted!r} may only say where an image stands" in str(note(left)["left"])


@pytest.mark.parametrize(
    "words",
    [
        "[a] is image 1.\n[b] is image 2 and was taken later.",
        "[a]\n(Image 1) is a cat.\n[b]\n(Image 2) is a dog.",
    ],
)
def test_an_image_that_the_words_behind_it_name_gets_no_number(words: str) -> None:
    (numbered,) = made("number_images", talk(words, "Yes."))
    assert said(numbered)[0] == words


def test_an_image_before_a_question_gets_its_number() -> None:
    (numbered,) = made("number_images", talk("[a][b]\nIs image 2 brighter?", "Yes."))
    assert said(numbered)[0] == "Image 1: [a]\nImage 2: [b]\n\nIs image 2 brighter?"


@given(
    layout=st.sampled_from(("[a]\n[b]", "[a] [b]", "Image 1: [a]\nImage 2: [b]", "Look.\n[a]\n[b]")),
    space=st.sampled_from(("\n", "\n\n")),
    opener=st.sampled_from(("Is ", "is ", "As ", "as ", "Was ", "(", "[", "In ", "= ", "")),
    name=st.sampled_from(("image 2", "the second image", "Image B", "the picture 2", "the last image")),
    rest=st.sampled_from((" brighter?", " shows a dog, why?", " was later.) Why?", "] is dark.", ") is dark.", "'s?")),
)  # fmt: skip
def test_in_front_no_word_of_a_question_is_lost(layout: str, space: str, opener: str, name: str, rest: str) -> None:
    question = opener + name + rest
    (front,) = made("in_front", talk(layout + space + question, "Yes."))
    assert said(front)[0].endswith(question)
