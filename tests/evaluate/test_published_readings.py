"""What the authors' own code reads in a reply, and the figures that papers print: values that their code gave.

Each benchmark's ``published`` was run beside that code on some thousand invented replies, of which these are a few.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.core.plugins import find
from triptych.core.records import Example, Json, Text, Turn
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark, MarkedReply
from triptych.evaluate.benchmarks import genai_bench, mathvista, mirb, mme, muirbench, pope, video_chatgpt, video_mme
from triptych.evaluate.certainty.statistics import wilson
from triptych.evaluate.metrics.milebench import letters_at, option_read
from triptych.evaluate.metrics.mmmu import letter_given, letter_score
from triptych.evaluate.question.against_people import mean_rating, pair_points
from triptych.evaluate.question.video_quality import ASPECTS, ratings_text
from triptych.evaluate.reading import scorers
from triptych.evaluate.running.figures import Figure, figures_of

OPTIONS = ("the left image", "the right image", "both images", "neither image")
REPLIES = (
    *("B", "(B)", "B.", "B. the right image", "The answer is B.", "Answer: B", "A cat is there, so B"),
    *("AREA B is darker", "the right image", "I think it is the right image, all in all."),
    *("(A) is wrong, (B) is right", "A or B", "b", "no idea", ""),
)
GUESS = 0.25
READ: dict[str, list[float | None]] = {
    "mmmu": [1, 1, 1, GUESS, 1, 1, 1, 1, GUESS, 1, 1, 1, GUESS, GUESS, GUESS],
    "muirbench": [1, 1, 1, GUESS, 1, 1, 1, 1, GUESS, 1, 1, 1, GUESS, GUESS, GUESS],
    "nextqa": [1, 1, 1, 1, 1, 1, 1, 1, GUESS, 1, 1, 1, GUESS, GUESS, GUESS],
    "video_mme": [1, 1, 1, 1, 1, 0, 0, 0, None, None, 0, 0, None, None, None],
    "mvbench": [1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    "milebench": [1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0],
    "magnifier_bench": [1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0],
    "ai2d": [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
    "mantis_eval": [1, 1, 1, 1, 1, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0],
    "scienceqa": [1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
    "seed_bench": [1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
}
SHORT = ("Yes", "No", "yes, there is", "No, there is not.", "I see one, so yes", "not sure", "y", "Not at all", "")
SAID = {
    "mme": ["Yes", "No", "Yes", "No", "", "No", "Yes", "No", ""],
    "pope": ["Yes", "No", "Yes", "No", "Yes", "No", "Yes", "Yes", "Yes"],
}
"""Which of yes and no is read; neither: empty."""


def asked(reference: str, **facts: Json) -> Example:
    lines = "\n".join(f"{letter}. {option}" for letter, option in zip("ABCD", OPTIONS, strict=True))
    return Example("q", (Turn("user", (Text(lines),)), Turn("assistant", (Text(reference),))), facts=facts)


def choice(*options: str, right: int = 1, **facts: Json) -> Example:
    return asked("ABCD"[right], choice=True, options=list(options), right=right, **facts)


def bare(reference: str, **facts: Json) -> Example:
    return Example("q", (Turn("user", (Text("?"),)), Turn("assistant", (Text(reference),))), facts=facts)


@pytest.mark.parametrize("name", READ)
def test_options_are_read_as_the_authors_code_reads_them(name: str) -> None:
    published = find("benchmark", name, expected=Benchmark).published
    assert published is not None
    question = choice(*OPTIONS)
    if name == "milebench":
        question = asked(OPTIONS[1], choice=True, options=list(OPTIONS), right=1)
    assert dict(zip(REPLIES, [published(question, reply) for reply in REPLIES], strict=True)) == dict(
        zip(REPLIES, READ[name], strict=True)
    )


@pytest.mark.parametrize("name", SAID)
@pytest.mark.parametrize("right", ["Yes", "No"])
def test_yes_and_no_are_read_as_the_authors_code_reads_them(name: str, right: str) -> None:
    published = find("benchmark", name, expected=Benchmark).published
    assert published is not None
    question = bare(right, choice=True, options=["Yes", "No"], right=("Yes", "No").index(right))
    found = [published(question, reply) for reply in SHORT]
    assert found == [float(said == right) for said in SAID[name]]


def test_the_copy_of_mmmus_parser_that_others_use_takes_more() -> None:
    assert letter_given(OPTIONS, "AREA is large") is letter_given(OPTIONS, "A. no") is None
    assert letter_given(OPTIONS, "AREA is large", loose=True) == letter_given(OPTIONS, "A. no", loose=True) == "A"


@given(st.text(alphabet="AB ().b", max_size=12))
def test_a_draw_is_worth_one_over_the_options(reply: str) -> None:
    worth = [letter_score(("x", "y"), reply, right=letter) for letter in "AB"]
    assert sum(worth) == 1
    assert (letter_given(("x", "y"), reply) is None) == (worth[0] == 0.5)


def test_an_option_of_muirbench_that_is_a_picture_has_no_words_in_a_reply() -> None:
    question = choice("", "", right=0)
    assert muirbench.published(question, "One of these two is shown in the other picture") == 0.5


def test_options_of_milebench_beyond_z_have_two_letters() -> None:
    assert [letters_at(at) for at in (0, 25, 26, 51, 52)] == ["A", "Z", "AA", "AZ", "BA"]
    many = [f"class {number}" for number in range(60)]
    assert option_read(many, "It is class 7.") == "H"
    assert option_read(["3.5 cm", "2"], "2") == "B"
    assert option_read(["x"] * 19, "Weiß") == "EI"  # two letters S are no sign of the reply


def test_a_conclusion_that_begins_with_answer_once_more_is_read_behind_it() -> None:
    published = find("benchmark", "mantis_eval", expected=Benchmark).published
    assert published is not None
    assert published(choice(*OPTIONS), "Answer: Answer: B") == 1


def test_replies_that_video_mme_leaves_out_are_not_counted() -> None:
    assert video_mme.published(choice(*OPTIONS), "I cannot see") is None


def pictures(seed: int) -> list[tuple[str, str, float]]:
    """(task, picture, score) of two questions on each of some pictures of every task of MME."""
    chosen = random.Random(seed)
    made = []
    for task in mme.TASKS:
        for number in range(chosen.randint(1, 5)):
            made += [(task, f"{task}/{number}", float(chosen.random() < 0.7)) for _ in range(2)]
    return made


def marked(rows: Sequence[tuple[str, str, float]]) -> list[MarkedReply]:
    return [MarkedReply(bare("Yes", kind=task, story=story), score) for task, story, score in rows]


@pytest.mark.parametrize("seed", range(4))
def test_the_score_of_mme_is_the_sum_over_tasks_of_accuracy_and_accuracy_plus(seed: int) -> None:
    rows = pictures(seed)
    wanted = {}
    for task in mme.TASKS:
        stories = {story for kind, story, _ in rows if kind == task}
        of = [[score for _, other, score in rows if other == story] for story in stories]
        wanted[task] = sum(100 * sum(two) / 2 + 100 * (sum(two) == 2) for two in of) / len(of)
    found = figures_of(marked(rows), mme.BENCHMARK)
    assert {task: found[task].value for task in mme.TASKS} == pytest.approx(wanted)
    assert found["perception"].value == pytest.approx(sum(wanted[task] for task in mme.PERCEPTION))
    assert found["cognition"].value == pytest.approx(sum(wanted[task] for task in mme.COGNITION))
    assert found["MME"].value == pytest.approx(sum(wanted.values()))
    assert (found["perception"].best, found["cognition"].best, found["MME"].best) == (2000, 800, 2800)
    assert all(0 <= one.low <= one.value <= one.high <= one.best for one in found.values())


def test_a_sum_of_mme_of_which_a_task_is_missing_is_left_out() -> None:
    rows = [row for row in pictures(0) if row[0] != "OCR"]
    assert {"cognition", "existence"} <= figures_of(marked(rows), mme.BENCHMARK).keys()
    assert not {"perception", "MME", "OCR"} & figures_of(marked(rows), mme.BENCHMARK).keys()


def test_half_a_picture_of_mme_adds_to_accuracy_alone() -> None:
    rows = [("count", "count/1", 1.0), ("count", "count/1", 1.0), ("count", "count/2", 0.0)]
    assert figures_of(marked(rows), mme.BENCHMARK)["count"].value == pytest.approx(200 / 3 + 100)


@given(st.lists(st.tuples(st.sampled_from(pope.KINDS), st.booleans(), st.sampled_from(["yes", "no", "?"])), min_size=1))
def test_f1_of_pope_is_that_of_saying_yes(rows: list[tuple[str, bool, str]]) -> None:
    replies = [
        MarkedReply(
            bare("x", kind=kind, right=0 if there else 1, story=str(number % 3)),
            float(said == ("yes" if there else "no")),
            said != "?",
        )
        for number, (kind, there, said) in enumerate(rows)
    ]
    found = figures_of(replies, pope.BENCHMARK)
    right = sum(there and said == "yes" for _, there, said in rows)
    said_yes = sum(said == "yes" for _, _, said in rows)
    exists = sum(there for _, there, _ in rows)
    precision, recall = right / max(1, said_yes), right / max(1, exists)
    assert found["yes said"].value == pytest.approx(said_yes / len(rows))
    assert {f"F1, {kind}" for kind, there, _ in rows if there} == {name for name in found if name.startswith("F1, ")}
    assert ("F1" in found) == ("recall" in found) == ("precision" in found) == (exists > 0)
    if exists:
        assert found["precision"].value == pytest.approx(precision)
        assert found["recall"].value == pytest.approx(recall)
        assert found["F1"].value == pytest.approx(2 * precision * recall / (precision + recall) if right else 0)


def test_the_interval_of_a_figure_narrows_with_pictures_and_holds_its_value() -> None:
    def of(copies: int) -> Figure:
        rows = [("count", f"{number}", float(number % 4 > 0)) for number in range(12 * copies) for _ in range(2)]
        return figures_of(marked(rows), mme.BENCHMARK)["count"]

    few, many = of(1), of(20)
    assert few.value == many.value == pytest.approx(150)
    assert many.high - many.low < (few.high - few.low) / 3
    assert figures_of(marked([("count", "1", 1.0)] * 2), mme.BENCHMARK)["count"] == Figure(200, 0, 200, 200)


def test_the_average_of_video_chatgpt_is_that_of_its_five_dimensions() -> None:
    rated = [("generic", 0.8), ("generic", 0.4), ("temporal", 0.5), ("consistency", 1.0), ("consistency", 1.0)]
    replies = [MarkedReply(bare("x", kind=kind, story=str(at)), score) for at, (kind, score) in enumerate(rated)]
    found = figures_of(replies, video_chatgpt.BENCHMARK)[video_chatgpt.AVERAGE]
    assert found.value == pytest.approx(5 * (3 * 0.6 + 0.5 + 1.0) / 5)
    assert found.best == 5
    assert figures_of(replies[:3], video_chatgpt.BENCHMARK) == {}


def test_the_total_of_mirb_weighs_sets_alike_within_a_category_and_categories_alike() -> None:
    rows = [("knowledge", "food", 1.0), *[("knowledge", "sightseeing", 0.0)] * 3, ("multi-hop", "arxiv", 1.0)]
    assert mirb.suite_score([(bare("x", category=a, kind=b), score) for a, b, score in rows]) == 0.75


@pytest.mark.parametrize(
    ("form", "answer", "reply"),
    [
        ("integer", "14", "The answer is 14, since 7 + 7 = 14 in 2019."),
        ("integer", "14", "The answer is 14 apples (12% of all)."),
        ("integer", "14", "The answer to the question is 14, as 12 is less than 16 units."),
        ("integer", "7", "The answer is 3 + 4 = 7."),
        ("integer", "14", "**Answer:** 14\n\nExplanation: in 1999 there were 3"),
        ("integer", "14", "\\boxed{14}, which is 2 more than 12"),
        ("integer", "14", "<think>the answer is 3</think>14"),
        ("integer", "1250", "The answer is 1,250."),
        ("integer", "14", "The answer is as follows: 14"),
        ("integer", "15", "The answer is 14. Wait, it is 15."),
        ("integer", "14", "14. Wait, let me check. Yes."),
        ("integer", "14", "Between 12 and 14"),
        ("list", "[2007, 2008]", "The answer is [2007, 2008]."),
        ("text", "apple", "Apple."),
    ],
)
def test_mathvista_takes_a_number_that_is_stated_before_the_last_one(form: str, answer: str, reply: str) -> None:
    assert mathvista.score(bare(answer, form=form, precision=0), reply) == 1


def test_two_means_are_compared_in_the_last_bit_as_published() -> None:
    left, right = (1.1, 3.6, 1.6, 2.4, 1.7), (1.1, 1.5, 2.4, 3.2, 2.2)  # 2.08 each
    said = [ratings_text(dict(zip(ASPECTS, ratings, strict=True))) for ratings in (left, right)]
    assert mean_rating(said[0]) == 2.08
    assert mean_rating(said[1]) == 2.0799999999999996
    pair = [bare("x", kind="preference", preference=value, story="0") for value in (1, 0)]
    videos = [Example(str(number), one.turns, facts=one.facts) for number, one in enumerate(pair)]
    points = pair_points(list(zip(videos, said, strict=True)))
    assert genai_bench.accuracy(list(zip(videos, points, strict=True))) == 1


@pytest.mark.parametrize(
    ("reply", "option"),
    [
        ("I think the answer is no because none is there.", 1),
        ("y", 0),
        ("N.", 1),
        ("It is true.", 0),
        ("That is false.", 1),
        ("It is not true.", 1),
        ("n/a", None),
        ("y/n", None),
    ],
)
def test_short_forms_of_yes_and_no_are_read(reply: str, option: int | None) -> None:
    question = bare("Yes", choice=True, options=["Yes", "No"], right=0)
    assert scorers.choice_of(question, reply).option == option


@pytest.mark.parametrize(
    "reply",
    [
        *("In conclusion, B.", "Overall, B", "As a result, B", "Because of that, B", "To sum up, B.", "In short: B"),
        *("Definitely B", "Clearly B.", "I'd go for B", "I vote B", "B is the answer because A is wrong"),
        *("(B) is right since A isn't", "Ich wähle B", "Je choisis B", "Elijo B", "Я выбираю B", "Tôi chọn B"),
        "คำตอบคือ B",
    ],
)
def test_a_letter_behind_a_last_word_is_chosen(reply: str) -> None:
    assert scorers.choice_of(choice(*OPTIONS), reply).option == 1


@pytest.mark.parametrize(
    "reply",
    [
        "Overall, a cat",
        "Definitely a dog",
        "Clearly, A and B are equal",
        "Hence I",
        "I go for a walk",
        "not B",
        "Overall",
    ],
)
def test_a_last_word_without_a_letter_chooses_nothing(reply: str) -> None:
    assert scorers.choice_of(choice(*OPTIONS), reply).option is None


def test_a_question_of_gqa_whose_picture_is_not_there_is_refused(tmp_path: Path) -> None:
    samples = Path(__file__).resolve().parents[1] / "samples"
    shutil.copytree(samples / "gqa", tmp_path / "gqa")
    (pictures,) = tmp_path.glob("gqa/testdev_balanced_images/*.parquet")
    pq.write_table(pq.read_table(pictures).slice(0, 0), pictures)
    refused = list(find("benchmark", "gqa", expected=Benchmark).questions(tmp_path / "gqa"))
    assert all(isinstance(row, Refused) and "no picture 'n1'" in row.message for row in refused)
    assert len(refused) == 2


def test_five_more_tests_of_the_field_are_scored_as_published() -> None:
    samples = Path(__file__).resolve().parents[1] / "samples"

    def first(name: str) -> tuple[Benchmark, Example]:
        own = find("benchmark", name, expected=Benchmark)
        question = next(iter(own.questions(samples / name)))
        assert isinstance(question, Example)
        return own, question

    vizwiz, spoken = first("vizwiz")
    assert [vizwiz.score(spoken, reply) for reply in ("Soda.", "a coke", "unanswerable")] == pytest.approx([1, 1, 0])
    chartqa, chart = first("chartqa")
    assert [chartqa.score(chart, reply) for reply in ("14.0", "14.7", "14.8", "fourteen")] == [1, 1, 0, 0]
    ai2d, diagram = first("ai2d")
    assert [ai2d.score(diagram, reply) for reply in ("B", "The answer is the fly.", "(A)")] == [1, 1, 0]
    gqa, seen = first("gqa")
    assert [gqa.score(seen, reply) for reply in ("Yes.", "It is yes", "no")] == [1, 1, 0]
    assert gqa.published is not None
    assert [gqa.published(seen, reply) for reply in ("Yes.", "It is yes", "no")] == [1, 0, 0]
    infovqa, shown = first("infovqa")
    assert [infovqa.score(shown, reply) for reply in ("2,000", "2000", "9")] == pytest.approx([1, 0.8, 0])


def test_a_figure_without_a_wrong_answer_is_not_certain() -> None:
    def of(said: Sequence[bool]) -> dict[str, Figure]:
        rows = [
            MarkedReply(bare("x", kind=pope.KINDS[0], right=at % 2, story=str(at)), float(ok))
            for at, ok in enumerate(said)
        ]
        return figures_of(rows, pope.BENCHMARK)

    right = of([True] * 12)
    assert {name: one.value for name, one in right.items() if name != "yes said"} == pytest.approx(
        dict.fromkeys(right.keys() - {"yes said"}, 1.0)
    )
    assert right["F1"].low == pytest.approx(wilson(12, 12).low, abs=0.01)
    assert right["recall"].low == pytest.approx(wilson(6, 6).low)
    always_yes = of([at % 2 == 0 for at in range(12)])
    assert (always_yes["recall"].value, always_yes["recall"].low) == (1.0, pytest.approx(wilson(6, 6).low))
    assert always_yes["yes said"].low == pytest.approx(wilson(12, 12).low)
