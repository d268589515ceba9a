"""Many requests in many threads, cancelled, failing, listened to: each says what it says alone, memory is bounded."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.infer.crowd import Asked, alone, question
from tests.models.pictures import draw_pictures
from triptych.core.errors import DataError, ModelError, RunError, TriptychError
from triptych.core.records import Example, ImageRef, Text, Turn
from triptych.infer.decoding.sampling import Sampling
from triptych.infer.engine.engine import Engine, EngineSettings, QueueFull
from triptych.infer.engine.ticket import Delta
from triptych.models.families.tiny import tiny
from triptych.models.family import Model
from triptych.models.vision.features import FeatureStore

LONG = Sampling(max_tokens=400)
ENDLESS = Sampling(max_tokens=1500)


@pytest.fixture(scope="module")
def model() -> Model:
    made = tiny(3)
    made.network.eval().requires_grad_(False)
    return made


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRef, ...]:
    return draw_pictures(tmp_path_factory.mktemp("pictures"), 4)


@pytest.fixture
def engine(model: Model) -> Iterator[Engine]:
    with Engine(model, features=FeatureStore(model), settings=EngineSettings(tokens=8000)) as opened:
        yield opened


@pytest.fixture(scope="module")
def endless(model: Model, pictures: tuple[ImageRef, ...]) -> Example:
    """A question whose reply is long."""
    with Engine(model, features=FeatureStore(model)) as engine:
        for number in range(50):
            ticket = engine.submit(question(number, pictures), LONG)
            ticket.join()
            if ticket.usage.tokens_out == LONG.max_tokens:
                return question(number, pictures)
    raise AssertionError("no reply is long")


def test_a_crowd_in_many_threads_is_answered_without_mixing_up(
    model: Model, engine: Engine, pictures: tuple[ImageRef, ...]
) -> None:
    said: dict[int, str] = {}

    def talk(number: int) -> None:
        asked = Asked(number % 12, Sampling(max_tokens=10))
        said[number] = engine.submit(question(asked.number, pictures), asked.sampling).join()

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(48)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == {number: alone(Asked(number % 12, Sampling(max_tokens=10)), model, pictures) for number in range(48)}
    state = engine.state()
    assert state.stopped + state.cut == 48
    assert (state.running, state.waiting, state.tokens_held, state.failed) == (0, 0, 0, 0)


def test_pieces_come_one_by_one_and_the_last_says_why(
    model: Model, engine: Engine, pictures: tuple[ImageRef, ...], endless: Example
) -> None:
    ticket = engine.submit(endless, Sampling(max_tokens=30))
    pieces = list(ticket)
    assert len(pieces) > 5
    assert [piece.finish for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    assert pieces[-1].finish == "length"
    assert ticket.usage.tokens_out == 30
    assert ticket.join() == "", "what has been read is not read again"


def test_a_cancelled_request_frees_its_place_within_a_step(
    model: Model, pictures: tuple[ImageRef, ...], endless: Example
) -> None:
    long = endless
    with Engine(model, features=FeatureStore(model), settings=EngineSettings(rows=1)) as engine:
        first = engine.submit(long, ENDLESS)
        second = engine.submit(question(1, pictures), Sampling(max_tokens=3))
        pieces = iter(first)
        next(pieces)
        first.cancel()
        assert second.join() == alone(Asked(1, Sampling(max_tokens=3)), model, pictures)
        assert [piece.finish for piece in pieces][-1] == "cancelled"
        assert first.usage.tokens_out < ENDLESS.max_tokens
        assert engine.state().cancelled == 1


def test_a_waiting_request_can_be_cancelled_too(model: Model, pictures: tuple[ImageRef, ...], endless: Example) -> None:
    with Engine(model, features=FeatureStore(model), settings=EngineSettings(rows=1)) as engine:
        first = engine.submit(endless, ENDLESS)
        second = engine.submit(question(1, pictures), LONG)
        second.cancel()
        assert [piece.finish for piece in second] == ["cancelled"]
        assert not first.done
        first.cancel()


def test_who_leaves_the_iterator_wants_no_more(
    model: Model, engine: Engine, pictures: tuple[ImageRef, ...], endless: Example
) -> None:
    ticket = engine.submit(endless, ENDLESS)
    for _ in ticket:
        break
    assert ticket.cancelled


def test_too_many_waiting_are_told_so(model: Model, pictures: tuple[ImageRef, ...], endless: Example) -> None:
    with Engine(model, features=FeatureStore(model), settings=EngineSettings(rows=1, queue=3)) as engine:
        tickets = [engine.submit(endless, ENDLESS)]
        next(iter(tickets[0]))
        running = engine.submit(endless, ENDLESS)
        tickets = [running, *(engine.submit(question(n, pictures), LONG) for n in range(2))]
        deadline = time.monotonic() + 5
        while engine.state().waiting < 3 and time.monotonic() < deadline:
            tickets.append(engine.submit(question(5, pictures), LONG))
        with pytest.raises(QueueFull, match="3 requests wait"):
            engine.submit(question(4, pictures), LONG)
        assert engine.state().refused == 1
        for ticket in tickets:
            ticket.cancel()


def test_rows_never_hold_more_than_they_may(model: Model, pictures: tuple[ImageRef, ...]) -> None:
    asked = [Asked(number % 6, Sampling(max_tokens=40)) for number in range(12)]
    most = 3 * 200
    with Engine(model, features=FeatureStore(model), settings=EngineSettings(tokens=most)) as engine:
        tickets = [engine.submit(question(each.number, pictures), each.sampling) for each in asked]
        held = []
        while not all(ticket.done for ticket in tickets):
            held.append((engine.state().running, engine.state().tokens_held))
            time.sleep(0.001)
        said = [ticket.join() for ticket in tickets]
    assert said == [alone(each, model, pictures) for each in asked]
    assert max(tokens for _, tokens in held) <= most
    assert 1 < max(running for running, _ in held) < 12


def test_what_can_never_fit_is_refused_at_once(model: Model, engine: Engine, pictures: tuple[ImageRef, ...]) -> None:
    with pytest.raises(ModelError, match="more than the model's 2048"):
        engine.submit(question(1, pictures), Sampling(max_tokens=2048))
    with Engine(model, features=FeatureStore(model), settings=EngineSettings(tokens=100)) as small:
        with pytest.raises(ModelError, match="more than the engine's 100"):
            small.submit(question(1, pictures), Sampling(max_tokens=90))
        small.submit(question(1, pictures), Sampling(max_tokens=5)).join()


def test_what_is_no_question_is_refused_at_once(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="end in a user turn"):
        engine.submit(Example("done", (Turn("assistant", (Text("Hi"),)),)), LONG)
    with pytest.raises(DataError, match=r"gone\.png"):
        engine.submit(Example("gone", (Turn("user", (ImageRef(str(tmp_path / "gone.png")),)),)), LONG)


def test_a_torn_picture_fails_its_own_request_alone(
    model: Model, engine: Engine, pictures: tuple[ImageRef, ...], tmp_path: Path
) -> None:
    torn = tmp_path / "torn.png"
    whole = Path(pictures[0].source).read_bytes()
    torn.write_bytes(whole[: len(whole) // 2])
    others = [engine.submit(question(number, pictures), Sampling(max_tokens=10)) for number in range(3)]
    with pytest.raises(DataError, match=r"torn\.png"):
        engine.submit(Example("torn", (Turn("user", (ImageRef(str(torn)), Text("?"))),)), LONG).join()
    for number, ticket in enumerate(others):
        assert ticket.join() == alone(Asked(number, Sampling(max_tokens=10)), model, pictures)


def test_a_prompt_that_memory_does_not_hold_fails_alone(pictures: tuple[ImageRef, ...], endless: Example) -> None:
    """A hook runs out of memory as a small device would."""
    model = tiny(3)
    long = endless

    def small(module: torch.nn.Module, values: object, named: dict[str, torch.Tensor]) -> None:
        if named["inputs_embeds"].shape[1] > 300:
            raise torch.OutOfMemoryError

    hook = model.network.register_forward_pre_hook(small, with_kwargs=True)
    large = Example("large", (Turn("user", (Text("word " * 100),)),))
    with Engine(model, features=FeatureStore(model)) as engine:
        first = engine.submit(long, Sampling(max_tokens=60))
        pieces = iter(first)
        next(pieces)
        with pytest.raises(RunError, match="large: the device's memory"):
            engine.submit(large, Sampling(max_tokens=5)).join()
        after = engine.submit(question(2, pictures), Sampling(max_tokens=10)).join()
    hook.remove()
    assert after == alone(Asked(2, Sampling(max_tokens=10)), model, pictures)


def test_a_step_that_fails_ends_those_in_it_and_the_next_are_answered(
    pictures: tuple[ImageRef, ...], endless: Example
) -> None:
    model = tiny(3)
    long, broken = endless, threading.Event()

    def fail(module: torch.nn.Module, values: object, named: dict[str, torch.Tensor]) -> None:
        if broken.is_set():
            broken.clear()
            raise RuntimeError("a wire is loose")

    hook = model.network.register_forward_pre_hook(fail, with_kwargs=True)
    with Engine(model, features=FeatureStore(model)) as engine:
        tickets = [engine.submit(long, ENDLESS) for _ in range(2)]
        readers = [iter(ticket) for ticket in tickets]
        for reader in readers:
            next(reader)
        broken.set()
        for reader in readers:
            with pytest.raises(RunError, match="a wire is loose"):
                list(reader)
        after = engine.submit(question(2, pictures), Sampling(max_tokens=10)).join()
        assert engine.state().failed == 2
    hook.remove()
    assert after == alone(Asked(2, Sampling(max_tokens=10)), model, pictures)


def test_a_listener_hears_the_same_pieces(model: Model, engine: Engine, pictures: tuple[ImageRef, ...]) -> None:
    heard: list[Delta | TriptychError] = []
    done = threading.Event()

    def listen(piece: Delta | TriptychError) -> None:
        heard.append(piece)
        if isinstance(piece, Delta) and piece.finish:
            done.set()

    engine.submit(question(1, pictures), Sampling(max_tokens=10), listener=listen)
    assert done.wait(10)
    said = "".join(piece.text for piece in heard if isinstance(piece, Delta))
    assert said == alone(Asked(1, Sampling(max_tokens=10)), model, pictures)


def test_a_listener_that_breaks_loses_its_own_reply_alone(
    model: Model, engine: Engine, pictures: tuple[ImageRef, ...]
) -> None:
    def broken(piece: Delta | TriptychError) -> None:
        if isinstance(piece, Delta):
            raise LookupError("nobody is there")

    other = engine.submit(question(1, pictures), Sampling(max_tokens=10))
    engine.submit(question(2, pictures), Sampling(max_tokens=10), listener=broken)
    assert other.join() == alone(Asked(1, Sampling(max_tokens=10)), model, pictures)
    assert engine.submit(question(3, pictures), Sampling(max_tokens=4)).join() is not None


def test_a_listener_that_always_breaks_harms_nobody_else(
    model: Model, engine: Engine, pictures: tuple[ImageRef, ...], endless: Example
) -> None:
    def broken(piece: Delta | TriptychError) -> None:
        if not isinstance(piece, Delta) or piece.finish:
            raise LookupError("nobody is there")

    other = engine.submit(question(1, pictures), Sampling(max_tokens=10))
    engine.submit(question(2, pictures), Sampling(max_tokens=10), listener=broken)
    engine.submit(endless, ENDLESS, listener=broken).cancel()
    assert other.join() == alone(Asked(1, Sampling(max_tokens=10)), model, pictures)
    with Engine(model, features=FeatureStore(model), settings=EngineSettings(rows=1)) as closing:
        running = closing.submit(endless, ENDLESS)
        next(iter(running))
        closing.submit(endless, ENDLESS, listener=broken)
        waiting = closing.submit(endless, ENDLESS)
    assert list(waiting)[-1].finish == "cancelled", "who waits behind it is told of the end"


def test_closing_ends_all_and_answers_no_more(model: Model, pictures: tuple[ImageRef, ...], endless: Example) -> None:
    engine = Engine(model, features=FeatureStore(model), settings=EngineSettings(rows=1))
    tickets = [engine.submit(endless, ENDLESS) for _ in range(2)]
    engine.close()
    engine.close()
    assert [list(ticket)[-1].finish for ticket in tickets] == ["cancelled", "cancelled"]
    with pytest.raises(RunError, match="closed"):
        engine.submit(question(1, pictures), LONG)


def test_probabilities_are_told_of_every_token_that_is_said(engine: Engine, pictures: tuple[ImageRef, ...]) -> None:
    for stop in ((), ("e",)):
        ticket = engine.submit(question(1, pictures), Sampling(max_tokens=12, logprobs=2, stop=stop))
        pieces = list(ticket)
        text = "".join(piece.text for piece in pieces)
        told = [each for piece in pieces for each in piece.logprobs]
        assert b"".join(each.bytes for each in told).decode(errors="replace") == text
        for each in told:
            assert each.logprob <= each.top[0][1] + 1e-6
            assert len(each.top) == 2
            assert each.text == each.top[0][0], "the likeliest is chosen"


def test_an_engine_of_one_row_says_what_many_rows_say(model: Model, pictures: tuple[ImageRef, ...]) -> None:
    asked = [question(number, pictures) for number in range(5)]
    said = []
    for rows in (1, 2, 64):
        with Engine(model, features=FeatureStore(model), settings=EngineSettings(rows=rows)) as engine:
            tickets = [engine.submit(each, Sampling(max_tokens=12)) for each in asked]
            said.append([ticket.join() for ticket in tickets])
    assert said[0] == said[1] == said[2]
