"""Ratings of generated videos: how a reply is read, and what it is worth against people's ratings and preferences."""

from __future__ import annotations

import json
import math
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pictures import real_data
from tests.samples.golden import SAMPLES, questions_of, rendered
from tests.samples.sized import draw
from triptych.core.errors import DataError, RunError
from triptych.core.plugins import find
from triptych.core.records import Example, Json, Text, Turn, images_of, text_of
from triptych.data.format import Refused
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.benchmarks import genai_bench, vbench
from triptych.evaluate.diagnosis.diagnose import diagnose
from triptych.evaluate.metrics.spearman import rank_correlation
from triptych.evaluate.question import against_people as people
from triptych.evaluate.question.video_quality import ASPECTS, PROMPT, ratings_said, ratings_text
from triptych.evaluate.running.gather import read_evaluations
from triptych.evaluate.running.result import Pairs, Result
from triptych.evaluate.running.run import evaluate
from triptych.evaluate.running.secondary_scores import secondary_lines
from triptych.evaluate.saved.compare import compare_folders
from triptych.infer.canned import CannedResponder

FIVE = [2.67, 0.81, 3.09, 2.5, 0.8]


def rated(name: str, kind: str = "preference", **facts: Json) -> Example:
    return Example(name, (), facts={"kind": kind, **facts})


def benchmark(name: str) -> Benchmark:
    return find("benchmark", name, expected=Benchmark)


@pytest.mark.parametrize(
    ("reply", "numbers"),
    [
        ("visual quality: 2.67, temporal consistency: 0.81, dynamic degree: 3.09, "
         "text-to-video alignment: 2.5, factual consistency: 0.8", FIVE),
        ("visual quality: 4\ntemporal consistency: 4\ndynamic degree: 3\ntext-to-video alignment: 1\nfactual "
         "consistency: 2", [4, 4, 3, 1, 2]),
        ("**Visual Quality:** 3\n**Temporal Consistency:** 3\n**Dynamic Degree:** 2\n**Text-to-Video Alignment:** 4\n"
         "**Factual Consistency:** 1", [3, 3, 2, 4, 1]),
        ('{"visual_quality": 1.5, "temporal_consistency": 2, "dynamic_degree": 2, "text_to_video_alignment": 3, '
         '"factual_consistency": 4}', [1.5, 2, 2, 3, 4]),
        ("(1) visual quality (clearness, 1 to 4): 3.5\n(2) temporal consistency: 2\n(3) dynamic degree: 1\n"
         "(4) text-to-video alignment: 2\n(5) factual consistency: 3", [3.5, 2, 1, 2, 3]),
        ("2.67, 0.81, 3.09, 2.5, 0.8", FIVE),
        ("[2.67 0.81 3.09 2.5 0.8]", FIVE),
        ("3.5", [3.5] * 5),
        ("1, 2, 3", []),
        ("It looks fine.", []),
        ("", []),
    ],
)  # fmt: skip
def test_the_numbers_of_a_reply_are_those_of_the_aspects(reply: str, numbers: list[float]) -> None:
    assert ratings_said(reply) == dict(zip(ASPECTS, numbers, strict=False))


def test_an_aspect_that_is_not_rated_is_not_guessed() -> None:
    assert ratings_said("visual quality: 3, dynamic degree: none") == {"visual quality": 3}
    assert ratings_said("visual quality: 2. Looking again, visual quality: 3.") == {"visual quality": 3}


@given(st.lists(st.integers(0, 400).map(lambda number: number / 100), min_size=5, max_size=5))
def test_what_is_written_is_what_is_read(numbers: list[float]) -> None:
    told = dict(zip(ASPECTS, numbers, strict=True))
    assert ratings_said(ratings_text(told)) == told


def test_the_prompt_is_the_published_one_and_holds_the_videos_text() -> None:
    question = questions_of("videofeedback_test")[0]
    said = question.turns[0].parts[0]
    assert isinstance(said, Text)
    assert said.text == PROMPT % "a square, number 0"
    assert said.text.startswith("\nSuppose you are an expert")
    assert said.text.endswith('the text prompt is "a square, number 0",\nall the frames of video are as follows:\n')
    assert len(images_of(question)) == 16
    assert text_of(question.turns[0]).endswith(" " * 16)


def test_frames_are_found_in_the_published_zip_too(tmp_path: Path) -> None:
    folder = SAMPLES / "genai_bench"
    shutil.copy(folder / "test-00000-of-00001.parquet", tmp_path)
    with zipfile.ZipFile(tmp_path / "frames_genaibench_test.zip", "w") as file:
        for picture in sorted((folder / "frames_genaibench").rglob("*.png")):
            file.write(picture, picture.relative_to(folder / "frames_genaibench").as_posix())
    found = [row for row in benchmark("genai_bench").questions(tmp_path) if isinstance(row, Example)]
    assert rendered(found) == rendered(questions_of("genai_bench"))


