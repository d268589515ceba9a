"""The API as clients meet it: the official one, and curl; replies are those of the engine itself."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from openai.types.chat import ChatCompletion

from tests.serve.api_server import Running, asking, data_uri, picture, said, serving
from tests.serve.test_api_video import drawn_video
from triptych.core.records import Example, ImageRef, Text, Turn
from triptych.data.media.kept import keep_bytes
from triptych.data.plan.scoring import Scoring
from triptych.data.template import find_template
from triptych.evaluate.certainty.ratings import Vote
from triptych.evaluate.saved.arena import read_contestants
from triptych.evaluate.saved.votes import read_votes
from triptych.infer.decoding.sampling import Sampling
from triptych.infer.engine.engine import Engine
from triptych.infer.scores import Scored, Scorer
from triptych.models.families.tiny import tiny
from triptych.models.heads import ScoreHead
from triptych.models.vision.features import FeatureStore
from triptych.serve.api.routes import Served
from triptych.serve.api.scores import ScoreDesk
from triptych.serve.server import twin_of

RED, BLUE = picture(1), picture(2)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TRIPTYCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def scorer() -> Scorer:
    model = tiny(3)
    model.score_head = ScoreHead(Scoring(targets=("quality", "motion")), 48, seed=4)
    with torch.no_grad():
        model.score_head.score.weight.mul_(50)
    return Scorer(model, features=FeatureStore(model))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    desk = ScoreDesk(scorer(), name="judge", queue=4)
    served = [Served("judge", None, desk)]
    with serving(tmp_path_factory.mktemp("serve"), [tiny(3), tiny(5)], served=served) as running:
        yield running
    desk.close()


def of_uri(uri: str) -> ImageRef:
    return ImageRef(keep_bytes(base64.b64decode(uri.partition(",")[2])))


def alone(*parts: str, sampling: Sampling | None = None, seed: int = 3) -> str:
    """What an engine by itself says to words and pictures."""
    model = tiny(seed)
    shown = tuple(of_uri(part) if part.startswith("data:") else Text(part) for part in parts)
    with Engine(model, features=FeatureStore(model)) as engine:
        return engine.submit(Example("q", (Turn("user", shown),)), sampling or Sampling(max_tokens=8)).join()


def test_a_reply_to_pictures_among_words_is_the_engines(server: Running) -> None:
    parts = ("Compare ", RED, " with ", BLUE, " please")
    reply = server.client.chat.completions.create(**asking(*parts))
    assert reply.choices[0].message.content == alone(*parts)
    assert reply.model == "toy"
    assert reply.usage is not None
    assert reply.usage.prompt_tokens_details is not None
    assert reply.usage.prompt_tokens_details.model_dump()["image_tokens"] == 8
    assert reply.usage.completion_tokens == 8
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + 8


def test_the_order_of_pictures_and_words_matters(server: Running) -> None:
    orders = [("a ", RED, " b ", BLUE), ("a ", BLUE, " b ", RED), (RED, BLUE, "a b"), ("a ", RED, BLUE, " b ")]
    replies = [server.post(asking(*parts)).json()["choices"][0]["message"]["content"] for parts in orders]
    assert replies == [alone(*parts) for parts in orders]
    assert len(set(replies)) > 1


def test_a_stream_joins_to_the_reply_and_ends_with_its_usage(server: Running) -> None:
    asked = asking("What is ", RED, "?", max_tokens=30)
    whole = server.client.chat.completions.create(**asked)
    chunks = list(server.client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == whole.choices[0].message.content
    assert sum(map(bool, pieces)) > 3
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == whole.choices[0].finish_reason
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert whole.usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_without_a_wish_tells_no_usage_and_ends_with_done(server: Running) -> None:
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=asking("hi", stream=True)) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert all("usage" not in chunk for chunk in chunks)
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"


def test_several_replies_are_drawn_each_by_a_seed_of_its_own(server: Running) -> None:
    asked = asking("Draw ", RED, n=3, temperature=1.5, seed=7)
    replies = [choice.message.content for choice in server.client.chat.completions.create(**asked).choices]
    expected = [alone("Draw ", RED, sampling=Sampling(max_tokens=8, temperature=1.5, seed=seed)) for seed in (7, 8, 9)]
    assert replies == expected
    assert len(set(replies)) == 3
    streamed = ["", "", ""]
    for chunk in server.client.chat.completions.create(**asked, stream=True):
        streamed[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert streamed == expected


def test_a_reply_ends_before_a_stop_text(server: Running) -> None:
    whole = alone("Stop ", RED, sampling=Sampling(max_tokens=40))
    stop = whole[6:8]
    reply = server.client.chat.completions.create(**{**asking("Stop ", RED), "max_tokens": 40}, stop=[stop, "never"])
    assert reply.choices[0].message.content == whole[: whole.index(stop)]
    assert reply.choices[0].finish_reason == "stop"


def test_probabilities_are_told_with_the_likeliest_tokens(server: Running) -> None:
    asked = asking("How likely is ", RED, logprobs=True, top_logprobs=3)
    choice = server.client.chat.completions.create(**asked).choices[0]
    assert choice.logprobs is not None
    tokens = choice.logprobs.content or []
    assert b"".join(bytes(token.bytes or ()) for token in tokens).decode(errors="replace") == choice.message.content
    for token in tokens:
        assert len(token.top_logprobs) == 3
        assert token.top_logprobs[0].logprob >= token.top_logprobs[1].logprob
        assert token.logprob == pytest.approx(token.top_logprobs[0].logprob), "a greedy token is the likeliest"
    streamed = [
        token
        for chunk in server.client.chat.completions.create(**asked, stream=True)
        if (told := chunk.choices[0].logprobs) is not None
        for token in told.content or []
    ]
    assert [token.bytes for token in streamed] == [token.bytes for token in tokens]
    plain = server.client.chat.completions.create(**asking("x", logprobs=True)).choices[0]
    assert plain.logprobs is not None
    assert all(token.top_logprobs == [] for token in plain.logprobs.content or [])


def test_a_reply_may_be_sent_back_as_it_came_and_the_next_turn_computes_only_what_is_new(server: Running) -> None:
    messages: list[Any] = [{"role": "system", "content": "Be short."}, *said("Look at ", RED, " and ", BLUE)]
    first = server.client.chat.completions.create(model="toy", messages=messages, max_tokens=8)
    messages += [first.choices[0].message.model_dump(), *said("And now?")]
    second = server.client.chat.completions.create(model="toy", messages=messages, max_tokens=8)
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.prompt_tokens_details is not None
    assert (second.usage.prompt_tokens_details.cached_tokens or 0) >= first.usage.prompt_tokens


def test_two_models_are_two_talkers(server: Running) -> None:
    assert [model.id for model in server.client.models.list()] == ["toy", "other", "judge"]
    assert server.client.models.retrieve("other").id == "other"
    replies = [
        server.client.chat.completions.create(**asking("Who? ", RED, model=name)).choices[0].message.content
        for name in ("toy", "other")
    ]
    assert replies == [alone("Who? ", RED, seed=3), alone("Who? ", RED, seed=5)]
    assert replies[0] != replies[1]


def test_the_layout_tells_each_piece_with_its_tokens(server: Running) -> None:
    body = asking("Compare ", RED, " with ", picture(3, size=(20, 50)))
    told = server.post(body, path="/v1/layout").json()
    images = [piece for piece in told["pieces"] if piece["kind"] == "image"]
    assert [(piece["number"], piece["width"], piece["height"]) for piece in images] == [(1, 40, 30), (2, 20, 50)]
    assert "Compare " in told["pieces"][0]["text"]
    assert sum(piece["tokens"] for piece in told["pieces"]) == told["tokens"]
    assert told["tokens"] == server.post(body).json()["usage"]["prompt_tokens"]
    assert told["limit"] == server.talker.longest


def test_images_are_numbered_as_the_template_numbers_them(tmp_path: Path) -> None:
    model = tiny(3)
    model.template = replace(model.template, first_number=find_template("mantis_fuyu").first_number)
    with serving(tmp_path, [model]) as server:
        told = server.post(asking("Compare ", RED, " with ", RED), path="/v1/layout").json()
    assert [piece["number"] for piece in told["pieces"] if piece["kind"] == "image"] == [0, 1]


def test_the_frames_of_a_video_stand_in_its_place(server: Running, tmp_path: Path) -> None:
    uri = data_uri(drawn_video(tmp_path / "v.mp4", frames=12).read_bytes(), "video/mp4")
    body = {**asking("See ", uri, " and ", RED)}
    shown = [piece for piece in server.post(body, path="/v1/layout").json()["pieces"] if piece["kind"] == "image"]
    assert [piece.get("video") for piece in shown] == ["video 1"] * 8 + [None]
    body["messages"][0]["content"][1]["video_url"]["frames"] = 3
    assert server.post(body).json()["usage"]["prompt_tokens_details"]["image_tokens"] == 16


def test_a_model_that_talks_and_scores_holds_its_weights_once(tmp_path: Path) -> None:
    both = tiny(3)
    both.score_head = ScoreHead(Scoring(targets=("quality", "motion")), 48, seed=4)
    twin = twin_of(both)
    assert twin.network is not both.network
    own, others = both.network.state_dict(), twin.network.state_dict()
    assert own.keys() == others.keys()
    assert all(own[name].data_ptr() == others[name].data_ptr() for name in own)
    assert not {id(part) for part in both.network.modules()} & {id(part) for part in twin.network.modules()}
    question = Example("q", (Turn("user", (of_uri(RED), Text("How good?"))),))
    scores = [Scorer(model, features=FeatureStore(model)).score([question]) for model in (both, twin)]
    assert list(scores[0]) == list(scores[1])


def test_a_score_head_is_asked_by_the_same_messages(server: Running) -> None:
    messages = said("How good is ", RED, "?")
    told = server.post({"model": "judge", "messages": messages}, path="/v1/score").json()
    question = Example("q", (Turn("user", (Text("How good is "), of_uri(RED), Text("?"))),))
    expected = next(iter(scorer().score([question])))
    assert isinstance(expected, Scored)
    assert list(told["scores"]) == ["quality", "motion"]
    assert list(told["scores"].values()) == pytest.approx(expected.scores, abs=1e-4)
    assert told["usage"]["prompt_tokens"] == expected.tokens
    assert server.refused(asking("hi"), path="/v1/score")["param"] == "max_tokens", "it takes a conversation alone"
    assert server.refused({"model": "toy", "messages": messages}, path="/v1/score")["code"] == "no_score_head"
    assert server.refused(asking("hi", model="judge"))["code"] == "no_words"


def test_votes_are_what_an_arena_reads(server: Running) -> None:
    for winner, number in (("a", 1), ("tie", 2), ("b", 3)):
        replies = {"a": f"reply {number}", "b": "another"}
        vote = {"a": "toy", "b": "other", "winner": winner, "id": f"q{number}", "replies": replies}
        assert server.post(vote, path="/v1/votes").status_code == 200
    files = [server.folder / "toy.jsonl", server.folder / "other.jsonl"]
    contestants = read_contestants(files)
    assert contestants[0].replies == {f"q{number}": f"reply {number}" for number in (1, 2, 3)}
    assert read_votes(server.folder / "votes.jsonl", contestants) == [
        Vote("toy", "other", 1.0, "q1"),
        Vote("toy", "other", 0.5, "q2"),
        Vote("toy", "other", 0.0, "q3"),
    ]
    assert server.refused({"a": "toy", "b": "nobody", "winner": "a"}, path="/v1/votes")["param"] == "b"
    assert server.refused({"a": "toy", "b": "toy", "winner": "a"}, path="/v1/votes")["param"] == "b"
    assert server.refused({"a": "toy", "b": "other", "winner": "c"}, path="/v1/votes")["param"] == "winner"


def test_curl_gets_a_reply_to_pictures_as_it_comes(server: Running, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    body = tmp_path / "body.json"
    body.write_text(json.dumps(asking("Compare ", RED, " with ", BLUE, stream=True)))
    command = ["curl", "-sS", "-N", f"{server.url}/v1/chat/completions", "-H", "Content-Type: application/json"]
    ran = subprocess.run([*command, "-d", f"@{body}"], capture_output=True, text=True, check=True, timeout=60)
    events = [line.removeprefix("data: ") for line in ran.stdout.splitlines() if line]
    assert events[-1] == "[DONE]"
    pieces = [json.loads(event)["choices"][0]["delta"].get("content", "") for event in events[:-1]]
    assert "".join(pieces) == alone("Compare ", RED, " with ", BLUE)


def test_a_reply_nobody_gave_a_length_is_no_longer_than_there_is_room_for(server: Running) -> None:
    asked = {"model": "toy", "messages": said("x" * 1900), "ignore_eos": True}
    usage = server.post(asked).json()["usage"]
    assert usage["total_tokens"] == server.talker.longest


def test_metrics_count_requests_and_tokens(server: Running) -> None:
    server.post(asking("hi ", RED))
    text = httpx.get(f"{server.url}/metrics").text
    assert 'triptych_requests_total{endpoint="/v1/chat/completions",status="200"}' in text
    assert 'triptych_tokens_total{kind="image",model="toy"}' in text
    assert 'triptych_engine_running{model="toy"} 0.0' in text
    assert httpx.get(f"{server.url}/health").json() == {"status": "ok"}
    for path in ("/health", "/v1/models", "/v1/models/toy", "/metrics"):
        head = httpx.head(f"{server.url}{path}")
        assert (head.status_code, head.content) == (200, b""), path


def test_replies_have_openais_types(server: Running) -> None:
    ChatCompletion.model_validate(server.post(asking("hi", logprobs=True)).json(), strict=True)
