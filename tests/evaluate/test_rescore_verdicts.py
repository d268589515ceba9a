"""Verdicts are found again where pictures are gone, or an older version asked in other words; else nothing is lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.samples.golden import SAMPLES
from triptych.core.plugins import find
from triptych.core.records import Answer, Example
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.benchmarks.mmdu import DIMENSIONS
from triptych.evaluate.reading.judge import VERDICTS
from triptych.evaluate.running.result import Result
from triptych.evaluate.running.run import evaluate
from triptych.evaluate.saved.rescore import lines_of, rescore_run
from triptych.infer.canned import CannedResponder
from triptych.infer.responder import Failed


class Giver:
    """A judge that gives every reply the same mark, in all dimensions; its fingerprint is its mark."""

    def __init__(self, mark: int) -> None:
        self.name, self.fingerprint = "j", str(mark)
        self.verdict = "{" + ", ".join(f"'{name}': {mark}" for name in DIMENSIONS) + "}"

    def answer(self, questions: Sequence[Example], *, max_tokens: int = 32) -> Iterator[Answer | Failed]:
        for prompt in questions:
            yield Answer(prompt.id, self.verdict)


def held(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("result.json", "items.jsonl")]


def change(path: Path, change_one: Callable[[dict[str, Any]], None]) -> None:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        change_one(row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def older_line(row: dict[str, Any]) -> None:
    del row["fingerprint"], row["max_tokens"]


def older_result(folder: Path) -> None:
    result = json.loads((folder / "result.json").read_text())
    del result["judge_asking"]
    (folder / "result.json").write_text(json.dumps(result))


@pytest.fixture
def dialogues(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SAMPLES / "mmdu", tmp_path / "mmdu"))


class Terse(Giver):
    """One that gives a low mark where it may say little."""

    def answer(self, questions: Sequence[Example], *, max_tokens: int = 32) -> Iterator[Answer | Failed]:
        return (Giver(7) if max_tokens == LONG else Giver(3)).answer(questions)


LONG = 4321


def judged(
    data: Path, folder: Path, judge: Giver, reply: str = "It is a cat.", *, max_tokens: int | None = None
) -> Result:
    benchmark = find("benchmark", "mmdu", expected=Benchmark)
    if max_tokens is not None and benchmark.judge is not None:
        benchmark = replace(benchmark, judge=replace(benchmark.judge, max_tokens=max_tokens))

    def say(asked: Example) -> str:
        return reply

    return evaluate(benchmark, data, responder=CannedResponder(say, "r"), folder=folder, judge=judge, name="mmdu")


@pytest.mark.parametrize("older", [False, True])
def test_a_judge_that_saw_pictures_is_heard_again_when_they_are_gone(
    older: bool, dialogues: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "e"
    score = judged(dialogues, folder, Giver(7)).total.score
    if older:
        change(folder / VERDICTS, older_line)
    shutil.rmtree(dialogues)
    before = held(folder)
    (found,) = rescore_run(folder)
    assert (found.after.score, found.failed, found.changed, found.lost) == (score, 0, (), False)
    assert held(folder) == before


def test_of_two_judges_of_one_name_the_one_that_the_result_is_of_is_heard_without_pictures(
    dialogues: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "e"
    judged(dialogues, folder, Giver(7))
    score = judged(dialogues, folder, Giver(3)).total.score
    judged(dialogues, folder, Giver(7))
    judged(dialogues, folder, Giver(3))
    shutil.rmtree(dialogues)
    assert rescore_run(folder)[0].after.score == score == pytest.approx(0.3)
    change(folder / VERDICTS, older_line)
    before = held(folder)
    (found,) = rescore_run(folder)  # whose verdict is whose is not known
    assert (found.after.n, found.lost) == (0, True)
    assert held(folder) == before


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("tokens", [(LONG, None, LONG), (None, LONG, None)])
def test_of_the_verdicts_of_one_judge_those_are_heard_that_had_the_results_most_tokens(
    tokens: tuple[int | None, ...], gone: bool, dialogues: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "e"
    scores = [judged(dialogues, folder, Terse(0), max_tokens=most).total.score for most in tokens]
    assert scores[0] != scores[1]
    if gone:
        shutil.rmtree(dialogues)
    assert rescore_run(folder)[0].after.score == scores[-1] == scores[0]


def test_of_two_judges_of_one_name_the_earlier_one_may_be_that_of_the_result(dialogues: Path, tmp_path: Path) -> None:
    folder = tmp_path / "e"
    first, other, again = (judged(dialogues, folder, Giver(mark)).total.score for mark in (7, 3, 7))
    assert first == again != other
    shutil.rmtree(dialogues)
    assert rescore_run(folder)[0].after.score == again


def test_a_judge_that_an_older_version_showed_thinking_is_heard_again(dialogues: Path, tmp_path: Path) -> None:
    folder, draft = tmp_path / "e", "<think>A dog?</think>"
    score = judged(dialogues, folder, Giver(7), f"{draft}It is a cat.").total.score

    def with_thinking(row: dict[str, Any]) -> None:
        older_line(row)
        assert "It is a cat." in row["asked"]
        row.update(key="another", asked=row["asked"].replace("It is a cat.", f"{draft}It is a cat."))

    change(folder / VERDICTS, with_thinking)
    older_result(folder)
    (found,) = rescore_run(folder)
    assert (found.after.score, found.failed, found.changed) == (score, 0, ())


def test_where_no_verdict_is_found_the_result_stays_and_that_is_told(dialogues: Path, tmp_path: Path) -> None:
    folder = tmp_path / "e"
    judged(dialogues, folder, Giver(7))
    before = held(folder)
    (folder / VERDICTS).unlink()
    (found,) = rescore_run(folder)
    assert (found.after.n, found.lost) == (0, True)
    assert held(folder) == before
    (line,) = lines_of([found])
    assert "was 70.0, and none of its verdicts is found in verdicts.jsonl or can be read, so result.json stays" in line