def correlations(reference: list[list[float]], said: list[list[float]]) -> float:
    items = [
        (
            rated(f"{video}/{aspect}", aspect, people=row[at], story=str(video)),
            ratings_text(dict(zip(ASPECTS, reply, strict=True))),
        )
        for video, (row, reply) in enumerate(zip(reference, said, strict=True))
        for at, aspect in enumerate(ASPECTS)
    ]
    scores = people.aspect_ranks(items)
    assert all(0 < score <= 1 for score in scores)
    return people.mean_correlation([(question, score) for (question, _), score in zip(items, scores, strict=True)])


def test_correlations_are_those_of_the_published_code() -> None:
    told = json.loads((real_data("golden") / "llava_interleave.json").read_text("utf-8"))["spearman"]
    found = correlations(told["ref"], told["ans"])
    assert 100 * found == pytest.approx(sum(told["rho_x100"]) / 5, abs=1e-4)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(10, 40)), min_size=2, max_size=12))
def test_ranks_keep_the_correlation(pairs: list[tuple[int, int]]) -> None:
    reference = [[float(wanted)] * 5 for wanted, _ in pairs]
    said = [[number / 10] * 5 for _, number in pairs]
    wanted = rank_correlation([row[0] for row in reference], [row[0] for row in said])
    assert correlations(reference, said) == pytest.approx(wanted or 0.0, abs=1e-9)


def test_a_reply_without_numbers_comes_last_in_rank(tmp_path: Path) -> None:
    name = "videofeedback_test"
    lost = {question.id for question in questions_of(name) if question.id.startswith("p000002")}
    right = {question.id: text_of(question.turns[-1]) for question in questions_of(name)}
    replies = CannedResponder(lambda question: "No idea." if question.id in lost else right[question.id])
    result = evaluate(benchmark(name), SAMPLES / name, responder=replies, folder=tmp_path)
    assert result.unanswered == 5
    # Of visual quality people say 1, 2, 4 and the reply 1, 2, last: rho -0.5.
    assert result.by_task["visual quality"].score == pytest.approx(-0.5)


def test_evalcrafter_takes_three_or_five_numbers(tmp_path: Path) -> None:
    for slot in range(2):
        draw(tmp_path, f"v/{slot}.png", 0, slot)
    row = {
        "id": "v",
        "images": ["0.png", "1.png"],
        "conversations": [{"from": "human", "value": 'the text prompt is "a dog",\nall'}],
    }
    lists: list[object] = [[1, 2, 3, 4, 5], [1, 2, 4], [1, 2], ["1", 2, 3], None]
    lines = [json.dumps({**row, "id": "v", "score_list": numbers}) for numbers in lists]
    (tmp_path / "test.jsonl").write_text("\n".join(lines))
    found = list(benchmark("evalcrafter").questions(tmp_path))
    told = [row.facts["people"] for row in found if isinstance(row, Example)]
    assert told == [1, 2, 4, 1, 2, 4]
    assert sum(isinstance(row, Refused) for row in found) == 3


@pytest.mark.parametrize(
    ("one", "other", "preferences", "share"),
    [
        (2.1, 2.0, (1, 0), 1),
        (2.0, 2.0, (1, 0), 0),
        (2.0, 2.4, (0.5, 0.5), 1),
        (2.0, 2.5, (0.5, 0.5), 0),
        (1.0, 3.0, (0, 1), 1),
        (3.0, 1.0, (0, 1), 0),
    ],
)
def test_pairs_are_right_as_the_published_code_says(
    one: float, other: float, preferences: tuple[float, float], share: float
) -> None:
    replies = [
        (rated(f"0000_{side}", story="0000", preference=liked), f"{points}")
        for side, liked, points in zip(("left", "right"), preferences, (one, other), strict=True)
    ]
    points = people.pair_points(replies)
    assert (
        genai_bench.accuracy([(question, score) for (question, _), score in zip(replies, points, strict=True)]) == share
    )


def test_a_pair_counts_as_often_as_it_is_drawn_and_not_without_its_other_half() -> None:
    def pair(name: str, right: bool) -> list[tuple[Example, float]]:
        scores = (0.4, 0.2) if right else (0.2, 0.4)
        return [
            (rated(f"{name}_{side}", story=name, preference=liked), score)
            for side, liked, score in zip(("left", "right"), (1.0, 0.0), scores, strict=True)
        ]

    good, wrong = pair("a", True), pair("b", False)
    assert genai_bench.accuracy(good + wrong) == 0.5
    assert genai_bench.accuracy(good * 3 + wrong) == 0.75
    assert genai_bench.accuracy(good + wrong[:1]) == 1
    assert math.isnan(genai_bench.accuracy(wrong[:1]))


def video(name: str, preference: float) -> Example:
    turns = (Turn("user", (Text(f"{name}?"),)), Turn("assistant", (Text("3"),)))
    facts: dict[str, Json] = {"kind": "preference", "chance": 0.5, "preference": preference}
    return Example(name, turns, facts={**facts, "story": name.partition("_")[0]})


