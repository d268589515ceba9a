"""The checks that ask again, tried with a scripted responder that knows the truth: they catch what was planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.oracle import Errors, Oracle, habit
from tests.generate.driving import Ran, facts_of, run, settings_of
from triptych.core.plugins import find
from triptych.core.records import Answer, Example, ImageRef, images_of, text_of
from triptych.data.transform import draw
from triptych.generate.item import Annotation, Item, Refusal, View
from triptych.generate.kit.checking import CONTENT_FREE, HIDDEN
from triptych.generate.kit.choice import chosen
from triptych.generate.kit.kinds import KINDS
from triptych.generate.kit.planted import plant
from triptych.generate.kit.verdicts import is_right, same
from triptych.generate.question import Layout, Question, question_of, with_question
from triptych.generate.stage import Made, Stage
from triptych.infer.responder import Failed

Teacher = Callable[[Example], str]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    folder = tmp_path_factory.mktemp("albums")
    steps = [{"kind": "annotate", "source": f"albums:{folder}#count=18"}, {"kind": "from_truth", "per_item": 4}]
    ran: Ran = run(steps, folder)
    return list(ran.items)


def _question(item: Item) -> Question:
    question = question_of(item)
    assert question is not None
    return question


def _planted(good: list[Item], fault: str) -> list[Item]:
    made = (plant(item, fault, random=draw(fault, item.id), layout=Layout()) for item in good)
    return [item for item in made if item is not None]


def _oracle(good: list[Item], bad: list[Item], errors: float = 0.0) -> Oracle:
    oracle = Oracle(Errors(errors, errors))
    oracle.learn([*good, *bad], good={item.id: _question(item) for item in good})
    return oracle


def _check(kind: str, items: list[Item], teacher: Teacher, **said: object) -> list[Made]:
    stage = find("stage", kind, expected=Stage)
    settings = settings_of(kind, said)
    assert stage.ask is not None
    assert stage.take is not None
    made: list[Made] = []
    for item in items:
        requests = stage.ask(item, settings, draw(item.id))
        assert len({request.name for request in requests}) == len(requests)
        questions = [replace(each.question, facts={"sample": each.sample}) for each in requests]
        replies: list[Answer | Failed] = [Answer(each.id, teacher(each)) for each in questions]
        made += stage.take(item, settings, replies)
    return made


def _refused(made: list[Made]) -> set[str]:
    return {each.item.id for each in made if isinstance(each, Refusal)}


def test_blind_refuses_what_is_known_anyway_and_shows_no_image(good: list[Item]) -> None:
    bad = _planted(good, "blind")
    seen: list[Example] = []
    oracle = _oracle(good, bad)

    def teacher(question: Example) -> str:
        seen.append(question)
        return oracle(question)

    made = _check("blind", bad, teacher)
    assert _refused(made) == {item.id for item in bad}
    assert {each.reason for each in made if isinstance(each, Refusal)} == {"answerable blind"}
    assert not any(images_of(question) for question in seen)
    words = [text_of(question.turns[-1]) for question in seen]
    assert all(HIDDEN.text in said or said.startswith(tuple(CONTENT_FREE.values())) for said in words)


def test_blind_keeps_nearly_all_that_can_only_be_guessed(good: list[Item]) -> None:
    choices = [item for item in good if _question(item).options]
    made = _check("blind", choices, _oracle(good, []))
    assert len(_refused(made)) <= len(choices) * 0.1


def test_who_always_takes_the_first_option_knows_nothing(good: list[Item]) -> None:
    items = [item for item in good if len(_question(item).options) > 2 or _question(item).answer in ("yes", "no")]
    assert _refused(_check("blind", items, lambda _: "A", askings=8)) == set()


@pytest.mark.parametrize("kind", ["blind", "single_image", "swap"])
def test_who_always_says_the_same_proves_nothing(kind: str, good: list[Item]) -> None:
    """Such a checker is right every time with half of all questions of yes and no: none of them may be refused."""
    closed = [item for item in good if _question(item).answer in ("yes", "true", "2", "image 1")]
    assert len(closed) > 15
    assert _refused(_check(kind, closed, habit, **({"then": "refuse"} if kind == "single_image" else {}))) == set()


def test_blind_knows_a_habit_from_knowledge() -> None:
    view = View(ImageRef("1.png"))
    asked = Question("How many wheels does a bicycle have?", "2")
    item = with_question(Item("x", Annotation("x", (view, view))), asked, layout=Layout())
    (made,) = _check("blind", [item], lambda _: "2")
    assert isinstance(made, Item)
    assert facts_of(made, "blind")["habit"] == 1
    (made,) = _check("blind", [item], lambda question: "2" if "wheels" in text_of(question.turns[-1]) else "3")
    assert isinstance(made, Refusal)


def test_one_image_is_found_to_be_enough_where_it_is(good: list[Item]) -> None:
    bad = _planted(good, "single image")
    oracle = _oracle(good, bad)
    assert _refused(_check("single_image", bad, oracle, then="refuse")) == {item.id for item in bad}
    for item, before in zip(_check("single_image", bad, oracle), bad, strict=True):
        assert isinstance(item, Item)
        a = (_question(before).details or {})["a"]
        enough = facts_of(item, "single_image")["enough"]
        assert isinstance(enough, list)
        assert a in enough  # another one may be guessed right
        assert _question(item).needs == (a,)
        assert item.example is not None
        assert item.example.facts["needs"] == [a]


def test_what_needs_several_images_is_seldom_taken_for_less(good: list[Item]) -> None:
    several = [item for item in good if len(_question(item).needs) > 1 and not KINDS[_question(item).kind].quantified]
    refused = _refused(_check("single_image", several, _oracle(good, []), then="refuse"))
    assert len(refused) <= 0.15 * len(several)


def test_a_question_that_says_that_it_needs_one_image_is_not_asked_again(good: list[Item]) -> None:
    lone = [item for item in good if len(_question(item).needs) == 1]
    assert lone
    stage = find("stage", "single_image", expected=Stage)
    assert stage.ask is not None
    assert [stage.ask(item, stage.settings(), draw(0)) for item in lone] == [[]] * len(lone)


def test_an_answer_that_stays_though_it_should_change_is_refused(good: list[Item]) -> None:
    bad = _planted(good, "swap")
    assert len(bad) > 10
    made = _check("swap", bad, _oracle(good, bad))
    missed = {item.id for item in bad} - _refused(made)
    assert len(missed) <= 0.15 * len(bad)  # three guesses without images may all be right
    assert all(isinstance(each, Refusal) or facts_of(each, "swap")["without"] == 1 for each in made)
    assert _refused(_check("swap", good, _oracle(good, []))) == set()


def test_a_swap_that_half_failed_is_no_other_answer(good: list[Item]) -> None:
    """The endpoint is lost after the first way of asking: nothing is known of what the exchange does."""
    item = next(item for item in good if _question(item).swap == "stays")
    stage = find("stage", "swap", expected=Stage)
    assert stage.ask is not None
    assert stage.take is not None
    settings = stage.settings()
    replies: list[Answer | Failed] = []
    for request in stage.ask(item, settings, draw(0)):
        answered = request.name.startswith("as it is")
        text = _oracle(good, [])(replace(request.question, facts={"sample": request.sample}))
        replies.append(Answer("x", text) if answered else Failed("x", "the endpoint is down"))
    (made,) = stage.take(item, settings, replies)
    assert getattr(made, "reason", None) == "no reply"


def test_exchanged_images_stand_in_each_other_s_place(good: list[Item]) -> None:
    item = next(item for item in good if _question(item).swap == "changes")
    stage = find("stage", "swap", expected=Stage)
    assert stage.ask is not None
    as_it_is, exchanged, without = stage.ask(item, settings_of("swap", {"askings": 1}), draw(0))
    assert not images_of(without.question)
    images = list(images_of(as_it_is.question))
    one, other = _question(item).pair or (1, 2)
    images[one - 1], images[other - 1] = images[other - 1], images[one - 1]
    assert list(images_of(exchanged.question)) == images
    assert text_of(as_it_is.question.turns[-1]) == text_of(exchanged.question.turns[-1])


def test_a_wrong_answer_is_refused_by_who_sees_the_images(good: list[Item]) -> None:
    bad = _planted(good, "wrong answer")
    oracle = _oracle(good, bad)
    assert _refused(_check("consistency", bad, oracle)) == {item.id for item in bad}
    assert _refused(_check("consistency", good, oracle)) == set()


@pytest.mark.parametrize("kind", ["blind", "single_image", "swap", "consistency", "judged"])
def test_who_cannot_see_is_told_in_words(kind: str, good: list[Item]) -> None:
    stage = find("stage", kind, expected=Stage)
    assert stage.ask is not None
    item = next(item for item in good if _question(item).swap == "changes")
    requests = stage.ask(item, settings_of(kind, {"sees": False}), draw(0))
    assert requests
    assert not any(images_of(request.question) for request in requests)
    told = "\n".join(text_of(request.question.turns[-1]) for request in requests)
    captions = [view.captions[0].rstrip(".") for view in item.annotation.views]
    assert all((caption in told) == (kind != "blind") for caption in captions)


@pytest.mark.parametrize(
    ("reply", "reason"), [('{"score": 5, "reason": "fine"}', None), ("Score: 2/5, odd", "judged poor"), ("4", None)]
)
def test_a_judge_s_score_decides(reply: str, reason: str | None, good: list[Item]) -> None:
    (made,) = _check("judged", good[:1], lambda _: reply)
    assert getattr(made, "reason", None) == reason


def test_a_judge_without_a_score_is_no_score(good: list[Item]) -> None:
    (made,) = _check("judged", good[:1], lambda _: "I would rather not say.")
    assert getattr(made, "reason", None) == "no score in the reply"


def test_a_judge_that_says_nothing_is_told_of_in_words(good: list[Item]) -> None:
    (made,) = _check("judged", good[:1], lambda _: "")
    assert isinstance(made, Refusal)
    assert made.message


@pytest.mark.parametrize("kind", ["blind", "single_image", "swap", "consistency"])
def test_what_nobody_answered_is_refused_as_that(kind: str, good: list[Item]) -> None:
    stage = find("stage", kind, expected=Stage)
    assert stage.ask is not None
    assert stage.take is not None
    item = next(item for item in good if _question(item).swap == "changes" and len(_question(item).needs) > 1)
    settings = stage.settings()
    failed = [Failed("x", "the endpoint is down") for _ in stage.ask(item, settings, draw(0))]
    (made,) = stage.take(item, settings, failed)
    assert isinstance(made, Refusal)
    assert made.reason == "no reply"


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        *(("Image 2.", "image 2"), ("2", "image 2"), ("It is the second image", "image 2"), ("Yes, it is.", "yes")),
        *(("There are three dogs", "3"), ("In image 1 there are 4.", "4"), ("the red dog", "dog"), ("false.", "false")),
    ],
)
def test_replies_that_say_the_same_are_the_same(reply: str, answer: str) -> None:
    assert same(reply, answer)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        *(("image 1", "image 2"), ("image 1 or image 2", "image 2"), ("no", "yes"), ("3 or 4", "3"), ("", "3")),
        *(("image 3", "3"), ("I cannot see the images.", "dog"), ("", "yes"), ("12", "2")),
    ],
)
def test_replies_that_say_something_else_or_two_things_are_not(reply: str, answer: str) -> None:
    assert not same(reply, answer)


@pytest.mark.parametrize(
    ("reply", "option"),
    [
        *(("B", 1), ("(B)", 1), ("B.", 1), ("The answer is B", 1), ("a dog", 0), ("It shows a big dog.", 1)),
        *(("A or B", None), ("none of them", None), ("Option C", 2), ("a dog and a cat", None), ("E", None)),
    ],
)
def test_a_choice_is_read_by_letter_or_by_words(reply: str, option: int | None) -> None:
    assert chosen(reply, ("a dog", "a big dog", "a cat")) == option


def test_an_option_is_right_wherever_it_stands() -> None:
    question = Question("Which?", "a cat", ("a dog", "a cat"))
    assert is_right("B", question)
    assert is_right("a cat", question)
    assert not is_right("A", question)


def test_images_are_told_apart_by_where_they_are(good: list[Item]) -> None:
    media = [view.media for item in good for view in item.annotation.views]
    assert all(isinstance(each, ImageRef) and Path(each.source).is_file() for each in media)
