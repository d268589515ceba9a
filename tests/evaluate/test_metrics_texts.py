"""ROUGE-L, CIDEr, ANLS and relaxed accuracy equal the packages and definitions that papers report."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.evaluate.metrics.anls import anls, edit_distance
from triptych.evaluate.metrics.cider import TOP, Cider, corpus_cider, tokens
from triptych.evaluate.metrics.relaxed import relaxed
from triptych.evaluate.metrics.rouge import Rouge, published_rouge_l

WORDS = ("the", "cat", "dog", "sat", "red", "The", "3.5", "it's", ".", "a.", "left,")
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join)
CAPTIONS = (
    ["a dog runs on the beach", "the dog is running over sand", "a brown dog on a beach"],
    ["two men ride a red bus", "a red bus with two men"],
    ["a plate of food", "food on a white plate", "some food on a plate on a table"],
)
REPLIES = ("a dog runs on sand", "a red bus", "a cat")


def package(name: str) -> Any:
    """Return a reference package, or skip: only this parity needs it."""
    return pytest.importorskip(name, reason=f"{name} is not installed, so there is nothing to compare with")


@given(TEXTS, TEXTS)
def test_published_rouge_l_is_that_of_rouge_1_0_1(reference: str, reply: str) -> None:
    scorer = package("rouge").Rouge(metrics=["rouge-l"])
    if not reply.strip(".") or not reference.strip("."):
        with pytest.raises(ValueError, match="periods"):
            published_rouge_l(reference, reply)
        return
    theirs = scorer.get_scores(reply, reference)[0]["rouge-l"]
    assert published_rouge_l(reference, reply) == Rouge(theirs["p"], theirs["r"], theirs["f"])


def test_the_published_rouge_counts_a_repeated_word_once() -> None:
    assert published_rouge_l("the cat", "the the the cat").f == 0.999999995


def cider_of_package(references: Sequence[Sequence[str]], replies: Sequence[str]) -> list[float]:
    scorer = package("pycocoevalcap.cider.cider").Cider()
    _, scores = scorer.compute_score(
        {number: list(texts) for number, texts in enumerate(references)},
        {number: [text] for number, text in enumerate(replies)},
    )
    return [float(score) for score in scores]


def test_cider_is_that_of_pycocoevalcap() -> None:
    assert corpus_cider(CAPTIONS, REPLIES) == pytest.approx(cider_of_package(CAPTIONS, REPLIES), abs=1e-9)


@given(st.lists(st.tuples(st.lists(TEXTS, min_size=1, max_size=3), TEXTS), min_size=1, max_size=4))
def test_cider_is_that_of_pycocoevalcap_on_any_tokens(rows: list[tuple[list[str], str]]) -> None:
    references, replies = [texts for texts, _ in rows], [reply for _, reply in rows]
    scorer = Cider(dict(enumerate(references)))
    ours = [scorer.score(number, reply) for number, reply in enumerate(replies)]
    assert ours == pytest.approx(cider_of_package(references, replies), abs=1e-9)


def test_the_best_reply_has_the_top_score_and_a_strange_one_none() -> None:
    references = [["a dog runs on the beach"], ["two men ride a red bus"]]
    best = corpus_cider(references, ["A dog runs on the beach.", "purple clouds"])
    assert best == pytest.approx([TOP, 0.0])


@pytest.mark.parametrize(
    ("caption", "told"),
    [
        ("A man's dog, isn't it?", "a man 's dog is n't it"),
        ("He can't, won't (do) it.", "he ca n't wo n't -lrb- do -rrb- it"),
        ("A 2-story house at 10:30 a.m. in the U.S.", "a 2-story house at 10:30 a.m. in the u.s."),
        ("black-and-white photo of 1,000 cats & 3.5 dogs", "black-and-white photo of 1,000 cats & 3.5 dogs"),
        ('50% off "sale" sign', "50 % off sale sign"),
        ("The 1950's car -- ok... fine;", "the 1950 's car ok fine"),
        ("price is $5.00", "price is $ 5.00"),
        ("You cannot go", "you can not go"),
        ("Mr. Smith's e-mail: a@b.com", "mr. smith 's e-mail a@b.com"),
        ("rock 'n' roll of the '90s", "rock 'n' roll of the '90s"),
    ],
)
def test_captions_are_parted_as_the_official_tokenizer_does(caption: str, told: str) -> None:
    assert tokens(caption) == told


def test_cider_without_references_is_an_error() -> None:
    with pytest.raises(ValueError, match="a reference of each"):
        corpus_cider([["a dog"], []], ["a dog", "a cat"])
    with pytest.raises(ValueError, match="2 items but 1"):
        corpus_cider([["a dog"], ["a cat"]], ["a dog"])


@pytest.mark.parametrize(
    ("answers", "reply", "score"),
    [
        (["Paris"], "paris", 1.0),
        (["Paris"], " PARIS ", 1.0),
        (["paris"], "pariss", 1 - 1 / 6),
        (["kitten"], "sitting", 1 - 3 / 7),
        (["kitten", "sitting"], "sitting", 1.0),
        (["ab"], "xb", 0.5),
        (["abc"], "xyc", 0.0),
        (["31 March"], "", 0.0),
        (["two  words"], "two words", 1.0),
        (["cat"], "cut  ", 1 - 1 / 5),
        ([""], "", 1.0),
    ],
)
def test_anls_is_the_nearest_answer_above_one_half(answers: list[str], reply: str, score: float) -> None:
    assert anls(answers, reply) == pytest.approx(score)


@given(st.text("ab", max_size=7), st.text("ab", max_size=7), st.text("ab", max_size=7))
def test_an_edit_distance_is_a_distance(first: str, second: str, third: str) -> None:
    assert edit_distance(first, second) == edit_distance(second, first)
    assert (edit_distance(first, second) == 0) == (first == second)
    assert edit_distance(first, third) <= edit_distance(first, second) + edit_distance(second, third)
    assert abs(len(first) - len(second)) <= edit_distance(first, second) <= max(len(first), len(second))


def test_an_edit_distance_is_the_one_that_its_definition_gives() -> None:
    levenshtein = pytest.importorskip("nltk.metrics.distance", reason="nltk is not installed").edit_distance
    for first, second in [("kitten", "sitting"), ("flaw", "lawn"), ("", "abc"), ("intention", "execution")]:
        assert edit_distance(first, second) == levenshtein(first, second)


@pytest.mark.parametrize(
    ("reference", "reply", "score"),
    [
        ("100", "105", 1.0),
        ("100", "95", 1.0),
        ("100", "105.1", 0.0),
        ("-20", "-20.9", 1.0),
        ("12%", "0.12", 1.0),
        ("0.12", "12%", 1.0),
        ("12", "12%", 0.0),
        ("0", "0.0", 0.0),
        ("0", "0", 1.0),
        ("3", "three", 0.0),
        ("Yes", "yes ", 1.0),
        ("12%", " 0.12\n", 1.0),
        ("2010", "2050", 1.0),
        ("Red", "dark red", 0.0),
        ("nan", "NaN", 1.0),
        ("inf", "1", 0.0),
    ],
)
def test_a_number_may_be_five_percent_off(reference: str, reply: str, score: float) -> None:
    assert relaxed(reference, reply) == score


def test_every_metric_is_a_module_of_its_own() -> None:
    names = ("anls", "cider", "interleave", "mementos", "relaxed", "rouge", "spearman", "verdict", "vqa")
    assert all(importlib.import_module(f"triptych.evaluate.metrics.{name}").__doc__ for name in names)