def test_halves_of_pairs_are_told_and_no_whole_pair_is_no_score(tmp_path: Path) -> None:
    videos = [video(f"{pair}_{side}", liked) for pair in "abcd" for side, liked in (("left", 1.0), ("right", 0.0))]
    replies = {each.id: "3" if each.id.endswith("left") else "2" for each in videos}

    def asked(questions: Sequence[Example], folder: str) -> Result:
        genai = replace(benchmark("genai_bench"), questions=lambda path: questions)
        canned = CannedResponder(replies)
        return evaluate(genai, tmp_path, responder=canned, folder=tmp_path / folder, name="genai_bench")

    halves = asked(videos[::2], "halves")
    assert (halves.total.n, halves.by_task["preference"].n, halves.pairs) == (0, 0, Pairs(0, 4))
    told = "not known: no pair was asked whole"
    assert secondary_lines(halves) == [told]
    (read,) = read_evaluations(tmp_path / "halves")
    assert (read.total.n, secondary_lines(read.secondary)) == (0, [told])
    some = asked(videos[:7], "some")
    assert (some.total.score, some.total.n, some.pairs) == (1.0, 7, Pairs(3, 1))
    assert secondary_lines(some) == ["3 pairs compared; 1 question in no whole pair: left out"]
    alone = asked([*videos[:6], *(video(f"{name}_left", 1.0) for name in "dijklmnop")], "alone")
    whole = asked(videos[:6], "whole")  # what is in no pair makes its total no surer
    assert (alone.total.low, alone.total.high) == (whole.total.low, whole.total.high)
    (row,) = compare_folders(tmp_path / "some", tmp_path / "alone", common=True).rows
    assert (row.paired.n, row.paired.clusters) == (6, 3)
    assert asked(videos, "all").pairs == Pairs(4, 0)
    with pytest.raises(DataError, match="no pair is whole"):
        compare_folders(tmp_path / "halves", tmp_path / "all", common=True)
    half = replace(benchmark("genai_bench"), questions=lambda path: videos[::2])
    with pytest.raises(RunError, match="the 4 questions that got a score make no total"):
        diagnose(half, tmp_path, responder=CannedResponder(replies), folder=tmp_path / "why", name="genai_bench")


@pytest.mark.parametrize("limit", [2, 5, 12])
def test_a_limit_asks_pairs_whole(limit: int, tmp_path: Path) -> None:
    videos = [video(f"{pair}_{side}", liked) for pair in range(30) for side, liked in (("left", 1.0), ("right", 0.0))]
    replies = CannedResponder({each.id: "3" if each.id.endswith("left") else "2" for each in videos})
    genai = replace(benchmark("genai_bench"), questions=lambda path: videos)
    found = evaluate(genai, tmp_path, responder=replies, folder=tmp_path, limit=limit)
    assert (found.total.score, found.pairs) == (1.0, Pairs(limit // 2, 0))


def test_a_reply_without_numbers_makes_no_pair_right() -> None:
    tie = [(rated(f"0_{side}", story="0", preference=0.5), 0.0) for side in ("left", "right")]
    assert genai_bench.accuracy(tie) == 0


def test_vbench_is_the_mean_over_its_sources() -> None:
    questions = questions_of("vbench")
    ranks = {"cogvideo": 0.5, "lavie": 0.4, "modelscope": 0.3, "videocrafter": 0.2}
    marked = [(question, ranks[str(question.facts["model"])]) for question in questions]
    # The order is right in the one source and the other way round in the other.
    assert vbench.accuracy(marked) == 0.5
    assert vbench.accuracy([item for item in marked if item[0].facts["kind"] == "technical_quality"]) == 1


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("genai_bench", {"id": "0000_middle"}),
        ("genai_bench", {"preference": "left"}),
        ("vbench", {"id": "beauty_0_lavie"}),
        ("vbench", {"id": "technical_quality_0_lavie", "preference": {"cogvideo": 0.7}}),
        ("videofeedback_test", {"conversations": [{"from": "human", "value": "How good is it?"}]}),
        ("videofeedback_test", {"images": []}),
    ],
)
def test_a_row_that_is_not_as_its_layout_says_is_refused(name: str, broken: dict[str, Json], tmp_path: Path) -> None:
    draw(tmp_path, "0000_left/0.png", 0, 0)
    said = "\n".join(f"{aspect}: 3" for aspect in ASPECTS)
    row = {
        "id": "0000_left",
        "images": ["0.png"],
        "preference": 1.0,
        "conversations": [
            {"from": "human", "value": 'the text prompt is "a dog",\nall'},
            {"from": "gpt", "value": said},
        ],
    }
    (tmp_path / "test.jsonl").write_text(json.dumps({**row, **broken}))
    (refused,) = benchmark(name).questions(tmp_path)
    assert isinstance(refused, Refused)
