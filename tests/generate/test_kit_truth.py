"""Verified questions: the answer follows from what is drawn, needs its images, and is read the same from the words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.generate.driving import run
from tests.pictures import real_data
from triptych.core.records import ImageRef, images_of, text_of
from triptych.data.media.images import load_image
from triptych.data.transform import draw
from triptych.generate.annotations import nlvr
from triptych.generate.item import Annotation, Item, Thing, View
from triptych.generate.kit.claims import expected, presupposed
from triptych.generate.kit.kinds import KINDS, exchanged, propose
from triptych.generate.kit.sorts import plural, with_article
from triptych.generate.kit.truth import told
from triptych.generate.kit.verdicts import same
from triptych.generate.question import Question, question_of
from triptych.generate.stages.from_truth import STAGE, FromTruth

THING = st.builds(
    Thing, st.sampled_from(("dog", "cup", "fox")), attributes=st.sampled_from((("small",), ("large",), ()))
)
THINGS = st.lists(THING, max_size=4).map(tuple)


def _views(things: list[tuple[Thing, ...]]) -> list[View]:
    return [View(ImageRef(f"{at}.png"), things=each) for at, each in enumerate(things)]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    folder = tmp_path_factory.mktemp("albums")
    steps = [
        {"kind": "annotate", "source": f"albums:{folder}#count=60"},
        {"kind": "from_truth", "per_item": 6, "styles": ["number", "ordinal"]},
    ]
    return list(run(steps, folder).items)


def _question(item: Item) -> Question:
    question = question_of(item)
    assert question is not None
    return question


def test_the_answer_of_a_verified_question_is_what_its_images_say(asked: list[Item]) -> None:
    assert len(asked) > 250
    for item in asked:
        question = _question(item)
        assert told(question, item.annotation.views) == question.answer


def test_the_conversation_shows_every_image_once_in_order_and_then_asks(asked: list[Item]) -> None:
    for item in asked:
        assert item.example is not None
        assert images_of(item.example) == tuple(view.media for view in item.annotation.views)
        assert _question(item).text in text_of(item.example.turns[0])
        assert item.example.id == item.id


def test_no_image_alone_settles_a_question_that_needs_several(asked: list[Item]) -> None:
    tried = 0
    for item in asked:
        question, views = _question(item), item.annotation.views
        kind = KINDS[question.kind]
        if kind.lone or kind.quantified:
            continue
        tried += 1
        assert all(told(question, views, seen=frozenset((at,))) is None for at in range(1, len(views) + 1))
    assert tried > 150


def test_what_an_exchange_of_images_does_is_said_rightly(asked: list[Item]) -> None:
    says = Counter(_question(item).swap for item in asked)
    assert min(says["changes"], says["stays"]) > 30
    for item in asked:
        question = _question(item)
        if question.swap == "unknown":
            continue
        assert question.pair is not None
        after = told(question, exchanged(item.annotation.views, question.pair))
        assert after == question.swapped
        assert (after != question.answer) == (question.swap == "changes")


def test_one_option_is_right_and_none_is_there_twice(asked: list[Item]) -> None:
    choices = [_question(item) for item in asked if _question(item).options]
    assert len(choices) > 50
    for question in choices:
        assert question.options.count(question.answer) == 1
        assert len(set(question.options)) == len(question.options)


def test_yes_and_no_and_true_and_false_are_asked_for_about_equally_often(asked: list[Item]) -> None:
    answers = Counter(_question(item).answer for item in asked)
    for one, other in (("yes", "no"), ("true", "false")):
        assert 0.33 < answers[one] / (answers[one] + answers[other]) < 0.67


def test_the_words_alone_never_lead_to_another_answer_than_the_record(asked: list[Item]) -> None:
    read = Counter[bool]()
    for item in asked:
        answer = expected(_question(item).text, item.annotation.views)
        read[answer is not None] += 1
        assert answer is None or same(_question(item).answer, answer), (_question(item), answer)
    assert read[True] > read[False]


@given(
    st.sampled_from(sorted(KINDS)),
    st.lists(THINGS, min_size=3, max_size=4),
    st.lists(THINGS, min_size=4, max_size=4),
    st.integers(0, 99),
    st.data(),
)
def test_what_some_images_settle_stays_whatever_the_others_hold(
    name: str, things: list[tuple[Thing, ...]], others: list[tuple[Thing, ...]], seed: int, data: st.DataObject
) -> None:
    views = _views(things)
    details = propose(KINDS[name], views, random=draw(seed), whole=True)
    if details is None:
        return
    seen = frozenset(data.draw(st.sets(st.integers(1, len(views)), min_size=1)))
    answer = KINDS[name].settled_by(views, details, seen=seen)
    changed = _views([things[at] if at + 1 in seen else others[at] for at in range(len(things))])
    assert answer is None or KINDS[name].settle(changed, details) in (answer, None)


def test_an_annotation_in_captions_alone_is_refused_with_a_reason(tmp_path: Path) -> None:
    views = tuple(View(ImageRef(f"{at}.png"), captions=("A dog.",)) for at in range(2))
    assert STAGE.each is not None
    (made,) = STAGE.each(Item("x", Annotation("x", views)), FromTruth(), draw(0))
    assert getattr(made, "reason", "") == "nothing to ask"


def test_an_unknown_kind_of_question_is_named() -> None:
    with pytest.raises(ValidationError, match="no kind is called 'totals'"):
        FromTruth(kinds=("totals",))


def test_a_question_takes_for_granted_what_it_counts_and_not_what_it_asks_for() -> None:
    known = {"dog", "small"}
    assert presupposed("Which image shows two foxes?", known) == "foxes"
    assert presupposed("How many animals are there?", known) is None
    assert presupposed("Which image shows two people?", known) == "people"
    assert presupposed("Which image shows a small dog and a rhino?", known) == "rhino"
    assert presupposed("Which image shows two people?", known | {"woman"}) is None
    assert presupposed("How many small dogs are in image 1?", known) is None
    assert presupposed("Is there a cat in image 1?", known) is None


@pytest.mark.parametrize(
    ("one", "many"), [("dog", "dogs"), ("fox", "foxes"), ("fly", "flies"), ("toy car", "toy cars"), ("sheep", "sheep")]
)
def test_nouns_have_their_plurals(one: str, many: str) -> None:
    assert plural(one) == many


def test_an_article_follows_the_sound() -> None:
    assert [with_article(word) for word in ("owl", "dog", "unicorn", "umbrella")] == [
        *("an owl", "a dog", "a unicorn", "an umbrella"),
    ]


def test_nlvr_s_boxes_hold_what_their_pictures_show() -> None:
    """Each order of the boxes is a picture of its own: the colours in each box are those of its things."""
    folder = real_data("nlvr_dev")
    for permutation in range(6):
        read = nlvr.read(folder / "dev.json", {"permutation": str(permutation), "directories": "0"})
        for annotation in list(read)[:12]:
            assert isinstance(annotation, Annotation)
            for view in annotation.views:
                assert isinstance(view.media, ImageRef)
                colours = load_image(view.media).convert("RGB").getcolors(1 << 16) or []
                shown = {
                    name
                    for count, (red, green, blue) in colours
                    for name, fits in (
                        ("yellow", red > 200 and green > 200 and blue < 80),
                        ("black", max(red, green, blue) < 40),
                        ("blue", red < 60 and blue > 200),
                    )
                    if fits and count > 12
                }
                assert shown == {thing.attributes[0] for thing in view.things}


def test_generated_nlvr_shares_no_picture_and_no_scene_with_the_held_out_statements() -> None:
    folder = real_data("nlvr_dev")
    made = list(nlvr.read(folder / "dev.json", {"directories": "0-3", "unlike": "4-5"}))
    held_out = list(nlvr.read(folder / "dev.json", {"directories": "4-5"}))
    ours, theirs = _scenes(made), _scenes(held_out)
    assert (len(ours), len(theirs)) == (654, 325)
    assert not {source for source, _ in ours} & {source for source, _ in theirs}
    assert not {scene for _, scene in ours} & {scene for _, scene in theirs}


def _scenes(annotations: Sequence[object]) -> set[tuple[str, object]]:
    found: set[tuple[str, object]] = set()
    for each in annotations:
        assert isinstance(each, Annotation)
        boxes = tuple(sorted(str(sorted((t.name, t.box, t.attributes) for t in view.things)) for view in each.views))
        media = each.views[0].media
        assert isinstance(media, ImageRef)
        found.add((media.source, boxes))
    return found
