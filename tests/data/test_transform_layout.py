"""Where images stand: in front as published and as we do it, at the words that name them, and the mixed format."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.talking import made, note, said, talk
from tests.pictures import real_data
from triptych.core.records import images_of, text_of
from triptych.data.text.layout import to_published_front
from triptych.data.text.references import find_references


def front(*words: str, **settings: str | bool) -> list[str]:
    (example,) = made("in_front", talk(*words), **settings)
    return said(example)


def test_images_come_before_the_first_words_and_their_names_stay_in_sentences() -> None:
    assert front("Is [a] older than [b]?", "No.") == ["[a][b]\nIs image 1 older than image 2?", "No."]
    assert front("Compare [a], [b] and [c].", "Hm.") == ["[a][b][c]\nCompare image 1, image 2 and image 3.", "Hm."]
    assert front("[a] is older than [b]?", "No.") == ["[a][b]\nImage 1 is older than image 2?", "No."]


def test_an_image_beside_a_sentence_needs_no_name() -> None:
    assert front("What is this? [a]", "A cat.") == ["[a]\nWhat is this?", "A cat."]
    assert front("Describe this picture [a]", "A cat.") == ["[a]\nDescribe this picture", "A cat."]


def test_images_of_later_turns_come_too_and_a_turn_of_an_image_alone_says_its_name() -> None:
    assert front("[a] What?", "A cat.", "And [b]", "A dog.", "[c]", "A cow.") == [
        "[a][b][c]\nImage 1: What?",
        "A cat.",
        "And image 2",
        "A dog.",
        "Image 3",
        "A cow.",
    ]


def test_a_turn_whose_words_name_no_image_gets_their_names_where_several_turns_have_images() -> None:
    assert front("Image 1: [a] Image 2: [b] What is image 1?", "A cat.", "Now image 3: [c]. What is it?", "A dog.") == [
        "[a][b][c]\nWhat is image 1?",
        "A cat.",
        "Now image 3. What is it?",
        "A dog.",
    ]
    assert front("[a] What?", "A cat.", "Image 2: [b]\nWhat?", "A dog.")[2] == "Image 2\nWhat?"


def test_labels_of_places_go_with_their_images_or_stay_where_that_is_asked_for() -> None:
    words = "Image 1: [a]\nImage 2: [b]\nWhat is in image 2?"
    assert front(words, "A dog.") == ["[a][b]\nWhat is in image 2?", "A dog."]
    assert front(words, "A dog.", labels="keep") == ["[a][b]\nImage 1:\nImage 2:\nWhat is in image 2?", "A dog."]
    assert front("Look: image 1 is [a]. Image 2 is [b]. Which?", "The first.")[0] == "[a][b]\nLook: Which?"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Image 1:\n[a]\nImage 2:\n[b]\nWhich?", "Which?"),
        ("Look:\n\n[a]\n\n[b]\n\nWhich?", "Look:\n\nWhich?"),
        ("Look.\nImage 1: [a]\nImage 2: [b]\n\nWhich?", "Look.\n\nWhich?"),
        ("Images: [a] [b]\nWhich?", "Which?"),
        ("See:\n  x = 1\nImage 1: [a]\n  y = 2", "See:\n  x = 1\n  y = 2"),
        ("Image 1: [a]\n  if x:\n    y", "  if x:\n    y"),
    ],
)
def test_lines_that_images_had_for_themselves_go_with_them_and_others_stay(words: str, expected: str) -> None:
    shown = "[a][b]" if "[b]" in words else "[a]"
    assert front(words, "A dog.") == [f"{shown}\n{expected}", "A dog."]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Left: [a]\nRight: [b]\nWhich?", "Left: image 1\nRight: image 2\nWhich?"),
        ("Before: [a] After: [b]\nWhich?", "Before: image 1. After: image 2\nWhich?"),
        ("Look: [a]. And: [b]. Which?", "Look: image 1. And: image 2. Which?"),
        ("(left) [a] (right) [b] Which?", "(left) image 1 (right) image 2. Which?"),
        ("Input: [a] [b]\nOutput:", "Input: images 1 and 2\nOutput:"),
        ("(1) [a]\n(2) [b]\nWhich?", "(1) image 1\n(2) image 2\nWhich?"),
        ("1. [a]\n2. [b]\nWhich?", "1. Image 1\n2. Image 2\nWhich?"),
        ("- [a]\n- [b]\nWhich?", "- image 1\n- image 2\nWhich?"),
        ("- Image 1: [a]\n- Image 2: [b]\nWhich?", "- Image 1\n- Image 2\nWhich?"),
        ("A dog, or:\n- [a]\n- [b]\n- a cow", "A dog, or:\n- image 1\n- image 2\n- a cow"),
        ("| [a] | [b] |\nWhich?", "| image 1 | image 2 |\nWhich?"),
        ("[a], [b] - which?", "Image 1, image 2 - which?"),
        ("Is image [a] older than image [b]?", "Is image 1 older than image 2?"),
    ],
)
def test_an_image_in_a_list_or_after_a_colon_is_named(words: str, expected: str) -> None:
    assert front(words, "A dog.") == [f"[a][b]\n{expected}", "A dog."]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Image 1: [a] a cat\nImage 2: [b] a dog\nWhich?", "Image 1: a cat\nImage 2: a dog\nWhich?"),
        ("(Image 1: [a]) a cat. (Image 2: [b]) a dog.", "(Image 1) a cat. (Image 2) a dog."),
        ("What is older, image 1 [a] or image 2 [b]?", "What is older, image 1 or image 2?"),
        ("[a] (image 1) is older than [b] (image 2).", "Image 1 is older than image 2."),
        ("From Image 1: [a]\nto Image 2: [b], what changed?", "From Image 1\nto Image 2, what changed?"),
    ],
)
def test_a_label_with_words_of_its_own_or_inside_a_sentence_stays(words: str, expected: str) -> None:
    assert front(words, "A dog.") == [f"[a][b]\n{expected}", "A dog."]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Are [a][b] the same?", "Are images 1 and 2 the same?"),
        ("Are [a] [b] the same?", "Are images 1 and 2 the same?"),
        ("In [a][b][c][d], who waves?", "In images 1 to 4, who waves?"),
        ("Watch [a][b][c] and tell what happens.", "Watch images 1 to 3 and tell what happens."),
        ("Compare [a] with [b][c][d].", "Compare image 1 with images 2 to 4."),
        ("Compare [a][b], [c] and [d].", "Compare images 1 and 2, image 3 and image 4."),
        ("[a][b][c] show a race.", "[a][b][c] show a race."),
        ("Look at the pictures [a][b] closely.", "Look at the pictures 1 and 2 closely."),
        ("What happens? [a][b][c]", "What happens?"),
    ],
)
def test_images_side_by_side_are_all_named_or_none(words: str, expected: str) -> None:
    shown = "".join(re.findall(r"\[.\]", words))
    assert front(words, "Yes.")[0] == (expected if expected == words else f"{shown}\n{expected}")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("[a](image 1)，[b](image 2)，哪张更暗？", "哪张更暗？"),
        ("[a]（image 1），[b]（image 2）。哪张更暗？", "哪张更暗？"),
        ("[a]（image 1）和[b]（image 2），哪张更暗？", "Image 1 和 image 2，哪张更暗？"),
        ("Image 1：[a]\nImage 2：[b]\n哪张更暗？", "哪张更暗？"),
        ("比较 [a]，[b]。", "比较 image 1，image 2。"),
        ("比较[a]和[b]。", "比较 image 1 和 image 2。"),
        ("图（[a]）と（[b]）は似ていますか？", "图（image 1）と（image 2）は似ていますか？"),
        ("[a]、[b]、[c]、どれが古い？", "Image 1、image 2、image 3、どれが古い？"),
    ],
)
def test_full_width_punctuation_closes_labels_and_gaps_as_that_of_ascii_does(words: str, expected: str) -> None:
    images = "".join(re.findall(r"\[[a-c]\]", words))
    assert front(words, "A.")[0] == f"{images}\n{expected}"
    assert front(f"{images}\n{expected}", "A.")[0] == f"{images}\n{expected}"


def test_images_side_by_side_are_named_as_a_name_of_ones_own_has_it() -> None:
    assert front("In [a][b][c], who?", "Bo.", leave="<{k}>")[0] == "[a][b][c]\nIn <1 to 3>, who?"
    assert front("In [a][b][c], who?", "Bo.", leave="picture no. {k}")[0] == "[a][b][c]\nIn pictures no. 1 to 3, who?"
    assert front("In [a][b][c], who?", "Bo.", leave="")[0] == "[a][b][c]\nIn, who?"


def test_a_video_inside_a_sentence_is_named_too() -> None:
    assert front("In [film], who waves?", "Bo.") == ["[film]\nIn the video, who waves?", "Bo."]
    assert front("Compare [film] with [film].", "Hm.")[0] == "[film][film]\nCompare video 1 with video 2."
    assert front("Compare [a][film] with [b].", "Hm.")[0] == "[a][film][b]\nCompare image 1 and the video with image 2."
    assert front("Watch this: [film]", "Hm.", "And in [film], who?", "Bo.")[2] == "And in video 2, who?"
    assert front("What happens?\n[film]", "Much.") == ["[film]\nWhat happens?", "Much."]


LABELS = (
    "",
    "Image {k}: ",
    "Image {k}:\n",
    "({k}) ",
    "{k}. ",
    "- ",
    "• ",
    "Left: ",
    "View {k} - ",
    "the image {k} is ",
)
BETWEEN = ("\n", "\n\n", " ", ", ", "\nThen\n", " a cat.\n", ". ", " and ")
OWN = re.compile(r"(?i)^(?:images?|view|\d+|the|is|and|to)$")


@given(
    shown=st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(BETWEEN)), min_size=1, max_size=4),
    opening=st.sampled_from(("", "Look.\n", "Look:\n\n", "Compare ")),
    asked=st.sampled_from(("Which is older?", "\nWhat is in image 1?", "\n  x = 1\n\n  y", "")),
    keep=st.booleans(),
)
def test_in_front_no_word_is_lost_and_no_line_is_left_bare(
    shown: list[tuple[str, str]], opening: str, asked: str, keep: bool
) -> None:
    words = opening
    for number, (label, between) in enumerate(shown):
        words += label.replace("{k}", str(number + 1)) + f"[{'abcd'[number]}]" + between
    words = re.sub(r"[ ]+(?=\n|$)", "", words + asked)
    (made_so,) = made("in_front", before := talk(words, "A dog."), labels="keep" if keep else "drop")
    assert images_of(made_so) == images_of(before)
    told = text_of(made_so.turns[0]).removeprefix("\n")
    if said(made_so) == said(before):
        return  # in front already
    spoken = [word for word in re.findall(r"\w+", text_of(before.turns[0])) if not OWN.match(word)]
    assert [word for word in re.findall(r"\w+", told) if not OWN.match(word)] == spoken
    blank = max(map(len, re.findall(r"\n[\n ]*", text_of(before.turns[0]))), default=1)
    assert all(run.count("\n") <= blank for run in re.findall(r"\n[\n ]*", told))
    for line in told.split("\n"):
        assert line == line.rstrip()
        assert not line.strip() or re.search(r"\w", line)
        assert not re.fullmatch(r"\s*(?:[-•]|\(?\d[.)]|Left:)\s*", line)
    numbers = {number for found in find_references(told, count=len(shown)) for number in found.numbers}
    assert all(1 <= number <= len(shown) for number in numbers)
    assert made("in_front", made_so) == [made_so]


def test_what_is_in_front_stays_as_it_is() -> None:
    for words in ("[a][b] What?", "[a]What?", "[a]"):
        assert front(words, "A cat.")[0] == words


def test_an_image_that_the_assistant_gives_stays() -> None:
    assert front("Draw [a] again.", "[b]") == ["[a]\nDraw image 1 again.", "[b]"]
    assert front("Draw.", "[b]", "Like [a]", "Yes.") == ["Draw.", "[b]", "Like [a]", "Yes."]


def test_the_published_rule_moves_an_image_that_is_alone_in_its_turn() -> None:
    assert front("What is [a] this?", "[b]", "And [c][d]?", "No.", published=True) == [
        "[a]\nWhat is  this?",
        "[b]",
        "And [c][d]?",
        "No.",
    ]


def test_the_published_rule_gives_the_published_strings() -> None:
    golden = json.loads((real_data("golden") / "llava_interleave.json").read_text("utf-8"))["preprocess_multimodal"]
    assert len(golden) == 5
    for before, after in golden:
        marked = to_published_front(talk(before.replace("<image>", "[a]"), "ok"))
        assert said(marked)[0].replace("[a]", "<image>") == after


def test_images_go_to_the_words_that_name_them() -> None:
    (example,) = made("interleaved", talk("[a][b]\nIs image 1 older than the second image?", "No."))
    assert said(example) == ["Is image 1 [a] older than the second image [b]?", "No."]
    assert note(example) == {"layout": "at references"}
    (example,) = made("interleaved", talk("Is <image 1> older than <image 2>?[a][b]", "No."))
    assert said(example) == ["Is [a] older than [b]?", "No."]


@pytest.mark.parametrize(
    "words", ["[a]Look at image 1's  ", "[a]Look at image 1 \n", "[a][b]Is image 1's or image 2's  ", "Image 1's [a] "]
)
def test_images_that_stand_at_their_words_are_not_moved_again(words: str) -> None:
    (once,) = made("interleaved", talk(words, "Yes."))
    (again,) = made("interleaved", once)
    assert said(again) == said(once)


@pytest.mark.parametrize(
    "words",
    ["[a][b]\nWhat is in image 2?", "[a][b] Is image 2 older than image 1?", "Is [a] older than [b]?", "Image 1: [a]"],
)
def test_images_stay_where_the_words_do_not_name_all_of_them_in_their_order(words: str) -> None:
    (example,) = made("interleaved", talk(words, "No."))
    assert said(example)[0] == words
    assert note(example) == {"layout": "as read"}


def test_half_of_the_rows_of_the_mixed_format_have_their_images_in_front_and_none_loses_one() -> None:
    rows = [talk("Is [a] older than [b]?", "No.", name=f"{number}") for number in range(400)]
    mixed = made("interleaved", *rows, p_front=0.5)
    layouts = [note(row)["layout"] for row in mixed]
    assert 160 < layouts.count("in front") < 240
    assert layouts.count("in front") + layouts.count("as read") == 400
    assert {images_of(row) for row in mixed} == {images_of(rows[0])}
    for row in mixed:
        assert said(row)[0].startswith("[a][b]\n") == (note(row)["layout"] == "in front")


def test_another_seed_mixes_otherwise() -> None:
    rows = [talk("Is [a] older than [b]?", "No.", name=f"{number}") for number in range(50)]
    one, other = (made("interleaved", *rows, p_front=0.5, seed=seed) for seed in (0, 1))
    assert one != other


def test_words_alone_have_no_layout() -> None:
    row = talk("Two and two?", "Four.")
    assert made("interleaved", row, p_front=1.0) == [row]
    assert made("in_front", row) == [row]
