""" "The last image" is the last of those shown so far: what becomes of it where images move, go, or come before it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.talking import made, note, said, talk
from tests.pictures import draw
from tests.toys import talk as spoken
from triptych.core.records import Example, ImageRef, Text, Turn, VideoRef
from triptych.data.format import Refused
from triptych.data.plan.budget import WORDS_REFER, Budget, Fitted, fit
from triptych.data.plan.costs import Fixed
from triptych.data.text.naming import name_last
from triptych.data.text.references import UnclearError, find_references
from triptych.evaluate.diagnosis.places import deciding_image

ASKED = "What colour is the last image?"


def outcomes(*words: str) -> set[tuple[str, ...]]:
    """Return what becomes of a conversation whose images change places, under many seeds."""
    return {tuple(said(made("shuffle_images", talk(*words), seed=seed)[0])) for seed in range(24)}


def test_it_is_the_last_of_those_shown() -> None:
    (found,) = find_references("the last image", count=4, shown=2)
    assert found.numbers == (2,)
    (found,) = find_references("the last two images", count=4, shown=3)
    assert found.numbers == (2, 3)
    (found,) = find_references("the last image", count=4, shown=0)
    assert found.numbers == (4,), "before any image, it is the last that will be shown"


def test_it_is_named_where_others_stand_behind_it_now() -> None:
    assert name_last("Last image, image 1?", shown=2, now=3) == "Second image, image 1?"
    assert name_last("The final picture?", shown=2, now=2) == "The final picture?"
    assert name_last("The last image?", shown=0, now=2) == "The last image?"


@pytest.mark.parametrize(
    ("words", "shown", "named"),
    [
        ("Of the last two images, one", 2, "Of the first two images, one"),
        ("Last 2 shown photos.", 2, "First 2 shown photos."),
        ("Of the last two images, one", 3, "Of images 2 and 3, one"),
        ("The final three pictures.", 4, "Pictures 2 to 4."),
        ("The last two images and the last image.", 3, "Images 2 and 3 and the third image."),
    ],
)
def test_a_run_of_the_last_ones_is_named_from_the_start(words: str, shown: int, named: str) -> None:
    assert name_last(words, shown=shown, now=5) == named


@pytest.mark.parametrize(
    "words", ["What of the last one?", "The first and the last.", "the latter", "The final one is red"]
)
def test_what_may_be_the_last_image_by_its_place_is_not_named(words: str) -> None:
    with pytest.raises(UnclearError, match="may mean an image by its place"):
        name_last(f"The last image. {words}", shown=2, now=3)
    assert name_last(words, shown=2, now=2) == words
    assert name_last("The first one, the last image.", shown=2, now=3) == "The first one, the second image."


def test_it_follows_its_image_when_images_change_places() -> None:
    first = {("[a][b] " + ASKED, "Pink."), (f"[b][a] {ASKED.replace('last', 'first')}", "Pink.")}
    second = {("[c][d] " + ASKED, "Blue."), (f"[d][c] {ASKED.replace('last', 'third')}", "Blue.")}
    assert outcomes(f"[a][b] {ASKED}", "Pink.", f"[c][d] {ASKED}", "Blue.") == {
        (*one, *other) for one in first for other in second
    }
    assert outcomes(f"[a][b] {ASKED}", "The last image is pink.", "[c] And this?", "Gold.") == {
        (f"[a][b] {ASKED}", "The last image is pink.", "[c] And this?", "Gold."),
        (f"[b][a] {ASKED.replace('last', 'first')}", "The first image is pink.", "[c] And this?", "Gold."),
    }


@pytest.mark.parametrize(("step", "settings"), [("in_front", {}), ("interleaved", {"p_front": 1.0})])
def test_it_is_named_when_later_images_come_before_it(step: str, settings: dict[str, float]) -> None:
    words = (f"[a][b]\n{ASKED}", "The last image is pink.", "[c] And the last image?", "Gold.")
    (front,) = made(step, talk(*words), **settings)
    assert said(front) == [
        "[a][b][c]\nWhat colour is the second image?",
        "The second image is pink.",
        "And the last image?",
        "Gold.",
    ]
    (front,) = made(step, talk(f"Image 1: [a] The last image: [b]\n{ASKED}", "Pink.", "And [c]?", "Gold."), **settings)
    assert said(front)[0] == "[a][b][c]\nWhat colour is the second image?"


def test_the_last_frame_of_a_video_is_no_image() -> None:
    asked = "Video: what is in the last frame, and in the last image?"
    assert name_last(asked, shown=1, now=2, frames=False) == asked.replace("last image", "first image")
    assert name_last(asked, shown=1, now=2) == asked.replace("last", "first")
    (row,) = made(
        "in_front",
        Example(
            "x",
            (
                Turn("user", (VideoRef("/v.mp4"), Text("Then "), ImageRef("/a.png", size=(8, 8)), Text(asked))),
                Turn("assistant", (Text("A dog."),)),
                Turn("user", (Text("And "), ImageRef("/b.png", size=(8, 8)), Text("?"))),
                Turn("assistant", (Text("A cat."),)),
            ),
        ),
    )
    assert "in the last frame, and in the first image?" in "".join(
        part.text for turn in row.turns for part in turn.parts if isinstance(part, Text)
    )


def test_the_last_two_images_are_named_when_later_images_come_before_them() -> None:
    words = ["Compare [a] and [b]: what do the last two images share?", "Red.", "And [c]."]
    for step in ("in_front", "interleaved"):
        (front,) = made(step, talk(*words), **({"p_front": 1.0} if step == "interleaved" else {}))
        assert said(front) == [
            "[a][b][c]\nCompare image 1 and image 2: what do the first two images share?",
            "Red.",
            "And image 3.",
        ]
    (front,) = made("in_front", talk("Compare [a][b]: the last two images.", "One is older."))
    assert said(front)[0] == "[a][b]\nCompare images 1 and 2: the last two images."


@pytest.mark.parametrize(
    "words",
    [
        ("Compare [a] and [b]: the final image?", "The final picture is big; the last one is.", "And [c]."),
        ("Look at [a]. What of the last one?", "A red car.", "And [b]?"),
    ],
)
def test_the_last_one_leaves_a_row_as_it_is_and_says_so(words: tuple[str, ...]) -> None:
    why = "the words 'the last one' may mean an image by its place, and others come behind it"
    (left,) = made("in_front", talk(*words))
    assert said(left) == [*words]
    assert note(left) == {"left": why}
    (left,) = made("interleaved", talk(*words), p_front=1.0)
    assert said(left) == [*words]
    assert note(left) == {"layout": "as read", "left": why}


def test_images_go_to_the_words_that_name_the_last_one_shown() -> None:
    (placed,) = made("interleaved", talk("[a][b] Is image 1 older than the last image?", "No.", "[c] And it?", "No."))
    assert said(placed)[0] == "Is image 1 [a] older than the last image [b]?"


RED, PINK, GOLD = (ImageRef(f"/{name}.png", (9, 9)) for name in ("red", "pink", "gold"))


def shortened(example: Example, images: int, *, numbered: bool) -> Fitted | Refused:
    """Return what a budget of so many images makes of an example."""
    budget = Budget(images_tokens=100 * images)
    return fit(example, budget, cost=Fixed(100), count_text=lambda each: 0, numbered=numbered)


@pytest.mark.parametrize("numbered", [False, True])
def test_words_about_it_do_not_stay_when_it_goes(numbered: bool) -> None:
    example = spoken(
        ("user", [RED, PINK, "What is shown?"]),
        ("assistant", "Two pictures."),
        ("user", ASKED),
        ("assistant", "Pink."),
        ("user", [GOLD, "And this?"]),
        ("assistant", "Gold."),
    )
    fitted = shortened(example, 2, numbered=numbered)
    assert isinstance(fitted, Fitted)
    assert fitted.example.turns == example.turns[4:], "not the question about it alone"
    refused = shortened(replace(example, turns=example.turns[:4]), 1, numbered=numbered)
    assert isinstance(refused, Refused)
    assert refused.reason == WORDS_REFER
    assert "'last' in what stays mean an image that goes" in refused.message


@pytest.mark.parametrize("numbered", [False, True])
def test_one_that_stays_is_the_last_one_shown_still(numbered: bool) -> None:
    example = spoken(
        ("system", "Look at the last image."),
        ("user", [RED, "What is shown?"]),
        ("assistant", "Much."),
        ("user", [PINK, ASKED]),
        ("assistant", "The last image is pink."),
        ("user", [GOLD, "And this?"]),
        ("assistant", "Gold."),
    )
    fitted = shortened(example, 2, numbered=numbered)
    assert isinstance(fitted, Fitted)
    assert fitted.example.turns == (example.turns[0], *example.turns[3:])


def test_the_last_two_images_behind_one_that_goes_stay_the_last_two() -> None:
    shown = replace(spoken(("user", [RED, "What?"]), ("assistant", "Red.")), id="shown")
    own = spoken(
        ("system", [PINK, "The last image is a key."]),
        ("user", [GOLD, "Compare the last two images."]),
        ("assistant", "One is older."),
    )
    fitted = shortened(replace(own, demonstrations=(shown,)), 2, numbered=True)
    assert isinstance(fitted, Refused), "of the two, one is the demonstration's"
    own = spoken(("user", [PINK, GOLD, "Compare the last two images."]), ("assistant", "One is older."))
    fitted = shortened(replace(own, demonstrations=(shown,)), 2, numbered=True)
    assert isinstance(fitted, Fitted)
    assert fitted.example == own


def test_frames_behind_an_image_leave_it_the_last_one_of_its_turn(tmp_path: Path) -> None:
    for k in range(7):
        draw(tmp_path / "clip" / f"f_{k}.png", colour=(k, 0, 0))
    film = VideoRef(str(tmp_path / "clip"))
    turns = (
        Turn("user", (film, ImageRef("/a.png"), ImageRef("/b.png"), Text("The last image? The last two images?"))),
        Turn("assistant", (Text("The last image is pink."),)),
        Turn("user", (film, Text("And the last image?"))),
        Turn("assistant", (Text("Pink."),)),
    )
    (cut,) = made("frames", Example("x", turns), n=3)
    words = [part.text for turn in cut.turns for part in turn.parts if isinstance(part, Text)]
    assert words == ["The last image? The last two images?", "The last image is pink.", "And the fifth image?", "Pink."]


def test_it_stays_the_last_one_behind_demonstrations() -> None:
    words = ("[{}1][{}2] Is it in the last image, {}?", "Yes.", "[{}3] And in image 3?", "No.")
    rows = [talk(*(each.format(*[name] * 3) for each in words), name=name) for name in "ab"]
    (row, _) = made("in_context", *rows, by="random", k=1)
    assert said(row)[::2] == ["[a1][a2] Is it in the last image, a?", "[a3] And in image 6?"]
    assert said(row.demonstrations[0])[::2] == ["[b1][b2] Is it in the second image, b?", "[b3] And in image 3?"]


def test_a_question_is_about_the_last_image_that_its_turn_has() -> None:
    assert deciding_image(talk(f"[a][b] {ASKED}", "It is [c]: pink.")) == 2
