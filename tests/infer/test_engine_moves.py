"""Requests that come, go and are cut in any order, step by step: each says what it says alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.infer.crowd import Asked, alone, request_of, scheduler_of
from tests.models.pictures import draw_pictures
from triptych.core.records import ImageRef
from triptych.infer.decoding.sampling import Sampling
from triptych.infer.engine.prefix_cache import PromptKeys
from triptych.infer.engine.scheduler import Request
from triptych.models.families.tiny import tiny
from triptych.models.family import Model


@pytest.fixture(scope="module")
def model() -> Model:
    made = tiny(3)
    made.network.eval().requires_grad_(False)
    return made


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRef, ...]:
    return draw_pictures(tmp_path_factory.mktemp("pictures"), 4)


SAMPLINGS = st.builds(
    Sampling,
    max_tokens=st.integers(1, 12),
    temperature=st.sampled_from([0.0, 0.0, 1.0]),
    top_p=st.sampled_from([1.0, 0.8]),
    seed=st.integers(0, 3),
    stop=st.sampled_from([(), ("e",), ("\ufffd", "a")]),
    repetition_penalty=st.sampled_from([1.0, 1.5]),
)
ASKED = st.builds(Asked, st.integers(0, 5), SAMPLINGS)
MOVES = st.lists(st.one_of(ASKED, st.tuples(st.just("cancel"), st.integers(0, 9)), st.just("step")), max_size=24)


@settings(max_examples=30, deadline=None)
@given(moves=MOVES, prefix_tokens=st.sampled_from([0, 60, 4000]))
def test_whoever_comes_and_goes_each_says_what_it_says_alone(
    model: Model, pictures: tuple[ImageRef, ...], moves: list[Any], prefix_tokens: int
) -> None:
    scheduler, known = scheduler_of(model, prefix_tokens=prefix_tokens), PromptKeys()
    asked: list[tuple[Asked, Request]] = []
    for move in moves:
        if isinstance(move, Asked):
            request = request_of(move, model, pictures, known)
            if scheduler.fits(request):
                asked.append((move, request))
                scheduler.begin(request)
        elif move == "step":
            scheduler.step()
        elif asked:
            asked[move[1] % len(asked)][1].ticket.cancel()
        assert scheduler.prefix_tokens <= prefix_tokens
    while scheduler.running:
        scheduler.step()
    assert scheduler.tokens_held == 0
    for wanted, request in asked:
        pieces = list(request.ticket)
        said, expected = "".join(piece.text for piece in pieces), alone(wanted, model, pictures)
        assert pieces[-1].finish is not None
        assert expected.startswith(said) if pieces[-1].finish == "cancelled" else said == expected
