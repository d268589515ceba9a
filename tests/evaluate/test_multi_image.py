"""The multi-image benchmarks: what their samples do not show, case by case. ``tests/every`` runs them end to end."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.samples.golden import SAMPLES, questions_of
from tests.samples.sized import PICTURE, draw, picture, write_json, write_parquet
from triptych.core.errors import DataError
from triptych.core.plugins import find
from triptych.core.records import Example, Json, Text, Turn, images_of, text_of
from triptych.data.format import Refused
from triptych.data.media.video import pick_middle
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.benchmarks import mementos, milebench, mirb, mmdu, naturalbench, remi, visual_haystacks
from triptych.evaluate.metrics.mementos import LISTS
from triptych.evaluate.question import mantis_asking


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))


def asked(reference: str, **facts: Json) -> Example:
    return Example("q", (Turn("user", (Text("(A) or (B)?"),)), Turn("assistant", (Text(reference),))), facts=facts)


def options(right: int, *names: str, **facts: Json) -> Example:
    letter = "ABCDE"[right]
    own: dict[str, Json] = {"choice": True, "options": list(names), "right": right, "chance": 1 / len(names)}
    return asked(letter, **own, **facts)


def only_refusal(name: str, folder: Path) -> str:
    (refused,) = find("benchmark", name, expected=Benchmark).questions(folder)
    assert isinstance(refused, Refused)
    return refused.message


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("B", 1),
        ("(B)", 1),
        ("**B**", 1),
        ("Both are equal", 1),
        ("I think it is B", 0),
        ("Option B", 0),
        ("A cat is there, so B", 0),
        ("It is not A. Final Answer: B", 1),
        ("the answer is B, not A", 1),
        ("First I look.\nAnswer: b", 1),
        ("", 0),
    ],
)
def test_mantis_reads_replies_as_published(reply: str, score: float) -> None:
    assert mantis_asking.published(options(1, "Image 1", "Image 2"), reply) == score


@pytest.mark.parametrize(("reply", "score"), [("True", 1), ("It is true.", 1), ("true or false", 0), ("False", 0)])
def test_mantis_reads_true_and_false_of_nlvr2_as_words(reply: str, score: float) -> None:
    assert mantis_asking.published(options(0, "True", "False", kind="true_or_false"), reply) == score


@pytest.mark.parametrize(("reply", "published", "ours"), [("two", 1, 1), ("Final Answer: Two", 1, 1), ("two.", 0, 1)])
def test_a_short_answer_is_what_the_reply_concludes(reply: str, published: float, ours: float) -> None:
    question = asked("two", chance=0.0)
    assert mantis_asking.published(question, reply) == published
    assert mantis_asking.score(question, reply) == ours


def test_mantis_gives_no_letter_to_an_option_that_seems_to_bear_it(tmp_path: Path) -> None:
    images = [draw(tmp_path, f"{slot}.png", 0, slot) for slot in range(2)]
    row = {"id": "x", "question_type": "multi-choice", "question": "Which?", "images": images, "answer": "B"}
    write_json(tmp_path / "test.json", [{**row, "options": ["by the C.I.A.", "B: by nobody"]}])
    (question,) = find("benchmark", "birds_to_words", expected=Benchmark).questions(tmp_path)
    assert isinstance(question, Example)
    assert text_of(question.turns[0]) == f"Which?\n by the C.I.A.\n B: by nobody\n{mantis_asking.ENDING}"
    assert question.facts["options"] == ["by the C.I.A.", "by nobody"]


@pytest.mark.parametrize(
    ("option", "reply", "score"),
    [("B) 1/2", "1/2", 0), ("B. 1/2", "1/2", 1), ("B: 1/2", "1/2", 1), ("(B) 1/2", "1/2", 1), ("1/2", "1/2", 1)],
)
def test_mantis_takes_no_letter_with_one_bracket_off_an_option(
    tmp_path: Path, option: str, reply: str, score: float
) -> None:
    images = [draw(tmp_path, f"{slot}.png", 0, slot) for slot in range(2)]
    row = {"id": "x", "question_type": "multi-choice", "question": "Which?", "images": images, "answer": "B"}
    write_json(tmp_path / "test.json", [{**row, "options": ["1/3", option]}])
    (question,) = find("benchmark", "birds_to_words", expected=Benchmark).questions(tmp_path)
    assert isinstance(question, Example)
    assert mantis_asking.published(question, reply) == score
    assert mantis_asking.score(question, reply) == 1


def test_a_row_of_muirbench_whose_marks_and_images_differ_is_refused(tmp_path: Path) -> None:
    row = {"idx": "0", "task": "t", "question": "Which? <image>", "options": ["one", "two"], "answer": "A"}
    images = [draw(tmp_path, f"{slot}.png", 0, slot) for slot in range(2)]
    write_json(tmp_path / "test.json", [{**row, "image_list": images}])
    assert "2 images but 1 <image> marks" in only_refusal("muirbench", tmp_path)


def test_an_answer_that_is_no_option_is_refused(tmp_path: Path) -> None:
    row = {"task": "t", "question": "Which?", "context": "Choose.", "options": "A: one\nB: two", "output": "C"}
    write_json(tmp_path / "all.json", [{**row, "input_image_path": [draw(tmp_path, "0.png", 0, 0)]}])
    assert "letter of none of the 2 options" in only_refusal("mmiu", tmp_path)
    write_json(tmp_path / "all.json", [{**row, "input_image_path": ["0.png"], "options": "A: one\nC: two"}])
    assert "in order" in only_refusal("mmiu", tmp_path)


def test_a_benchmark_says_which_files_it_looks_for(tmp_path: Path) -> None:
    for name in ("nlvr2", "milebench", "mmdu", "visual_haystacks"):
        with pytest.raises(DataError, match=r"json"):
            list(find("benchmark", name, expected=Benchmark).questions(tmp_path / "nowhere"))


def test_statements_of_nlvr2_are_told_by_their_ids_where_those_are_the_authors(tmp_path: Path) -> None:
    row = {"question_type": "multi-choice", "question": "?", "options": ["True", "False"], "answer": "A"}
    images = [draw(tmp_path, f"{slot}.png", 0, slot) for slot in range(2)]
    for ids, sets in ((("dev-1-0-0", "dev-1-1-0", "dev-2-0-0"), ["dev-1-0", "dev-1-0", "dev-2-0"]), ("ab", ["?", "?"])):
        write_json(tmp_path / "test.json", [{**row, "id": name, "images": images} for name in ids])
        rows = list(find("benchmark", "nlvr2", expected=Benchmark).questions(tmp_path))
        assert [each.facts["set"] for each in rows if isinstance(each, Example)] == sets


def test_an_nlvr2_photograph_that_is_missing_refuses_its_row(tmp_path: Path) -> None:
    row = {"id": "x", "question_type": "multi-choice", "question": "?", "options": ["True", "False"], "answer": "A"}
    write_json(tmp_path / "test.json", [{**row, "images": ["gone.png"]}])
    assert "gone.png" in only_refusal("nlvr2", tmp_path)


def test_mvbench_takes_the_frames_that_the_published_code_takes(tmp_path: Path) -> None:
    from tests.samples.sized import write_video

    write_video(tmp_path / "video/ssv2_video/a.mp4", frames=31, fps=10)
    row = {"video": "a.mp4", "question": "?", "candidates": ["x", "y"], "answer": "y"}
    write_json(tmp_path / "json/action_antonym.json", [row])
    (question,) = find("benchmark", "mvbench", expected=Benchmark).questions(tmp_path / "json/action_antonym.json")
    assert isinstance(question, Example)
    taken = tuple(int(image.source.rpartition("=")[2]) for image in images_of(question))
    assert taken == pick_middle(31, 8)


def test_a_haystack_is_asked_with_its_needle_at_every_tenth_place(tmp_path: Path) -> None:
    names = [draw(tmp_path, f"coco/{slot}.png", 0, slot) for slot in range(25)]
    turns = [{"from": "human", "value": "Is there a cat?"}, {"from": "gpt", "value": "no"}]
    row = {"conversations": turns, "pos_image": names[:1], "neg_image": names[1:]}
    write_json(tmp_path / "visual_haystack_25.json", [row])
    found = [each for each in visual_haystacks.questions(tmp_path) if isinstance(each, Example)]
    assert [each.facts["position"] for each in found] == list(range(0, 25, 2))
    for each in found:
        places = [Path(image.source).name for image in images_of(each)]
        assert places.index("0.png") == each.facts["position"]
        assert sorted(places) == sorted(Path(name).name for name in names)
    assert {each.facts["story"] for each in found} == {"visual_haystack_25/0"}


def test_several_needles_are_mixed_the_same_way_every_time(tmp_path: Path) -> None:
    first, second = (questions_of("visual_haystacks")[0] for _ in range(2))
    assert [image.source for image in images_of(first)] == [image.source for image in images_of(second)]
    assert "position" not in first.facts


@pytest.mark.parametrize(
    ("measure", "reference", "reply", "score"),
    [
        ("word", "umbrella", "The word is umbrella.", 1),
        ("word", "umbrella", "umbrellas", 0),
        ("words", "New York", "It is in new york city", 1),
        ("words", "New York", "York, new", 0),
        ("rouge_l", "a b c d", "a b", 2 / 3),
        ("rouge_l", "a b c d", "...", 0),
    ],
)
def test_milebench_marks_free_replies_by_the_measure_of_their_data_set(
    measure: str, reference: str, reply: str, score: float
) -> None:
    assert milebench.score(asked(reference, measure=measure), reply) == pytest.approx(score)


def test_milebench_wants_each_image_at_a_slot_of_its_number(tmp_path: Path) -> None:
    def told(context: str) -> None:
        names = [draw(tmp_path, f"T/images/{slot}.png", 0, slot) for slot in range(2)]
        instance = {"context": context, "images_path": [Path(name).name for name in names]}
        row = {"sample_id": 1, "task_instruction_id": 0, "task_instance": instance, "response": "yes"}
        write_json(tmp_path / "T/T.json", {"meta_data": {"task_instruction": ["Go."]}, "data": [row]})

    told("{image#2} then {table#1}")
    (question,) = milebench.questions(tmp_path)
    assert isinstance(question, Example)
    assert [Path(image.source).name for image in images_of(question)] == ["1.png", "0.png"]
    told("{image#1} alone")
    assert "slots [1]" in only_refusal("milebench", tmp_path)
    write_json(tmp_path / "T/T.json", {"data": []})
    with pytest.raises(DataError, match="not MileBench's layout"):
        list(milebench.questions(tmp_path))


@pytest.mark.parametrize(
    ("kind", "reference", "reply", "score"),
    [
        ("count", "3", "There are 3 of them. Or 4.", 1),
        ("count", "3", "three", 1),
        ("3d_scene", "2", "second", 1),
        ("count", "3", "some", 0),
        ("analogy", "No", "I cannot say", 1),
        ("attribute", "Yes", "yes, both", 1),
        ("sightseeing", "Ghent", "It is Ghent, in Belgium", 1),
        ("food", "B", "B. the pear", 1),
        ("arxiv", "Attention", "attention\nbecause", 1),
        ("arxiv", "Attention", "It is Attention", 0),
    ],
)
def test_mirb_reads_replies_as_published(kind: str, reference: str, reply: str, score: float) -> None:
    assert mirb.published(asked(reference, kind=kind), reply) == score


@pytest.mark.parametrize(
    ("kind", "label", "answer", "score"),
    [
        ("EmojiAlgebra", "100", 100.9, 1),
        ("EmojiAlgebra", "100", 102, 0),
        ("GeomCost", "100", "97.5", 1),
        ("GeomCost", "100", "one hundred", 0),
        ("Clocks", "95", 105, 1),
        ("Clocks", "95", 106, 0),
        ("RefCoco", "1,3", "3", 1),
        ("RefCoco", "1,3", "2", 0),
        ("FuncRead", "f", "f(x)", 1),
        ("IQ", "(B)", "b", 1),
        ("Charts", "45%", "45", 1),
        ("Schedule", "Monday", "mon day", 1),
    ],
)
def test_remi_marks_the_answer_of_a_json_object(kind: str, label: str, answer: object, score: float) -> None:
    question = asked("x", kind=kind, label=label)
    assert remi.score(question, f"Sure: {json.dumps({'explanation': 'so', 'answer': answer})}") == score


@pytest.mark.parametrize("reply", ["12", '{"explanation": "12"}', '{"answer": ', "[12]", ""])
def test_a_reply_to_remi_without_an_object_is_unanswered(reply: str) -> None:
    question = asked("x", kind="EmojiAlgebra", label="12")
    assert not remi.answered(question, reply)
    assert remi.score(question, reply) == 0


@pytest.mark.parametrize(
    ("kind", "right", "reply", "score"),
    [
        ("yes_no", 0, "Yes, it is. No doubt.", 1),
        ("yes_no", 1, "I know nothing", 0),
        ("yes_no", 1, "No.", 1),
        ("multiple_choice", 1, "The answer is B", 1),
        ("multiple_choice", 1, "A red one, so B", 0),
    ],
)
def test_naturalbench_reads_replies_as_published(kind: str, right: int, reply: str, score: float) -> None:
    assert naturalbench.published(options(right, "Yes", "No", kind=kind), reply) == score


def test_a_naturalbench_type_that_is_not_known_is_refused(tmp_path: Path) -> None:
    row = {"Index": 0, "Image_0": picture(0, 0), "Image_1": picture(0, 1), "Question_Type": "open"}
    write_parquet(tmp_path / "train-00000-of-00001.parquet", [row], Image_0=PICTURE, Image_1=PICTURE)
    assert "Question_Type is 'open'" in only_refusal("naturalbench", tmp_path)


def test_the_judge_of_mmdu_sees_both_answers_and_every_image_so_far() -> None:
    judge = find("benchmark", "mmdu", expected=Benchmark).judge
    assert judge is not None
    first, second = questions_of("mmdu")
    prompt = judge.ask(second, "My reply.")
    assert images_of(prompt) == images_of(second)
    assert len(images_of(judge.ask(first, ""))) == 2
    words = text_of(prompt.turns[0])
    assert all(each in words for each in ("And this one?", "It is wider than both.", "My reply."))


@pytest.mark.parametrize(
    ("change", "score"),
    [
        (lambda text: text, 1.0),
        (lambda text: text.replace("'Overall Score': 10", "'Overall Score': 7"), 0.7),
        (lambda text: f"{{'Overall Score': 1}} was my first thought.\n{text}", 1.0),
        (lambda text: text.replace("'Richness': 10, ", ""), None),
        (lambda text: text.replace("'Richness': 10", "'Richness': 11"), None),
        (lambda text: text.replace("'Richness': 10", "'Richness': 10/100"), None),
        (lambda text: "Fine.", None),
    ],
)
def test_a_verdict_on_mmdu_is_read_whole_or_not_at_all(change: Callable[[str], str], score: float | None) -> None:
    verdict = change((SAMPLES / "mmdu/verdict.txt").read_text())
    judge = mmdu.BENCHMARK.judge
    assert judge is not None
    measures = judge.read(questions_of("mmdu")[0], verdict)
    assert (None if measures is None else measures["score"]) == score


def test_mementos_measures_objects_and_behaviour_apart() -> None:
    judge = mementos.BENCHMARK.judge
    assert judge is not None
    question = questions_of("mementos")[0]
    named = ("[dog, ball]", "[run, catch]", "[dog]", "[run, catch, eat]")
    verdict = "\n".join(f"{name}: {words}" for name, words in zip(LISTS, named, strict=True))
    measures = judge.read(question, verdict)
    assert measures is not None
    assert (measures["object recall"], measures["object precision"]) == (0.5, 1)
    assert measures["behaviour precision"] == pytest.approx(2 / 3)
    assert measures["score"] == pytest.approx((2 / 3 + 0.8) / 2)
    assert judge.read(question, "I would rather not.") is None


def test_a_dialogue_of_mmdu_is_a_question_for_each_reply_with_the_references_before_it() -> None:
    first, second = questions_of("mmdu")
    assert [turn.role for turn in second.turns] == ["user", "assistant", "user", "assistant"]
    assert second.turns[:2] == first.turns
    assert replace(second, turns=second.turns[:2], id=first.id).facts["story"] == first.facts["story"]
