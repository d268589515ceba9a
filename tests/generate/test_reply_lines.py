"""A reply in lines: every style that teachers use is read, nothing of another pair gets in, bold words stay whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.generate.driving import Ran, run
from tests.generate.test_syphus import source_of
from triptych.core.records import Example, text_of
from triptych.generate.reply_pairs import read_pairs


def said(reply: str) -> list[tuple[str, str]]:
    return [(pair.question, pair.answer) for pair in read_pairs(reply).pairs]


def test_questions_and_answers_whose_numbers_differ_are_torn() -> None:
    found = read_pairs("Q1: What?\nA2: There.\nQ2: Where?\nA1: This.\nQ3: Who?\nAnswer #3: Him.\nQ4: Why?\nA: So.")
    assert [(pair.question, pair.answer) for pair in found.pairs] == [("Who?", "Him."), ("Why?", "So.")]
    assert [(pair.question, pair.answer) for pair in found.torn] == [("What?", "There."), ("Where?", "This.")]
    assert said("1. Q: What?\n2. A: This.") == [("What?", "This.")]  # lines of a list


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("A: **Blue.** It is shiny.", "**Blue.** It is shiny."),
        ("A: The dog is **white**", "The dog is **white**"),
        ("A: _Canis_ lupus", "_Canis_ lupus"),
        ("A: *Canis* is *lupus*", "*Canis* is *lupus*"),
        ("A: **Blue** and **red**", "**Blue** and **red**"),
        ("**A:** **Blue.** It is shiny.", "**Blue.** It is shiny."),
        ("**A**: **Blue.** It is shiny.", "**Blue.** It is shiny."),
        ("* **A:** **Blue.** It is shiny.", "**Blue.** It is shiny."),
        ("**1.** **A:** _Blue_ it is", "_Blue_ it is"),
        ("**A: Blue.**", "Blue."),
        ("**A: Blue.** It is shiny.", "Blue. It is shiny."),
        ("A: **Blue.**", "Blue."),
        ("A: _Blue._", "Blue."),
        ("A: Blue.**", "Blue."),
        ("A: snake_case_", "snake_case_"),
        ("A: ____", "____"),
        ("A:\n* red\n* blue", "* red\n* blue"),
    ],
)
def test_bold_and_italic_words_stay_and_the_label_s_own_marks_go(line: str, words: str) -> None:
    assert said(f"**Question:** What **is** it?\n{line}") == [("What **is** it?", words)]


@pytest.mark.parametrize(
    "reply",
    [
        "1. What is it?\nA: A dog.\n2. Where?\nA: There.\n3. Who?\nA: Him.",
        "**1. What is it?**\nAnswer: A dog.\n\n**2. Where?**\nAnswer: There.\n\n**3. Who?**\nAnswer: Him.",
        "1. **What is it?**\n\n   **Answer:** A dog.\n\n2. **Where?**\n\n   **Answer:** There.\n3) Who?\nA: Him.",
        "### 1) What is it?\n- A1: A dog.\n### 2) Where?\n- A2: There.\n### 3) Who?\n- A3: Him.",
    ],
)
def test_a_numbered_question_before_an_answer_s_label_is_read(reply: str) -> None:
    assert said(reply) == [("What is it?", "A dog."), ("Where?", "There."), ("Who?", "Him.")]
    assert not read_pairs(reply).torn


def test_a_numbered_question_keeps_its_options_and_a_question_its_own_list() -> None:
    assert said("1. Which is it?\nA) a dog\nB) a cat\nAnswer: B") == [("Which is it?\nA) a dog\nB) a cat", "B")]
    assert said("Question: Look:\n1. What is it?\nAnswer: A dog.") == [("Look:\n1. What is it?", "A dog.")]
    assert said("Q: How many?\nA: Two:\n1. a dog\n2. why not a cat?") == [
        ("How many?", "Two:\n1. a dog\n2. why not a cat?")
    ]


def test_every_answer_without_a_question_leaves_a_trace() -> None:
    found = read_pairs("What is it?\nAnswer: A dog.\n\nWhere?\nAnswer: There.\n\nWho?\nAnswer: Him.")
    assert not found.pairs
    assert [pair.answer.partition("\n")[0] for pair in found.torn] == ["A dog.", "There.", "Him."]


@pytest.mark.parametrize("sign", ["\ufeff", "\u200b", "\u200e", "\u200f"])
def test_a_sign_that_nobody_sees_costs_no_pair(sign: str) -> None:
    assert said(f"{sign}Q: One?\n{sign}A: 1.\n{sign}Q: Two?\nA: 2.") == [("One?", "1."), ("Two?", "2.")]


@pytest.mark.parametrize(
    "heading",
    ["Image 2", "**Image 2**", "## Round 2", "Round 2:", "Topic: Places", "**Theme 2: Places**", "Round 2\nTopic: Any"],
)  # fmt: skip
def test_a_heading_before_a_question_is_no_part_of_the_answer_before_it(heading: str) -> None:
    for question in ("Q: Where?\nA:", "2. Where?\nA:"):
        assert said(f"Q: What?\nA: This.\n\n{heading}\n{question} There.") == [("What?", "This."), ("Where?", "There.")]


def test_headings_that_a_reply_begins_with_are_known_as_such_behind_answers_too() -> None:
    pairs = "Q: What?\nA: a cat\nImage 2\nQ: Where?\nA: There."
    assert said(f"Image 1\n{pairs}") == [("What?", "a cat"), ("Where?", "There.")]
    assert said(pairs) == [("What?", "a cat\nImage 2"), ("Where?", "There.")]


def test_a_title_above_numbered_questions_is_no_question() -> None:
    listed = "1. What is it?\nAnswer: dog\n2. Where?\nAnswer: there"
    assert said(f"Questions:\n{listed}") == [("What is it?", "dog"), ("Where?", "there")]
    assert said("１．这是什么？\n答：狗。\n２．哪里？\n答：那。") == [("这是什么？", "狗。"), ("哪里？", "那。")]


@pytest.mark.parametrize(
    "answer",
    [
        "The order is:\nImage 2",
        "They come so.\nImage 2\nImage 1",
        "Image 2",
        "\nImage 2",
        "I see\nDogs 2",
        "Object: a dog.\nCategory: animal",
        "Only one shows it, namely\nImage 2",
        "First comes\nImage 2\nthen\nImage 1",
        "A letter from\nB. Smith",
    ],
)
def test_an_answer_that_looks_like_a_heading_is_kept(answer: str) -> None:
    assert said(f"Q: What?\nA: {answer}\nQ: Where?\nA: There.")[0] == ("What?", answer.strip())


def parsed(folder: Path, reply: str, repaired: str, **more: Any) -> tuple[Ran, int]:
    """Return what becomes of a reply, and how often it was sent back."""
    sent: list[Example] = []

    def teacher(question: Example) -> str:
        if "layout that a program could not read" not in text_of(question.turns[0]):
            return reply
        sent.append(question)
        return repaired

    steps: list[dict[str, Any]] = [
        {"kind": "annotate", "source": source_of("la", folder) + "&limit=1"},
        {"kind": "ask", "prompt": "la_conversation", **more},
        {"kind": "parse"},
    ]
    return run(steps, folder, teacher=teacher), len(sent)


PAIRS = '{"pairs": [{"question": "What is it?", "answer": "A dog."}]}'


def test_a_reply_without_a_whole_pair_is_laid_out_anew(tmp_path: Path) -> None:
    ran, sent = parsed(tmp_path, "What is it? Answer:\nAnswer: A dog.", PAIRS)
    assert (len(ran.items), [refusal.reason for refusal in ran.refusals], sent) == (1, [], 1)


def test_what_was_torn_stays_told_where_laying_it_out_anew_gives_nothing(tmp_path: Path) -> None:
    ran, sent = parsed(tmp_path, "Answer: A dog.\nAnswer: There.", '{"pairs": []}')
    assert (ran.items, [refusal.reason for refusal in ran.refusals], sent) == ((), ["torn pair"] * 2, 1)


@pytest.mark.parametrize(
    ("reply", "more"),
    [('{"question": "What is it?", "answer": "A do', {}), ("Q: What is it?\nA: It is a", {"max_tokens": 3})],
)
def test_a_torn_pair_is_not_sent_back_to_be_completed(reply: str, more: dict[str, Any], tmp_path: Path) -> None:
    ran, sent = parsed(tmp_path, reply, PAIRS, **more)
    assert (ran.items, [refusal.reason for refusal in ran.refusals], sent) == ((), ["torn pair"], 0)
