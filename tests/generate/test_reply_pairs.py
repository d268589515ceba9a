"""Pairs in a reply: none is lost without a word, none swapped, none completed; and what was cut is known to be cut."""

from __future__ import annotations

import json
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from tests.generate.driving import draw_all, run
from tests.generate.runs import rows
from tests.generate.test_syphus import source_of
from tests.infer.endpoint import Said, completion, serving
from triptych.core.records import Example, text_of
from triptych.generate.loose_json import TornObject, values_in
from triptych.generate.pipeline import generate
from triptych.generate.recipe import load_recipe
from triptych.generate.reply_pairs import Found, read_pairs

SECOND = '{"question": "Two?", "answer": "2"}'


def said(found: Found) -> list[tuple[str, str, int]]:
    return [(pair.question, pair.answer, pair.group) for pair in found.pairs]


@pytest.mark.parametrize(
    "first",
    [
        '{"question": "One?", "answer": "He said "hello", then left."}',
        '{"question": "One?", "answer": null}',
        '{"question": "One?"}',
        '{"question": "One?", "answer": true}',
        '{"question": "One?", "answer": ["a", "b"]}',
        '{"question": "One?", "answer": 1e999}',
        '{"answer": "One."}',
    ],
)
def test_a_pair_that_cannot_be_read_whole_is_torn_and_the_others_stay(first: str) -> None:
    found = read_pairs(f"[{first}, {SECOND}]")
    assert said(found) == [("Two?", "2", 0)]
    assert len(found.torn) == 1


@pytest.mark.parametrize("mark", ['"', "'"])
def test_keys_that_come_again_begin_another_pair(mark: str) -> None:
    reply = '{"question": "One?", "answer": "1", "question": "Two?", "answer": "2"}'.replace('"', mark)
    assert [pair[:2] for pair in said(read_pairs(reply))] == [("One?", "1"), ("Two?", "2")]
    torn = read_pairs(reply[:-3])
    assert [pair.answer for pair in torn.pairs] == ["1"]
    assert [pair.question for pair in torn.torn] == ["Two?"]


def test_a_lettered_option_is_not_taken_for_the_answer() -> None:
    (pair,) = read_pairs('[{"question": "Which?", "A": "dog", "B": "cat", "answer": "B"}]').pairs
    assert (pair.answer, pair.extra, pair.options) == ("B", {"A": "dog", "B": "cat"}, ("dog", "cat"))
    lines = read_pairs("Q: Which?\nA: a dog\nB: a cat\nAnswer: B")
    assert not lines.pairs
    assert [pair.question for pair in lines.torn] == ["Which?"]


@pytest.mark.parametrize("key", ["correct", "correct_answer", "Correct_Option", "b2"])
def test_beside_an_option_b_an_option_a_is_never_the_answer(key: str) -> None:
    found = read_pairs(json.dumps({"q": "Which?", "A": "the dog", "B": "the horse", key: "B"}))
    whole = [(pair.answer, pair.options) for pair in found.pairs]
    assert whole == ([] if key == "b2" else [("B", ("the dog", "the horse"))])
    assert [pair.question for pair in found.torn] == (["Which?"] if key == "b2" else [])
    assert not read_pairs("Q: Which?\nA: the dog\nB: the horse\nCorrect: B").pairs
    assert read_pairs('{"q": "What?", "a": "the dog", "correct": "yes"}').pairs[0].answer == "the dog"


@pytest.mark.parametrize("broken", [False, True])
def test_two_halves_of_a_letter_are_one_and_half_a_letter_is_replaced(broken: bool) -> None:
    reply = r'{"question": "What is \ud83d\ude00?", "answer": "Half: \ud83d.", "note": ["\ude00"]}'
    (pair,) = read_pairs(reply.replace("]}", ",]}") if broken else reply).pairs
    assert (pair.question, pair.answer, pair.extra) == ("What is 😀?", "Half: \ufffd.", {"note": ["\ufffd"]})


def test_what_is_torn_stays_torn_when_its_half_letters_are_replaced() -> None:
    (value,) = values_in(r'{"question": "One\ud83d?", "answer": "It is \ud83d')
    assert isinstance(value, TornObject)
    assert [type(said).__name__ for said in value.values()] == ["str", "TornText"]
    assert value["answer"] == "It is \ufffd"


def test_an_answer_without_a_question_is_torn() -> None:
    found = read_pairs("Answer: Blue.\nQuestion: Two?\nAnswer: 2")
    assert (said(found), [pair.answer for pair in found.torn]) == ([("Two?", "2", 0)], ["Blue."])


@pytest.mark.parametrize(
    ("heading", "groups"),
    [("Conversation 2", (0, 1)), ("**Conversation 2:**", (0, 1)), ("2.", (0, 0)), ("**Pair 2:**", (0, 0))],
)
def test_a_heading_between_pairs_is_no_part_of_an_answer(heading: str, groups: tuple[int, int]) -> None:
    found = read_pairs(f"Question: One?\nAnswer: 1.\n\n{heading}\nQuestion: Two?\nAnswer: 2.")
    assert said(found) == [("One?", "1.", groups[0]), ("Two?", "2.", groups[1])]


