"""Verdicts that were paid are kept and read: in parts put together, under other settings; not where they were cut."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from triptych.core.plugins import find
from triptych.core.records import Answer, Example, Text, Turn
from triptych.core.shard import Shard
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.metrics.mementos import keyword_lists
from triptych.evaluate.metrics.verdict import read_verdict
from triptych.evaluate.reading.judge import VERDICTS, judge_replies, reading_of
from triptych.evaluate.running.merge import merge
from triptych.evaluate.running.result import Result
from triptych.evaluate.running.run import evaluate
from triptych.evaluate.saved.rescore import rescore_run
from triptych.infer.canned import CannedResponder
from triptych.infer.responder import Failed

NAME = "of_verdicts.judged"
"""A benchmark of the tests: storyboard, marked by a judge with ``score: 0.5``."""


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Benchmark:
    (tmp_path / "of_verdicts").mkdir()
    (tmp_path / "of_verdicts" / "judged.py").write_text(
        "from dataclasses import replace\n"
        "from triptych.core.records import Example, Text, Turn\n"
        "from triptych.evaluate.benchmarks.storyboard import BENCHMARK\n"
        "from triptych.evaluate.metrics.verdict import read_verdict\n"
        "from triptych.evaluate.reading.judge import Judge, needs_judge\n"
        "def ask(question, reply):\n"
        "    return Example('', (Turn('user', (Text(f'mark {reply}'),)),))\n"
        "def read(question, verdict):\n"
        "    score = read_verdict(verdict, top=1.0).score\n"
        "    return None if score is None else {'score': score}\n"
        "BENCHMARK = replace(BENCHMARK, score=needs_judge, judge=Judge(ask=ask, read=read, published='somebody'))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    monkeypatch.delitem(sys.modules, "of_verdicts", raising=False)
    return find("benchmark", NAME, expected=Benchmark)


@dataclass
class Marker:
    """Says the same of every reply, and counts how often it is asked. ``mark`` may change."""

    mark: str
    name: str = "j"
    fingerprint: str = "f"
    asked: int = 0

    def answer(self, questions: Sequence[Example], *, max_tokens: int = 32) -> Iterator[Answer | Failed]:
        for prompt in questions:
            self.asked += 1
            failed = self.mark == "nothing"
            yield Failed(prompt.id, "no network") if failed else Answer(prompt.id, self.mark)


def measure(judged: Benchmark, board: Path, folder: Path, judge: Marker, shard: Shard | None = None) -> Result:
    red = CannedResponder(lambda _: "the red", "r")
    return evaluate(judged, board, responder=red, folder=folder, shard=shard, judge=judge, name=NAME)


@pytest.mark.parametrize("first", ["I am not sure.", "nothing"])
def test_of_a_reply_that_was_judged_again_the_verdict_that_can_be_read_is_merged(
    judged: Benchmark, board: Path, tmp_path: Path, first: str
) -> None:
    judge, parts = Marker(first), [Shard(number, 2) for number in (1, 2)]
    for said in (first, "score: 0.9"):
        judge.mark = said
        for part in parts:
            measure(judged, board, tmp_path / "e" / part.folder, judge, part)
    before = judge.asked
    assert merge([tmp_path / "e"], out=tmp_path / "whole") is None
    found = measure(judged, board, tmp_path / "whole", judge)
    assert (found.failed, judge.asked) == (0, before)
    assert found.total.n == 32


def test_a_part_that_is_the_whole_loses_no_verdict(judged: Benchmark, board: Path, tmp_path: Path) -> None:
    """One folder has the verdicts that can be read, whichever it is, and whichever of them is written into."""
    good, bad, out = tmp_path / "good", tmp_path / "bad", tmp_path / "out"
    judge = Marker("score: 0.9")
    score = measure(judged, board, good, judge).total.score
    judge.mark = "I am not sure."
    measure(judged, board, bad, judge)
    judge.mark = "score: 0.1"
    before = judge.asked
    for place, parts in ((out, [good, bad]), (good, [bad, good]), (bad, [good, bad]), (bad, [bad, good])):
        assert merge(parts, out=place) is None
        lines = (place / VERDICTS).read_text().splitlines()
        found = measure(judged, board, place, judge)
        assert (found.failed, judge.asked, found.total.score) == (0, before, score)
        assert merge(parts, out=place) is None
        assert (place / VERDICTS).read_text().splitlines() == lines


def test_a_result_is_scored_anew_by_the_verdicts_that_it_is_of(judged: Benchmark, board: Path, tmp_path: Path) -> None:
    folder = tmp_path / "e"
    kinds = [Marker("score: 0.1"), Marker("score: 0.9", fingerprint="other")]
    scores = [measure(judged, board, folder, judge).total.score for judge in kinds]
    assert scores[0] < scores[1]
    for judge, score in (*zip(kinds, scores, strict=True), (kinds[0], scores[0])):
        measure(judged, board, folder, judge)
        held = (folder / "result.json").read_bytes(), (folder / "items.jsonl").read_bytes()
        for _ in range(2):
            (found,) = rescore_run(folder)
            assert (found.after.score, found.changed, found.failed) == (score, (), 0)
        assert ((folder / "result.json").read_bytes(), (folder / "items.jsonl").read_bytes()) == held
    assert [judge.asked for judge in kinds] == [24, 24]  # eight of the replies are empty


@pytest.mark.parametrize("said", ["I am not sure.", "nothing"])
def test_why_there_is_no_verdict_is_told_anew_as_it_was(
    judged: Benchmark, board: Path, tmp_path: Path, said: str
) -> None:
    folder = tmp_path / "e"
    assert measure(judged, board, folder, Marker(said)).failed == 24
    held = (folder / "result.json").read_bytes(), (folder / "items.jsonl").read_bytes()
    assert rescore_run(folder)[0].failed == 24
    assert ((folder / "result.json").read_bytes(), (folder / "items.jsonl").read_bytes()) == held


def test_a_result_of_an_older_version_is_scored_anew_by_the_last_verdicts(
    judged: Benchmark, board: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "e"
    score = measure(judged, board, folder, Marker("score: 0.5")).total.score
    result = json.loads((folder / "result.json").read_text())
    del result["judge_asking"]
    (folder / "result.json").write_text(json.dumps(result))
    for _ in range(2):
        (found,) = rescore_run(folder)
        assert (found.after.score, found.changed, found.failed) == (score, (), 0)


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ("Mostly right, so I give it this score: 0.", None),
        ("score: 0", None),
        ("score: 0.7 because the red one", 0.7),
        ("score: 0.7\n", 0.7),
        ("score: 0.", None),
        ("It shows", None),
    ],
)
def test_a_verdict_that_ends_where_it_was_cut_is_none(said: str, score: float | None, tmp_path: Path) -> None:
    def number(verdict: str) -> float | None:
        return read_verdict(verdict, top=1.0).score

    assert reading_of(number, said, cut=True) == score
    assert reading_of(number, said) == number(said)


def test_only_what_may_have_gone_on_is_doubted_in_a_verdict_that_was_cut() -> None:
    lists = "Object list 1: [dog]\nAction list 1: [bark]\nObject list 2: [dog]\nAction list 2: [bark"
    assert reading_of(keyword_lists, lists, cut=True) is None
    assert reading_of(keyword_lists, f"{lists}\n", cut=True) is None
    assert reading_of(lambda said: said.strip() if len(said.split()) == 1 else None, "0.5\n", cut=True) == "0.5"
    assert reading_of(keyword_lists, f"{lists}]\nI left", cut=True) == keyword_lists(f"{lists}]")
    assert reading_of(read_verdict, "{'pred': 'yes', 'score': 4} The", cut=True) == read_verdict("pred: yes, score: 4")
    assert reading_of(read_verdict, "score: 4", cut=True) is None
    objects = re.compile(r"\w+").findall
    assert reading_of(objects, "[dog, cat\n", cut=True) is None
    assert reading_of(objects, "[dog, cat]\n", cut=True) == ["dog", "cat"]


@pytest.mark.parametrize("form", [r"(\d)(\d)?", r"(\d)(?:\d* (\d+))?", r"(\d)(?:\d* of (\d+))?"])
def test_a_number_at_the_end_of_a_cut_verdict_may_have_had_more_digits_another_number_or_a_scale(form: str) -> None:
    def read(said: str) -> tuple[str | None, ...] | None:
        return found.groups() if (found := re.match(form, said)) else None

    assert reading_of(read, "4", cut=True) is None
    assert reading_of(read, "4;", cut=True) == reading_of(read, "4\n", cut=True) == ("4", None)


def test_a_cut_verdict_is_asked_for_again_and_told_with_what_to_do(judged: Benchmark, tmp_path: Path) -> None:
    assert judged.judge is not None
    asked = Example("q", (Turn("user", (Text("Which?"),)), Turn("assistant", (Text("red"),))))
    said = CannedResponder(lambda _: "so I would give it the score: 0. Then again " + "and again " * 200, "j")
    short = CannedResponder(lambda _: "a b c d e f " * 60 + "score: 0.", "j")
    found = judge_replies(judged.judge, [(asked, "red")], responder=said, folder=tmp_path / "one")["q"]
    assert found.measures == {"score": 0.0}
    cut = judge_replies(judged.judge, [(asked, "red")], responder=short, folder=tmp_path / "two")["q"]
    assert not cut.measures
    assert "as it was cut (raise judge.max_tokens)" in cut.reason
    assert json.loads((tmp_path / "two" / VERDICTS).read_text())["cut"] is True
    assert math.isclose(found.measures["score"], 0)
