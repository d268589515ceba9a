"""The checks that look at words: what they refuse, what they must let through, and how often they are right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.checks import TRIALS, bad_items, good_items, measure, measure_balance
from benchmarks.oracle import Errors, Oracle
from benchmarks.tricky import KNOWN, RIGHT, TRICKY, WELL_SAID
from tests.generate.driving import run, settings_of
from triptych.core.plugins import find
from triptych.core.records import Example, ImageRef, Text, Turn, text_of
from triptych.data.transform import draw
from triptych.generate.item import Annotation, Item, Refusal, Thing, View
from triptych.generate.kit.personal import find_personal, mask_personal
from triptych.generate.kit.planted import FAULTS, planted_in
from triptych.generate.question import Layout, Question, question_of, with_question
from triptych.generate.stage import Made, Stage
from triptych.infer.canned import CannedResponder

DOGS = Thing("dog", attributes=("black",))
VIEWS = (
    View(ImageRef("1.png"), things=(DOGS, DOGS, Thing("cup", attributes=("red",)))),
    View(ImageRef("2.png"), things=(DOGS, Thing("tree"))),
    View(ImageRef("3.png"), things=(Thing("tree"),)),
)


def _item(text: str, answer: str, **said: object) -> Item:
    question = Question(text, answer, **said)  # type: ignore[arg-type]
    return with_question(Item("x", Annotation("x", VIEWS)), question, layout=Layout())


def _check(kind: str, item: Item, **said: object) -> Made:
    stage = find("stage", kind, expected=Stage)
    assert stage.each is not None
    (made,) = stage.each(item, settings_of(kind, said), draw(0))
    return made


def _reason(kind: str, item: Item, **said: object) -> str | None:
    made = _check(kind, item, **said)
    return made.reason if isinstance(made, Refusal) else None


@pytest.mark.parametrize(
    ("text", "answer", "reason"),
    [
        ("How many dogs are in image 1?", "2", None),
        ("What is in the second picture?", "a tree", None),
        ("How many dogs are in image 4?", "2", "no such image"),
        ("What is in the fifth picture?", "a tree", "no such image"),
        ("Which image has a cup?", "image 7", "no such image"),
        ("Compare images 2 and 5.", "both have trees", "no such image"),
        ("Are there 12 dogs?", "no", None),
    ],
)
def test_every_image_that_is_spoken_of_is_there(text: str, answer: str, reason: str | None) -> None:
    assert _reason("references", _item(text, answer)) == reason


def test_words_that_may_mean_an_image_by_its_place_are_refused_where_that_is_wanted() -> None:
    item = _item("What is in the left image?", "a cup")
    assert _reason("references", item) is None
    assert _reason("references", item, doubts="refuse") == "unclear reference"


def test_an_image_that_a_question_says_it_needs_is_there() -> None:
    assert _reason("references", _item("How many dogs are there?", "3", needs=(1, 4))) == "no such image"


@pytest.mark.parametrize(
    ("text", "answer", "reason"),
    [
        ("What colour is the cup?", "It is red.", None),
        ("Cup?", "red", "question too short"),
        ("What colour is the cup?", "As an AI language model, I cannot see it.", "declines"),
        ("What colour is the cup?", "According to the caption, red.", "speaks of the annotation"),
        ("What colour is the cup in the bounding box?", "red", "speaks of the annotation"),
        ("What colour is the {object}?", "red", "unfilled"),
        ("What colour is the cup?", "What colour the cup is.", "answer copies the question"),
        ("What colour is the cup?", "red and red and red and red and red and red and red", "repeats itself"),
        ("What colour is the cup?", "", "answer too short"),
    ],
)
def test_each_rule_of_the_filter_has_its_reason(text: str, answer: str, reason: str | None) -> None:
    assert _reason("filter", _item(text, answer)) == reason


@pytest.mark.parametrize("text", TRICKY)
@pytest.mark.parametrize("kind", ["references", "filter", "safe_text", "language"])
def test_good_questions_that_look_like_bad_ones_pass(kind: str, text: str) -> None:
    assert _reason(kind, _item(text, "image 1")) is None


@pytest.mark.parametrize(("text", "answer"), WELL_SAID)
def test_good_answers_that_look_like_bad_ones_pass_the_filter(text: str, answer: str) -> None:
    assert _reason("filter", _item(text, answer)) is None


@pytest.mark.parametrize(("text", "answer"), RIGHT)
def test_what_is_not_understood_is_not_refused(text: str, answer: str) -> None:
    item = with_question(Item("x", Annotation("x", KNOWN)), Question(text, answer), layout=Layout())
    assert _reason("verify", item) is None


@pytest.mark.parametrize(
    "answer",
    [
        *("The annotation for image 2 lists a dog.", "In the provided text, the dog is missing.", "N/A"),
        *("I do not have enough information to tell.", "It is impossible to tell without seeing the images."),
        *("Sorry, I can't assist with that.", "As a text-based AI, I cannot look at pictures."),
        *("No images were provided.", "I’m unable to view images.", "Based on the given captions, the dog."),
    ],
)
def test_answers_of_a_teacher_that_gives_up_or_tells_its_source_are_refused(answer: str) -> None:
    assert _reason("filter", _item("What is different?", answer)) in ("declines", "speaks of the annotation")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        *(("write to ann.lee+x@mail.example.org", "mail address"), ("call +49 30 901820 99", "phone number")),
        *(("or (555) 010-4477", "phone number"), ("card 5500-0000-0000-0004", "card number")),
        *(("IBAN GB82 WEST 1234 5698 7654 32", "account number"), ("SSN 219-09-9999", "national number")),
        *(("at 10.0.17.4", "internet address"), ("lives at 12 Elm Street", "home address")),
        ("wohnt Goethestraße 7", "home address"),
    ],
)
def test_personal_data_are_found_and_masked(text: str, kind: str) -> None:
    (found,) = find_personal(text)
    assert found.kind == kind
    assert f"[{kind}]" in mask_personal(text)
    assert not list(find_personal(mask_personal(text)))


@pytest.mark.parametrize(
    "text",
    [
        "card 4111 1111 1111 1112",
        "DE89 3704 0044 0532 0130 02",
        "version 1.2.3",
        "2019-05-04",
        "31.12.2020",
        "999.1.2.3",
    ],
)
def test_numbers_whose_checks_fail_are_no_personal_data(text: str) -> None:
    assert not list(find_personal(text))


@given(st.text(max_size=80))
def test_masked_words_hold_nothing_personal(text: str) -> None:
    assert not [each for each in find_personal(mask_personal(text)) if each.kind not in ("phone number", "card number")]


def test_masking_changes_the_words_and_the_facts_alike() -> None:
    made = _check("safe_text", _item("Is ann@mail.example.org in image 1?", "yes"), then="mask")
    assert isinstance(made, Item)
    assert made.example is not None
    question = question_of(made)
    assert question is not None
    assert "[mail address]" in question.text
    assert question.text in text_of(made.example.turns[0])


@pytest.mark.parametrize(
    ("text", "language", "fits"),
    [
        ("How many dogs are there in the second image, and where do they run to?", "en", True),
        ("Wie viele Hunde sind auf dem zweiten Bild zu sehen, und wohin laufen sie?", "de", True),
        ("Combien de chiens y a-t-il dans la deuxième image, et où vont-ils ?", "fr", True),
        ("¿Cuántos perros hay en la segunda imagen y hacia dónde corren?", "es", True),
        ("第二张图片里有多少只狗?它们在往哪里跑?", "zh", True),
        ("2枚目の画像には犬が何匹いますか。どこへ走っていますか。", "ja", True),
        ("두 번째 이미지에는 개가 몇 마리 있고 어디로 달려가고 있나요?", "ko", True),
        ("كم عدد الكلاب في الصورة الثانية وإلى أين تركض؟", "ar", True),
        ("How many dogs are there in the second image, and where do they run to?", "de", False),
        ("Wie viele Hunde sind auf dem zweiten Bild zu sehen, und wohin laufen sie?", "en", False),
        ("第二张图片里有多少只狗?它们在往哪里跑?", "en", False),
        ("犬は?", "en", False),
        ("no", "es", True),
    ],
)
def test_a_conversation_is_in_the_language_that_it_is_said_to_be_in(text: str, language: str, fits: bool) -> None:
    turns = (Turn("user", (Text(text),)), Turn("assistant", (Text("3"),)))
    item = Item("x", Annotation("x", ()), example=Example("x", turns))
    assert (_reason("language", item, languages=[language]) is None) == fits
    assert (_reason("language", replace(item, facts={"language": language})) is None) == fits


@pytest.mark.parametrize(
    ("text", "answer", "reason"),
    [
        ("How many dogs are in image 1?", "2", None),
        ("How many dogs are in image 1?", "two", None),
        ("How many dogs are in image 1?", "3", "contradicts the annotation"),
        ("How many dogs are there in all images together?", "3", None),
        ("How many trees are in both images, image 1 and image 2?", "2", "contradicts the annotation"),
        ("Which image has a red cup?", "image 1", None),
        ("Which image has a red cup?", "image 2", "contradicts the annotation"),
        ("Which image has no dog?", "the third image", None),
        ("Is there a tree in image 1?", "yes", "contradicts the annotation"),
        ("What do image 2 and image 3 both show?", "tree", None),
        ("What do image 2 and image 3 both show?", "a house", "contradicts the annotation"),
        ("What is on the table in image 1?", "a giraffe", "names what is not known"),
        ("How many giraffes are there in the images?", "2", "names what is not known"),
        ("What might happen next in image 1?", "The dogs may run away, as nobody holds them at all.", None),
    ],
)
def test_answers_agree_with_what_is_known(text: str, answer: str, reason: str | None) -> None:
    assert _reason("verify", _item(text, answer)) == reason


def test_what_cannot_be_read_is_refused_where_that_is_wanted() -> None:
    item = _item("Why do the dogs look up?", "because of the tree")
    assert _reason("verify", item, unread="refuse") == "cannot be verified"


def test_controls_are_planted_beside_good_questions_and_uprooted_at_the_end(tmp_path: Path) -> None:
    steps = [
        {"kind": "annotate", "source": f"albums:{tmp_path}#count=12"},
        {"kind": "from_truth", "per_item": 4},
        {"kind": "plant", "share": 1.0},
    ]
    planted = run(steps, tmp_path).items
    faults = {planted_in(item) for item in planted}
    assert len(faults - {None}) > 8
    ran = run([*steps, {"kind": "filter"}, {"kind": "uproot"}], tmp_path)
    assert not [item for item in ran.items if planted_in(item)]
    assert len(ran.items) == sum(planted_in(item) is None for item in planted)
    told = {refusal.reason for refusal in ran.refusals if refusal.stage == "uproot"}
    assert "planted, not caught: personal" in told
    assert "planted, not caught: declines" not in told


def test_the_checks_of_words_are_nearly_always_right_on_planted_items(tmp_path: Path) -> None:
    good = good_items(tmp_path, albums=12, seed=1)
    bad = bad_items(good, seed=1)
    assert set(bad) == set(FAULTS)
    nobody = CannedResponder({}, name="nobody")
    for trial in TRIALS:
        if trial.asks:
            continue
        row = measure(trial, good, bad, responder=nobody, sees=True)
        assert row.kept_good.share == 1.0, row
        assert (row.recall.share or 0.0) >= {"verify": 0.6, "dedup": 0.95}.get(trial.check, 0.99), row


@pytest.mark.parametrize(
    ("check", "kept", "recall"),
    [("blind", 0.9, 0.85), ("single_image", 0.88, 0.85), ("swap", 0.92, 0.7), ("consistency", 0.97, 0.97)],
)
def test_the_checks_that_ask_are_as_good_as_their_checker_lets_them_be(
    check: str, kept: float, recall: float, tmp_path: Path
) -> None:
    """A checker that errs one time in ten: below these bounds a check would be worth no request."""
    good = good_items(tmp_path, albums=16, seed=2)
    bad = bad_items(good, seed=2)
    oracle = Oracle(Errors(0.1, 0.1), seed=2)
    records = {item.id: question for item in good if (question := question_of(item)) is not None}
    oracle.learn([*good, *(item for items in bad.values() for item in items)], good=records)
    responder = CannedResponder(oracle, name="scripted", by_id=False)
    for trial in (each for each in TRIALS if each.check == check and each.faults):
        row = measure(trial, good, bad, responder=responder, sees=True)
        assert (row.kept_good.share or 0.0) >= kept, row
        assert (row.recall.share or 0.0) >= recall, row


def test_balance_brings_guessing_down(tmp_path: Path) -> None:
    told = measure_balance(good_items(tmp_path, albums=40, seed=3), seed=3)
    before, after = told["before"], told["after"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert before["true"] > 0.75  # type: ignore[operator]
    assert after["true"] <= 0.65  # type: ignore[operator]
    assert (before["most frequent of 4 places"], after["most frequent of 4 places"] <= 0.3) == (1.0, True)  # type: ignore[operator]
