"""What the server does not do: each refusal has OpenAI's shape, a status, the field, and says what to do."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serve.api_server import Running, asking, picture, said, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(
        tmp_path_factory.mktemp("serve"),
        body_bytes=300_000,
        text_bytes=20_000,
        reply_tokens=1500,
        choices=3,
        messages=5,
    ) as running:
        yield running


def test_the_official_client_raises_its_own_errors(server: Running) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        server.client.chat.completions.create(**asking("hi", model="gpt-9"))
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as bad:
        server.client.chat.completions.create(**asking("hi", temperature=-1))
    assert bad.value.param == "temperature"
    with pytest.raises(openai.NotFoundError):
        server.client.models.retrieve("gpt-9")


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": 10**400}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 4}, "n"),
        ({"n": 1.5}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"max_tokens": 1501}, "max_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
        ({"seed": 2**63}, "seed"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"stop": 5}, "stop"),
        ({"stop": ["x" * 257]}, "stop"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"tell": 1}}, "stream_options.tell"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "user"}] * 6}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "x", "name": 5}]}, "messages.0.name"),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages.0.content.0"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "messages.0.content.0.text"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]}, None),
        ({"messages": [{"role": "user", "content": "x" * 20_001}]}, "messages"),
        ({"model": 5}, "model"),
        ({"type": "messages", "messages": [5]}, "messages.0"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"best_of": 3}, "best_of"),
        ({"Temperature": 1}, "Temperature"),
    ],
)
def test_what_is_wrong_or_not_done_here_is_refused_by_name(
    server: Running, change: dict[str, Any], param: str | None
) -> None:
    error = server.refused({**asking("hi"), **change})
    assert error["type"] == "invalid_request_error"
    assert param is None or error["param"] == param


URL = {"url": "data:image/png;base64,AA=="}


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"type": "text", "text": "a", "cache_control": {}}, "cache_control"),
        ({"type": "text", "text": "a", "type ": 1}, "type "),
        ({"type": "image_url", "image_url": URL, "uuid": "5"}, "uuid"),
        ({"type": "image_url", "image_url": {**URL, "image_url": 5}}, "image_url.image_url"),
        ({"type": "image_url", "image_url": {**URL, "width": 5}}, "image_url.width"),
        ({"type": "video_url", "video_url": URL, "text": "a"}, "text"),
    ],
)
def test_a_part_with_a_key_too_many_is_told_by_that_key(server: Running, part: dict[str, Any], field: str) -> None:
    error = server.refused({**asking("hi"), "messages": [{"role": "user", "content": [part]}]})
    assert error["param"] == f"messages.0.content.0.{field}"
    assert error["message"] == f"messages.0.content.0.{field}: unknown field. Leave it out."
    assert error["code"] == "unknown_parameter"


def test_what_changes_nothing_is_let_pass(server: Running) -> None:
    passing = {
        "user": "me",
        "metadata": {"a": "b"},
        "frequency_penalty": 0,
        "presence_penalty": 0.0,
        "tools": [],
        "tool_choice": "none",
        "response_format": {"type": "text"},
        "logit_bias": None,
        "n": None,
        "stop": None,
        "stream": False,
        "logprobs": False,
        "top_logprobs": 0,
    }
    assert server.post(asking("hi", **passing)).json()["choices"] == server.post(asking("hi")).json()["choices"]


@pytest.mark.parametrize("detail", ["auto", "low", "high", None])
def test_names_and_details_are_let_pass(server: Running, detail: str | None) -> None:
    plain = asking("Ann: ", picture(1))
    named = copy.deepcopy(plain)
    named["messages"][0]["name"] = "Ann"
    named["messages"][0]["content"][1]["image_url"]["detail"] = detail
    assert server.post(named).json()["choices"] == server.post(plain).json()["choices"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"null",
        b"\xff\xfe",
        b'{"model": NaN}',
        b'{"model": "toy", "model": "other"}',
        b'{"messages": [' + b"1," * 99_000 + b"1]}",
        json.dumps({f"k{number}": 1 for number in range(20_000)}).encode(),
        b'{"temperature": Infinity}',
        b'{"n": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 20_000,
        b"[" + b"[]," * 99_999 + b"1]",
        b'{"model": "toy", "messages": [{"role": "user", "content": "x"}], "temperature": 1e999}',
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_json_is_refused(server: Running, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = httpx.post(f"{server.url}/v1/chat/completions", content=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["message"]


def test_half_a_letter_is_no_reason_to_fail(server: Running) -> None:
    body = '{"model": "toy", "max_tokens": 3, "messages": [{"role": "user", "content": "\\ud83d and \\u0000"}]}'
    headers = {"Content-Type": "application/json"}
    assert httpx.post(f"{server.url}/v1/chat/completions", content=body, headers=headers).status_code == 200


NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["temperature", "n", "max_tokens", "stop", "logprobs", "seed", "messages", "stream", "model", "tools", "x"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(change=st.dictionaries(FIELDS, JSON, max_size=3))
def test_no_json_makes_the_server_fail(server: Running, change: dict[str, Any]) -> None:
    response = server.post({**asking("hi", max_tokens=2), **change})
    assert response.status_code in {200, 400, 404}, response.text


def test_what_is_longer_than_the_model_is_refused(server: Running) -> None:
    assert server.refused(asking("x" * 3000))["code"] == "context_length_exceeded"
    assert server.refused({"model": "toy", "messages": said("x" * 3000)})["code"] == "context_length_exceeded"


def test_a_body_that_is_too_long_is_not_read_to_its_end(server: Running) -> None:
    error = server.refused(asking("x" * 350_000), status=413)
    assert error["code"] == "request_too_large"

    def chunks() -> Iterator[bytes]:
        for _ in range(400):
            yield b"x" * 1000

    headers = {"Content-Type": "application/json"}
    response = httpx.post(f"{server.url}/v1/chat/completions", content=chunks(), headers=headers)
    assert response.status_code == 413
