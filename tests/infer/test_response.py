"""What an endpoint's response means: whole or cut, refused or to be asked again, and whose fault a status 400 is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infer.endpoint import Said, ask, completion, failure, one, responder, serving
from triptych.infer.endpoint.response import Completion, Trouble, read_reply, read_status


def _read(text: str, ended: str | None) -> Completion | Trouble:
    return read_reply(completion(text, ended=ended or "").body if ended is not None else _unsaid(text))


def _unsaid(text: str) -> str:
    return completion(text).body.replace('"stop"', "null")


@pytest.mark.parametrize(
    "ended",
    [
        *("stop", "STOP", "eos", "eos_token", "stop_sequence", "end_turn", "end", "tool_calls", "function_call", ""),
        *("null", "None"),  # written as words by some
        None,
    ],
)
def test_a_reply_that_the_model_ended_is_whole_however_the_server_calls_that(ended: str | None) -> None:
    # vLLM, SGLang, llama.cpp, Ollama: stop; TGI: stop, eos_token, stop_sequence; Together: eos; Anthropic: end_turn.
    said = _read("A dog is seen.", ended)
    assert isinstance(said, Completion)
    assert not said.cut


@pytest.mark.parametrize("ended", ["length", "max_tokens", "MAX_TOKENS", "model_length", "abort", "error", "quux"])
def test_a_reply_that_ended_for_any_other_reason_is_cut(ended: str) -> None:
    said = _read("A dog is seen beside the", ended)
    assert isinstance(said, Completion)
    assert said.cut


def test_a_reply_that_was_broken_off_before_its_first_word_is_asked_for_again() -> None:
    def broken_twice(request: dict[str, Any], before: int) -> Said:
        return completion("a dog") if before == 2 else completion("", ended="abort")

    with serving(broken_twice) as endpoint:
        assert one(list(responder(endpoint).answer([ask("a")]))).text == "a dog"
    assert len(endpoint.requests) == 3


def test_a_reply_that_its_limit_cut_before_its_first_word_is_not_asked_for_again() -> None:
    with serving(lambda request, before: completion("", ended="max_tokens")) as endpoint:
        assert "raise max_tokens" in failure(list(responder(endpoint).answer([ask("a")])))
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("ended", ["content_filter", "refusal", "sensitive"])
def test_a_reply_that_a_filter_ended_is_refused_by_whatever_name(ended: str) -> None:
    said = _read("A", ended)
    assert isinstance(said, Trouble)
    assert said.paid
    assert not said.again


def test_a_question_that_a_filter_refused_is_not_one_that_the_endpoint_cannot_take() -> None:
    for names in (("content_filter", None), (None, "content_filter"), ("DATA_INSPECTION_FAILED",)):
        said = read_status(400, "The response was filtered", names=names)
        assert (said.paid, said.bad_request, said.again) == (True, False, False)
    too_long = read_status(400, "too many tokens", names=("context_length_exceeded",))
    assert (too_long.paid, too_long.bad_request) == (False, False)


@pytest.mark.parametrize(
    ("said", "of_schema"),
    [
        *(("This response_format type is unavailable now", True), ("Invalid schema for 'reply'", True)),
        *(("failed to parse grammar", True), ("Extra inputs are not permitted: guided_json", True)),
        *(("sorry, 400", False), ("temperature is out of range", False)),
    ],
)
def test_an_endpoint_that_speaks_of_the_schema_is_heard(said: str, of_schema: bool) -> None:
    trouble = read_status(400, said)
    assert (trouble.bad_request, trouble.of_schema) == (True, of_schema)


def test_a_status_says_whether_to_ask_again() -> None:
    assert [read_status(status, "x").again for status in (400, 403, 404, 408, 409, 413, 425, 429, 500, 529)] == [
        *(False, False, False, True, True, False, True, True, True, True)
    ]
    assert read_status(429, "x", names=("insufficient_quota",)).for_all
    assert isinstance(read_reply(Said("{}").body), Trouble)
