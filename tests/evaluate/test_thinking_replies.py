"""A reasoning model's thinking is no part of its reply, nor of a judge's verdict; unfinished, there is none."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.samples.golden import questions_of
from triptych.core.plugins import find, names
from triptych.core.records import Example, Text, Turn, text_of
from triptych.core.thinking import spoken, unfinished
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.benchmarks.storyboard import BENCHMARK
from triptych.evaluate.metrics.verdict import read_verdict
from triptych.evaluate.reading.answers import Line
from triptych.evaluate.reading.choices import choose
from triptych.evaluate.reading.judge import Judge, judge_replies, needs_judge, read_preference
from triptych.evaluate.running.result import score_all
from triptych.evaluate.running.run import evaluate
from triptych.evaluate.saved.arena import judge_pairs
from triptych.evaluate.saved.marking import mark
from triptych.evaluate.saved.meetings import Contestant
from triptych.infer.canned import CannedResponder

DRAFT = "<think>At a glance it is a zebra, or 77, or B. No, both are wrong.</think>\n\n"
NEED_WORDNET = ("nextqa_oe",)
"""Which may not be there."""


RULED = [
    name
    for name in names("benchmark")
    if find("benchmark", name, expected=Benchmark).score is not needs_judge and name not in NEED_WORDNET
]


@pytest.mark.parametrize("name", RULED)
def test_a_reply_behind_thinking_is_worth_what_it_is_without(name: str, tmp_path: Path) -> None:
    benchmark, questions = find("benchmark", name, expected=Benchmark), questions_of(name)

    def marks(form: str) -> list[tuple[float, bool]]:
        """Return what each reference is worth as a reply in this form, and whether it is one."""
        lines = [
            (each, Line(key=each.id, question=each, responder="r", reply=form % text_of(each.turns[-1])))
            for each in questions
        ]
        return [(item.score, item.answered) for item in score_all(benchmark, lines, judge=None, folder=tmp_path)]

    plain = marks("%s")
    assert marks(DRAFT + "%s") == marks("<think>\n\n</think>\n\n%s") == plain
    assert set(marks("<think>It is %s, or rather")) == {(0.0, False)}
    for form in ("%s\n\n<reflection>It is a zebra.</reflection>", "%s\n<think>Or a zebra, as"):
        assert marks(form) == plain


def question(name: str, right: str = "red") -> Example:
    return Example(
        name, (Turn("user", (Text("Which colour?"),)), Turn("assistant", (Text(right),))), facts={"chance": 0.0}
    )


def test_replies_are_kept_as_they_were_said_and_scored_without_their_thinking(board: Path, tmp_path: Path) -> None:
    def think(asked: Example) -> str:
        return "<think>It may be the blue one, or" if asked.id.endswith("-0") else "<think>The blue?</think>\nthe red"

    folder = tmp_path / "e"
    found = evaluate(BENCHMARK, board / "held_in.jsonl", responder=CannedResponder(think, "r"), folder=folder)
    plain = CannedResponder(lambda asked: "" if asked.id.endswith("-0") else "the red", "r")
    same = evaluate(BENCHMARK, board / "held_in.jsonl", responder=plain, folder=tmp_path / "plain")
    assert (found.total, found.unanswered) == (same.total, same.unanswered)
    kept = [json.loads(line)["reply"] for line in (folder / "answers.jsonl").read_text().splitlines()]
    assert kept == ["<think>It may be the blue one, or", *["<think>The blue?</think>\nthe red"] * 15]
    marked = mark(BENCHMARK, folder / "answers.jsonl")
    assert marked.result.total == found.total
    assert [item.reply for item in marked.items] == kept


def test_what_is_marked_shows_the_option_that_was_scored(tmp_path: Path) -> None:
    asked = replace(question("q"), facts={"choice": True, "options": ["red", "blue"]})
    of = replace(BENCHMARK, questions=lambda _: iter([asked]))
    (tmp_path / "r.jsonl").write_text(json.dumps({"id": "q", "reply": "<think>Or is it red"}) + "\n")
    (item,) = mark(of, tmp_path / "r.jsonl", data=tmp_path).items
    assert (item.answered, item.choice, item.score) == (False, None, 0.0)


@pytest.mark.parametrize(
    ("reply", "option"),
    [
        ("B\n<scratchpad>Or is it A", 1),
        ("<reflection>It is A, is it?", None),
        ("A is shown.</reflection>B", 1),
        ("A<reflection>B.</reflection>", 0),
        ("<think>A.</think>B<think>C.</think>", 1),
        ("[THINK]A.[/THINK]B", 1),
    ],
)
def test_an_option_is_read_beside_the_thinking_by_whoever_reads_the_whole_reply(reply: str, option: int | None) -> None:
    assert choose(("the dog", "the cat", "the owl"), reply).option == option


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("It opens with `<think>`. The answer is B.", "It opens with `<think>`. The answer is B."),
        ("From `<think>` to `</think>`: B", "From `<think>` to `</think>`: B"),
        ("``<think>`` or `` </think> `` or `[THINK]`: B", "``<think>`` or `` </think> `` or `[THINK]`: B"),
        ("<think>Is it behind `</think>`? A.</think>B", "B"),
        ("<think>It is `A`</think>`B`", "`B`"),
        ("A `<think>`<think>Or `B`?</think>", "A `<think>`"),
        ("<think>There is a ` and then `A`</think>`B`", "`B`"),
        ("<think>There are `</think>`s in it.</think>B", "B"),
        ("`<think>A`", "`"),
        ("It is `B\n<think>` or", "It is `B\n"),
        ("`<think>A.</think>B`", "B`"),
    ],
)
def test_a_code_span_that_is_a_mark_alone_speaks_of_it(reply: str, said: str) -> None:
    assert spoken(reply) == said


def test_thinking_that_a_code_span_would_begin_goes_on() -> None:
    assert unfinished("It opens with `<think>")
    assert not unfinished("It opens with `<think>`")


@pytest.mark.parametrize("words", ["`", "` ", "`<think>", "`<think>`", "``<think>` ", "` <think> ", "`</think>` ` "])
def test_a_loop_of_code_spans_is_read_at_once(words: str) -> None:
    spoken(words * (200_000 // len(words)))


def test_the_authors_reading_sees_the_whole_reply(board: Path, tmp_path: Path) -> None:
    def published(asked: Example, reply: str) -> float:
        return float("blue" in reply)

    of = replace(BENCHMARK, published=published)
    thinker = CannedResponder(lambda _: "<think>blue?</think>red", "r")
    found = evaluate(of, board / "held_in.jsonl", responder=thinker, folder=tmp_path)
    assert found.published is not None
    assert found.published.score == 1.0


def ask(asked: Example, reply: str) -> Example:
    return Example("", (Turn("user", (Text(f"mark {reply}"),)),))


def read(asked: Example, verdict: str) -> Mapping[str, float] | None:
    score = read_verdict(verdict, top=1.0).score
    return None if score is None else {"score": score}


JUDGE = Judge(ask=ask, read=read, published="somebody")


def test_a_judge_sees_no_thinking(tmp_path: Path) -> None:
    seen: list[str] = []

    def look(prompt: Example) -> str:
        seen.append(text_of(prompt.turns[-1]))
        return "score: 1.0"

    of = replace(BENCHMARK, score=needs_judge, judge=JUDGE)
    lines = [
        (question(name), Line(key=name, question=question(name), responder="r", reply=reply))
        for name, reply in (("a", "<think>blue?</think>\nred"), ("b", "<think>red"), ("c", "red"))
    ]
    found = score_all(of, lines, judge=CannedResponder(look), folder=tmp_path)
    assert seen == ["mark red", "mark red"]
    assert [(item.answered, item.score) for item in found] == [(True, 1.0), (False, 0.0), (True, 1.0)]


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ("<think>A perfect one would be score: 1.0. It lacks a part.</think>\nscore: 0.5", 0.5),
        ("<think>A wholly wrong one is score: 0.0. Now I look at", None),
        ("It is right, so score: 1.0</think>score: 0.2", 0.2),
        ("score: 0.5", 0.5),
    ],
)
def test_a_verdict_is_read_behind_the_judges_thinking(said: str, score: float | None, tmp_path: Path) -> None:
    judge = CannedResponder(lambda _: said)
    verdict = judge_replies(JUDGE, [(question("q"), "red")], responder=judge, folder=tmp_path)["q"]
    assert verdict.measures.get("score", math.nan) == pytest.approx(math.nan if score is None else score, nan_ok=True)
    assert ("cannot be read" in verdict.reason) == (score is None)
    kept = json.loads((tmp_path / "verdicts.jsonl").read_text())
    assert kept["reply"] == said


@pytest.mark.parametrize(
    ("said", "won"),
    [
        ("<think>At a glance reply B is better, as it is short. Yet</think>\n\nA", 1.0),
        ("<think>Reply A is better because", None),
        ("A is better at first. Hmm.</think>B", 0.0),
        ("[[A]]</think>[[tie]]", 0.5),
        ("[[B]] <reasoning>It is right, and A is better at nothing.</reasoning>", 0.0),
        ("A\n<think>Or is it", 1.0),
    ],
)
def test_a_preference_is_read_behind_the_judges_thinking(said: str, won: float | None) -> None:
    assert read_preference(said) == won


def test_the_arena_shows_a_judge_no_thinking(tmp_path: Path) -> None:
    seen: list[str] = []

    def look(prompt: Example) -> str:
        seen.append(text_of(prompt.turns[-1]))
        return "tie"

    pair = [
        Contestant(name, {"q": reply}, {"q": question("q")})
        for name, reply in (("x", "<think>blue?</think>\nred"), ("y", "<think>It is blue, or"))
    ]
    judge_pairs(pair, CannedResponder(look), path=tmp_path / "arena.jsonl")
    assert all("blue" not in said for said in seen)
    assert "Reply A:\nred\n\nReply B:\n(nothing)\n" in seen[0]
