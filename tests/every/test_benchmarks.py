"""Every benchmark, on its drawn sample: prompts as published, images at their places, replies marked from end to end.

A new benchmark file is tested here at once; it wants a folder ``tests/samples/NAME`` in the published layout with
``prompts.txt`` (``python -m tests.samples.golden NAME``), and ``verdict.txt`` where a judge marks: what a judge says of
a reply that is the reference.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.samples.golden import SAMPLES, questions_of, rendered
from triptych.core.errors import ConfigError
from triptych.core.plugins import find, names
from triptych.core.records import Example, images_of, text_of, videos_of
from triptych.evaluate.benchmark import Benchmark, asked, fact, without_images
from triptych.evaluate.reading.judge import VERDICTS, needs_judge
from triptych.evaluate.reading.scorers import reference_of
from triptych.evaluate.running.result import Result
from triptych.evaluate.running.run import evaluate
from triptych.infer.canned import CannedResponder

NAMES = names("benchmark")
LARGEST_BYTES = 1_000_000

every_benchmark = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))


def open_benchmark(name: str) -> Benchmark:
    return find("benchmark", name, expected=Benchmark)


def judge_of(name: str) -> CannedResponder | None:
    """A judge that says of every reply what one says of the reference."""
    if open_benchmark(name).judge is None:
        return None
    verdict = (SAMPLES / name / "verdict.txt").read_text(encoding="utf-8")
    return CannedResponder(lambda question: verdict, "canned judge")


def mark(name: str, replies: CannedResponder, folder: Path) -> Result:
    return evaluate(
        open_benchmark(name), SAMPLES / name, responder=replies, folder=folder, judge=judge_of(name), max_tokens=10_000
    )


def words_of(question: Example) -> list[str]:
    return [text_of(turn) for turn in question.turns]


@every_benchmark
def test_it_says_what_it_is_and_whose(name: str) -> None:
    benchmark = open_benchmark(name)
    for text in (benchmark.about, benchmark.cite, benchmark.source, benchmark.licence, benchmark.images):
        assert text.strip() == text != ""
        assert "\n" not in text
    assert benchmark.images != "unknown"
    assert benchmark.metric.isidentifier()
    assert benchmark.items is None or benchmark.items > 0
    assert benchmark.task_count is None or benchmark.task_count > 0
    assert benchmark.guess is None or 0 <= benchmark.guess <= 1
    assert benchmark.max_tokens > 0


@every_benchmark
def test_ids_are_distinct_and_chances_are_chances(name: str) -> None:
    benchmark, questions = open_benchmark(name), questions_of(name)
    assert len({question.id for question in questions}) == len(questions) >= 2
    for question in questions:
        assert 0 <= benchmark.chance(question) <= 1
        assert reference_of(question).strip()
        assert fact(question, benchmark.tasks), f"{question.id} has no task"
        hash(benchmark.label(question))


@every_benchmark
def test_prompts_are_as_the_golden_file_shows_them_with_each_image_at_its_place(name: str) -> None:
    golden = (SAMPLES / name / "prompts.txt").read_text(encoding="utf-8")
    assert rendered(questions_of(name)) == golden


@every_benchmark
def test_the_blind_variant_keeps_every_word_and_no_image(name: str) -> None:
    questions = questions_of(name)
    assert any(images_of(question) or videos_of(question) for question in questions)
    for question in questions:
        blind = without_images(question)
        assert not images_of(blind)
        assert not videos_of(blind)
        assert words_of(blind) == words_of(question)


@every_benchmark
def test_reference_replies_score_one(name: str, tmp_path: Path) -> None:
    questions = questions_of(name)
    right = CannedResponder({question.id: reference_of(question) for question in questions})
    result = mark(name, right, tmp_path / "right")
    assert result.total.score == pytest.approx(1)
    assert (result.total.n, result.unanswered, result.failed) == (len(questions), 0, 0)
    assert sum(score.n for score in result.by_task.values()) == len(questions)
    assert all(score.score == pytest.approx(1) for score in [*result.by_task.values(), *result.together.values()])
    assert result.total.chance < 1


@every_benchmark
def test_empty_replies_score_nothing_and_are_unanswered(name: str, tmp_path: Path) -> None:
    result = mark(name, CannedResponder(lambda question: ""), tmp_path / "empty")
    assert (result.total.score, result.unanswered, result.failed) == (0, len(questions_of(name)), 0)


@every_benchmark
def test_what_is_asked_is_open_and_bears_no_reference(name: str, tmp_path: Path) -> None:
    seen: list[Example] = []

    def say(question: Example) -> str:
        seen.append(question)
        return ""

    mark(name, CannedResponder(say), tmp_path / "asked")
    assert {question.id for question in seen} == {question.id for question in questions_of(name)}
    assert all(question.turns[-1].role == "user" for question in seen)
    by_id = {question.id: asked(question) for question in questions_of(name)}
    assert all(question == by_id[question.id] for question in seen)


@every_benchmark
def test_a_benchmark_without_rules_wants_its_judge_before_it_asks(name: str, tmp_path: Path) -> None:
    benchmark = open_benchmark(name)
    if benchmark.score is not needs_judge:
        reply = reference_of(questions_of(name)[0])
        assert benchmark.score(questions_of(name)[0], reply) == pytest.approx(1)
        return
    right = CannedResponder(reference_of)
    with pytest.raises(ConfigError, match="judge"):
        evaluate(benchmark, SAMPLES / name, responder=right, folder=tmp_path / "unjudged")
    assert not (tmp_path / "unjudged").exists()


@pytest.mark.parametrize("name", [name for name in NAMES if open_benchmark(name).judge is not None])
def test_a_verdict_is_kept_and_not_asked_for_twice(name: str, tmp_path: Path) -> None:
    references = {question.id: reference_of(question) for question in questions_of(name)}
    verdict = (SAMPLES / name / "verdict.txt").read_text(encoding="utf-8")
    judged: list[str] = []

    def judge(question: Example) -> str:
        judged.append(question.id)
        return verdict

    def run() -> Result:
        return evaluate(
            open_benchmark(name),
            SAMPLES / name,
            responder=CannedResponder(references),
            folder=tmp_path / "e",
            judge=CannedResponder(judge),
            max_tokens=10_000,
        )

    assert run() == run()
    assert sorted(judged) == sorted(references)
    lines = (tmp_path / "e" / VERDICTS).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["reply"] for line in lines] == [verdict] * len(references)


def test_the_samples_are_small() -> None:
    sizes = [path.stat().st_size for path in _files()]
    assert sum(sizes) < LARGEST_BYTES


def test_every_sample_is_of_a_benchmark() -> None:
    folders = {path.name for path in SAMPLES.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert folders - {"annotations"} == set(NAMES), "beside them are what generate reads"


def _files() -> Iterator[Path]:
    return (path for path in SAMPLES.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
