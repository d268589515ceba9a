"""Many clients at once, and clients that leave: none lost, none mixed up, places free again, and clear refusals."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.serve.api_server import ENDLESS, LONG, Running, asking, picture, serving, until
from triptych.infer.engine.engine import EngineSettings
from triptych.models.families.tiny import tiny
from triptych.models.family import Model

HEAD = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
WORDS = ("what", "is", "older", "the", "second", "or", "that", "one")


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny(3)


@pytest.fixture
def server(tmp_path: Path, model: Model) -> Iterator[Running]:
    with serving(tmp_path, [model]) as running:
        yield running


def conversation(number: int) -> list[dict[str, Any]]:
    """Two to four pictures over two turns, the first answered already."""
    rng = random.Random(number)
    turns: list[dict[str, Any]] = []
    for turn in range(2):
        content: list[dict[str, Any]] = []
        for each in range(rng.randint(1, 2)):
            content.append({"type": "text", "text": f"{rng.choice(WORDS)} {number} "})
            uri = picture(10 * number + 3 * turn + each)
            content.append({"type": "image_url", "image_url": {"url": uri}})
        turns += [{"role": "user", "content": content}, {"role": "assistant", "content": f"reply {number}"}]
    return turns[:-1]


def body_of(number: int) -> dict[str, Any]:
    return {"model": "toy", "messages": conversation(number), "max_tokens": 10}


def test_64_conversations_at_once_are_answered_as_each_is_alone(tmp_path: Path, model: Model) -> None:
    settings = EngineSettings(rows=16, tokens=3000, queue=64, prefix_tokens=1000)
    most = {"tokens": 0, "prefix": 0, "running": 0}
    with serving(tmp_path / "crowd", [model], engine=settings) as server:
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.005):
                state = server.talker.state()
                for name, value in (
                    ("tokens", state.tokens_held),
                    ("prefix", state.prefix_tokens),
                    ("running", state.running),
                ):
                    most[name] = max(most[name], value)

        def talk(number: int) -> str:
            asked = body_of(number)
            if number % 2:
                return server.client.chat.completions.create(**asked).choices[0].message.content or ""
            chunks = server.client.chat.completions.create(**asked, stream=True)
            return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

        watcher = threading.Thread(target=watch)
        watcher.start()
        with ThreadPoolExecutor(64) as pool:
            together = list(pool.map(talk, range(64)))
        over.set()
        watcher.join()
        assert server.is_idle()
    with serving(tmp_path / "alone", [model], engine=EngineSettings(prefix_tokens=0)) as server:
        alone = [server.post(body_of(number)).json()["choices"][0]["message"]["content"] for number in range(64)]
    assert together == alone
    assert len(set(alone)) > 32, "replies that are all alike would prove nothing"
    assert 1 < most["running"] <= 16
    assert most["tokens"] <= 3000
    assert most["prefix"] <= 1000


def test_who_comes_when_the_queue_is_full_is_told_to_come_again(tmp_path: Path, model: Model) -> None:
    with serving(tmp_path, [model], engine=EngineSettings(rows=1, queue=2)) as server:
        statuses = []

        def talk(number: int) -> None:
            response = server.post({**body_of(number), "max_tokens": 60, "ignore_eos": True})
            statuses.append(response.status_code)
            if response.status_code == 429:
                assert response.headers["retry-after"]
                assert response.json()["error"]["code"] == "queue_full"
                assert response.json()["error"]["type"] == "rate_limit_error"

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(talk, range(16)))
        assert set(statuses) == {200, 429}
        assert len(statuses) == 16
        until(server.is_idle)
        with pytest.raises(openai.RateLimitError):
            server.client.chat.completions.create(**{**asking("x", n=8), **LONG})
        until(server.is_idle)  # what was asked of a request that is refused is given up


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_hangs_up_frees_its_place(server: Running, stream: bool) -> None:
    body = json.dumps({**asking("on and on ", picture(1), stream=stream), **ENDLESS}).encode()
    head = f"{HEAD}Content-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as connection:
        connection.sendall(head.encode() + body)
        until(lambda: server.talker.state().running == 1)
        if stream:
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
    until(server.is_idle)
    state = server.talker.state()
    assert (state.cancelled, state.cut) == (1, 0)
    assert server.post(asking("still there?")).status_code == 200


def test_a_client_that_leaves_while_it_waits_frees_its_place_in_the_queue(tmp_path: Path, model: Model) -> None:
    with serving(tmp_path, [model], engine=EngineSettings(rows=1)) as server:
        with server.client.chat.completions.create(**{**asking("first"), **LONG}, stream=True) as first:
            next(iter(first))
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{server.url}/v1/chat/completions", json=asking("second"), timeout=0.3)
            until(lambda: server.talker.state().waiting == 0)
            assert server.talker.state().running <= 1
        until(server.is_idle)


def test_the_official_client_closing_a_stream_frees_its_place(server: Running) -> None:
    with server.client.chat.completions.create(**{**asking("x"), **LONG}, stream=True) as chunks:
        for chunk in chunks:
            if chunk.choices[0].delta.content:
                break
    until(server.is_idle)
    assert server.talker.state().cancelled == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_that_takes_too_long_is_given_up(tmp_path: Path, model: Model, stream: bool) -> None:
    with serving(tmp_path, [model], seconds=0.4) as server:
        body = {**asking("on and on", stream=stream), **ENDLESS}
        response = server.post(body)
        error = json.loads(response.text.strip().rpartition("data: ")[2])["error"]
        assert error["code"] == "timeout"
        assert "[DONE]" not in response.text
        assert response.status_code == (200 if stream else 504)
        until(server.is_idle)


def test_a_client_that_does_not_read_keeps_no_place(tmp_path: Path, model: Model) -> None:
    with serving(tmp_path, [model]) as server:
        body = json.dumps({**asking("x", stream=True, logprobs=True, top_logprobs=20), **ENDLESS, "n": 8}).encode()
        head = f"{HEAD}Content-Length: {len(body)}\r\n\r\n"
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
            connection.sendall(head.encode() + body)
            until(lambda: server.talker.state().running > 0)
            assert server.post(asking("others are answered")).status_code == 200
            until(server.is_idle, seconds=60)


def test_a_slow_body_is_given_up_and_holds_nobody_up(tmp_path: Path, model: Model) -> None:
    with (
        serving(tmp_path, [model], body_seconds=0.5) as server,
        socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as connection,
    ):
        connection.sendall(f"{HEAD}Content-Length: 1000\r\n\r\n{{".encode())
        assert server.post(asking("hi")).status_code == 200
        connection.settimeout(10)
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_bodies_that_are_received_together_have_one_limit(tmp_path: Path, model: Model) -> None:
    with serving(tmp_path, [model], held_bytes=100_000, body_bytes=90_000) as server:
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as slow:
            slow.sendall(f"{HEAD}Content-Length: 80000\r\n\r\n".encode() + b" " * 70_000)
            time.sleep(0.3)
            error = server.refused(asking("x" * 60_000), status=429)
            assert error["code"] == "busy"
            assert server.post(asking("hi")).status_code == 200
        time.sleep(0.3)
        assert server.refused(asking("x" * 60_000))["code"] == "context_length_exceeded", "it is free again"


def test_health_answers_while_the_model_works(server: Running) -> None:
    with server.client.chat.completions.create(**{**asking("x"), **LONG}, stream=True) as chunks:
        next(iter(chunks))
        assert httpx.get(f"{server.url}/health", timeout=5).json() == {"status": "ok"}


def test_an_engine_that_has_ended_is_told_as_unwell(server: Running) -> None:
    server.talker.close()
    response = server.post(asking("hi"))
    assert response.status_code == 500
    assert httpx.get(f"{server.url}/health").status_code == 503


def test_pictures_are_gone_from_the_disk_when_there_is_no_more_room(tmp_path: Path, model: Model) -> None:
    with serving(tmp_path, [model], media_bytes=2000) as server:
        for number in range(40):
            assert server.post(asking("x", picture(number), max_tokens=1)).status_code == 200
        kept = list((tmp_path / "media").iterdir())
        assert sum(path.stat().st_size for path in kept) <= 2000
        assert kept
