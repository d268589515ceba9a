"""No reply ends a scoring: whatever a model says is worth something from 0 to 1, by every benchmark's every rule."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.samples.golden import questions_of
from triptych.core.plugins import find, names
from triptych.core.records import Example, Json, Text, Turn
from triptych.evaluate.benchmark import Benchmark
from triptych.evaluate.benchmarks import mathvista, naturalbench
from triptych.evaluate.question import mantis_asking
from triptych.evaluate.reading.judge import read_preference

REPLIES = 40
NEED_WORDNET = ("nextqa_oe",)
"""Which may not be there."""
LONG = (
    *("9" * 5000, "-" + "9" * 5000, "1e" + "9" * 50, "0." + "1" * 5000, "٣" * 5000, "4/" + "9" * 5000, "1," * 3000),
    *("{" * 300 + "B", "[" * 300, '{"answer":' * 300, "\\boxed{" * 100 + "B", "<answer>" * 100, "[[" * 300),
    *("a " * 400, "B " * 400, "." * 1000, "\0" * 1000, "there is a " * 200, "x" * 20_000),
)
"""More digits than a number has room for, brackets without an end, long lines."""
PIECES = (
    *("ß", "ﬁrst", "The answer is ﬁve", "ŉ", "ǰ", "İ", "ı", "ΐ", "ﬃ", "ǆ", "yeſ", "fıve", "twİce", "\u212a", "falſe"),
    *("²", "٣", "①", "Ⅻ", "½", "𝟏", "九", "²%", "1,٠٠٠", "nan", "-inf", "1e999", "1_000", "0x10", "−٣", "0/0", "%"),
    *("\ud800", "\udfff", "\0", "\x85", "\u2028", "\x1c", "\u200b", "\ufeff", "e\u0301", "\n", "\t"),
    *("\\", "\\1", "\\g<1>", "%s", "{0}", "(?", "[", "]", "(", ")", "{", "}", "|", "*", "+", "$", "^", "[1, 2]"),
    *("\\boxed{", "<answer>", "</answer>", "<think>", '{"answer": ', "[[A]]", "Final Answer:", "the answer is "),
    *("{'pred': 'yes', 'score': 4}", "score: ", "correctness: ", "Object list 1: [", "visual quality: "),
    *("A", "B", "(C)", "yes", "no", "true", "left", "image 2", "three", "minus ", "there is no ", "dog", "4 out of 5"),
)


def odd_replies(seed: str) -> list[str]:
    """Every long text, every piece alone, and some pieces one after the other."""
    chosen = random.Random(seed)
    joined = [chosen.choices(PIECES, k=chosen.randint(2, 7)) for _ in range(REPLIES)]
    return [*LONG, *PIECES, *(chosen.choice(("", " ", ". ", ", ", "\n")).join(pieces) for pieces in joined)]


def one(reference: str, **facts: Json) -> Example:
    return Example("q", (Turn("user", (Text("?"),)), Turn("assistant", (Text(reference),))), facts=facts)


@pytest.mark.parametrize("name", names("benchmark"))
def test_no_reply_ends_a_scoring(name: str) -> None:
    benchmark, questions = find("benchmark", name, expected=Benchmark), questions_of(name)
    for number, reply in enumerate(odd_replies(name)):
        question = questions[number % len(questions)]
        if benchmark.judge is None and name not in NEED_WORDNET:
            assert 0 <= benchmark.score(question, reply) <= 1
        assert benchmark.answered(question, reply) in (True, False)
        if benchmark.published:
            assert 0 <= (benchmark.published(question, reply) or 0) <= 1
        if benchmark.judge:
            with_other = replace(question, facts={"others": [{"question": "?", "reply": reply}], **question.facts})
            benchmark.judge.ask(with_other, reply)
            read = benchmark.judge.read(question, reply)
            assert read is None or all(0 <= value <= 1 for value in read.values())


@pytest.mark.parametrize("reply", [*LONG, *PIECES])
def test_no_verdict_on_two_replies_ends_a_comparison(reply: str) -> None:
    assert read_preference(reply) in (None, 0, 0.5, 1)


@pytest.mark.parametrize("reply", ["ß", "ﬁrst", "The answer is ﬁve", "ŉ", "ǰ"])
def test_a_letter_that_is_two_as_a_capital_is_no_options_letter_to_mantis(reply: str) -> None:
    question = one("B", choice=True, options=["1st", "ﬁrst"], right=1)
    assert mantis_asking.published(question, reply) == float(reply == "ﬁrst")


@pytest.mark.parametrize(("reply", "score"), [("yeſ", 1), ("Yes", 1), ("no, yes", 0), ("", 0)])
def test_yes_is_read_in_naturalbench_however_its_letters_look(reply: str, score: float) -> None:
    assert naturalbench.published(one("Yes", kind="yes_no", right=0), reply) == score


@pytest.mark.parametrize("reply", ["fıve", "The answer is fıve.", "nİne"])
def test_a_number_in_words_with_another_alphabets_letter_is_none(reply: str) -> None:
    assert not mathvista.answered(one("5", form="integer", precision=0), reply)
