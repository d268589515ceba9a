"""Chance and majority beside a total that is a mean of means: they are added up as the total is."""

from __future__ import annotations

from statistics import fmean

import pytest

from triptych.core.plugins import find
from triptych.core.records import Example, Text, Turn
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.reading.answers import Line
from triptych.evaluate.running.result import Scored, result_of
from triptych.evaluate.saved.compare import compare_pairs
from triptych.evaluate.saved.sides import Side

ROWS = [("food", "knowledge", 0.2, "(A)")] * 3 + [
    ("count", "perception", 0.0, "two"),
    ("count", "perception", 0.0, "4"),
]
DATASETS = {"food": "RAVEN", "count": "VIST"}
"""Two data sets of LLaVA-Interleave Bench, each of a category of its own."""


def asked(suite: str) -> list[Example]:
    """Three choices of one category, and two questions with free answers of another."""
    return [
        Example(
            str(at),
            (Turn("user", (Text(f"{at}: which?"),)), Turn("assistant", (Text(right),))),
            facts={
                "kind": kind if suite == "mirb" else DATASETS[kind],
                "category": category,
                "chance": chance,
                **({"choice": True, "options": ["", ""], "right": at % 2} if suite == "mirb" and chance else {}),
            },
        )
        for at, (kind, category, chance, right) in enumerate(ROWS)
    ]


@pytest.mark.parametrize(("suite", "hits"), [("mirb", 2 / 3), ("llava_interleave", 1.0)])
def test_chance_and_majority_of_a_suite_are_means_of_means_as_its_total_is(suite: str, hits: float) -> None:
    own = find("benchmark", suite, expected=Benchmark)
    scored = [
        Scored(Line(key=it.id, question=it, responder="r", reply="x"), it, own.chance(it), score=0.5, answered=True)
        for it in asked(suite)
    ]
    found = result_of(scored, own, groups={}, refused=0, responder="r")
    assert found.total.chance == pytest.approx(fmean([0.2, 0.0]))
    assert found.majority == found.total.majority == pytest.approx(fmean([hits, 0.5]))
    assert sorted(score.chance for score in found.by_kind.values()) == pytest.approx([0.0, 0.2])


@pytest.mark.parametrize(("suite", "hits"), [("mirb", 2 / 3), ("llava_interleave", 1.0)])
def test_beside_common_questions_of_a_suite_stand_means_of_means_too(suite: str, hits: float) -> None:
    questions = {it.id: it for it in asked(suite)}
    sides = [
        Side("run", suite, "all", condition, scores, frozenset(), known, rules=suite)
        for condition, scores, known in (
            ("tuned", {**dict.fromkeys(questions, 1.0), "more": 1.0}, questions),
            ("untuned", dict.fromkeys(questions, 0.0), questions),
        )
    ]
    (row,) = compare_pairs([(sides[0], sides[1])], common=True)
    assert row.chance == pytest.approx(fmean([0.2, 0.0]))
    assert row.majority == pytest.approx(fmean([hits, 0.5]))
