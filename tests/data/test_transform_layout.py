"""Where images stand: in front as published and as we do it, at the words that name them, and the mixed format."""

from __future__ import annotations

import json

import pytest

from tests.data.talking import made, note, said, talk
from tests.pictures import real_data
from triptych.core.records import images_of
from triptych.data.text.layout import to_published_front


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
        "[a][b][c]\nWhat?",
        "A cat.",
        "And image 2",
        "A dog.",
        "Image 3",
        "A cow.",
    ]


def test_labels_of_places_go_with_their_images_or_stay_where_that_is_asked_for() -> None:
    words = "Image 1: [a]\nImage 2: [b]\nWhat is in image 2?"
    assert front(words, "A dog.") == ["[a][b]\nWhat is in image 2?", "A dog."]
    assert front(words, "A dog.", labels="keep") == ["[a][b]\nImage 1: \nImage 2: \nWhat is in image 2?", "A dog."]
    assert front("Look: image 1 is [a]. Image 2 is [b]. Which?", "The first.")[0] == "[a][b]\nLook: Which?"


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
