"""The single-image benchmarks and LLaVA-Interleave read their layouts, and mark replies as they say."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from triptych.core.plugins import find
from triptych.core.records import Example, Json, Text, Turn, images_of, text_of
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.reading.scorers import reference_of

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
NAMES = (
    *("textvqa", "vqav2", "okvqa", "vizwiz", "docvqa", "infovqa", "chartqa", "ai2d", "scienceqa", "mmmu", "mathvista"),
    *("mmbench", "pope", "mme", "seed_bench"),
    "llava_interleave",
)


def benchmark(name: str) -> Benchmark:
    return find("benchmark", name, expected=Benchmark)


def rows(name: str, path: Path | None = None) -> list[Example | Refused]:
    return list(benchmark(name).questions(path or SAMPLES / name))


def examples(name: str) -> list[Example]:
    read = rows(name)
    assert not [row for row in read if isinstance(row, Refused)]
    return [row for row in read if isinstance(row, Example)]


@pytest.mark.parametrize("name", NAMES)
def test_a_reference_is_right_and_an_empty_reply_is_unanswered(name: str) -> None:
    own = benchmark(name)
    for question in examples(name):
        reply = reference_of(question)
        assert own.score(question, reply) == pytest.approx(1)
        assert own.answered(question, reply)
        assert own.score(question, "") == 0
        assert not own.answered(question, " \n")
        assert own.published is None or own.published(question, reply) == 1
        assert 0 <= own.chance(question) < 1


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_row_is_refused_and_the_others_stay(name: str, tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / name, tmp_path / name)
    (file, *_) = sorted(path for path in (tmp_path / name).rglob("*") if path.suffix in {".parquet", ".json"})
    if file.suffix == ".parquet":
        table = pq.read_table(file)
        pq.write_table(pa.Table.from_pylist([{}, *table.to_pylist()], schema=table.schema), file)
    else:
        said: list[Json] = json.loads(file.read_text("utf-8"))
        file.write_text(json.dumps([{"conversations": 3}, *said]))
    first, *others = rows(name, file)
    assert isinstance(first, Refused)
    assert f"{file}: row 0" in first.message
    assert others
    assert not [row for row in others if isinstance(row, Refused)]


@pytest.mark.parametrize(
    ("name", "number", "reply", "ours", "published"),
    [
        ("vqav2", 0, "Yes", 1, 0),
        ("vqav2", 1, "Two.", 1, 1),
        ("scienceqa", 0, "c", 1, 1),
        ("scienceqa", 0, "C. Blue", 1, 1),
        ("scienceqa", 0, "The answer is C.", 1, 0),
        ("scienceqa", 0, "A", 0, 0),
        ("pope", 0, "No, there is not.", 1, 1),
        ("pope", 1, "I see a circle", 0, 1),
        ("pope", 1, "Yes.", 1, 1),
        ("mme", 0, "Yes, there is a square.", 1, 1),
        ("mme", 1, "No", 1, 1),
        ("mme", 0, "I can see it, so yes.", 1, 0),
        ("seed_bench", 0, "A. One", 1, 1),
        ("seed_bench", 0, "Answer: A", 1, 1),
        ("seed_bench", 1, "Answer: C", 1, 0),
        ("mmmu", 0, "(B) The second", 1, 1),
        ("mmmu", 0, "I do not know", 0, 1 / 3),
        ("mmmu", 2, "The area is 3.429", 1, 1),
        ("mmmu", 2, "It is about 3.43 cm", 1, 1),
        ("mmmu", 2, "12", 0, 0),
    ],
)
def test_ours_and_the_published_reading_are_told_apart(
    name: str, number: int, reply: str, ours: float, published: float
) -> None:
    own, question = benchmark(name), examples(name)[number]
    assert own.published is not None
    assert (own.score(question, reply), own.published(question, reply)) == (ours, published)


@pytest.mark.parametrize(
    ("number", "reply", "score"),
    [
        (0, "(B) No", 1),
        (0, "(A)", 0),
        (1, "There are 2 rows of 7, so 14.", 1),
        (1, "14.0", 1),
        (1, "between 12-14", 1),
        (1, "-14", 0),
        (1, "fourteen", 0),
        (2, "1.52", 1),
        (2, "1.46 m", 1),
        (2, "1.4", 0),
        (3, "Between [2007, 2008].", 1),
        (3, "[1, 2], then [2007,2008]", 1),
        (3, "2007 and 2008", 0),
        (3, "[2008, 2007]", 0),
        (1, f"1{'0' * 500}", 0),
    ],
)
def test_mathvista_takes_the_last_number_to_its_precision(number: int, reply: str, score: float) -> None:
    assert benchmark("mathvista").score(examples("mathvista")[number], reply) == score


def test_docvqa_gives_part_of_a_score_for_a_near_answer() -> None:
    question = examples("docvqa")[0]
    assert benchmark("docvqa").score(question, "8 march 1997") == 1
    assert benchmark("docvqa").score(question, "8 March 1991") == pytest.approx(1 - 1 / 12)
    assert benchmark("docvqa").score(question, "yesterday") == 0


def test_textvqa_asks_with_one_capital_and_counts_annotators() -> None:
    question = examples("textvqa")[0]
    assert text_of(question.turns[0]).startswith("What is written on the sign?\nAnswer the question using")
    assert question.facts["question"] == "what is WRITTEN on the sign?"
    assert benchmark("textvqa").score(question, "stop sign!") == pytest.approx(0.6)


def test_mmmu_puts_each_image_where_its_number_stands() -> None:
    first, second, _ = examples("mmmu")
    kinds = [type(part).__name__ for part in first.turns[0].parts]
    assert kinds == ["Text", "ImageRef", "Text", "ImageRef", "Text"]
    assert len({image.source for image in images_of(second)}) == 3
    after = [part.text for part in second.turns[0].parts if isinstance(part, Text)]
    assert after[1:3] == ["?\nA. ", "\nB. "]


def test_circular_orders_and_pairs_share_a_story() -> None:
    assert [question.facts["story"] for question in examples("mmbench")] == ["7", "7", "8"]
    assert benchmark("mmbench").together == {"circular": "story"}
    assert len({question.facts["story"] for question in examples("mme")}) == 2


def test_a_video_of_seed_bench_is_its_frames_in_order() -> None:
    still, video = examples("seed_bench")
    assert (len(images_of(still)), len(images_of(video))) == (1, 3)
    assert (video.facts["scenario"], video.facts["kind"]) == ("video", "Action Recognition")


def test_the_interleave_suite_is_the_mean_of_its_categories() -> None:
    own = benchmark("llava_interleave")
    marked = [
        (question, 1.0 if question.facts["kind"] == "RAVEN" else 0.5) for question in examples("llava_interleave")
    ]
    marked.append((marked[0][0], 0.0))
    assert own.statistic is not None
    # Spot-the-Diff .25 and CLEVR-Change .5 make .375; RAVEN 1; NLVR2, BLINK and ALFRED .5 each.
    assert own.statistic(marked) == pytest.approx((0.375 + 1 + 0.5 * 3) / 5)


def test_an_interleave_set_is_scored_as_its_first_row_says(tmp_path: Path) -> None:
    said: list[dict[str, Json]] = [
        {
            "sample_id": name,
            "image": [],
            "conversations": [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "a red dog"}],
            "metadata": {"dataset": "WebQA", "question_type": kind},
        }
        for name, kind in (("1", "open-ended"), ("2", "multi-choice"))
    ]
    (tmp_path / "multi_image_in_domain.json").write_text(json.dumps(said))
    first, second = rows("llava_interleave", tmp_path)
    assert isinstance(first, Example)
    assert isinstance(second, Example)
    score = benchmark("llava_interleave").score
    assert score(first, "a dog") == score(second, "a dog") == pytest.approx(0.8)


def test_later_turns_of_an_interleave_row_keep_what_came_before() -> None:
    *_, first, second = examples("llava_interleave")
    assert (first.id, second.id) == ("ALFRED/1/1", "ALFRED/1/2")
    assert second.turns[1] == Turn("assistant", (Text("Open the drawer."),))
    assert [turn.role for turn in second.turns] == ["user", "assistant", "user", "assistant"]


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("The answer is 12 cm^2", 12),
        ("12.5 cm^2.", 12.5),
        ("12.5 cm².", 12.5),
        ("The area of the square is 12 cm^{2}.", 12),
        ("12 m2.", 12),
        ("9.8 m/s^2", 9.8),
        ("9.8 m/s2", 9.8),
        ("\\boxed{12\\text{ m}^2}", 12),
        ("5 out of 8.", 5),
        ("The answer is 5 out of 8.", 5),
        ("The answer is x = 5 when y = 3.", 5),
        ("2+1=3", 3),
        ("The answer is 2^3 = 8.", 8),
        ("The answer is the sum of 3 and 4 is 7", 7),
        ("Answer: In 2020 the value was 45", 45),
        ("The answer is not 3 but 5.", 5),
        ("CO2: 5", 5),
        ("Rs50", 50),
        ("答案是5个", 5),
        ("in m^2", None),
        ("x^2-5", 5),
    ],
)
def test_mathvista_takes_no_exponent_and_no_unit_for_the_answer(reply: str, number: float | None) -> None:
    assert_reads(reply, number)


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("The answer is 1/4 or 0.25.", 0.25),
        ("The answer is 2021 - 1990 → 31", 31),
        ("The answer is 20 - 5: 15", 15),
        ("The answer is 20-5 -> 15", 15),
        ("The answer is 50% or 0.5", 0.5),
    ],
)
def test_mathvista_takes_no_number_that_is_only_worked_with(reply: str, number: float) -> None:
    assert_reads(reply, number)


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("r = 5. The answer is \\approx78.5", 78.5),
        ("The answer is Rs50, because 3 items were sold.", 50),
        ("The reading is 3. Answer: USD50", 50),
        ("Cost for 3 items is USD50.", 50),
    ],
)
def test_mathvista_reads_a_number_that_is_glued_to_letters(reply: str, number: float) -> None:
    assert_reads(reply, number)


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("The answer is five.", 5),
        ("The answer is one cube.", 1),
        ("**Answer:** Five", 5),
        ("There are five cars.", 5),
        ("There is one red car.", 1),
        ("One.", 1),
        ("minus five", -5),
        ("Two months", 2),
        ("The two bars are the same.", None),
        ("It is the one on the left.", None),
        ("It is one of them.", None),
        ("twenty-five", None),
        ("three, then four", None),
        ("two fifths", None),
        ("I cannot determine which of them; there are two options.", None),
        ("The image has three lines, but I cannot tell the value.", None),
        ("Answer: cannot be told from two views", None),
        ("Answer: two billion", None),
        ("Answer: three times four", None),
        ("Answer: four squared", None),
    ],
)
def test_mathvista_reads_a_plain_number_in_words_and_makes_none_up(reply: str, number: float | None) -> None:
    assert_reads(reply, number)


@pytest.mark.parametrize("said", ["answer is ", "answer: three ", "answer is out of "])
def test_mathvista_reads_a_reply_that_repeats_itself_in_the_time_of_its_length(said: str) -> None:
    start = time.process_time()
    benchmark("mathvista").score(number_asked(5), said * 4000)
    assert time.process_time() - start < 5  # Clauses that run into one another take minutes.


def number_asked(answer: float) -> Example:
    turns = (Turn("user", (Text("?"),)), Turn("assistant", (Text(str(answer)),)))
    return Example("q", turns, facts={"form": "float", "precision": 2})


def assert_reads(reply: str, number: float | None) -> None:
    own = benchmark("mathvista")
    assert own.answered(number_asked(0), reply) == (number is not None)
    assert number is None or own.score(number_asked(number), reply) == 1
