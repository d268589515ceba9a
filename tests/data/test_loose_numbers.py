"""Numbers by themselves, and words of other languages, that may mean images: then no image gets another number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.talking import made, note, refused, said, talk
from tests.pictures import draw
from tests.toys import talk as spoken
from triptych.core.records import ImageRef, Text, Turn, VideoRef, images_of, text_of
from triptych.data.format import Refused
from triptych.data.plan.budget import WORDS_REFER, Budget, Fitted, fit
from triptych.data.plan.costs import Fixed
from triptych.data.text.loose import find_hidden
from triptych.data.text.references import find_doubt

OTHER = talk("[d]\nWhat is it?", "A cat.", name="other")
WHICH = "[a][b][c]\nWhich is darker, image 1 or image 2?"


@pytest.mark.parametrize(
    ("asked", "reply"),
    [
        ("Which is darker, image 1 or image 2?\nA. 1\nB. 2", "A"),
        ("Which is darker, image 1 or image 2? (A) 1st (B) 2nd", "A"),
        ("Which is darker, image 1 or image 2? A) one B) two", "B"),
        ("Is image 1 older than 2?", "Yes."),
        ("Compare image 1 with 2.", "Both are old."),
        ("Are images 1 as well as 2 dark?", "Yes."),
        ("How does image 1 differ from 2?", "In colour."),
        ("Is image 1 darker than #2?", "Yes."),
        ("Compare image 1 and image 2.", "The first depicts a dog; the second features a cat."),
    ],
)
def test_half_a_question_is_never_rewritten(asked: str, reply: str) -> None:
    row = talk(f"[a][b][c]\n{asked}", reply)
    for seed in range(8):
        (left,) = made("shuffle_images", row, seed=seed)
        assert left.turns == row.turns
    (left, _) = made("in_context", row, OTHER, by="random", k=1)
    assert left.turns == row.turns
    assert "left" in note(left)


@pytest.mark.parametrize(
    "asked", ["Are there 2 dogs in image 1?", "Step 2: describe image 1 in 3 words.\n1. cat\n2. cow"]
)
def test_counts_and_labels_of_a_question_are_no_images(asked: str) -> None:
    row = talk(f"[a][b][c]\n{asked}", "Cat.")
    assert len({repr(made("shuffle_images", row, seed=seed)) for seed in range(8)}) > 1


@pytest.mark.parametrize(
    "asked",
    [
        *(
            "Compare image 1 and image 2 in 2 to 3 sentences.",
            "Was image 1 taken on May 2?",
            "Does image 1 show team 1?",
        ),
        *("Is Chapter 2 in image 1?", "Does image 1 show more than 2 dogs?", "In image 1, is the score 3 to 2?"),
        *("Does image 1 show the number 2 ?", "Does image 1 have more than 2?", "In image 1, which team won, 3 or 2?"),
        *("How many dogs are in image 1? A. 1 B. 2", "Rate image 1 on a scale from 1 to 3."),
    ],
)
def test_numbers_of_a_question_that_no_link_ties_to_an_image_stay_what_they_are(asked: str) -> None:
    assert find_hidden(talk(f"[a][b][c]\n{asked}", "Yes.").turns, count=3) is None


@pytest.mark.parametrize(
    "reply",
    [
        *("1. Image 1 is red.\n2. Image 2 is blue.", "Image 1 is a Hole-in-One.", "Image 1 says SEASON 2."),
        *("Image 1 runs Windows 2.", "One could explain image 2 so.", "Image 1 - one for all."),
    ],
)
def test_lists_products_and_pronouns_are_no_loose_numbers(reply: str) -> None:
    assert find_hidden(talk("[a][b][c]\nCompare image 1 and image 2.", reply).turns, count=3, amounts=True) is None


@pytest.mark.parametrize(
    ("asked", "reply"),
    [
        ("How many dogs are there?", "2"),
        ("How many dogs are in image 2?", "Two."),
        ("What number is on the shirt?", "3"),
        ("Rate it from 1 to 3.", "2"),
        ("What grade has it?", "B"),
        ("Is it A or B?", "A"),
        ("Which image is darker? A. image 1 B. image 2", "B"),
        ("What is in image 2? A. cat B. dog", "B"),
        ("What is in image 2? A: cat; B: dog", "A"),
        ("What is in image 2?\n(A) cat\n(B) dog", "B"),
    ],
)
def test_amounts_and_letters_of_options_are_right_wherever_images_stand(asked: str, reply: str) -> None:
    row = talk(f"[a][b][c]\n{asked}", reply)
    assert find_hidden(row.turns, count=3) is None
    (moved, _) = made("in_context", row, OTHER, by="random", k=1)
    assert len(moved.demonstrations) == 1


@pytest.mark.parametrize(
    ("asked", "reply"),
    [
        ("Which image is darker?", "B"),
        ("Which of these is darker?", "the second one"),
        ("Which picture shows a dog? A. 1 B. 2", "A"),
        ("Is image A or image B darker? A. image B B. image A", "A"),
        ("Compare image A with B.", "Fine."),
    ],
)
def test_a_bare_reply_to_a_question_for_an_image_means_one(asked: str, reply: str) -> None:
    assert find_hidden(talk(f"[a][b][c]\n{asked}", reply).turns, count=3) is not None


def test_a_bare_reply_of_a_demonstration_concerns_only_that_one() -> None:
    pictures = {name: ImageRef(f"/{name}.png", (9, 9)) for name in "abcdef"}
    shown = spoken(("user", [*(pictures[name] for name in "ab"), "Which image is red?"]), ("assistant", "2"))
    row = spoken(
        ("user", [*(pictures[name] for name in "cd"), "What?"]),
        ("assistant", "Cats."),
        ("user", [*(pictures[name] for name in "ef"), "How many dogs?"]),
        ("assistant", "Two."),
    )
    found = fit(
        replace(row, demonstrations=(replace(shown, id="shown"),)),
        Budget(images_tokens=20),
        cost=Fixed(10),
        count_text=lambda _: 0,
        numbered=True,
    )
    assert isinstance(found, Fitted)
    assert found.example.turns == row.turns[2:]


@pytest.mark.parametrize("reply", ["2", "Only 2.", "Number 2.", "2 is darker than 1.", "The second."])
def test_a_bare_reply_is_not_left_behind(reply: str) -> None:
    row = talk(WHICH, reply)
    (left, _) = made("in_context", row, OTHER, by="random", k=1)
    assert left.turns == row.turns
    assert left.demonstrations == ()
    assert "left" in note(left)
    open_row = talk("[a][b][c]\nWhich of these is darkest?", reply)
    assert refused("limit_images", open_row, most=2, on_more="sample").reason == "too many images"


@pytest.mark.parametrize(
    ("asked", "reply"), [("How many dogs are in image 2?", "3"), ("Is image 2 dark?", "It has 3 dogs.")]
)
def test_a_number_of_things_is_a_right_reply_wherever_its_images_stand(asked: str, reply: str) -> None:
    (moved, _) = made("in_context", talk(f"[a][b][c]\n{asked}", reply), OTHER, by="random", k=1)
    assert said(moved) == ["[a][b][c]\n" + asked.replace("2", "3"), reply]


@pytest.mark.parametrize(
    ("asked", "reply"), [("Compare image 3 and image 4. Which is darker?", "4"), ("Is image 3 darker than 4?", "Yes.")]
)
def test_the_budget_refuses_what_a_bare_number_would_make_wrong(asked: str, reply: str) -> None:
    pictures = [ImageRef(f"/{name}.png", (9, 9)) for name in "abcd"]
    row = spoken(
        ("user", [*pictures[:2], "What?"]),
        ("assistant", "Cats."),
        ("user", [*pictures[2:], asked]),
        ("assistant", reply),
    )
    found = fit(row, Budget(images_tokens=20), cost=Fixed(10), count_text=lambda _: 0, numbered=True)
    assert isinstance(found, Refused)
    assert found.reason == WORDS_REFER


@pytest.mark.parametrize(
    ("asked", "reply"),
    [
        ("What do you see in image 2?", "1. A dog\n2. A cat"),
        ("What do you see in image 2?", "(1) a dog (2) a cat"),
        ("What bus number is in image 2?", "2"),
        ("Which letter is on the sign in image 2?", "B"),
    ],
)
def test_lists_and_signs_of_a_reply_are_no_images(asked: str, reply: str) -> None:
    pictures = [ImageRef(f"/{name}.png", (9, 9)) for name in "ab"]
    row = spoken(
        ("user", [pictures[0], "What?"]), ("assistant", "Cats."), ("user", [pictures[1], asked]), ("assistant", reply)
    )
    found = fit(row, Budget(images_tokens=10), cost=Fixed(10), count_text=lambda _: 0, numbered=True)
    assert isinstance(found, Fitted)
    assert [text_of(turn) for turn in found.example.turns] == [asked.replace("image 2", "image 1"), reply]


@pytest.mark.parametrize(
    ("asked", "reply"),
    [
        ("Which of these shapes? (a) x (b) y", "a"),
        ("Which of these is shown?\na) cat\nb) dog", "a"),
        ("Which of these numbers is shown?\nA. 1\nB. 2", "A"),
    ],
)
def test_where_there_is_one_image_options_are_no_images(asked: str, reply: str) -> None:
    assert find_hidden(talk(f"[a]\n{asked}", reply).turns, count=1) is None


def test_words_count_their_own_images_where_nothing_says_that_they_count_all() -> None:
    names = {name: ImageRef(f"/{name}.png", (9, 9)) for name in "xyabc"}
    shown = spoken(("user", [names["x"], names["y"], "image 1 is x."]), ("assistant", "Yes."))
    row = spoken(("user", [*(names[name] for name in "abc"), "Is image 3 red?"]), ("assistant", "Image 3 is."))
    for numbered in (True, False):
        found = fit(
            replace(row, demonstrations=(replace(shown, id="shown"),)),
            Budget(images_tokens=30),
            cost=Fixed(10),
            count_text=lambda _: 0,
            numbered=numbered,
        )
        assert isinstance(found, Fitted)
        assert found.example == row


def test_frames_count_from_where_the_words_do(tmp_path: Path) -> None:
    for number in range(4):
        draw(tmp_path / "clip" / f"f_{number}.png")
    film = VideoRef(str(tmp_path / "clip"))
    shown = talk("[x][y]\nimage 1 is red, image 2 is not.", "Yes.", name="shown")
    asked = Turn("user", (film, ImageRef("/a.png"), ImageRef("/b.png"), Text("\nIs image 2 red, or the last image?")))
    row = replace(talk("?", "Image 1 is."), demonstrations=(shown,))
    (cut,) = made("frames", replace(row, turns=(asked, row.turns[1])), n=2)
    assert [text_of(turn) for turn in cut.turns] == ["\nIs image 4 red, or the last image?", "Image 3 is."]
    assert cut.demonstrations == (shown,)
    loose = replace(row, turns=(asked, talk("?", "2").turns[1]), demonstrations=())
    assert refused("frames", loose, n=2).reason == "unclear reference"
    counted = replace(loose, turns=(asked, talk("?", "In the image 2 dogs play.").turns[1]))
    assert refused("frames", counted, n=2).reason == "unclear reference"


@pytest.mark.parametrize("settings", [{"tile_px": 8, "images": "all"}, {"split": [2, 1]}])
def test_pictures_that_a_demonstration_names_by_number_are_not_cut(settings: dict[str, object], tmp_path: Path) -> None:
    parts = tuple(draw(tmp_path / f"{number}.png", size=(32, 16)) for number in range(3))
    shown = replace(talk("?", "Image 2 shows a dog."), id="shown")
    shown = replace(shown, turns=(Turn("user", (*parts[:2], Text("\nWhat is here?"))), shown.turns[1]))
    row = replace(talk("?", "A cat."), turns=(Turn("user", (parts[2], Text("?"))), talk("?", "A cat.").turns[1]))
    (left,) = made("patches" if "tile_px" in settings else "views", replace(row, demonstrations=(shown,)), **settings)  # type: ignore[arg-type]
    assert images_of(left) == parts
    assert "left" in note(left)


@pytest.mark.parametrize(
    "words",
    [
        *("图1更暗。", "第二张图最暗。", "第2张。", "左图", "画像1は犬です。", "2枚目は犬です。", "最初の画像"),
        *("이미지 1은 개입니다.", "두 번째 사진은", "왼쪽 사진", "Das erste Bild ist dunkel.", "Bild 2 ist dunkel."),
        *(
            "Im zweiten ist es dunkel, im ersten.",
            "La primera imagen",
            "las imágenes 1 y 2",
            "La segunda es más oscura.",
        ),
        *("La deuxième image", "la seconde photo", "La première est sombre.", "les images 1 et 2", "الصورة الأولى"),
        *(
            "الصورة 2",
            "في الصورة رقم 1",
            "比较image 1和2。",
            "image 1과 image 2를 비교하세요.",
            "Vergleiche Image 1 und 2",
        ),
    ],
)
def test_words_of_other_languages_that_mean_an_image_leave_the_row(words: str) -> None:
    assert find_doubt(words, count=3) is not None
    row = talk("[a][b]\nWhich is darker, image 1 or image 2?", words)
    for seed in range(4):
        (left,) = made("shuffle_images", row, seed=seed)
        assert left.turns == row.turns
    (left, _) = made("in_context", row, OTHER, by="random", k=1)
    assert left.turns == row.turns
    asked = talk(f"[a][b][c]\n{words}", "?")
    assert refused("limit_images", asked, most=2, on_more="sample").reason == "too many images"


@pytest.mark.parametrize(
    "words",
    [
        *(
            "这两张图片有什么区别？",
            "图中有2只狗",
            "两张图都有狗",
            "2枚の画像",
            "画像には犬が2匹います。",
            "이미지 두 장",
        ),
        *("Es gibt zwei Bilder.", "Hay dos imágenes.", "deux images", "dos perros en la imagen", "哪张图更暗？"),
        *("照片一共有两个人", "照片3张", "图三个人在跑", "左上图书馆", "画一只猫", "他照一张相"),
        *("The sign in image 2 says 你好.", "In image 1 the word 'Bild' is written."),
    ],
)
def test_pictures_that_are_only_counted_in_other_languages_are_no_doubt(words: str) -> None:
    assert find_doubt(words, count=3) is None
