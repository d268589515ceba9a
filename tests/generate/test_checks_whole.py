"""The checks that look at all items: answers and places are balanced, repeats are found, nothing is lost."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pictures import draw as draw_picture
from triptych.core.records import ImageRef, text_of
from triptych.data.text.references import LETTERS
from triptych.generate.item import Annotation, Item, Refusal, View
from triptych.generate.question import Layout, Question, question_of, with_question
from triptych.generate.stages import balance, dedup

WORDS = ("red", "blue", "green", "gold")


def _item(name: str, question: Question, *, image: ImageRef | None = None, reply: str = "letter") -> Item:
    views = tuple(View(image or ImageRef(f"{name}-{at}.png")) for at in range(2))
    layout = Layout(reply=reply)  # type: ignore[arg-type]
    return with_question(Item(name, Annotation(name, views)), question, layout=layout)


def _question(item: Item) -> Question:
    question = question_of(item)
    assert question is not None
    return question


@pytest.mark.parametrize("reply", ["letter", "text", "both"])
@pytest.mark.parametrize("count", [3, 4])
def test_the_right_option_stands_at_each_place_equally_often(count: int, reply: str) -> None:
    items = [
        _item(f"i{at}", Question("What colour is it?", "red", WORDS[:count], kind="colour"), reply=reply)
        for at in range(40)
    ]
    made = list(balance.whole(iter(items), balance.Balance(), 0))
    places = Counter(_question(item).options.index("red") for item in made if isinstance(item, Item))
    assert max(places.values()) - min(places.values()) <= 1
    assert places.total() == 40


@pytest.mark.parametrize("reply", ["letter", "text", "both"])
def test_words_reply_and_facts_change_together(reply: str) -> None:
    (item,) = balance.whole([_item("x", Question("Which?", "red", WORDS), reply=reply)], balance.Balance(), 3)
    assert isinstance(item, Item)
    assert item.example is not None
    question = _question(item)
    letter = LETTERS[question.options.index("red")]
    assert f"({letter}) red" in text_of(item.example.turns[0])
    assert text_of(item.example.turns[1]) == {"letter": letter, "text": "red", "both": f"({letter}) red"}[reply]
    assert item.example.facts["options"] == list(question.options)


@given(st.lists(st.sampled_from(("yes", "no", "3", "4", "5", "free text")), max_size=60), st.integers(0, 20))
def test_nothing_is_lost_in_balancing_and_no_answer_outweighs_its_opposite(answers: list[str], hold: int) -> None:
    items = [_item(f"i{at}", Question("Is it so?", answer, kind="k")) for at, answer in enumerate(answers)]
    made = list(balance.whole(iter(items), balance.Balance(hold=hold), 0))
    assert sorted(each.item.id if isinstance(each, Refusal) else each.id for each in made) == sorted(
        i.id for i in items
    )
    kept = Counter(_question(each).answer for each in made if isinstance(each, Item))
    assert kept["yes"] <= 1.25 * (kept["no"] + 1)
    assert kept["no"] <= 1.25 * (kept["yes"] + 1)
    numbers = sum(kept[each] for each in "345")
    assert all(kept[each] <= max(4, 0.5 * numbers + 1) for each in "345")


def test_what_is_balanced_already_stays() -> None:
    items = [_item(f"i{at}", Question("Is it so?", ("yes", "no")[at % 2], kind="k")) for at in range(30)]
    assert all(isinstance(each, Item) for each in balance.whole(iter(items), balance.Balance(), 0))


@pytest.mark.parametrize(
    ("one", "other", "repeats"),
    [
        ("How many dogs are there in image 1 and image 2?", "How many dogs are there in image 1 and image 2?", True),
        (
            "How many dogs are there in image 1 and image 2?",
            "Please say: how many dogs are there in image 1 and image 2",
            True,
        ),
        (
            "How many dogs are there in image 1 and image 2?",
            "How many dogs are there in picture 1 and picture 2?",
            True,
        ),
        ("How many dogs are there in image 1 and image 2?", "How many cats are there in image 1 and image 2?", False),
        ("How many dogs are there in image 1 and image 2?", "How many dogs are there in image 1 and image 3?", False),
        ("How many small dogs are in all images together?", "How many large dogs are in all images together?", False),
        ("Yes?", "No?", False),
    ],
)
def test_a_repeat_is_told_from_another_question(one: str, other: str, repeats: bool) -> None:
    image = ImageRef("same.png")
    items = [_item(name, Question(text, "2"), image=image) for name, text in (("a", one), ("b", other))]
    first, second = dedup.whole(iter(items), dedup.Dedup(), 0)
    assert isinstance(first, Item)
    assert isinstance(second, Refusal) == repeats


def test_the_same_words_about_other_images_are_no_repeat() -> None:
    items = [_item(name, Question("How many dogs are there?", "2")) for name in "ab"]
    assert all(isinstance(each, Item) for each in dedup.whole(iter(items), dedup.Dedup(), 0))


def test_copies_of_a_picture_are_the_same_picture_where_looks_count(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("copies")
    images = [draw_picture(folder / name, colour="blue") for name in ("a.png", "b.bmp")]
    items = [
        _item(name, Question("How many dogs are there?", "2"), image=image)
        for name, image in zip("ab", images, strict=True)
    ]
    assert all(isinstance(each, Item) for each in dedup.whole(iter(items), dedup.Dedup(), 0))
    assert isinstance(list(dedup.whole(iter(items), dedup.Dedup(looks=True), 0))[1], Refusal)


@given(st.lists(st.sampled_from(("How many?", "How many dogs are in it?", "What is it?")), max_size=20), st.booleans())
def test_of_equal_questions_exactly_the_first_stays(texts: list[str], exact: bool) -> None:
    image = ImageRef("same.png")
    items = [_item(f"i{at}", Question(text, "x"), image=image) for at, text in enumerate(texts)]
    made = list(dedup.whole(iter(items), dedup.Dedup(alike=1.0 if exact else 0.8), 0))
    kept = [each.id for each in made if isinstance(each, Item)]
    assert kept == [f"i{texts.index(text)}" for text in dict.fromkeys(texts)]
    assert len(made) == len(items)