def test_a_number_of_thousands_of_digits_stops_nothing() -> None:
    assert read_pairs('{"question": "How many?", "answer": ' + "9" * 5000 + "}").pairs[0].answer == "9" * 5000
    assert list(values_in("{'n': " + "9" * 5000)) == [TornObject({"n": "9" * 5000})]


@pytest.mark.parametrize(
    "reply",
    [
        *(f"Q: One?\nA: It is.\n{sign * 20_000}x" for sign in " \t*_#-?"),
        *(f"{word}{' ' * 20_000}x" for word in ("Q", "1.", "1. *", "Conversation 2", "pair 2")),
        "A: one\nround 2" + " " * 20_000 + "x\nQ: two?",
        "[" * 20_000,
        '{"a":' * 10_000,
        '[{"a": [' * 5_000,
        "{" + ",".join(f"k{number}: {number}" for number in range(10_000)) + "}",
        '{"question": "Which?", "answer": "A", "options": "A) ' + " " * 20_000 + '"}',
    ],
)
def test_no_reply_takes_long_to_read(reply: str) -> None:
    began = process_time()
    read_pairs(reply)
    assert process_time() - began < 5  # seconds; far less, but for a busy machine


def test_what_is_nested_too_deep_is_read_further_in() -> None:
    reply = '{"a": [' * 40 + SECOND + ", x" + "]}" * 40
    assert said(read_pairs(reply)) == [("Two?", "2", 0)]


def test_an_image_of_a_number_of_thousands_of_digits_is_none(tmp_path: Path) -> None:
    reply = '[{"question": "What is <image %s>?", "answer": "A"}, {"question": "<image 01>?", "answer": "B"}]'
    steps: list[dict[str, Any]] = [
        {"kind": "annotate", "source": source_of("la", tmp_path) + "&limit=1"},
        {"kind": "ask", "prompt": "la_conversation"},
        {"kind": "parse"},
    ]
    ran = run(steps, tmp_path, teacher=lambda _: reply % ("9" * 5000))
    assert [refusal.reason for refusal in ran.refusals] == ["no such image"]
    assert len(ran.refusals[0].message) < 200
    assert len(ran.items) == 1


@pytest.mark.parametrize(("ended", "usage", "kept"), [("length", True, 1), ("length", False, 1), ("stop", False, 2)])
def test_an_endpoint_says_itself_whether_a_reply_was_cut(ended: str, usage: bool, kept: int, tmp_path: Path) -> None:
    words = "Q: One?\nA: Yes.\nQ: Two?\nA: It is because of the"
    assert _kept(completion(words, ended=ended, usage=usage), tmp_path) == kept


def test_a_teachers_own_token_limit_cuts_too(tmp_path: Path) -> None:
    assert _kept(None, tmp_path, "teachers.writer.max_tokens=9") == 1


def test_words_that_were_cut_and_laid_out_anew_do_not_end_in_a_whole_pair(tmp_path: Path) -> None:
    def teacher(question: Example) -> str:
        repair = "layout that a program could not read" in text_of(question.turns[0])
        return "Q: One?\nA: Yes.\nQ: Two?\nA: It is" if repair else "One might ask this and that and more of it"

    steps: list[dict[str, Any]] = [
        {"kind": "annotate", "source": source_of("la", tmp_path) + "&limit=1"},
        {"kind": "ask", "prompt": "la_conversation", "max_tokens": 9},
        {"kind": "parse"},
    ]
    ran = run(steps, tmp_path, teacher=teacher)
    assert [refusal.reason for refusal in ran.refusals] == ["torn pair"]
    assert len(ran.items) == 1


def cut_short(_: Example) -> str:
    return "Q: One?\nA: Yes.\nQ: Two?\nA: It is because of the"


def _kept(reply: Said | None, folder: Path, *more: str) -> int:
    """Return how many pairs of a reply in lines are kept, of two."""
    source = source_of("la", folder) + "&limit=1"
    draw_all(run([{"kind": "annotate", "source": source}], folder).items)
    file = folder / "recipe.yaml"
    with serving(lambda *_: reply or completion("never")) as endpoint:
        model = str(endpoint.address) if reply else f"canned:{__name__}.cut_short"
        file.write_text(
            f"name: cut\nteachers: {{writer: {{model: '{model}'}}}}\nstages:\n"
            f"  - {{kind: annotate, source: '{source}'}}\n"
            "  - {kind: ask, prompt: la_conversation, structured: false}\n  - {kind: parse}\n"
        )
        outcome = generate(load_recipe(file, list(more)), folder=folder / "run")
    assert outcome.stages[-1].refused == ({} if outcome.pairs == 2 else {"torn pair": 1})
    return len(rows(folder / "run" / "stages" / "03-parse.jsonl"))
