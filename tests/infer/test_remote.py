"""An endpoint's replies: every question once, troubles mended or told, order and limits kept. Against a real server."""

from __future__ import annotations

import base64
import threading
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.infer.endpoint import (
    Said,
    ask,
    completion,
    echo,
    failure,
    one,
    responder,
    serving,
    trouble,
    words_of,
)
from triptych.core.errors import ConfigError
from triptych.core.records import Answer, Example, ImageRef, Text, Turn
from triptych.infer.endpoint.remote import RemoteResponder, api_key
from triptych.infer.responder import Failed, Responder
from triptych.infer.settings import Address, EndpointSettings

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def picture(tmp_path: Path) -> ImageRef:
    path = tmp_path / "red.png"
    Image.new("RGB", (20, 10), "red").save(path)
    return ImageRef(str(path))


def test_sixty_four_questions_are_in_flight_and_each_gets_its_own_reply() -> None:
    full = threading.Event()

    def held_until_full(request: dict[str, Any], before: int) -> Said:
        if endpoint.at_once == 64:
            full.set()
        if len(endpoint.requests) > 100:  # by then it has learnt that so many are welcome
            assert full.wait(10)
        return echo(request, before)

    questions = [ask(f"q{number}") for number in range(250)]
    with serving(held_until_full) as endpoint:
        asked: Responder = responder(endpoint, concurrency=64)
        found = {answer.id: answer for answer in asked.answer(questions)}
    assert len(endpoint.requests) == len(found) == 250
    assert endpoint.most_at_once == 64
    for name, answer in found.items():
        assert isinstance(answer, Answer)
        assert answer == Answer(name, f"you said What is {name}?", tokens_in=100, tokens_out=5)


def test_words_and_images_stand_in_the_request_in_their_order(picture: ImageRef, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "blue").save(tmp_path / "blue.jpg")
    blue = ImageRef(str(tmp_path / "blue.jpg"))
    shown = Example("shown", (Turn("user", (blue, Text("colour?"))), Turn("assistant", (Text("blue"),))))
    question = Example(
        "q",
        (
            Turn("system", (Text("Be brief."),)),
            Turn("user", (Text("Between "), picture, Text(" and "), blue, picture, Text("?"))),
            Turn("assistant", (Text("Neither."),)),
            Turn("user", (Text("Sure?"),)),
        ),
        demonstrations=(shown,),
    )
    with serving(echo) as endpoint:
        one(list(responder(endpoint).answer([question], max_tokens=7)))
    red_uri = "data:image/png;base64," + base64.b64encode(Path(picture.source).read_bytes()).decode()
    blue_uri = "data:image/jpeg;base64," + base64.b64encode(Path(blue.source).read_bytes()).decode()
    red_part = {"type": "image_url", "image_url": {"url": red_uri}}
    blue_part = {"type": "image_url", "image_url": {"url": blue_uri}}
    assert endpoint.requests == [
        {
            "model": "m",
            "max_tokens": 7,
            "temperature": 0.0,
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [blue_part, {"type": "text", "text": "colour?"}]},
                {"role": "assistant", "content": "blue"},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Between "},
                        red_part,
                        {"type": "text", "text": " and "},
                        blue_part,
                        red_part,
                        {"type": "text", "text": "?"},
                    ],
                },
                {"role": "assistant", "content": "Neither."},
                {"role": "user", "content": "Sure?"},
            ],
        }
    ]


@pytest.mark.parametrize(
    "first",
    [
        trouble(429),
        trouble(500),
        trouble(503),
        Said("not JSON {"),
        Said("{}"),
        Said('{"choices": []}'),
        Said("<html>", 502, {"Content-Type": "text/html"}),
    ],
    ids=lambda said: f"{said.status} {said.body[:12]}",
)
def test_what_may_pass_is_asked_again_after_a_growing_wait(first: Said) -> None:
    slept: list[float] = []
    with serving(lambda request, before: first if before < 3 else echo(request, before)) as endpoint:
        answer = one(list(responder(endpoint, slept=slept).answer([ask("a")])))
    assert answer.text == "you said What is a?"
    assert len(endpoint.requests) == 4
    assert len(slept) == 3
    assert all(0.5 * 2**number <= wait <= 2**number for number, wait in enumerate(slept))


@pytest.mark.parametrize(
    "asked",
    [
        {"Retry-After": "17"},
        {"Retry-After": "1", "retry-after-ms": "17000"},
        {"Retry-After": "a date"},
    ],
    ids=["seconds", "milliseconds", "a date"],
)
def test_a_wait_is_as_long_as_the_endpoint_asks_for(asked: dict[str, str]) -> None:
    def busy_once(request: dict[str, Any], before: int) -> Said:
        until = formatdate(time.time() + 18, usegmt=True)  # in whole seconds, cut off
        headers = {name: until if value == "a date" else value for name, value in asked.items()}
        return echo(request, before) if before else trouble(429, headers=headers)

    slept: list[float] = []
    with serving(busy_once) as endpoint:
        one(list(responder(endpoint, slept=slept).answer([ask("a")])))
    assert len(slept) == 1
    assert 16.9 <= slept[0] <= 1.1 * 18


def test_a_slow_reply_is_given_up_and_asked_again() -> None:
    def slow_once(request: dict[str, Any], before: int) -> Said:
        return Said(echo(request, before).body, after_s=0.0 if before else 1.0)

    with serving(slow_once) as endpoint:
        found = list(responder(endpoint, timeout_s=0.2).answer([ask("a")]))
    assert one(found).text == "you said What is a?"
    assert len(endpoint.requests) == 2


