"""How much is asked at once: what a GPU's free memory holds, a number on a CPU, and half of what was too much."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from transformers import LlamaConfig

from triptych.core.records import Answer, Example, Text, Turn
from triptych.infer.decoding.batches import Group
from triptych.infer.decoding.kv_budget import MOST, bytes_a_position, positions_that_fit
from triptych.infer.engine.engine import Engine
from triptych.infer.local import LocalResponder
from triptych.models.families.tiny import tiny
from triptych.models.vision.features import FeatureStore

EIGHT_BILLION = LlamaConfig(
    hidden_size=4096, intermediate_size=14_336, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8
)


class OnGpu:
    """A network that says it is on a GPU."""

    class network:  # noqa: N801 - an attribute of models
        device = torch.device("cuda", 0)
        config = EIGHT_BILLION


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> OnGpu:
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda *_: 3 * 2**30)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda *_: 2 * 2**30)
    return OnGpu()


def test_a_position_costs_keys_values_and_a_layer() -> None:
    model = OnGpu()
    assert model.network.config.head_dim == 128
    kept = 2 * 32 * 8 * 128 * 4
    assert kept < bytes_a_position(model) < 2.5 * kept  # type: ignore[arg-type]


@pytest.mark.parametrize(("free_gib", "least", "most"), [(60, 30_000, 80_000), (1, 4096, 4096), (4000, MOST, MOST)])
def test_more_memory_holds_more(
    free_gib: int, least: int, most: int, gpu: OnGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (free_gib * 2**30, 0))
    assert least <= positions_that_fit(gpu, otherwise=4096) <= most  # type: ignore[arg-type]


def test_on_a_cpu_it_is_a_number() -> None:
    model = tiny(0)
    assert LocalResponder(model, name="toy", features=FeatureStore(model)).batch_tokens == 4096
    with Engine(model, features=FeatureStore(model)) as engine:
        assert engine.tokens == 32_768


def test_a_batch_that_memory_does_not_hold_is_halved_until_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    model, sizes = tiny(0), list[int]()
    responder = LocalResponder(model, name="toy", features=FeatureStore(model), share=False)
    questions = [Example(str(n), (Turn("user", (Text(f"What is {n}?"),)),)) for n in range(13)]
    wanted = {each.id: each.text for each in responder.answer(questions, max_tokens=4) if isinstance(each, Answer)}
    speak = responder._speak

    def with_little(batch: Sequence[Group], max_tokens: int) -> object:
        sizes.append(sum(len(group.prompts) for group in batch))
        if sizes[-1] > 4:
            raise torch.OutOfMemoryError("too little")
        return speak(batch, max_tokens)

    monkeypatch.setattr(responder, "_speak", with_little)
    found = {each.id: each.text for each in responder.answer(questions, max_tokens=4) if isinstance(each, Answer)}
    assert found == wanted
    assert sizes == [13, 6, 3, 3, 6, 3, 3, 1]
