"""Rows that join, go on and leave in any order have the logits they have when each is computed anew and alone."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor
from transformers import GPT2Config, GPTNeoXConfig, LlamaConfig, MistralConfig, PreTrainedConfig, Qwen2Config

from tests.infer.test_decode import OfWords, model_of
from triptych.infer.engine.one_by_one import OneByOne
from triptych.infer.engine.slots import Slots, shape_of, woven_words
from triptych.models.families.tiny import tiny
from triptych.models.memory.placement import place_to_answer

SMALL = {"vocab_size": 50, "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2}
MORE = {"intermediate_size": 48, "initializer_range": 0.3}
JOINED: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(**SMALL, **MORE, num_key_value_heads=2),
    "llama_eager": LlamaConfig(**SMALL, **MORE, num_key_value_heads=2, attn_implementation="eager"),
    "qwen2": Qwen2Config(**SMALL, **MORE, num_key_value_heads=2),
    "mistral_wide": MistralConfig(**SMALL, **MORE, num_key_value_heads=2, sliding_window=200),
    "gpt_neox": GPTNeoXConfig(**SMALL, **MORE),
    "gpt2": GPT2Config(vocab_size=50, n_embd=32, n_head=4, n_layer=2, n_positions=64, initializer_range=0.3),
}
ONE_BY_ONE: dict[str, PreTrainedConfig] = {
    "mistral": MistralConfig(**SMALL, **MORE, num_key_value_heads=2, sliding_window=5),
}


def whole(model: OfWords, ids: list[int]) -> Tensor:
    """Return logits_V of what follows these tokens, computed without a cache of ours."""
    with torch.no_grad():
        return model.run(woven_words(model, ids), mask=torch.ones(1, len(ids)).long(), cache=None)[0][0]


def rows_of(model: OfWords, *, tokens: int = 2000) -> Slots | OneByOne:
    layers = shape_of(model)
    return OneByOne(model) if layers is None else Slots(model, layers, tokens=tokens)


@pytest.mark.parametrize("name", sorted(JOINED))
def test_keys_and_values_of_every_position_can_be_joined(name: str) -> None:
    assert rows_of(model_of(JOINED[name])).joins


@pytest.mark.parametrize("name", sorted(ONE_BY_ONE))
def test_windows_that_hold_nothing_are_computed_one_by_one(name: str) -> None:
    assert not rows_of(model_of(ONE_BY_ONE[name])).joins


@pytest.mark.parametrize("name", sorted(JOINED | ONE_BY_ONE))
def test_rows_that_come_and_go_have_the_logits_they_have_alone(name: str) -> None:
    model, rng = model_of((JOINED | ONE_BY_ONE)[name]), random.Random(7)
    rows, texts = rows_of(model), list[list[int]]()
    for _ in range(60):
        move = rng.random()
        if not texts or (move < 0.3 and len(texts) < 6):
            texts.append(_begin(model, rows, texts, rng))
        elif move < 0.45:
            row = rng.randrange(len(texts))
            rows.leave(row)
            last = texts.pop()
            if row < len(texts):
                texts[row] = last
        else:
            new = [rng.randrange(50) for _ in texts]
            logits_BV = rows.step(new, [len(text) for text in texts], axes=1)
            texts = [[*text, token] for text, token in zip(texts, new, strict=True)]
            wanted_BV = torch.stack([whole(model, text) for text in texts])
            assert torch.allclose(logits_BV, wanted_BV, atol=2e-4)
        assert rows.lengths == [len(text) for text in texts]


def _begin(model: OfWords, rows: Slots | OneByOne, texts: list[list[int]], rng: random.Random) -> list[int]:
    """Add a row; where rows are joined, one that begins as another does."""
    text = [rng.randrange(50) for _ in range(rng.randint(1, 12))]
    if texts and isinstance(rows, Slots) and rng.random() < 0.6:
        row = rng.randrange(len(texts))
        known = rng.randint(1, len(texts[row]))
        source = rows.keep(row, known) if rng.random() < 0.5 else row
        begun = [*texts[row][:known], *text]
        woven = woven_words(model, text)
        woven.positions_ABT.add_(known)
        logits_V = rows.begin(woven, source=source, common=known)
        text = begun
    else:
        logits_V = rows.begin(woven_words(model, text))
    assert torch.allclose(logits_V, whole(model, text), atol=2e-4)
    return text


def test_buffers_stay_within_the_tokens_that_are_allowed_and_are_written_in_place() -> None:
    model = model_of(JOINED["llama"])
    layers = shape_of(model)
    assert layers is not None
    slots, seen = Slots(model, layers, tokens=120), list[tuple[int, int]]()
    run = model.run

    def watched(*given: object, **named: object) -> object:
        made = run(*given, **named)  # type: ignore[arg-type]
        keys = named["cache"].layers[0].keys  # type: ignore[attr-defined]
        seen.append((keys.shape[0] * keys.shape[2], keys.data_ptr()))
        return made

    model.run = watched  # type: ignore[method-assign, assignment]
    for length in (30, 20, 30, 10):
        slots.begin(woven_words(model, [1] * length))
    slots.leave(1)
    seen.clear()
    for _ in range(5):
        slots.step([1] * 3, [9] * 3, axes=1)
    assert slots.lengths == [35, 15, 35]
    assert max(size for size, _ in seen) <= 120
    assert len({place for _, place in seen[1:]}) == 1


def test_rows_are_joined_in_16_bits_too() -> None:
    # Under autocast rotary keys are float32 beside values in 16 bits.
    model = place_to_answer(tiny(0), device=torch.device("cpu"), precision="bfloat16")
    layers = shape_of(model)
    assert layers is not None
    assert {layer.dtype for layer in layers} == {torch.bfloat16}


def test_a_network_whose_rows_cannot_be_joined_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    model = model_of(JOINED["llama"])
    answer = model.run

    def run(*args: object, **more: object) -> object:
        logits_BV, cache = answer(*args, **more)  # type: ignore[arg-type]
        return logits_BV + len(logits_BV), cache  # more of them say something else

    model.run = run  # type: ignore[method-assign, assignment]
    assert shape_of(model) is None
    assert "one by one" in capsys.readouterr().err
