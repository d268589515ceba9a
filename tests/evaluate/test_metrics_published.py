"""Scoring equals what the published code of LLaVA-Interleave, VideoScore, Mementos, NLVR2 and GPT judges gives."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from tests.pictures import real_data
from triptych.evaluate.benchmarks.nlvr2 import statement_of
from triptych.evaluate.metrics import interleave
from triptych.evaluate.metrics.interleave import category_scores, dataset_score, multi_choice, open_ended, process
from triptych.evaluate.metrics.mementos import Overlap, keyword_lists, keyword_scores
from triptych.evaluate.metrics.rouge import published_rouge_l
from triptych.evaluate.metrics.spearman import pair_is_right, rank_correlation
from triptych.evaluate.metrics.verdict import Verdict, read_verdict


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    """Values that the published code gave."""
    loaded: dict[str, Any] = json.loads((real_data("golden") / "llava_interleave.json").read_text("utf-8"))
    return loaded


def test_texts_are_processed_as_published(golden: dict[str, Any]) -> None:
    assert {text: process(text) for text, _ in golden["process"]} == dict(golden["process"])


def test_the_published_rouge_gives_the_golden_values(golden: dict[str, Any]) -> None:
    for case in golden["rouge_l_1_0_1"]:
        found = published_rouge_l(case["ref"], case["pred"])
        assert (found.precision, found.recall, found.f) == (case["p"], case["r"], case["f"])


def test_interleave_bench_is_scored_as_published(golden: dict[str, Any]) -> None:
    told = golden["interleave_bench_scoring"]
    found: dict[str, list[float | None]] = {}
    for record in told["records"]:
        rule = open_ended if record["type"] == "open-ended" else multi_choice
        score = rule(record["gt"], record["pred"])
        assert score is not None
        assert round(score, 3) == record["score"], record
        found.setdefault(record["dataset"], []).append(score)
    means = {name: dataset_score(scores) for name, scores in found.items()}
    wanted = {name: next(iter(values.values())) for name, values in told["by_dataset"].items()}
    assert means == pytest.approx(wanted, abs=1e-15)
    assert category_scores(means) == pytest.approx(told["by_category"], abs=1e-15)
    assert set(category_scores(means)) == set(interleave.CATEGORIES)


@pytest.mark.parametrize(
    ("reference", "reply", "score"),
    [
        ("A", "(A)", 1.0),
        ("B", "Answer: B", 1.0),
        ("C", "The answer is C", 0.0),
        ("A", "A. Sharper", 0.0),
        ("G", "F: G", 1.0),
        ("I", "x: I", 0.0),
        ("B", "a: b: the dog", 1.0),
        ("image 2", "Image 2.", 1.0),
    ],
)
def test_a_choice_is_an_exact_match_but_for_colons(reference: str, reply: str, score: float) -> None:
    assert multi_choice(reference, reply) == score


def test_odd_open_ended_replies_have_a_score() -> None:
    assert open_ended("", "a dog") is None
    assert open_ended(" () ", "a dog") is None
    assert open_ended("a dog", "") == 0.0
    assert open_ended("a 1.0", ".1.1.1") is not None
    words = "word " * 102
    assert open_ended("end", f"{words}end") == pytest.approx(0.0)
    assert open_ended("end", f"{words[:500]} end") == pytest.approx(2 / 3)


def test_an_empty_dataset_is_an_error_and_one_without_a_category_is_its_own() -> None:
    with pytest.raises(ValueError, match="counts"):
        dataset_score([None])
    assert category_scores({"RAVEN": 0.5, "Somewhere else": 1.0}) == {"puzzle": 0.5, "Somewhere else": 1.0}


def test_correlations_of_aspects_are_the_published_ones(golden: dict[str, Any]) -> None:
    told = golden["spearman"]
    columns = zip(zip(*told["ref"], strict=True), zip(*told["ans"], strict=True), strict=True)
    found = [rank_correlation(people, scores) for people, scores in columns]
    assert [round(100 * rho, 4) for rho in found if rho is not None] == told["rho_x100"]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=2, max_size=20))
def test_the_rank_correlation_is_that_of_scipy(pairs: list[tuple[int, int]]) -> None:
    left, right = zip(*pairs, strict=True)
    assume(len(set(left)) > 1 < len(set(right)))
    assert rank_correlation(left, right) == pytest.approx(stats.spearmanr(left, right).statistic, abs=1e-12)


@pytest.mark.parametrize(("left", "right"), [([1, 2, math.nan], [1, 2, 3]), ([1, 2, 3], [1, 2, math.nan])])
def test_nan_has_no_rank(left: list[float], right: list[float]) -> None:
    with pytest.raises(ValueError, match="value 2 is NaN, which has no rank"):
        rank_correlation(left, right)
    assert rank_correlation([1, 2, math.inf], [1, 2, 3]) == pytest.approx(1), "an infinite one has"


def test_a_constant_side_has_no_correlation() -> None:
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
    assert rank_correlation([1], [1]) is None
    assert rank_correlation([1, 2, 3], [9, 8, 7]) == pytest.approx(-1)
    with pytest.raises(ValueError, match="3 reference scores but 2"):
        rank_correlation([1, 2, 3], [1, 2])


def test_pairs_are_ordered_as_published(golden: dict[str, Any]) -> None:
    for left, right, preferred, _, expected in golden["pairwise"]["cases"]:
        assert pair_is_right(left, right, preferred=preferred) is expected


def test_the_pairs_of_a_statement_of_nlvr2_are_those_of_its_set() -> None:
    assert statement_of("dev-850-0-0") == statement_of("dev-850-3-0") != statement_of("dev-850-3-1")
    assert statement_of("850-0") == statement_of("nlvr2_0") == ""


SYNONYMS = {("puppy",): ["dog"], ("look", "up"): ["raise head"], ("run",): ["move"]}


@pytest.mark.parametrize(
    ("reference", "predicted", "overlap"),
    [
        (["dog", "toy"], ["dog", "toy"], Overlap(1.0, 1.0, 1.0)),
        (["dog", "toy"], ["puppy", "toy"], Overlap(1.0, 1.0, 1.0)),
        (["dog", "toy"], ["puppy"], Overlap(0.5, 1.0, 2 / 3)),
        (["dog"], ["cat"], Overlap(0.0, 0.0, 0.0)),
        (["dog"], [], Overlap(0.0, 0.0, 0.0)),
        ([], ["dog"], Overlap(0.0, 0.0, 0.0)),
        ([], [], Overlap(1.0, 1.0, 1.0)),
        (["raise head"], ["look", "up"], Overlap(1.0, 1.0, 1.0)),
        (["dog"], ["puppy", "cat", "hat", "bat"], Overlap(1.0, 0.5, 2 / 3)),
    ],
)
def test_keywords_are_matched_through_synonyms(reference: list[str], predicted: list[str], overlap: Overlap) -> None:
    assert keyword_scores(reference, predicted, synonyms=SYNONYMS, pairs=True) == overlap


def test_strict_counts_every_keyword_that_is_left_over() -> None:
    loose, strict = (
        keyword_scores(["dog"], ["puppy", "cat", "hat", "dog"], synonyms=SYNONYMS, strict=strict)
        for strict in (False, True)
    )
    assert (loose.precision, strict.precision) == (0.5, 1 / 3)
    assert keyword_scores(["raise head"], ["look", "up"], synonyms=SYNONYMS).recall == 0.0


def test_the_judges_lists_are_read_or_refused() -> None:
    said = (
        "Object list 1: [dog, toy]\n**Action list 1:** [bark, lean backward]\n\nobject list 2: [dog]\nAction list 2: []"
    )
    assert keyword_lists(said) == {
        "Object list 1": ("dog", "toy"),
        "Action list 1": ("bark", "lean backward"),
        "Object list 2": ("dog",),
        "Action list 2": (),
    }
    assert keyword_lists(said.replace("Action list 2", "Actions")) is None


@pytest.mark.parametrize(
    ("reply", "right", "score"),
    [
        ("{'pred': 'yes', 'score': 4}", True, 4.0),
        ('{"pred": "No", "score": 0}', False, 0.0),
        ("{'pred': 'yes', 'score': 4.8}.", True, 4.8),
        ('```json\n{"pred": "yes",\n "score": "5"}\n```', True, 5.0),
        ("Sure! Here it is: {'pred': 'no', 'score': 2} as asked.", False, 2.0),
        ("{pred: yes, score: 3}", True, 3.0),
        ("{‘pred’: ‘yes’, ‘score’: 4}", True, 4.0),
        ("pred = no; score = 1", False, 1.0),
        ("{'score': 3.5}", None, 3.5),
        ("**Score:** 4/5", None, 4.0),
        ("The score is 2.", None, 2.0),
        ("4", None, 4.0),
        ("4/5", None, 4.0),
        ("Yes.", True, None),
        ("no", False, None),
        ("{'pred': 'maybe', 'score': 3}", None, 3.0),
        ("{'pred': 'yes', 'score': 7}", True, None),
        ("{'pred': 'yes', 'score': -1}", True, None),
        ("{'pred': 'yes', 'score': 'high'}", True, None),
        ("{'pred': 'yes'} or {'pred': 'no'}, score: 2 or score: 3", None, None),
        ("{'pred': 'yes/no', 'score': 4}", None, 4.0),
        ("pred: yes or no", None, None),
        ("{'pred': 'no', 'score': 3-4}", False, None),
        ("score: 3 to 4", None, None),
        ("score: 4/10", None, None),
        ("score: 4 out of 10", None, None),
        ("score: 4 (out of 5)", None, 4.0),
        ("4/10", None, None),
        ("score: 4%", None, None),
        ("Score: 4,5", None, None),
        ("score: 4/10. So the score is 2.", None, None),
        ("score: 4\n- 2 mistakes", None, 4.0),
        ("I cannot tell.", None, None),
        ("yes and no", None, None),
        ("", None, None),
    ],
)
def test_a_verdict_is_read_from_what_judges_say(reply: str, right: bool | None, score: float | None) -> None:
    assert read_verdict(reply) == Verdict(right, score)
