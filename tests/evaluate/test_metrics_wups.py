"""WUPS: NExT-QA's formula, with a dictionary of a few words, and with WordNet where it is there."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from tests.samples.golden import questions_of
from triptych.core.errors import ConfigError
from triptych.core.plugins import find
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.metrics.wordnet import DEBIAN, FOLDER_VARIABLE, WordNet, open_wordnet
from triptych.evaluate.metrics.wups import STOP_WORDS, same_words, words, wups

NEXT_OE = find("benchmark", "nextqa_oe", expected=Benchmark)


NEAR = {("dog", "cat"): 0.8, ("dog", "sofa"): 0.5, ("cat", "sofa"): 0.4, ("run", "walk"): 0.6, ("run", "dog"): 0.2}
BASES = {"dogs": "dog", "running": "run", "ran": "run", "is": "be", "walks": "walk"}


class FewWords:
    """A dictionary of five pairs."""

    def similarity(self, word: str, other: str) -> float:
        return 1.0 if word == other else NEAR.get((word, other), NEAR.get((other, word), 0.0))

    def base_form(self, word: str) -> str:
        return BASES.get(word, word)


FEW = cast("WordNet", FewWords())


@pytest.mark.parametrize(
    ("reference", "reply", "threshold", "score"),
    [
        ("the dog", "dogs", 0.0, 1.0),
        ("dog", "cat", 0.0, 0.8),
        ("dog", "cat", 0.9, 0.08),
        ("dog running", "the cat walks", 0.0, 0.8 * 0.6),
        ("dog", "dog sofa", 0.0, 0.5),  # The lesser of 1 and 1 x 0.5.
        ("dog sofa", "dog", 0.0, 0.5),
        ("dog", "dog xyzzy", 0.0, 1.0),  # A word that nothing is near to costs nothing.
        ("dog", "xyzzy", 0.0, 0.0),
        ("dog", "is the", 0.0, 0.0),
        ("dog", "", 0.0, 0.0),
        ("", "dog", 0.0, 0.0),
    ],
)
def test_wups_is_the_lesser_product_of_nearest_words(
    reference: str, reply: str, threshold: float, score: float
) -> None:
    assert wups(reference, reply, threshold=threshold, net=FEW) == pytest.approx(score)


def test_counts_and_yes_or_no_must_be_the_same_words() -> None:
    assert same_words("two dogs", "There are two of the dog.", net=FEW)
    assert not same_words("two", "three", net=FEW)
    assert not same_words("two", "", net=FEW)


def test_words_of_place_and_denial_are_no_stop_words() -> None:
    assert not STOP_WORDS & {"in", "on", "up", "down", "both", "not", "no", "under", "before", "more"}
    assert words("Don't sit</s>") == ["don", "t", "sit"]


def test_the_better_of_two_references_counts_and_counts_must_be_exact() -> None:
    why, before, count = questions_of("nextqa_oe")
    assert NEXT_OE.score(why, "Shows itself") == 1.0
    assert before.facts["kind"] == "TN"
    assert (NEXT_OE.score(count, "One."), NEXT_OE.score(count, "")) == (1.0, 0.0)
    assert not NEXT_OE.answered(count, "?!")


def test_without_wordnet_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    open_wordnet.cache_clear()
    with pytest.raises(ConfigError, match=r"WordNet 3\.0") as told:
        wups("a dog", "a cat")
    assert "\n" not in str(told.value)
    assert "pip install nltk" in str(told.value)
    open_wordnet.cache_clear()


@pytest.fixture(scope="module")
def net() -> WordNet:
    """WordNet, where it is installed."""
    pytest.importorskip("nltk", reason="NLTK reads WordNet and is optional: pip install nltk")
    try:
        return open_wordnet()
    except ConfigError:
        pytest.skip(f"WordNet is not here: set {FOLDER_VARIABLE}, or install it under {DEBIAN} (wordnet-base)")


def test_first_senses_are_as_near_as_wordnet_has_them(net: WordNet) -> None:
    assert net.similarity("dog", "cat") == pytest.approx(6 / 7)
    assert net.similarity("kid", "child") == 1.0
    assert net.similarity("dog", "xyzzy") == 0.0
    assert [net.base_form(word) for word in ("running", "takes", "children", "xyzzy")] == [
        "run",
        "take",
        "child",
        "xyzzy",
    ]


def test_a_noun_is_near_no_verb_unless_the_verb_asks(net: WordNet) -> None:
    assert net.similarity("dog", "eat") == 0.0
    assert net.similarity("eat", "dog") > 0.0


def test_a_near_answer_scores_less_than_the_right_one_and_more_than_a_far_one(net: WordNet) -> None:
    near, far = wups("playing with the dog", "plays with a cat"), wups("playing with the dog", "cooks a soup")
    assert 0 <= far < near < 1
    assert wups("playing with the dog", "plays with dogs") == 1.0
