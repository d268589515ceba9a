"""A model here and a model behind an address are asked alike: pieces, usage, stops, errors, cancelling."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.infer.endpoint import Said, serving, trouble
from tests.models.pictures import draw_pictures
from tests.pictures import real_data
from triptych.core.errors import ConfigError, DataError, ModelError, RunError
from triptych.core.records import Example, ImageRef, Part, Text, Turn, VideoRef, images_of
from triptych.infer.decoding.sampling import Sampling
from triptych.infer.engine.engine import QueueFull
from triptych.infer.engine.ticket import Delta
from triptych.infer.settings import Address, EndpointSettings
from triptych.models.families.tiny import tiny
from triptych.models.vision.features import FeatureStore
from triptych.serve.endpoint import EndpointTalker, wishes_of
from triptych.serve.speaking import LocalTalker, open_talker, sampling_of, submit_within, with_frames

SHORT = Sampling(max_tokens=6)


def ask(*parts: str | Part) -> Example:
    return Example("q", (Turn("user", tuple(Text(part) if isinstance(part, str) else part for part in parts)),))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRef, ...]:
    return draw_pictures(tmp_path_factory.mktemp("pictures"), 6)


@pytest.fixture(scope="module")
def local() -> Iterator[LocalTalker]:
    model = tiny(3)
    talker = LocalTalker(model, features=FeatureStore(model), name="tiny")
    yield talker
    talker.close()


def streamed(*pieces: str, finish: str | None = "stop", **more: Any) -> Said:
    """A streamed completion of these pieces; ``more`` is its usage."""
    chunks: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    if finish:
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if more:
        chunks.append({"choices": [], "usage": more})
    lines = [*(json.dumps({"id": "1", "object": "chat.completion.chunk", **each}) for each in chunks), "[DONE]"]
    return Said("".join(f"data: {line}\n\n" for line in lines))


def talker_of(address: Address, **settings: Any) -> EndpointTalker:
    return EndpointTalker(address, EndpointSettings(**settings))


def test_turn_five_computes_neither_images_nor_earlier_words_again(pictures: tuple[ImageRef, ...]) -> None:
    model, seen = tiny(3), []
    for part in ("vision", "projector"):
        model.parts()[part].register_forward_hook(lambda _module, given, _made: seen.append(len(given[0])))
    talker = LocalTalker(model, features=FeatureStore(model), name="tiny")
    talk = ask(*pictures, "What is on these?")
    usages = []
    for turn in range(1, 6):
        ticket = talker.submit(talk, SHORT)
        said = ticket.join()
        usages.append(ticket.usage)
        assert bool(seen) == (turn == 1)
        seen.clear()
        more = (Turn("assistant", (Text(said),)), Turn("user", (Text(f"And {turn}?"),)))
        talk = replace(talk, turns=(*talk.turns, *more))
    talker.close()
    for before, after in pairwise(usages):
        # All that was read before is known; what was said may be spelled in other tokens when it is read.
        assert after.cached_tokens >= before.tokens_in
    assert usages[4].image_tokens == usages[0].image_tokens > 0


def test_videos_are_shown_as_frames_to_both(local: LocalTalker) -> None:
    clip = real_data("videoscore") / "video1.mp4"
    question = ask("What happens in ", VideoRef(str(clip)), "?")
    assert len(images_of(with_frames(question, 3))) == 3
    layout = local.layout(question)
    assert layout is not None
    assert len(layout.images) == local.video_frames == 8
    with serving(lambda request, before: streamed("much")) as endpoint:
        talker = talker_of(endpoint.address, video_frames=2)
        assert talker.submit(question, SHORT).join() == "much"
        talker.close()
    kinds = [part["type"] for part in endpoint.requests[0]["messages"][-1]["content"]]
    assert kinds == ["text", "image_url", "image_url", "text"]


def test_a_local_model_refuses_at_once_and_is_asked_for_what_fits(local: LocalTalker) -> None:
    with pytest.raises(DataError):
        local.submit(ask(ImageRef("/gone.png")), SHORT)
    assert local.longest is not None
    layout = local.layout(ask("Hm?"))
    assert layout is not None
    ticket = submit_within(local, ask("Hm?"), sampling=Sampling(max_tokens=local.longest * 2, stop=("e",)))
    ticket.cancel()
    long = ask("word " * local.longest)
    with pytest.raises(ModelError, match="fewer images or turns"):
        submit_within(local, long, sampling=SHORT)


def test_an_endpoints_reply_comes_in_its_pieces_with_what_it_took() -> None:
    details = {"cached_tokens": 40, "image_tokens": 50}
    reply = streamed(
        "the", " second", prompt_tokens=70, completion_tokens=2, total_tokens=72, prompt_tokens_details=details
    )
    with serving(lambda request, before: reply) as endpoint:
        talker = talker_of(endpoint.address)
        ticket = talker.submit(ask("Which?"), Sampling(max_tokens=9, temperature=0.5, seed=4, stop=("END",)))
        assert list(ticket) == [Delta("the"), Delta(" second"), Delta("", finish="stop")]
        usage = ticket.usage
        talker.close()
    assert (usage.tokens_in, usage.tokens_out, usage.image_tokens, usage.cached_tokens) == (70, 2, 50, 40)
    (request,) = endpoint.requests
    assert request["stream"] is True
    assert request["stream_options"] == {"include_usage": True}
    assert {key: request[key] for key in ("max_tokens", "temperature", "seed", "stop")} == {
        "max_tokens": 9,
        "temperature": 0.5,
        "seed": 4,
        "stop": ["END"],
    }
    assert talker.layout(ask("Which?")) is None


def test_what_is_as_everywhere_is_not_sent() -> None:
    assert wishes_of(Sampling(max_tokens=5), EndpointSettings()) == {"max_tokens": 5, "temperature": 0.0}
    chosen = EndpointSettings(temperature=None, limit_name="max_completion_tokens")
    assert wishes_of(Sampling(max_tokens=5, top_k=3), chosen) == {"max_completion_tokens": 5, "top_k": 3}


def test_log_probabilities_of_an_endpoint_are_handed_on() -> None:
    content = [{"token": "é", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "a", "logprob": -1.0}]}]
    chunk = {"choices": [{"index": 0, "delta": {"content": "é"}, "logprobs": {"content": content}}]}
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}
    body = "".join(
        f"data: {json.dumps({'id': '1', 'object': 'chat.completion.chunk', **each})}\n\n" for each in (chunk, end)
    )
    with serving(lambda request, before: Said(body + "data: [DONE]\n\n")) as endpoint:
        talker = talker_of(endpoint.address)
        first, last = talker.submit(ask("Hm?"), Sampling(logprobs=1))
        talker.close()
    assert endpoint.requests[0]["top_logprobs"] == 1
    assert first.logprobs[0].bytes == "é".encode()
    assert first.logprobs[0].top == (("a", -1.0),)
    assert last.finish == "length"


@pytest.mark.parametrize(("said", "finish"), [("stop", "stop"), ("eos_token", "stop"), ("abort", "length")])
def test_a_reply_that_an_endpoint_broke_off_is_no_whole_one(said: str, finish: str) -> None:
    with serving(lambda request, before: streamed("red", finish=said)) as endpoint:
        talker = talker_of(endpoint.address)
        *_, last = talker.submit(ask("Hm?"), Sampling())
        talker.close()
    assert last.finish == finish


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (trouble(401), "sorry, 401"),
        (trouble(400), "sorry, 400"),
        (streamed("half a", finish=None), "cut on its way"),
        (streamed("no", finish="content_filter"), "refused: by the content filter"),
        (replace(streamed("half"), cut=60), "127.0.0.1.*complete message body"),
        (Said("data: {not json\n\n"), "127.0.0.1"),
    ],
)
def test_what_goes_wrong_at_an_endpoint_is_one_line_in_the_ticket(reply: Said, told: str) -> None:
    with serving(lambda request, before: reply) as endpoint:
        talker = talker_of(endpoint.address)
        with pytest.raises(RunError, match=told) as error:
            talker.submit(ask("Hm?"), SHORT).join()
        talker.close()
    assert "\n" not in str(error.value)


def test_an_endpoint_that_takes_no_stream_options_is_asked_without() -> None:
    def fussy(request: dict[str, Any], before: int) -> Said:
        if "stream_options" in request:
            return Said(json.dumps({"error": {"message": "unknown field stream_options"}}), 400)
        return streamed("fine")

    with serving(fussy) as endpoint:
        talker = talker_of(endpoint.address)
        assert [talker.submit(ask("Hm?"), SHORT).join() for _ in range(2)] == ["fine", "fine"]
        talker.close()
    assert ["stream_options" in request for request in endpoint.requests] == [True, False, False]


def test_what_cannot_be_sent_is_refused_at_once_and_nobody_listening_is_told() -> None:
    talker = talker_of(Address("http://127.0.0.1:9/v1", "m"))
    with pytest.raises(DataError, match=r"gone\.png"):
        talker.submit(ask(ImageRef("/gone.png")), SHORT)
    with pytest.raises(DataError, match="user turn"):
        talker.submit(Example("q", ()), SHORT)
    talker.close()
    talker.close()
    with pytest.raises(RunError, match="closed"):
        talker.submit(ask("Hm?"), SHORT)


class Endless:
    """A server that says "la" for ever, and knows who has hung up."""

    def __init__(self) -> None:
        self.left = threading.Event()
        self.asked = 0
        endless = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                endless.asked += 1
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                chunk = {
                    "id": "1",
                    "object": "chat.completion.chunk",
                    "choices": [{"index": 0, "delta": {"content": "la"}}],
                }
                with suppress(OSError):
                    while True:
                        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                        time.sleep(0.01)
                endless.left.set()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def address(self) -> Address:
        return Address(f"http://127.0.0.1:{self.server.server_port}/v1", "m")


@pytest.fixture
def endless() -> Iterator[Endless]:
    server = Endless()
    yield server
    server.server.shutdown()
    server.server.server_close()


def test_leaving_a_reply_hangs_up(endless: Endless) -> None:
    talker = talker_of(endless.address)
    for piece in talker.submit(ask("Hm?"), SHORT):
        assert piece.text == "la"
        break
    assert endless.left.wait(10)
    talker.close()


def test_cancelled_and_closed_tickets_end(endless: Endless) -> None:
    talker = talker_of(endless.address, concurrency=1)
    first, waiting = talker.submit(ask("Hm?"), SHORT), talker.submit(ask("And?"), SHORT)
    next(iter(first))
    waiting.cancel()
    assert list(waiting) == [Delta("", finish="cancelled")]
    other = talker.submit(ask("So?"), SHORT)
    talker.close()
    assert list(other)[-1].finish == "cancelled"
    assert endless.asked >= 1


def test_too_many_waiting_for_an_endpoint_are_told_so_and_come_again_later(endless: Endless) -> None:
    talker = EndpointTalker(endless.address, EndpointSettings(concurrency=1), queue=1)
    first, waiting = talker.submit(ask("Hm?"), SHORT), talker.submit(ask("And?"), SHORT)
    with pytest.raises(QueueFull, match="Ask again"):
        talker.submit(ask("So?"), SHORT)
    for ticket in (first, waiting):
        ticket.cancel()
        assert list(ticket)[-1].finish == "cancelled"
    later = talker.submit(ask("So?"), SHORT)
    assert next(iter(later)).text == "la"
    talker.close()


def test_opening_tells_what_is_wrong_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="model's name"):
        open_talker("http://localhost:8000/v1")
    with pytest.raises(ConfigError, match="video_frames"):
        open_talker(tmp_path, video_frames=0)
    with pytest.raises((LookupError, ValueError)):
        open_talker(tmp_path / "gone")


def test_wishes_are_read_from_what_people_type() -> None:
    before = Sampling(max_tokens=9, stop=("a",))
    assert sampling_of("temperature: 1\nstop: [b, c]", where="x", before=before) == Sampling(9, 1.0, stop=("b", "c"))
    assert sampling_of("", where="x") == Sampling()
    with pytest.raises(ConfigError, match="Did you mean 'temperature'"):
        sampling_of("temprature: 1", where="x")