def test_what_never_passes_has_failed_with_the_reason() -> None:
    with serving(lambda request, before: trouble(500)) as endpoint:
        reason = failure(list(responder(endpoint, attempts=3).answer([ask("a")])))
    assert len(endpoint.requests) == 3
    assert str(endpoint.address) in reason
    assert "status 500" in reason
    assert "3 attempts" in reason


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (completion(None, refusal="I cannot help with that."), "refused: I cannot help"),
        (completion("", ended="content_filter"), "refused: by the content filter"),
        (completion("", ended="length"), "raise max_tokens"),
        (completion(None), "a reply without words"),
        (trouble(403), "status 403"),
        (trouble(400), "status 400"),
        (trouble(413), "status 413"),
    ],
    ids=["refusal", "filter", "thought too long", "no words", "forbidden", "bad request", "too large"],
)
def test_what_is_no_reply_has_failed_at_once_and_is_never_an_empty_answer(said: Said, why: str) -> None:
    with serving(lambda request, before: said) as endpoint:
        assert why in failure(list(responder(endpoint).answer([ask("a")])))
    assert len(endpoint.requests) == 1


def test_an_empty_reply_that_the_model_ended_itself_is_an_answer() -> None:
    with serving(lambda request, before: completion("")) as endpoint:
        assert one(list(responder(endpoint).answer([ask("a")]))).text == ""


@pytest.mark.parametrize("said", [trouble(401), trouble(402), trouble(404), trouble(429, code="insufficient_quota")])
def test_what_every_question_would_meet_is_met_once(said: Said) -> None:
    with serving(lambda request, before: said) as endpoint:
        found = list(responder(endpoint, concurrency=1).answer([ask(f"q{number}") for number in range(20)]))
    assert len(endpoint.requests) == 1
    assert len({answer.id for answer in found if isinstance(answer, Failed)}) == 20


def test_an_overrun_endpoint_is_asked_less_at_once() -> None:
    """The server takes four at a time and refuses the fifth."""

    def four(request: dict[str, Any], before: int) -> Said:
        if endpoint.at_once > 4:
            return trouble(429)
        return Said(echo(request, before).body, after_s=0.01)

    with serving(four) as endpoint:
        found = list(responder(endpoint, concurrency=64, attempts=50).answer([ask(f"q{n}") for n in range(120)]))
    assert all(isinstance(answer, Answer) for answer in found)
    assert len(endpoint.requests) < 2 * 120


def test_a_picture_that_cannot_be_read_fails_its_own_question_only(picture: ImageRef) -> None:
    gone = ImageRef(str(Path(picture.source).with_name("gone.png")))
    with serving(echo) as endpoint:
        found = {a.id: a for a in responder(endpoint).answer([ask("a", gone), ask("b", picture)])}
    assert isinstance(found["b"], Answer)
    assert isinstance(lost := found["a"], Failed)
    assert "gone.png" in lost.reason
    assert len(endpoint.requests) == 1


def test_an_iterator_that_is_left_cancels_what_is_in_flight() -> None:
    def slow(request: dict[str, Any], before: int) -> Said:
        first = words_of(request) == "What is q0?"
        return Said(echo(request, before).body, after_s=0.0 if first else 5.0)

    with serving(slow) as endpoint:
        answers = responder(endpoint, concurrency=4).answer([ask(f"q{number}") for number in range(50)])
        begin = time.monotonic()
        next(answers)
        answers.close()  # type: ignore[attr-defined]
        assert time.monotonic() - begin < 2
        assert len(endpoint.requests) <= 5


def test_the_fingerprint_follows_what_changes_replies_and_nothing_else() -> None:
    def fingerprint(url: str = "http://a/v1", model: str = "m", **settings: Any) -> str:
        return RemoteResponder(Address(url, model), EndpointSettings(**settings)).fingerprint

    same = {fingerprint(), fingerprint(concurrency=3), fingerprint(timeout_s=1.0), fingerprint(budget_tokens=9)}
    other = {fingerprint("http://b/v1"), fingerprint(model="n"), fingerprint(temperature=1.0), fingerprint(seed=1)}
    assert len(same) == 1
    assert len(same | other | {fingerprint(image_side_px=512), fingerprint(video_frames=4)}) == 7


def test_a_key_is_shown_to_nobody_it_is_not_meant_for(monkeypatch: pytest.MonkeyPatch) -> None:
    public, own = Address("https://api.openai.com/v1", "m"), Address("http://localhost:8000/v1", "m")
    assert api_key(own) == "none"
    with pytest.raises(ConfigError, match="TRIPTYCH_API_KEY"):
        api_key(public)
    monkeypatch.setenv("OPENAI_API_KEY", "secret\n")
    assert (api_key(public), api_key(own)) == ("secret", "none")
    monkeypatch.setenv("TRIPTYCH_API_KEY", "mine")
    with serving(echo) as endpoint:
        one(list(responder(endpoint).answer([ask("a")])))
    assert endpoint.headers[0]["authorization"] == "Bearer mine"
    for wrong in ("schl\u00fcssel", "two\nlines"):
        monkeypatch.setenv("TRIPTYCH_API_KEY", wrong)
        with pytest.raises(ConfigError, match="TRIPTYCH_API_KEY") as told:
            api_key(own)
        assert wrong not in str(told.value)
