"""The video benchmarks, MM-Vet and MagnifierBench: what their samples do not show, case by case."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.samples.golden import SAMPLES, questions_of
from tests.samples.sized import draw
from triptych.core.errors import ConfigError
from triptych.core.plugins import find
from triptych.core.records import Example, ImageRef, Json, Text, images_of, text_of
from triptych.data.format import Refused
from triptych.data.media.locate import place_of
from triptych.data.media.video import pick_linspace
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.benchmarks.video_chatgpt import AVERAGE
from triptych.evaluate.reading.judge import Judge
from triptych.evaluate.reading.scorers import reference_of
from triptych.evaluate.running.run import evaluate
from triptych.infer.canned import CannedResponder

VIDEOS = ("nextqa", "nextqa_oe", "activitynet_qa", "msvd_qa", "msrvtt_qa", "video_mme", "video_detail", "video_chatgpt")
JUDGED = ("activitynet_qa", "msvd_qa", "msrvtt_qa", "magnifier_bench_free")


def benchmark(name: str) -> Benchmark:
    return find("benchmark", name, expected=Benchmark)


def judge_of(name: str) -> Judge:
    judge = benchmark(name).judge
    assert judge is not None
    return judge


def rows(name: str, path: Path) -> list[Example | Refused]:
    return list(benchmark(name).questions(path))


@pytest.mark.parametrize("name", VIDEOS)
def test_frames_are_in_time_order_in_front_of_the_words(name: str) -> None:
    count = 32 if name == "video_mme" else 16
    frames = 40 if name == "video_mme" else 20
    for question in questions_of(name):
        parts = question.turns[0].parts
        assert [type(part) for part in parts] == [ImageRef] * count + [Text]
        shown = [place_of(image.source).start for image in images_of(question)]
        assert shown == list(pick_linspace(frames, count))


@pytest.mark.parametrize("name", VIDEOS)
def test_a_path_says_how_many_frames(name: str) -> None:
    for row in rows(name, Path(f"{SAMPLES / name}#frames=3")):
        assert isinstance(row, Example)
        assert len(images_of(row)) == 3


def test_no_frames_is_an_error() -> None:
    with pytest.raises(ConfigError, match="at least one frame"):
        rows("nextqa", Path(f"{SAMPLES / 'nextqa'}#frames=0"))


@pytest.mark.parametrize("name", VIDEOS)
def test_a_row_whose_video_is_not_there_is_refused(name: str, tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / name, tmp_path / name)
    for file in (tmp_path / name).rglob("*"):
        if file.suffix in {".mp4", ".avi"}:
            file.unlink()
    found = rows(name, tmp_path / name)
    assert found
    assert {row.reason for row in found if isinstance(row, Refused)} == {"video file missing"}
    assert all(isinstance(row, Refused) for row in found)


def test_a_folder_of_frames_is_a_video_too(tmp_path: Path) -> None:
    for slot in range(5):
        draw(tmp_path, f"Test_Videos/v_one/{slot}.png", 0, slot)
    (tmp_path / "temporal_qa.json").write_text(json.dumps([{"Q": "What?", "A": "It grows.", "video_name": "v_one"}]))
    (question,) = rows("video_chatgpt", Path(f"{tmp_path}#frames=5"))
    assert isinstance(question, Example)
    assert [Path(image.source).name for image in images_of(question)] == [f"{slot}.png" for slot in range(5)]


@pytest.mark.parametrize("name", JUDGED)
@pytest.mark.parametrize(
    ("verdict", "measures"),
    [
        ("{'pred': 'yes', 'score': 4}", {"score": 1.0, "rating": 0.8}),
        ("{'pred': 'no', 'score': 0}", {"score": 0.0, "rating": 0.0}),
        ("yes", {"score": 1.0}),
        ("{'score': 4}", None),
        ("I cannot say.", None),
    ],
)
def test_a_judge_of_short_answers_says_yes_or_no(name: str, verdict: str, measures: object) -> None:
    assert judge_of(name).read(questions_of(name)[0], verdict) == measures


@pytest.mark.parametrize("name", JUDGED)
def test_the_judge_reads_question_answer_and_reply(name: str) -> None:
    question = questions_of(name)[0]
    (turn,) = judge_of(name).ask(question, "a reply of 100%").turns
    said = text_of(turn)
    assert f"Question: {question.facts['question']}\n" in said
    assert f"Right answer: {reference_of(question)}\n" in said
    assert said.endswith("Model's answer: a reply of 100%\n")


def test_without_a_judge_short_answers_must_be_the_words() -> None:
    question = questions_of("activitynet_qa")[1]
    score = benchmark("activitynet_qa").score
    assert [score(question, reply) for reply in ("Square.", "A square", "a big square", "")] == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("kind", "verdict", "measures"),
    [
        (
            "generic",
            "{'correctness': 4, 'detail': 3, 'context': 5}",
            {"score": 0.8, "correctness": 0.8, "detail": 0.6, "context": 1.0},
        ),
        (
            "generic",
            "Correctness: 5\nDetail: 5\nContext: 5",
            dict.fromkeys(("score", "correctness", "detail", "context"), 1.0),
        ),
        ("generic", "{'correctness': 4, 'detail': 3}", None),
        ("generic", "{'correctness': 6, 'detail': 3, 'context': 5}", None),
        ("temporal", "{'temporal': 2/10}", None),
        ("temporal", "{'temporal': '2-3'}", None),
        ("temporal", "{'temporal': 2}", {"score": 0.4, "temporal": 0.4}),
        ("temporal", "4", None),
    ],
)
def test_long_answers_are_rated_in_the_dimensions_of_their_kind(
    kind: str, verdict: str, measures: dict[str, float] | None
) -> None:
    (question,) = [each for each in questions_of("video_chatgpt") if each.facts["kind"] == kind]
    found = judge_of("video_chatgpt").read(question, verdict)
    assert (found if found is None else dict(found)) == (measures if measures is None else pytest.approx(measures))


def test_measures_of_video_chatgpt_are_told_each_by_its_questions(tmp_path: Path) -> None:
    verdict = "{'correctness': 5, 'detail': 4, 'context': 3, 'temporal': 1, 'consistency': 2}"
    result = evaluate(
        benchmark("video_chatgpt"),
        SAMPLES / "video_chatgpt",
        responder=CannedResponder(lambda question: "It grows."),
        folder=tmp_path,
        judge=CannedResponder(lambda question: verdict),
    )
    assert {name: round(score.score * 5) for name, score in result.measures.items()} == {
        "correctness": 5,
        "detail": 4,
        "context": 3,
        "temporal": 1,
        "consistency": 2,
    }
    assert result.total.score == pytest.approx((0.8 + 0.2 + 0.4) / 3)
    assert result.figures[AVERAGE].value == pytest.approx(3)


def test_consistency_is_judged_over_both_replies_in_both_orders(tmp_path: Path) -> None:
    seen: dict[str, str] = {}

    def judge(prompt: Example) -> str:
        seen[prompt.id] = text_of(prompt.turns[0])
        return "{'consistency': 4}"

    result = evaluate(
        benchmark("video_chatgpt"),
        Path(f"{SAMPLES / 'video_chatgpt' / 'consistency_qa.json'}#frames=2"),
        responder=CannedResponder({"consistency/0/1": "the first reply", "consistency/0/2": "the second reply"}),
        folder=tmp_path,
        judge=CannedResponder(judge),
    )
    assert result.measures["consistency"].score == result.total.score == 0.8
    told = ("What grows bright?", "Which thing gets brighter?", "A square.", "the first reply", "the second reply")
    assert [seen["consistency/0/1"].index(words) for words in told] == sorted(
        seen["consistency/0/1"].index(words) for words in told
    )
    one, other = (f"Model's answer to question {number}: the {{}} reply" for number in (1, 2))
    assert one.format("second") in seen["consistency/0/2"]
    assert other.format("first") in seen["consistency/0/2"]


def test_a_reply_whose_pair_is_missing_is_not_judged(tmp_path: Path) -> None:
    result = evaluate(
        benchmark("video_chatgpt"),
        SAMPLES / "video_chatgpt" / "consistency_qa.json",
        responder=CannedResponder({"consistency/0/1": "a square", "consistency/0/2": ""}),
        folder=tmp_path,
        judge=CannedResponder(lambda prompt: "{'consistency': 5}"),
    )
    assert (result.failed, result.unanswered, result.total.score) == (1, 1, 0.0)


def test_a_file_of_another_name_is_no_video_chatgpt(tmp_path: Path) -> None:
    file = tmp_path / "other_qa.json"
    file.write_text(json.dumps([{"Q": "What?", "A": "It.", "video_name": "v_one"}]))
    (row,) = rows("video_chatgpt", file)
    assert isinstance(row, Refused)
    assert "none of generic_qa.json, temporal_qa.json, consistency_qa.json" in row.message


def test_a_video_without_a_name_in_the_mapping_is_refused(tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / "msvd_qa", tmp_path / "msvd")
    (tmp_path / "msvd" / "youtube_mapping.txt").write_text("another vid1\n")
    assert all(isinstance(row, Refused) and "vid1451" in row.message for row in rows("msvd_qa", tmp_path / "msvd"))


@pytest.mark.parametrize(
    ("verdict", "score"),
    [("score: 0.4", 0.4), ("0.4", 0.4), ("1.0", 1.0), ("score: 4", None), ("good", None)]
    + [(said, None) for said in ("score: 1/10", "1 out of 10", "1%", "Score: 0,5")]
    + [("1/1", 1.0)],
)
def test_mm_vet_is_marked_from_zero_to_one(verdict: str, score: float | None) -> None:
    found = judge_of("mm_vet").read(questions_of("mm_vet")[0], verdict)
    assert found == (None if score is None else {"score": score})


def test_mm_vet_tells_the_judge_which_parts_and_counts_every_skill(tmp_path: Path) -> None:
    question = questions_of("mm_vet")[0]
    assert "Right answer: -1 <AND> -5\n" in text_of(judge_of("mm_vet").ask(question, "-1").turns[0])
    result = evaluate(
        benchmark("mm_vet"),
        SAMPLES / "mm_vet",
        responder=CannedResponder(lambda asked: "blue"),
        folder=tmp_path,
        judge=CannedResponder(lambda asked: "score: 0.5"),
    )
    assert {name: score.n for name, score in result.by_skill.items()} == {"math": 1, "ocr": 1, "rec": 1}
    assert set(result.by_task) == {"math+ocr", "rec"}


def test_magnifier_bench_is_asked_with_and_without_its_options() -> None:
    choice, free = (questions_of(name)[1] for name in ("magnifier_bench", "magnifier_bench_free"))
    assert choice.facts["options"] == ["a red ball", "a small key", "a cup", "a book"]
    assert (reference_of(choice), reference_of(free)) == ("D", "a book")
    assert text_of(free.turns[0]) == "What is in the far corner?"
    assert benchmark("magnifier_bench").score(choice, "A book, I think") == 1
    assert benchmark("magnifier_bench").score(choice, "A") == 0


@pytest.mark.parametrize("broken", [{"images": []}, {"instruction": "What is it?"}, {"answer": "E"}])
def test_a_row_of_magnifier_bench_without_its_parts_is_refused(broken: dict[str, Json], tmp_path: Path) -> None:
    draw(tmp_path, "one.png", 0, 0)
    row = {"id": "m", "instruction": "Q? A. a, B. b, C. c, D. d", "images": ["one.png"], "answer": "A"}
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, (row, {**row, **broken}))))
    good, bad = rows("magnifier_bench", tmp_path)
    assert isinstance(good, Example)
    assert isinstance(bad, Refused)


MULTI_VIEW = {
    "ScanQA": ("open-ended", "<image><image>\nWhat is beside the door?", "a black chair"),
    "ALFRED": ("open-ended", "Your Main Goal: eat. Step Details: <image>Step#1: go <image> Current Step:", "open it"),
    "nuScenes": ("open-ended", "<image><image>\nIs the car in front moving?", "yes"),
    "ScanNet_chat": ("open-ended", "<image><image>\nWhere can I sit?", "on the sofa by the window"),
    "ScanNet_task": ("open-ended", "<image><image>\nHow do I tidy the desk?", "1. take the cup. 2. wash the cup."),
}


def test_all_sets_of_3d_and_many_views_run_in_llava_interleave(tmp_path: Path) -> None:
    images = [draw(tmp_path, f"Split1/{slot}.png", 0, slot) for slot in range(2)]
    told = [
        {
            "sample_id": str(number),
            "image": images,
            "conversations": [{"from": "human", "value": asked}, {"from": "gpt", "value": said}],
            "metadata": {"dataset": name, "question_type": kind},
        }
        for number, (name, (kind, asked, said)) in enumerate(MULTI_VIEW.items())
    ]
    (tmp_path / "multi_view_in_domain.json").write_text(json.dumps(told))
    asked = [row for row in rows("llava_interleave", tmp_path) if isinstance(row, Example)]
    replies = {question.id: reference_of(question) for question in asked}
    own = benchmark("llava_interleave")
    result = evaluate(own, tmp_path, responder=CannedResponder(replies), folder=tmp_path / "e")
    assert set(result.by_task) == set(MULTI_VIEW)
    assert set(result.by_split) == {"multi_view"}
    assert result.total.score == pytest.approx(1)
