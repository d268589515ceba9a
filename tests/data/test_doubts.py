"""What can be used and is odd yet is a warning: it names the row, says what is odd, and refuses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.data.test_check import put
from tests.data.test_near import saved, scene
from triptych.core.records import Json
from triptych.data.trust.check import Report, check
from triptych.data.trust.check_page import SHOWN, page_of
from triptych.data.trust.repeats import verdict_of


def talk(name: str, *said: str, images: tuple[str, ...] = ()) -> dict[str, Json]:
    speakers = ("human", "gpt") * len(said)
    turns: list[Json] = [{"from": who, "value": what} for who, what in zip(speakers, said, strict=False)]
    return {"id": name, "image": list(images), "conversations": turns}


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    for number, name in enumerate("abc"):
        scene(number).save(tmp_path / f"{name}.png")
    return tmp_path


def look(shelf: Path, *rows: dict[str, Json]) -> Report:
    report = check([put(shelf, *rows)], decode=True)
    assert report.refused == 0
    return report


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("What does <|image|> do?", "A."),
        ("What does <img> do?", "A."),
        ("Go on.<|im_end|>", "A."),
        ("Hello", "</s> A."),
        ("[INST] Hello", "A."),
    ],
)
def test_a_mark_that_stays_text_is_a_warning(text: str, reply: str, shelf: Path) -> None:
    report = look(shelf, talk("odd", text, reply), talk("fine", "Is 3 < 5 > 4, and <b>so</b>? [image]", "Yes, it is."))
    assert report.warnings == {"literal mark in text": 1}
    (doubt,) = report.doubts
    assert "row 0 (id 'odd')" in doubt.where
    assert doubt.message.startswith(doubt.where)


def test_a_mark_that_was_only_spoken_of_is_a_warning(shelf: Path) -> None:
    odd = talk("odd", 'What does "<image>" stand for?', "A picture.", images=("a.png",))
    fine = talk("fine", "<image>What is this?", "A picture.", images=("b.png",))
    assert [each.example.id for each in look(shelf, odd, fine).doubts] == ["odd"]


def test_an_empty_turn_is_a_warning_and_an_image_in_a_reply_too(shelf: Path) -> None:
    report = look(
        shelf,
        talk("silent", " \n", "Hello?"),
        talk("drawn", "Draw a cat.", "Here: <image>", images=("a.png",)),
        talk("shown", "<image>", "A cat.", images=("b.png",)),
    )
    assert report.warnings == {"empty turn": 1, "image in a reply": 1}


def test_a_reference_to_no_image_is_a_warning(shelf: Path) -> None:
    report = look(
        shelf,
        talk("odd", "<image><image> Compare image 1 and image 3.", "Alike.", images=("a.png", "b.png")),
        talk("fine", "<image><image> Compare image 1 and image 2.", "Alike.", images=("b.png", "a.png")),
    )
    assert report.warnings == {"reference to no image": 1}
    assert "'image 3'" in report.doubts[0].message
    assert "has 2 images" in report.doubts[0].message


@pytest.mark.parametrize(
    ("first", "second", "contradict"),
    [
        ("Yes.", "No, it is not.", True),
        ("yes", "Yes, it certainly is, as far as I can see.", False),
        ("(B)", "B. a dog", False),
        ("A", "(B) a dog", True),
        ("two", "2", False),
        ("There are two.", "3", True),
        ("red", "The red.", False),
        ("A long reply that describes the whole picture.", "Another reply that describes all of it as well.", False),
    ],
)
def test_contradictory_answers_are_a_warning(first: str, second: str, contradict: bool, shelf: Path) -> None:
    question = "<image>Is there a dog in the picture, or are there more?"
    rows = [talk(name, question, said, images=("a.png",)) for name, said in (("x", first), ("y", second))]
    report = look(shelf, *rows, talk("z", question, second, images=("b.png",)))
    found = [each for each in report.doubts if each.reason == "contradictory answers"]
    assert [each.example.id for each in found] == (["y"] if contradict else [])
    assert all("id 'x'" in each.message for each in found)


def test_a_short_question_is_the_same_only_in_the_same_dialogue(shelf: Path) -> None:
    def row(name: str, first: str, reply: str) -> dict[str, Json]:
        return talk(
            name, f"<image>{first}", "It is hard to say from here, I think.", "Is it red?", reply, images=("a.png",)
        )

    assert not look(shelf, row("x", "What of the ball?", "Yes."), row("y", "What of the car?", "No.")).doubts
    rows = row("x", "What of the ball?", "Yes."), row("y", "What of the ball?", "No.")
    assert "contradictory answers" in look(shelf, *rows).warnings


def test_other_labels_of_the_same_row_are_a_warning(shelf: Path) -> None:
    def row(name: str, quality: float) -> dict[str, Json]:
        said: Json = [
            {"role": "user", "content": [{"type": "image", "image": 0}, {"type": "text", "text": "How good?"}]},
            {"role": "assistant", "content": "See the label."},
        ]
        return {"id": name, "images": ["a.png"], "messages": said, "labels": {"quality": quality}}

    source = put(shelf, row("x", 1), row("y", 1), row("z", 3)).replace("llava:", "messages:")
    found = [each.example.id for each in check([source]).doubts if each.reason == "contradictory answers"]
    assert found == ["z"]


def test_a_picture_that_is_a_frame_elsewhere_is_no_second_file(shelf: Path) -> None:
    def row(name: str, said: str, **shown: str) -> dict[str, Json]:
        asked: list[Json] = [{"type": "image", "image": 0}, {"type": "text", "text": said}]
        turns: list[Json] = [{"role": "user", "content": asked}, {"role": "assistant", "content": f"It is {name}."}]
        return {"id": name, "images": [{"path": "a.png", **shown}], "messages": turns}

    rows = [row("x", "What is on the table there?"), row("y", "Who walks by in the end of it?", video="v.mp4")]
    report = check([put(shelf, *rows).replace("llava:", "messages:")], decode=True)
    assert (report.used, report.warnings) == (2, {})


def test_a_row_that_is_nearly_another_is_a_warning(shelf: Path) -> None:
    words = "Please look at the picture and tell me in some detail what the people in it are doing there today."
    reply = "They stand beside the road and wait for a bus, while one of them reads a newspaper in the sun."
    report = look(
        shelf,
        talk("x", f"<image>{words}", reply, images=("a.png",)),
        talk("same", f"<image>{words.upper()}", reply, images=("a.png",)),
        talk("other picture", f"<image>{words}", reply, images=("b.png",)),
        talk("other words", "<image>Which season is it there, and how can one tell?", "Summer.", images=("a.png",)),
    )
    assert [(each.reason, each.example.id) for each in report.doubts] == [("near-duplicate row", "same")]


def test_a_picture_under_two_names_is_a_warning_across_rows(shelf: Path) -> None:
    saved(scene(0).resize((120, 90)), 60).save(shelf / "small.jpg", quality=60)
    Image.open(shelf / "b.png").save(shelf / "copy.bmp")
    report = look(
        shelf,
        talk("x", "<image>What is it?", "This.", images=("a.png",)),
        talk("y", "<image>And what is that?", "That.", images=("small.jpg",)),
        talk("z", "<image><image>Are they one picture?", "Yes.", images=("b.png", "copy.bmp")),
        talk("again", "<image>What is it, again?", "This.", images=("a.png",)),
    )
    assert [(each.reason, each.example.id) for each in report.doubts] == [("near-duplicate picture", "y")]
    (doubt,) = report.doubts
    assert "'small.jpg'" in doubt.message
    assert "'a.png'" in doubt.message
    assert len(doubt.beside) == 2


def test_what_a_short_reply_says_can_be_compared() -> None:
    assert verdict_of("Yes, it is.") == verdict_of("yes") == "yes"
    assert verdict_of("There are two.") == verdict_of("2") == "2"
    assert verdict_of("(C) the third") == verdict_of("C.") == verdict_of("Answer: C)") == "c"
    assert verdict_of("A") == "a"
    assert verdict_of("") is None
    assert verdict_of("It shows a man who walks his dog.") is None


def test_the_page_shows_each_odd_row_and_runs_nothing(shelf: Path) -> None:
    hostile = "<script>alert(1)</script><|image|>"
    report = check(
        [
            put(
                shelf,
                talk("odd", f"<image>{hostile}", "A.", images=("a.png",)),
                talk("gone", "a", "b", images=("gone.png",)),
            )
        ]
    )
    page = page_of(report, ["llava:rows.jsonl"])
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<img ") == 1
    assert 'src="data:image/jpeg;base64,' in page
    assert "gone" in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_page_shows_so_many_rows_of_a_reason_and_counts_the_rest(shelf: Path) -> None:
    report = check([put(shelf, *[talk(f"n{number}", f"{number} </s>", "A.") for number in range(SHOWN + 7)])])
    page = page_of(report, ["x"])
    assert page.count("<article") == SHOWN
    assert "and 7 rows more" in page


def test_the_page_of_clean_rows_says_so(shelf: Path) -> None:
    assert "nothing about any of them is odd" in page_of(check([put(shelf, talk("x", "a?", "b"))]), ["x"])
