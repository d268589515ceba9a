"""Canned replies are a responder like any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.core.records import Answer, Example, Text, Turn, text_of
from triptych.infer.canned import CannedResponder, open_canned
from triptych.infer.responder import Failed, Responder


def ask(name: str) -> Example:
    return Example(name, (Turn("user", (Text(f"What is {name}?"),)),))


def test_a_reply_is_what_was_written_down_for_the_id() -> None:
    responder: Responder = CannedResponder({"a": "one", "b": "two words"})
    found = list(responder.answer([ask("b"), ask("a")]))
    assert [(answer.id, answer.text) for answer in found if isinstance(answer, Answer)] == [
        ("b", "two words"),
        ("a", "one"),
    ]


def test_an_id_without_a_reply_fails_and_the_others_are_answered() -> None:
    first, second = CannedResponder({"a": "one"}).answer([ask("z"), ask("a")])
    assert isinstance(first, Failed)
    assert "'z'" in first.reason
    assert isinstance(second, Answer)


def test_a_function_answers_what_it_sees() -> None:
    responder = CannedResponder(lambda question: text_of(question.turns[-1]).upper(), name="loud")
    (answer,) = responder.answer([ask("a")])
    assert isinstance(answer, Answer)
    assert answer.text == "WHAT IS A?"


def test_a_reply_is_cut_at_the_most_words() -> None:
    (answer,) = CannedResponder({"a": "one  two\nthree"}).answer([ask("a")], max_tokens=2)
    assert isinstance(answer, Answer)
    assert (answer.text, answer.tokens_out) == ("one  two", 2)


@pytest.mark.parametrize("reply", ["", " ", "one", " one  two \n", "one\n\ntwo"])
def test_the_words_of_a_reply_join_to_the_reply(reply: str) -> None:
    (answer,) = CannedResponder({"a": reply}).answer([ask("a")], max_tokens=99)
    assert isinstance(answer, Answer)
    assert answer.text == reply


def test_a_conversation_that_ends_in_a_reply_is_no_question() -> None:
    done = Example("a", (*ask("a").turns, Turn("assistant", (Text("b"),))))
    (failed,) = CannedResponder({"a": "one"}).answer([done])
    assert isinstance(failed, Failed)
    assert "user turn" in failed.reason


def test_other_replies_have_another_fingerprint() -> None:
    one, other = CannedResponder({"a": "one"}), CannedResponder({"a": "two"})
    assert one.fingerprint == CannedResponder({"a": "one"}).fingerprint != other.fingerprint


def test_a_file_may_lie_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "c.jsonl").write_text('{"reply": "one"}\n')
    (answer,) = open_canned("~/c.jsonl").answer([ask("a")])
    assert isinstance(answer, Answer)
    assert answer.text == "one"
