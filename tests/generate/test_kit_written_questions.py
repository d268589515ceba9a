"""The asking stages: what a teacher is asked, and what is made of good, clumsy and broken replies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.generate.driving import asked, run
from triptych.core.records import Example, ImageRef, Text, images_of, text_of
from triptych.generate import prompts
from triptych.generate.item import Item
from triptych.generate.kit.written_questions import question_from, read_records
from triptych.generate.question import Question, question_of
from triptych.generate.recipe import StagePlan

STAGES = ("multi_vqa", "compare", "coref", "reason", "temporal", "story")
SKILLS = {"compare": "comparison", "coref": "co-reference", "temporal": "temporal", "story": "story"}
GOOD = {
    "question": "Which image has more dogs, image 1 or image 2?",
    "answer": "image 2",
    "options": ["image 1", "image 2"],
    "images": [1, 2],
    "order_matters": True,
}


def _albums(folder: Path, count: int = 2) -> dict[str, str]:
    return {"kind": "annotate", "source": f"albums:{folder}#count={count}&sort=album"}


def _question(item: Item) -> Question:
    question = question_of(item)
    assert question is not None
    return question


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_makes_typed_questions_of_a_good_reply(stage: str, tmp_path: Path) -> None:
    ran = run([_albums(tmp_path), {"kind": stage}], tmp_path, teacher=lambda _: json.dumps({"pairs": [GOOD]}))
    assert len(ran.items) == 2
    for item in ran.items:
        question = _question(item)
        assert (question.answer, question.options) == ("image 2", ("image 1", "image 2"))
        assert (question.needs, question.swap, question.pair) == ((1, 2), "changes", (1, 2))
        assert question.skill == SKILLS.get(stage, "reasoning")
        assert item.example is not None
        assert images_of(item.example) == tuple(view.media for view in item.annotation.views)
        assert text_of(item.example.turns[-1]) == "B"
        assert item.parents


@pytest.mark.parametrize("stage", STAGES)
def test_a_teacher_that_cannot_see_is_told_in_words_and_one_that_sees_gets_the_images_in_order(
    stage: str, tmp_path: Path
) -> None:
    seen: list[Example] = []

    def teacher(question: Example) -> str:
        seen.append(question)
        return json.dumps({"pairs": [GOOD]})

    for sees in (False, True):
        run([_albums(tmp_path, 1), {"kind": stage, "sees": sees, "questions": 3}], tmp_path, teacher=teacher)
    told, shown = seen
    (item,) = run([_albums(tmp_path, 1)], tmp_path).items
    captions = [view.captions[0].rstrip(".") for view in item.annotation.views]
    assert not images_of(told)
    assert all(f"Image {at}: {caption}." in asked(told) for at, caption in enumerate(captions, start=1))
    assert images_of(shown) == tuple(view.media for view in item.annotation.views)
    parts = shown.turns[-1].parts
    for number, at in enumerate((at for at, part in enumerate(parts) if isinstance(part, ImageRef)), start=1):
        before = parts[at - 1]
        assert isinstance(before, Text)
        assert before.text.endswith(f"Image {number}: ")
    assert not any(caption in asked(shown) for caption in captions)


@pytest.mark.parametrize(
    "reply",
    [
        'Sure! Here you are:\n```json\n{"pairs": [{"question": "How many dogs are there?", "answer": 3}]}\n```',
        "Question: How many dogs are there?\nAnswer: 3",
        "1. **Question:** How many dogs are there?\n   **Answer:** 3\n",
        '[{"question": "How many dogs are there?", "answer": "3"},]',
    ],
)
def test_clumsy_replies_are_read(reply: str) -> None:
    (record,) = read_records(reply)
    question = question_from(record, count=3, skill="reasoning")
    assert isinstance(question, Question)
    assert (question.text, question.answer) == ("How many dogs are there?", "3")


@pytest.mark.parametrize(
    "keys",
    [("Question", "Answer", "Options", "Images"), ("q", "a", "choices", "images"),
     ("instruction", "response", "options", "images"), (" Question ", "correct_answer", "OPTIONS", "IMAGES")],
)  # fmt: skip
def test_a_question_is_read_whatever_its_keys_are_called_and_none_is_lost(
    keys: tuple[str, ...], tmp_path: Path
) -> None:
    named = dict(zip(keys, ("Which is larger?", "A", ["the cup", "the bowl"], [1, 2]), strict=True))
    reply = json.dumps({"pairs": [named, GOOD, {"Question": "And?"}, {"answer": "It is."}]})
    ran = run([_albums(tmp_path, 1), {"kind": "compare"}], tmp_path, teacher=lambda _: reply)
    first, second = map(_question, ran.items)
    assert (first.text, first.answer, first.options) == ("Which is larger?", "the cup", ("the cup", "the bowl"))
    assert (first.needs, second.text) == ((1, 2), GOOD["question"])
    assert [refusal.reason for refusal in ran.refusals] == ["no answer", "no question"]


def test_what_is_said_beside_messages_or_under_letters_goes_with_the_question() -> None:
    said = [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "B"}]
    (record,) = read_records(json.dumps({"Options": ["the cup", "the bowl"], "Images": "1, 2", "messages": said}))
    lettered = {"q": "Which?", "A": "the cup", "B": "the bowl", "correct": "B", "images": [1, 2]}
    for each in (record, *read_records(json.dumps(lettered))):
        question = question_from(each, count=2, skill="x")
        assert isinstance(question, Question)
        assert (question.answer, question.options) == ("the bowl", ("the cup", "the bowl"))
        assert question.needs == (1, 2)


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        ({**GOOD, "answer": "image 3"}, "answer is no option"),
        ({**GOOD, "options": ["image 2", "image 2"]}, "options repeat"),
        ({**GOOD, "answer": ""}, "no answer"),
        ({**GOOD, "question": " "}, "no question"),
    ],
)
def test_one_bad_question_is_refused_alone_with_its_reason(
    pair: dict[str, object], reason: str, tmp_path: Path
) -> None:
    reply = json.dumps({"pairs": [pair, GOOD]})
    ran = run([_albums(tmp_path, 1), {"kind": "compare"}], tmp_path, teacher=lambda _: reply)
    assert len(ran.items) == 1
    assert [refusal.reason for refusal in ran.refusals] == [reason]


def test_a_reply_that_was_cut_gives_its_whole_questions_and_a_refusal_of_the_torn_one() -> None:
    reply = "Q: How many dogs are there?\nA: 3\nQ: Why is it dark?\nA: It is because of the"
    whole, torn = read_records(reply, cut=True)
    assert isinstance(question_from(whole, count=3, skill="reasoning"), Question)
    assert question_from(torn, count=3, skill="reasoning") == "torn off"


def test_an_image_s_number_of_thousands_of_digits_is_none() -> None:
    question = question_from({**GOOD, "images": ["9" * 5000]}, count=3, skill="reasoning")
    assert isinstance(question, Question)
    assert all(number <= 3 for number in question.needs)


def test_more_questions_than_asked_for_are_refused_and_told(tmp_path: Path) -> None:
    reply = json.dumps({"pairs": [GOOD, {**GOOD, "question": "Which image is the darkest of all?"}]})
    found = run([_albums(tmp_path, 1), {"kind": "multi_vqa", "questions": 1}], tmp_path, teacher=lambda _: reply)
    assert len(found.items) == 1
    assert [refusal.reason for refusal in found.refusals] == ["more questions than asked for"]


def test_the_letter_of_an_option_is_an_answer() -> None:
    for said in ("B", "(B)", "B. image 2"):
        question = question_from({**GOOD, "answer": said}, count=2, skill="x")
        assert isinstance(question, Question)
        assert question.answer == "image 2"


def test_a_reply_without_questions_is_refused_whole(tmp_path: Path) -> None:
    ran = run([_albums(tmp_path, 1), {"kind": "reason"}], tmp_path, teacher=lambda _: "I like dogs.")
    assert [(each.reason, each.item.reply) for each in ran.refusals] == [("no questions in the reply", "I like dogs.")]


@pytest.mark.parametrize("prompt", ["kit_multi_vqa", "kit_small"])
def test_a_teacher_that_only_says_the_prompt_s_example_again_is_found_out(prompt: str, tmp_path: Path) -> None:
    (_, example), *_ = prompts.load(prompt).shots
    count = len(read_records(example))
    step = {"kind": "multi_vqa", "prompt": prompt}
    ran = run([_albums(tmp_path, 1), step], tmp_path, teacher=lambda _: example)
    assert [each.reason for each in ran.refusals] == ["copies the prompt's example"] * count
    assert not ran.items


def test_what_is_a_conversation_already_passes_an_asking_stage_unasked(tmp_path: Path) -> None:
    steps = [_albums(tmp_path), {"kind": "from_truth", "per_item": 2, "keep": True}, {"kind": "coref"}]
    questions: list[Example] = []

    def teacher(question: Example) -> str:
        questions.append(question)
        return json.dumps({"pairs": [GOOD]})

    ran = run(steps, tmp_path, teacher=teacher)
    kinds = [_question(item).kind for item in ran.items]
    assert len(questions) == 2
    assert kinds.count("written") == 2
    assert len(kinds) == 6


def test_contrast_asks_which_image_a_caption_is_about(tmp_path: Path) -> None:
    steps = [_albums(tmp_path, 4), {"kind": "contrast", "questions": 2}]
    ran = run(steps, tmp_path)
    assert len(ran.items) >= 4
    for item in ran.items:
        question = _question(item)
        number = int(question.answer.split()[-1])
        assert item.annotation.views[number - 1].captions[0] in question.text
        assert question.pair is not None
        assert question.swapped == f"image {question.pair[1]}"


def test_contrast_takes_the_captions_that_a_teacher_writes_but_never_its_word_for_the_answer(tmp_path: Path) -> None:
    def teacher(question: Example) -> str:
        return json.dumps({"captions": [{"image": at, "caption": f"Only here: thing{at}."} for at in (3, 1, 2, 4)]})

    ran = run([_albums(tmp_path), {"kind": "contrast", "rewrite": True, "questions": 3}], tmp_path, teacher=teacher)
    assert len(ran.items) == 6
    for item in ran.items:
        question = _question(item)
        assert f"thing{question.answer.split()[-1]}." in question.text


def test_contrast_refuses_captions_that_fit_another_image_too(tmp_path: Path) -> None:
    def teacher(question: Example) -> str:
        return json.dumps({"captions": [{"image": at, "caption": "A dog."} for at in range(1, 5)]})

    ran = run([_albums(tmp_path, 1), {"kind": "contrast", "rewrite": True}], tmp_path, teacher=teacher)
    assert [each.reason for each in ran.refusals] == ["captions do not tell images apart"]


def test_every_prompt_of_the_kit_shows_what_it_asks_for() -> None:
    """The examples in the prompts are read by the same code as replies, and are good questions."""
    for name in (name for name in prompts.names() if name.startswith("kit_")):
        for user, reply in prompts.load(name).shots:
            records = read_records(reply.replace('"caption"', '"question"'))
            assert records, name
            if name != "kit_contrast":
                count = user.count("Image ")
                made = [question_from(record, count=count, skill="x") for record in records]
                assert all(isinstance(each, Question) and max(each.needs, default=0) <= count for each in made), name


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("key", ["questions", "fewest"])
def test_no_stage_asks_for_no_question_nor_for_items_without_images(stage: str, key: str) -> None:
    with pytest.raises(ValueError, match=f"{key}.*greater than or equal to 1"):
        StagePlan.parse({"kind": stage, key: 0})
