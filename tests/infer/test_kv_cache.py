"""Keys and values with room say what the own cache says, are written in place, and take no more bits than are used."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import Cache

from tests.infer.test_decode import CONFIGS, NEVER, OfWords, model_of, prompts, toy
from triptych.infer.decoding.decode import DecodeStep, decode
from triptych.infer.decoding.kv_cache import PreallocatedLayer, preallocate
from triptych.infer.engine.slots import woven_words
from triptych.models.families.tiny import tiny
from triptych.models.memory.placement import computing, place_to_answer


def first_pass(model: OfWords, ids: list[int]) -> tuple[Tensor, Cache]:
    with torch.inference_mode():
        return model.run(woven_words(model, ids), mask=torch.ones(1, len(ids)).long(), cache=None)


@pytest.mark.parametrize("name", sorted(CONFIGS))
@pytest.mark.parametrize("room", [1, 3, 30])
def test_logits_are_those_of_the_own_cache_also_beyond_the_room(name: str, room: int) -> None:
    model, ids = model_of(CONFIGS[name]), [1, 2, 3, 4, 5]
    _, plain = first_pass(model, ids)
    _, preallocated = first_pass(model, ids)
    preallocated = preallocate(preallocated, room, precision=torch.float32)
    assert {type(layer) for layer in preallocated.layers} == {PreallocatedLayer}
    for step in range(8):
        token = woven_words(model, [step + 7])
        token.positions_ABT.add_(len(ids) + step)
        mask = torch.ones(1, len(ids) + step + 1).long()
        with torch.inference_mode():
            wanted, plain = model.run(token, mask=mask, cache=plain)
            found, preallocated = model.run(token, mask=mask, cache=preallocated)
        assert torch.equal(found, wanted)


def test_nothing_is_copied_for_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    model, places = toy(), list[int]()
    run = model.run

    def watched(*given: object, **named: object) -> object:
        made = run(*given, **named)  # type: ignore[arg-type]
        places.append(made[1].layers[0].keys.data_ptr())
        return made

    monkeypatch.setattr(model, "run", watched)
    list(decode(model, prompts(), stops={NEVER}, max_tokens=12))
    assert len(places) == 12
    assert len(set(places[1:])) == 1


def test_rows_that_end_leave_the_others_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy()

    def said(stop: int) -> list[DecodeStep]:
        return list(decode(model, prompts(), stops={stop}, max_tokens=10))

    stop = said(NEVER)[3].ids[0]
    found = said(stop)
    monkeypatch.setattr("triptych.infer.decoding.decode.preallocate", lambda cache, *_args, **_more: cache)
    assert found == said(stop)
    assert len({len(step.rows) for step in found}) > 1


def test_under_autocast_keys_are_kept_in_16_bits() -> None:
    model = place_to_answer(tiny(0), device=torch.device("cpu"), precision="bfloat16")
    with torch.inference_mode(), computing(model):
        _, cache = model.run(woven_words(model, [1, 2, 3]), mask=torch.ones(1, 3).long(), cache=None)
    assert cache.layers[0].keys is not None
    assert cache.layers[0].keys.dtype == torch.float32, "rotary keys, else this shows nothing"
    preallocated = preallocate(cache, 4, precision=model.precision).layers[0]
    assert isinstance(preallocated, PreallocatedLayer)
    assert preallocated.keys is not None
    assert preallocated.keys.dtype == torch.bfloat16


def test_a_window_that_holds_no_reply_keeps_its_own_layer() -> None:
    _, cache = first_pass(model_of(CONFIGS["mistral"]), [1, 2, 3])
    assert not any(
        isinstance(layer, PreallocatedLayer) for layer in preallocate(cache, 37, precision=torch.float32).layers
    )
    assert all(isinstance(layer, PreallocatedLayer) for layer in preallocate(cache, 36, precision=torch.float32).layers)
